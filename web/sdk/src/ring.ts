// Somebody calls: what this device knows of it, and what can be done about it.
import type { Call } from './call.js';
import type { CallKind, Media, RingView, StopReason } from './wire.js';

/** How a ring reaches its client. */
export interface RingHost {
  accept(ring: Ring, options: { audioOnly?: boolean }): Promise<Call>;
  decline(ring: Ring): Promise<void>;
  ignore(ring: Ring): void;
}

/** An incoming call, until it is answered or stops. */
export class Ring {
  readonly #host: RingHost;
  #stopped: StopReason | null = null;

  /** Made by the client. */
  constructor(
    host: RingHost,
    readonly view: RingView,
    /** When it ends by itself, by this device's clock, in milliseconds since 1970. */
    readonly deadlineMs: number,
  ) {
    this.#host = host;
  }

  get callId(): string {
    return this.view.callId;
  }

  /** What the product calls the caller, and what people see of them. */
  get caller(): { readonly userId: string; readonly handle: string } {
    return { userId: this.view.callerUserId, handle: this.view.callerHandle };
  }

  get media(): Media {
    return this.view.media;
  }

  get kind(): CallKind {
    return this.view.kind;
  }

  get conversationId(): string {
    return this.view.conversationId;
  }

  /** Another call goes on: announce this one softly. */
  get waiting(): boolean {
    return this.view.waiting;
  }

  /** Why it rings no more; `null` while it rings. */
  get stopped(): StopReason | null {
    return this.#stopped;
  }

  /**
   * Answers. Rejects with the reason `ALREADY_ANSWERED` if another device was faster, and with `RING_OVER` if it came
   * too late.
   */
  accept(options: { audioOnly?: boolean } = {}): Promise<Call> {
    return this.#host.accept(this, options);
  }

  /** Declines for the user: all devices stop ringing. */
  decline(): Promise<void> {
    return this.#host.decline(this);
  }

  /** Stops ringing on this device only; the caller hears nothing of it. */
  ignore(): void {
    this.#host.ignore(this);
  }

  /** Used by the client. */
  markStopped(reason: StopReason): void {
    this.#stopped ??= reason;
  }
}
