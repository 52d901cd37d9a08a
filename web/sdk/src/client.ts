// The client: keeps the connection, turns messages into rings and calls, and tells what changed.
import { Call, type CallHost, type CallOver } from './call.js';
import { Connection, SYSTEM, type ConnectionState, type Environment, type SocketLike } from './connection.js';
import { Emitter } from './emitter.js';
import { CallsError } from './errors.js';
import { Ring, type RingHost } from './ring.js';
import {
  kindName,
  mediaName,
  type CallKind,
  type CallView,
  type Media,
  type Reply,
  type Request,
  type RingView,
  type ServerMessage,
  type Snapshot,
  type StopReason,
} from './wire.js';

export interface CallsClientOptions {
  /** Of the Sluice server: `https://calls.example.com`; `ws:` and `wss:` are fine too. */
  url: string;
  /** Fetches a device token from the product's backend. Asked before each connection, so that it may be short-lived. */
  token: () => Promise<string>;
  /** Tell the server by itself that this device rings; the caller then sees "ringing". Default: true. */
  acknowledge?: boolean;
  /** How long a request may take, reconnecting included. Default: 20,000. */
  requestTimeoutMs?: number;
  /** In place of the global one: Node before 22 has none, pass that of the `ws` package. */
  WebSocket?: new (url: string) => SocketLike;
  /** For tests. */
  environment?: Environment;
}

export interface NewCall {
  /** One for a direct call. */
  callees: readonly string[];
  /** The chat or group that it belongs to. Two calls of one conversation become one. */
  conversationId?: string;
  /** Default: `audio`. */
  media?: Media;
  /** Default: `direct` for one callee without a group's conversation, else `group`. */
  kind?: CallKind;
  /** 15 to 120; default 45. */
  ringSeconds?: number;
  /** Group only: opens the call without ringing; members join by themselves. */
  silent?: boolean;
}

export interface ClientEvents {
  /** Somebody calls. */
  incoming: Ring;
  /** A ring ended: here, elsewhere, by the caller or by its deadline. */
  ringStopped: { readonly ring: Ring; readonly reason: StopReason };
  /** A call is new or changed. */
  call: Call;
  /** The last that is heard of a call. */
  over: CallOver & { readonly call: Call };
  /** This user's part went on to another of their devices. */
  movedAway: Call;
  connection: ConnectionState;
}

const REQUEST_TIMEOUT_MS = 20_000;
/** Ends that are remembered; a reply about one comes within the same moment. */
const MOST_ENDS = 64;

/**
 * A device's end of the calls.
 *
 * ```ts
 * const client = new CallsClient({ url: 'https://calls.example.com', token: fetchDeviceToken });
 * client.on('incoming', async (ring) => {
 *   if (confirm(`${ring.caller.handle} is calling`)) await joinMedia(await ring.accept());
 *   else await ring.decline();
 * });
 * await client.connect();
 * ```
 */
export class CallsClient {
  readonly #events = new Emitter<ClientEvents>();
  readonly #connection: Connection;
  readonly #environment: Environment;
  readonly #acknowledge: boolean;
  readonly #mediaUrl: string;
  readonly #rings = new Map<string, { ring: Ring; timer: unknown }>();
  readonly #calls = new Map<string, Call>();
  /** The latest ends: that of a call may be told before the reply that tells of the call. */
  readonly #ends = new Map<string, CallOver>();
  readonly #host: RingHost & CallHost;
  #self = { userId: '', deviceId: '' };
  /** The server's clock minus this device's. */
  #clockOffsetMs = 0;
  #unlisten: (() => void) | null = null;

  constructor(options: CallsClientOptions) {
    this.#environment = options.environment ?? SYSTEM;
    this.#acknowledge = options.acknowledge ?? true;
    const origin = new URL(options.url);
    origin.protocol = origin.protocol.replace('http', 'ws');
    origin.search = origin.hash = '';
    this.#mediaUrl = origin.href.replace(/\/+$/, '');
    const Socket = options.WebSocket ?? (globalThis.WebSocket as (new (url: string) => SocketLike) | undefined);
    if (!Socket) throw new TypeError('this runtime has no WebSocket; pass one, e.g. that of the "ws" package');
    this.#connection = new Connection({
      url: `${this.#mediaUrl}/calls/v1`,
      token: options.token,
      open: (url) => new Socket(url),
      environment: this.#environment,
      requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    });
    this.#connection.on('message', (message) => this.#heard(message));
    this.#connection.on('state', (state) => this.#events.emit('connection', state));
    this.#host = {
      accept: (ring, { audioOnly }) => this.#accept(ring, audioOnly ?? false),
      decline: (ring) => this.#decline(ring),
      ignore: (ring) => this.#stopRing(ring.callId, 'ignored'),
      request: (request) => this.#request(request),
      learn: (reply) => this.#learn(reply),
    };
  }

  /** Calls `listener` at each event until the returned function is called. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /** Who this device is; empty until the first snapshot. */
  get self(): { readonly userId: string; readonly deviceId: string } {
    return this.#self;
  }

  get connection(): ConnectionState {
    return this.#connection.state;
  }

  /** What rings on this device now. */
  get rings(): readonly Ring[] {
    return [...this.#rings.values()].map(({ ring }) => ring);
  }

  /** This user's calls that have not ended, on whichever device. */
  get calls(): readonly Call[] {
    return [...this.#calls.values()].filter(({ state }) => state !== 'ended');
  }

  /** Resolves when the server has said how things stand. Tries until it succeeds or `close()` is called. Takes the calls back if another page of this device has them. */
  connect(): Promise<void> {
    if (this.#self.userId && this.connection.state === 'online') return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = () => {
        offMessage();
        offState();
      };
      const offMessage = this.#connection.on('message', () => {
        done();
        resolve();
      });
      const offState = this.#connection.on('state', ({ state, retryAtMs, error }) => {
        if (state !== 'offline' || retryAtMs !== undefined) return;
        done();
        reject(error ?? new CallsError('CANCELLED', 'CLOSED', 'the client was closed'));
      });
      this.#listenToDevice();
      this.#connection.open();
    });
  }

  /** Closes the connection; rings go quiet here. Calls go on: this is not `leave()`. */
  close(): void {
    this.#unlisten?.();
    this.#unlisten = null;
    for (const callId of [...this.#rings.keys()]) this.#stopRing(callId, 'unknown');
    this.#calls.clear();
    this.#connection.close();
  }

  /** Rings somebody. The call's `members` tell "calling" from "ringing"; `media` is there at once, to warm up. */
  async call(call: NewCall): Promise<Call> {
    const kind = call.kind ?? (call.callees.length === 1 ? 'direct' : 'group');
    const reply = await this.#request({
      call: {
        calleeUserIds: call.callees,
        kind: kindName(kind),
        media: mediaName(call.media ?? 'audio'),
        ...(call.conversationId ? { conversationId: call.conversationId } : {}),
        ...(call.ringSeconds ? { ringS: call.ringSeconds } : {}),
        ...(call.silent ? { silent: true } : {}),
      },
    });
    return this.#learn(reply);
  }

  /** Comes into a call that goes on, or back to it. `transfer`: even if another device of this user is in it. */
  async join(callId: string, options: { transfer?: boolean } = {}): Promise<Call> {
    return this.#learn(await this.#request({ join: { callId, ...(options.transfer ? { transfer: true } : {}) } }));
  }

  /** Follows a link. The call's `view.inLobby` tells whether a host has to let this user in first. */
  async joinLink(slug: string): Promise<Call> {
    return this.#learn(await this.#request({ join: { linkSlug: slug } }));
  }

  async #accept(ring: Ring, audioOnly: boolean): Promise<Call> {
    try {
      const reply = await this.#request({ accept: { callId: ring.callId, ...(audioOnly ? { audioOnly } : {}) } });
      const call = this.#learn(reply);
      this.#stopRing(ring.callId, 'answeredHere');
      return call;
    } catch (error) {
      const reason = error instanceof CallsError ? error.reason : '';
      if (reason === 'ALREADY_ANSWERED') this.#stopRing(ring.callId, 'acceptedElsewhere');
      if (reason === 'RING_OVER' || reason === 'CALL_ENDED') this.#stopRing(ring.callId, 'missed');
      throw error;
    }
  }

  async #decline(ring: Ring): Promise<void> {
    // Quiet at once, whatever the network does.
    this.#stopRing(ring.callId, 'declinedHere');
    await this.#request({ decline: { callId: ring.callId } });
  }

  #request(request: Request): Promise<Reply> {
    return this.#connection.request(newId(), request);
  }

  #learn(reply: Reply): Call {
    if (!reply.call) throw new CallsError('INTERNAL', '', 'the server’s answer lacks the call');
    const media = reply.media && { ...reply.media, url: reply.media.url || this.#mediaUrl };
    return this.#changed(reply.call, { ...reply, media });
  }

  #changed(view: CallView, reply?: Reply): Call {
    let call = this.#calls.get(view.callId);
    const before = call?.view;
    if (call) call.learn(view, reply);
    else {
      call = new Call(this.#host, view);
      call.learn(view, reply);
      const end = view.state === 'ended' ? this.#ends.get(view.callId) : undefined;
      if (end) call.finish(end);
      // Also one that has ended, as long as nothing has said how.
      else this.#calls.set(view.callId, call);
    }
    // Whoever was out of it is in it again.
    if (view.state !== 'ended') this.#ends.delete(view.callId);
    if (before?.thisDevice && !call.view.thisDevice && call.view.meInCall) this.#events.emit('movedAway', call);
    this.#events.emit('call', call);
    return call;
  }

  #heard(message: Exclude<ServerMessage, { type: 'reply' }>): void {
    switch (message.type) {
      case 'snapshot':
        return this.#snapshot(message.snapshot);
      case 'ring':
        return this.#ring(message.ring);
      case 'ringStopped':
        return this.#stopRing(message.callId, message.reason);
      case 'call':
        this.#changed(message.call);
        return;
      case 'over':
        return this.#over(message.callId, message);
      case 'pong':
        this.#clockOffsetMs = message.serverTimeMs - this.#environment.now();
        return;
      case 'unknown':
    }
  }

  /** The whole truth: what is not in it is over. */
  #snapshot(snapshot: Snapshot): void {
    this.#self = { userId: snapshot.userId, deviceId: snapshot.deviceId };
    this.#clockOffsetMs = snapshot.serverTimeMs - this.#environment.now();
    const rings = new Set(snapshot.rings.map(({ callId }) => callId));
    const calls = new Set(snapshot.calls.map(({ callId }) => callId));
    for (const callId of [...this.#rings.keys()]) if (!rings.has(callId)) this.#stopRing(callId, 'unknown');
    for (const [callId, call] of [...this.#calls]) {
      if (calls.has(callId)) continue;
      const { answeredAtMs } = call.view;
      const durationMs = answeredAtMs ? Math.max(0, snapshot.serverTimeMs - answeredAtMs) : 0;
      this.#over(callId, { reason: 'ended', durationMs });
    }
    for (const view of snapshot.calls) this.#changed(view);
    for (const ring of snapshot.rings) this.#ring(ring);
  }

  #ring(view: RingView): void {
    // Again after each reconnect: the server may not have heard it, and hearing it twice changes nothing.
    if (this.#acknowledge) this.#connection.tell(newId(), { ack: { callId: view.callId } });
    if (this.#rings.has(view.callId)) return;
    const deadlineMs = view.deadlineMs - this.#clockOffsetMs;
    const left = deadlineMs - this.#environment.now();
    if (left <= 0) return;
    const ring = new Ring(this.#host, view, deadlineMs);
    const timer = this.#environment.setTimer(() => this.#stopRing(view.callId, 'missed'), left);
    this.#rings.set(view.callId, { ring, timer });
    this.#events.emit('incoming', ring);
  }

  #stopRing(callId: string, reason: StopReason): void {
    const known = this.#rings.get(callId);
    if (!known) {
      if (reason === 'movedToDevice') this.#movedAway(callId);
      return;
    }
    this.#rings.delete(callId);
    this.#environment.clearTimer(known.timer);
    known.ring.markStopped(reason);
    this.#events.emit('ringStopped', { ring: known.ring, reason });
  }

  #movedAway(callId: string): void {
    const call = this.#calls.get(callId);
    if (!call?.view.thisDevice) return;
    this.#changed({ ...call.view, thisDevice: false });
  }

  #over(callId: string, { reason, durationMs }: CallOver): void {
    this.#stopRing(callId, 'cancelled');
    this.#ends.delete(callId);
    this.#ends.set(callId, { reason, durationMs });
    for (const oldest of this.#ends.keys()) {
      if (this.#ends.size <= MOST_ENDS) break;
      this.#ends.delete(oldest);
    }
    const call = this.#calls.get(callId);
    if (!call) return;
    this.#calls.delete(callId);
    call.finish({ reason, durationMs });
    this.#events.emit('over', { call, reason, durationMs });
  }

  /** Browsers say when there is a network again, and when somebody looks at the page again. */
  #listenToDevice(): void {
    if (this.#unlisten || typeof globalThis.addEventListener !== 'function') return;
    const hurry = () => this.#connection.hurry();
    globalThis.addEventListener('online', hurry);
    globalThis.addEventListener('pageshow', hurry);
    this.#unlisten = () => {
      globalThis.removeEventListener('online', hurry);
      globalThis.removeEventListener('pageshow', hurry);
    };
  }
}

function newId(): string {
  // `randomUUID` exists on secure pages only; a product's test server on the local network is none.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
