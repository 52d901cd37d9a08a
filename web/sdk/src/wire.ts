// The JSON form of `sluice/calls/v1/client.proto`, and the friendlier types that this package shows instead.
//
// On the wire enums come by their long names, 64-bit numbers as strings, and fields with their default value not at all.

export type Media = 'audio' | 'video';
export type CallKind = 'direct' | 'group';
export type CallState = 'open' | 'ringing' | 'active' | 'ended';

/** Where somebody stands in a call, as this user may know it. */
export type MemberState =
  | 'calling'
  | 'ringing'
  | 'connecting'
  | 'joined'
  | 'reconnecting'
  | 'left'
  | 'declined'
  | 'busy'
  | 'noAnswer'
  | 'cancelled'
  | 'cannotCall'
  | 'failed'
  | 'inLobby';

/**
 * Why a ring stopped. `declinedHere` and `ignored` are this device's own doing, `unknown` is a ring that was over when
 * the connection came back.
 */
export type StopReason =
  | 'acceptedElsewhere'
  | 'declinedElsewhere'
  | 'cancelled'
  | 'missed'
  | 'busyElsewhere'
  | 'movedToDevice'
  | 'answeredHere'
  | 'declinedHere'
  | 'ignored'
  | 'unknown';

/** Why a call is over, as this user may know it. */
export type OverReason =
  | 'ended'
  | 'cancelled'
  | 'declined'
  | 'busy'
  | 'noAnswer'
  | 'cannotCall'
  | 'failed'
  | 'connectionLost';

/** Somebody in a call. */
export interface Member {
  readonly userId: string;
  readonly handle: string;
  readonly state: MemberState;
  readonly onHold: boolean;
  readonly videoAllowed: boolean;
  readonly host: boolean;
  /** The participant's identity in the media room, to match tracks with people. */
  readonly identity: string;
}

/** A whole call as this device may see it. A new object at each change. Times: milliseconds since 1970, 0 is "not yet". */
export interface CallView {
  readonly callId: string;
  /** Grows with each change. A decimal number, 64 bit. */
  readonly revision: bigint;
  readonly state: CallState;
  readonly kind: CallKind;
  readonly media: Media;
  readonly conversationId: string;
  readonly creatorUserId: string;
  readonly createdAtMs: number;
  readonly answeredAtMs: number;
  readonly members: readonly Member[];
  /** This user is in the call, with this device or another. */
  readonly meInCall: boolean;
  /** This very device is the one in the call. */
  readonly thisDevice: boolean;
  readonly host: boolean;
  readonly videoAllowed: boolean;
  readonly onHold: boolean;
  /** Waits to be let in. */
  readonly inLobby: boolean;
  /** Who asks for video: somebody else, while this user has not answered, or this user. Empty: nobody. */
  readonly upgradeRequestedBy: string;
  readonly linkId: string;
}

/** With this a device enters the call's room through any LiveKit SDK. */
export interface MediaAccess {
  readonly url: string;
  readonly token: string;
  readonly room: string;
  readonly identity: string;
  readonly expiresAtMs: number;
}

export interface RingView {
  readonly callId: string;
  readonly callerUserId: string;
  readonly callerHandle: string;
  readonly kind: CallKind;
  readonly media: Media;
  readonly conversationId: string;
  /** By the server's clock. */
  readonly deadlineMs: number;
  /** Another call goes on: announce this one softly. */
  readonly waiting: boolean;
}

export interface Snapshot {
  readonly userId: string;
  readonly deviceId: string;
  readonly serverTimeMs: number;
  readonly rings: readonly RingView[];
  readonly calls: readonly CallView[];
}

export interface Reply {
  readonly id: string;
  readonly error: { readonly code: string; readonly reason: string; readonly message: string } | null;
  readonly call: CallView | null;
  readonly media: MediaAccess | null;
  readonly merged: boolean;
}

export type ServerMessage = { readonly cursor: string } & (
  | { readonly type: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly type: 'ring'; readonly ring: RingView }
  | { readonly type: 'ringStopped'; readonly callId: string; readonly reason: StopReason }
  | { readonly type: 'call'; readonly call: CallView }
  | { readonly type: 'over'; readonly callId: string; readonly reason: OverReason; readonly durationMs: number }
  | { readonly type: 'reply'; readonly reply: Reply }
  | { readonly type: 'pong'; readonly serverTimeMs: number }
  /** Of a newer server: ignored, apart from its cursor. */
  | { readonly type: 'unknown' }
);

/** One request, as JSON: `{ accept: { callId } }`. */
export type Request = Record<string, unknown>;

type Json = Record<string, unknown>;

/** Throws at what is no message at all; fills in what the wire leaves out. */
export function parseServerMessage(text: string): ServerMessage {
  const message = object(JSON.parse(text));
  const cursor = string(message['cursor']);
  if ('snapshot' in message) return { cursor, type: 'snapshot', snapshot: snapshot(object(message['snapshot'])) };
  if ('ring' in message) return { cursor, type: 'ring', ring: ring(object(message['ring'])) };
  if ('ringStopped' in message) {
    const stopped = object(message['ringStopped']);
    return {
      cursor,
      type: 'ringStopped',
      callId: string(stopped['callId']),
      reason: word(stopped['reason'], 'STOP_REASON_', 'unknown') as StopReason,
    };
  }
  if ('call' in message) return { cursor, type: 'call', call: call(object(message['call'])) };
  if ('over' in message) {
    const over = object(message['over']);
    return {
      cursor,
      type: 'over',
      callId: string(over['callId']),
      reason: word(over['reason'], 'SHOWN_REASON_', 'ended') as OverReason,
      durationMs: number(over['durationMs']),
    };
  }
  if ('reply' in message) return { cursor, type: 'reply', reply: reply(object(message['reply'])) };
  if ('pong' in message) return { cursor, type: 'pong', serverTimeMs: number(object(message['pong'])['serverTimeMs']) };
  return { cursor, type: 'unknown' };
}

export function mediaName(media: Media): string {
  return media === 'video' ? 'MEDIA_VIDEO' : 'MEDIA_AUDIO';
}

export function kindName(kind: CallKind): string {
  return kind === 'group' ? 'CALL_KIND_GROUP' : 'CALL_KIND_DIRECT';
}

function snapshot(json: Json): Snapshot {
  return {
    userId: string(json['userId']),
    deviceId: string(json['deviceId']),
    serverTimeMs: number(json['serverTimeMs']),
    rings: list(json['rings']).map(ring),
    calls: list(json['calls']).map(call),
  };
}

function ring(json: Json): RingView {
  return {
    callId: string(json['callId']),
    callerUserId: string(json['callerUserId']),
    callerHandle: string(json['callerHandle']),
    kind: word(json['kind'], 'CALL_KIND_', 'direct') as CallKind,
    media: word(json['media'], 'MEDIA_', 'audio') as Media,
    conversationId: string(json['conversationId']),
    deadlineMs: number(json['deadlineMs']),
    waiting: json['waiting'] === true,
  };
}

function call(json: Json): CallView {
  return {
    callId: string(json['callId']),
    revision: BigInt(string(json['revision']) || number(json['revision'])),
    state: word(json['state'], 'CALL_STATE_', 'ended') as CallState,
    kind: word(json['kind'], 'CALL_KIND_', 'direct') as CallKind,
    media: word(json['media'], 'MEDIA_', 'audio') as Media,
    conversationId: string(json['conversationId']),
    creatorUserId: string(json['creatorUserId']),
    createdAtMs: number(json['createdAtMs']),
    answeredAtMs: number(json['answeredAtMs']),
    members: list(json['members']).map(member),
    meInCall: json['meInCall'] === true,
    thisDevice: json['thisDevice'] === true,
    host: json['host'] === true,
    videoAllowed: json['videoAllowed'] === true,
    onHold: json['onHold'] === true,
    inLobby: json['inLobby'] === true,
    upgradeRequestedBy: string(json['upgradeRequestedBy']),
    linkId: string(json['linkId']),
  };
}

function member(json: Json): Member {
  return {
    userId: string(json['userId']),
    handle: string(json['handle']),
    state: word(json['state'], 'SHOWN_', 'left') as MemberState,
    onHold: json['onHold'] === true,
    videoAllowed: json['videoAllowed'] === true,
    host: json['host'] === true,
    identity: string(json['identity']),
  };
}

function reply(json: Json): Reply {
  const error = json['error'] === undefined ? null : object(json['error']);
  const media = json['media'] === undefined ? null : object(json['media']);
  return {
    id: string(json['id']),
    error: error && {
      code: string(error['code']) || 'UNKNOWN',
      reason: string(error['reason']),
      message: string(error['message']),
    },
    call: json['call'] === undefined ? null : call(object(json['call'])),
    media: media && {
      url: string(media['url']),
      token: string(media['token']),
      room: string(media['room']),
      identity: string(media['identity']),
      expiresAtMs: number(media['expiresAtMs']),
    },
    merged: json['merged'] === true,
  };
}

/** `STOP_REASON_ACCEPTED_ELSEWHERE` becomes `acceptedElsewhere`; a value that is absent becomes `otherwise`. */
function word(value: unknown, prefix: string, otherwise: string): string {
  if (typeof value !== 'string' || !value.startsWith(prefix) || value.endsWith('_UNSPECIFIED')) return otherwise;
  return value
    .slice(prefix.length)
    .toLowerCase()
    .replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function object(value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('expected an object');
  return value as Json;
}

function list(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(object) : [];
}

function string(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Times and durations: 64 bit on the wire, well within a double's 53. */
function number(value: unknown): number {
  const parsed = Number(value ?? 0);
  return Number.isFinite(parsed) ? parsed : 0;
}
