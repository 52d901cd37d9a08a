// One WebSocket to `/calls/v1` that comes back by itself, and the requests that wait for their answers.
//
// It knows nothing of calls. A request stays here until it is answered: after a lost connection it goes out again with the
// same id, and the server does it once.
import { Emitter } from './emitter.js';
import { CallsError } from './errors.js';
import { parseServerMessage, type Reply, type Request, type ServerMessage } from './wire.js';

/** What is needed of a WebSocket: that of browsers and of Node 22, and the one of the `ws` package. */
export interface SocketLike {
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** Time and chance, so that tests can hold both in their hands. */
export interface Environment {
  /** Milliseconds since 1970. */
  now(): number;
  /** 0 to 1. */
  random(): number;
  setTimer(run: () => void, afterMs: number): unknown;
  clearTimer(timer: unknown): void;
}

export const SYSTEM: Environment = {
  now: () => Date.now(),
  random: () => Math.random(),
  setTimer: (run, afterMs) => setTimeout(run, afterMs),
  clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
};

export interface ConnectionState {
  readonly state: 'offline' | 'connecting' | 'online';
  /** While offline: when the next attempt comes, by this device's clock. Absent after `close()` and when replaced. */
  readonly retryAtMs?: number;
  /** Why the token could not be had, or the connection not made. */
  readonly error?: unknown;
}

export interface ConnectionOptions {
  /** Of the WebSocket, without query. */
  url: string;
  token: () => Promise<string>;
  open: (url: string) => SocketLike;
  environment: Environment;
  requestTimeoutMs: number;
}

interface Pending {
  text: string;
  resolve(reply: Reply): void;
  reject(error: CallsError): void;
  timer: unknown;
}

interface Events {
  message: Exclude<ServerMessage, { type: 'reply' }>;
  state: ConnectionState;
}

/** A first retry at once-ish; a server that restarts under many clients is not helped by more haste. */
const FIRST_RETRY_MS = 400;
/** A ring lasts 45 s: whoever comes back within 10 s still hears it. */
const LONGEST_RETRY_MS = 10_000;
/** A dead path is found within twice this; phones pay for shorter with their battery. */
const PING_EVERY_MS = 10_000;

/** The close code by which the server says that this device has connected once more. */
const REPLACED = 4001;
const REPLACED_TEXT = 'this device is connected from somewhere else; connect() takes the calls back';

export class Connection extends Emitter<Events> {
  readonly #options: ConnectionOptions;
  readonly #pending = new Map<string, Pending>();
  #socket: SocketLike | null = null;
  #state: ConnectionState = { state: 'offline' };
  #wanted = false;
  #attempt = 0;
  #failures = 0;
  #cursor = '';
  #retryTimer: unknown;
  #pingTimer: unknown;
  #heardAtMs = 0;
  #pingedAtMs = 0;

  constructor(options: ConnectionOptions) {
    super();
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  open(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#failures = 0;
    void this.#connect();
  }

  /** Ends for good; what still waits for an answer is rejected. */
  close(): void {
    this.#wanted = false;
    this.#drop();
    this.#options.environment.clearTimer(this.#retryTimer);
    this.#reject(new CallsError('CANCELLED', 'CLOSED', 'the client was closed'));
    this.#enter({ state: 'offline' });
  }

  /** The device has a network again, or was woken: no need to wait for the timer. */
  hurry(): void {
    if (this.#wanted && this.#state.state === 'offline') void this.#connect();
    else if (this.#state.state === 'online') this.#ping();
  }

  request(id: string, request: Request): Promise<Reply> {
    if (!this.#wanted) {
      return Promise.reject(new CallsError('FAILED_PRECONDITION', 'CLOSED', 'call connect() first'));
    }
    return new Promise((resolve, reject) => {
      const text = JSON.stringify({ id, ...request });
      const timer = this.#options.environment.setTimer(() => {
        this.#settle(id);
        reject(new CallsError('DEADLINE_EXCEEDED', 'TIMED_OUT', 'the server did not answer in time; try again'));
      }, this.#options.requestTimeoutMs);
      this.#pending.set(id, { text, resolve, reject, timer });
      if (this.#state.state === 'online') this.#socket?.send(text);
    });
  }

  /** Something that needs no answer and is worthless later. */
  tell(id: string, request: Request): void {
    if (this.#state.state === 'online') this.#socket?.send(JSON.stringify({ id, ...request }));
  }

  async #connect(): Promise<void> {
    const attempt = ++this.#attempt;
    this.#options.environment.clearTimer(this.#retryTimer);
    this.#enter({ state: 'connecting' });
    let socket: SocketLike;
    try {
      const token = await this.#options.token();
      if (attempt !== this.#attempt || !this.#wanted) return;
      const cursor = this.#cursor ? `&cursor=${encodeURIComponent(this.#cursor)}` : '';
      socket = this.#options.open(`${this.#options.url}?access_token=${encodeURIComponent(token)}${cursor}`);
    } catch (error) {
      if (attempt === this.#attempt) this.#retryLater(error);
      return;
    }
    this.#socket = socket;
    const current = () => this.#socket === socket;
    socket.onopen = () => current() && this.#opened(socket);
    socket.onmessage = (event: { data: unknown }) => current() && this.#heard(String(event.data));
    // `close` follows every `error`; browsers tell nothing more.
    socket.onerror = () => {};
    socket.onclose = (event?: { code?: number }) => current() && this.#closed(event?.code);
  }

  #opened(socket: SocketLike): void {
    this.#heardAtMs = this.#options.environment.now();
    this.#enter({ state: 'online' });
    for (const { text } of this.#pending.values()) socket.send(text);
    this.#pingLater();
  }

  #heard(text: string): void {
    this.#heardAtMs = this.#options.environment.now();
    let message: ServerMessage;
    try {
      message = parseServerMessage(text);
    } catch (error) {
      // Not our protocol: a proxy's page perhaps. A fresh connection is the only cure.
      this.#lost(error);
      return;
    }
    if (message.cursor) this.#cursor = message.cursor;
    // Only a server that speaks proves that the way is good; an accepted socket alone may be a proxy's.
    this.#failures = 0;
    if (message.type === 'reply') this.#answered(message.reply);
    else this.emit('message', message);
  }

  #answered(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    if (!pending) return;
    this.#settle(reply.id);
    if (reply.error) pending.reject(new CallsError(reply.error.code, reply.error.reason, reply.error.message));
    else pending.resolve(reply);
  }

  #settle(id: string): void {
    const pending = this.#pending.get(id);
    if (pending) this.#options.environment.clearTimer(pending.timer);
    this.#pending.delete(id);
  }

  #closed(code: number | undefined): void {
    if (code !== REPLACED) return this.#lost();
    // Coming back would throw the other one out, which would come back in turn.
    this.#drop();
    this.#wanted = false;
    this.#reject(new CallsError('ABORTED', 'REPLACED', REPLACED_TEXT));
    this.#enter({ state: 'offline', error: new CallsError('ABORTED', 'REPLACED', REPLACED_TEXT) });
  }

  #reject(error: CallsError): void {
    for (const [id, pending] of this.#pending) {
      this.#settle(id);
      pending.reject(error);
    }
  }

  #lost(error?: unknown): void {
    this.#drop();
    if (this.#wanted) this.#retryLater(error);
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#attempt++;
    this.#options.environment.clearTimer(this.#pingTimer);
    socket?.close();
  }

  /** Exponential, and drawn from the upper half: clients that fell together do not come back together. */
  #retryLater(error?: unknown): void {
    const { environment } = this.#options;
    const most = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    this.#failures++;
    const wait = most / 2 + (most / 2) * environment.random();
    this.#retryTimer = environment.setTimer(() => void this.#connect(), wait);
    this.#enter({ state: 'offline', retryAtMs: environment.now() + wait, ...(error === undefined ? {} : { error }) });
  }

  #pingLater(): void {
    const { environment } = this.#options;
    environment.clearTimer(this.#pingTimer);
    this.#pingTimer = environment.setTimer(() => {
      // By the answer, not by the clock: browsers wake a hidden page's timers once a minute only.
      if (this.#heardAtMs < this.#pingedAtMs) this.#lost();
      else this.#ping();
    }, PING_EVERY_MS);
  }

  #ping(): void {
    this.#pingedAtMs = this.#options.environment.now();
    this.tell('', { ping: {} });
    this.#pingLater();
  }

  #enter(state: ConnectionState): void {
    if (state.state === this.#state.state && state.retryAtMs === this.#state.retryAtMs) return;
    this.#state = state;
    this.emit('state', state);
  }
}
