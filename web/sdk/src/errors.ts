// Why a request failed: in words for people, and in words for programs.

/** The name of a standard gRPC code. */
export type ErrorCode =
  | 'CANCELLED'
  | 'UNKNOWN'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'UNAUTHENTICATED'
  | (string & {});

/**
 * The word for programs. The server's words are listed at the `Calls` service; `TIMED_OUT`, `CLOSED`, `REPLACED` and `NO_MEDIA`
 * are the client's own.
 */
export type ErrorReason =
  | 'ALREADY_ANSWERED'
  | 'RING_OVER'
  | 'CALL_ENDED'
  | 'NOT_IN_CALL'
  | 'NOT_RINGING'
  | 'IN_ANOTHER_CALL'
  | 'LINK_OVER'
  | 'NO_UPGRADE'
  | 'NOT_WAITING'
  | 'CANNOT_CALL'
  | 'RATE_LIMITED'
  | 'CALL_FULL'
  | 'TOO_MANY_CALLS'
  | 'OVERLOADED'
  | 'TIMED_OUT'
  | 'CLOSED'
  | 'REPLACED'
  | 'NO_MEDIA'
  | ''
  | (string & {});

/** A request that the server refused, or that got no answer in time. */
export class CallsError extends Error {
  override readonly name = 'CallsError';

  constructor(
    readonly code: ErrorCode,
    readonly reason: ErrorReason,
    message: string,
  ) {
    super(message);
  }
}
