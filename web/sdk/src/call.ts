// A call that this user is part of: its latest state, and what can be done with it.
import { CallsError } from './errors.js';
import type { CallKind, CallState, CallView, Media, MediaAccess, Member, OverReason, Reply, Request } from './wire.js';

/** How a call reaches its client. */
export interface CallHost {
  request(request: Request): Promise<Reply>;
  /** Takes in what a reply says; gives the call that it is about. */
  learn(reply: Reply): Call;
}

/** What a host may do to somebody: exactly one of these. */
export type Moderation =
  /** Out of the call; may be invited again. */
  | { remove: true }
  /** Makes them a host, or no longer one. */
  | { host: boolean }
  /** Mutes their microphone; only they can unmute it. */
  | { mute: true }
  /** Allows or forbids them to send video. */
  | { allowVideo: boolean };

export interface CallOver {
  readonly reason: OverReason;
  /** 0 if nobody answered. */
  readonly durationMs: number;
}

/** One object for the whole life of a call; `view` is replaced at each change. */
export class Call {
  readonly #host: CallHost;
  #view: CallView;
  #media: MediaAccess | null = null;
  #over: CallOver | null = null;
  #merged = false;

  /** Made by the client. */
  constructor(host: CallHost, view: CallView) {
    this.#host = host;
    this.#view = view;
  }

  get id(): string {
    return this.#view.callId;
  }

  get view(): CallView {
    return this.#view;
  }

  get state(): CallState {
    return this.#over ? 'ended' : this.#view.state;
  }

  get kind(): CallKind {
    return this.#view.kind;
  }

  /** Whether it is a call with pictures. */
  get type(): Media {
    return this.#view.media;
  }

  /** Who is in it or was asked to be, with where they stand; this user too. */
  get members(): readonly Member[] {
    return this.#view.members;
  }

  /** The key to the call's room; `null` until this device is in the call. */
  get media(): MediaAccess | null {
    return this.#media;
  }

  /** How it ended; `null` while it lasts. */
  get over(): CallOver | null {
    return this.#over;
  }

  /** `client.call()` found that the others were calling already, or that the call went on: this is that call. */
  get merged(): boolean {
    return this.#merged;
  }

  /** Gives up before anybody answered. */
  async cancel(): Promise<void> {
    await this.#do({ cancel: this.#one() });
  }

  /** Goes out of the call; a direct call ends with that. */
  async leave(): Promise<void> {
    await this.#do({ leave: this.#one() });
  }

  /** Ends it for everybody. For hosts. */
  async end(): Promise<void> {
    await this.#do({ end: this.#one() });
  }

  /** Rings more people; a direct call becomes a group call. `ringSeconds`: 15 to 120. */
  async invite(userIds: readonly string[], options: { ringSeconds?: number } = {}): Promise<void> {
    const ringS = options.ringSeconds === undefined ? {} : { ringS: options.ringSeconds };
    await this.#do({ invite: { ...this.#one(), userIds, ...ringS } });
  }

  /** Takes an invitation back while it rings. */
  async cancelInvite(userId: string): Promise<void> {
    await this.#do({ cancelInvite: { ...this.#one(), userId } });
  }

  /** Asks the others whether this audio call may become a video call. */
  async requestUpgrade(): Promise<void> {
    await this.#do({ requestUpgrade: this.#one() });
  }

  /** Answers somebody's wish for video, for oneself. */
  async respondUpgrade(accept: boolean): Promise<void> {
    await this.#do({ respondUpgrade: { ...this.#one(), yes: accept } });
  }

  async hold(on: boolean): Promise<void> {
    await this.#do({ hold: { ...this.#one(), yes: on } });
  }

  /** Moves this user's part from their other device to this one; `media` is set afterwards. */
  async transferHere(): Promise<void> {
    await this.#do({ transfer: this.#one() });
  }

  /** For hosts. */
  async moderate(userId: string, action: Moderation): Promise<void> {
    await this.#do({ moderate: { ...this.#one(), userId, ...action } });
  }

  /** Lets somebody in from the lobby, or not. For hosts. */
  async admit(userId: string, admit: boolean): Promise<void> {
    await this.#do({ admit: { ...this.#one(), userId, admit } });
  }

  /** 1 (bad) to 5 (good); also after the end. */
  async rate(stars: 1 | 2 | 3 | 4 | 5): Promise<void> {
    await this.#host.request({ rate: { ...this.#one(), stars } });
  }

  /** A fresh key to the room: after the lobby, or when the old one has expired. */
  async refreshMedia(): Promise<MediaAccess> {
    await this.#do({ refreshMedia: this.#one() });
    if (!this.#media) throw new CallsError('FAILED_PRECONDITION', 'NO_MEDIA', 'this device is not in the call');
    return this.#media;
  }

  /** Used by the client: what the server says now. An older state than the known one changes nothing. */
  learn(view: CallView, reply?: Reply): void {
    if (view.revision >= this.#view.revision) this.#view = view;
    if (reply?.media) this.#media = reply.media;
    if (reply?.merged) this.#merged = true;
  }

  /** Used by the client. */
  finish(over: CallOver): void {
    this.#over ??= over;
  }

  #one(): { callId: string } {
    return { callId: this.id };
  }

  async #do(request: Request): Promise<void> {
    this.#host.learn(await this.#host.request(request));
  }
}
