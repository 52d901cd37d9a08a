// @sluice-calls/client: ring, accept and talk. Media is in `@sluice-calls/client/media`.
export { CallsClient, type CallsClientOptions, type ClientEvents, type NewCall } from './client.js';
export { Call, type CallOver, type Moderation } from './call.js';
export { Ring } from './ring.js';
export { CallsError, type ErrorCode, type ErrorReason } from './errors.js';
export type { ConnectionState, Environment, SocketLike } from './connection.js';
export type {
  CallKind,
  CallState,
  CallView,
  Media,
  MediaAccess,
  Member,
  MemberState,
  OverReason,
  RingView,
  StopReason,
} from './wire.js';
