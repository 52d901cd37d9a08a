// A server in the same process, whose time and network are in the test's hands. Not part of the package.
import { CallsClient, type CallsClientOptions, type Environment, type SocketLike } from '../src/index.js';

export type Json = Record<string, unknown>;

interface Timer {
  at: number;
  run(): void;
}

/** Time stands still until the test moves it. */
export class FakeTime implements Environment {
  #now = 1_000_000;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  random(): number {
    return 1;
  }

  setTimer(run: () => void, afterMs: number): Timer {
    const timer = { at: this.#now + afterMs, run };
    this.#timers.add(timer);
    return timer;
  }

  clearTimer(timer: unknown): void {
    this.#timers.delete(timer as Timer);
  }

  async pass(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const next = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#timers.delete(next);
      this.#now = next.at;
      next.run();
      await settle();
    }
    this.#now = until;
    await settle();
  }
}

/** Lets everything run that is ready to. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 10; round++) await Promise.resolve();
}

export class FakeSocket implements SocketLike {
  onopen: ((event: never) => unknown) | null = null;
  onmessage: ((event: never) => unknown) | null = null;
  onclose: ((event: never) => unknown) | null = null;
  onerror: ((event: never) => unknown) | null = null;
  readonly sent: Json[] = [];
  closed = false;

  constructor(readonly url: string) {}

  send(data: string): void {
    this.sent.push(JSON.parse(data) as Json);
  }

  close(): void {
    this.closed = true;
  }

  /** From here on: what the server does. */
  say(message: Json): void {
    this.onmessage?.({ data: JSON.stringify(message) } as never);
  }

  open(): void {
    this.onopen?.({} as never);
  }

  lose(code = 1006): void {
    this.closed = true;
    this.onclose?.({ code } as never);
  }

  /** The requests of one kind, pings and others left out. */
  requests(kind: string): { id: string; body: Json }[] {
    return this.sent.filter((message) => kind in message).map((message) => ({ id: String(message['id']), body: message[kind] as Json }));
  }

  last(kind: string): { id: string; body: Json } {
    const found = this.requests(kind).at(-1);
    if (!found) throw new Error(`no ${kind} among ${JSON.stringify(this.sent)}`);
    return found;
  }
}

export class Stage {
  readonly time = new FakeTime();
  readonly sockets: FakeSocket[] = [];
  readonly client: CallsClient;

  constructor(options: Partial<CallsClientOptions> = {}) {
    const { sockets } = this;
    class Socket extends FakeSocket {
      constructor(url: string) {
        super(url);
        sockets.push(this);
      }
    }
    this.client = new CallsClient({
      url: 'http://calls.test',
      token: async () => 'a token',
      environment: this.time,
      WebSocket: Socket,
      ...options,
    });
  }

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('the client opened no socket');
    return socket;
  }

  async online(snapshot: Json = {}): Promise<void> {
    const connected = this.client.connect();
    await settle();
    this.socket.open();
    this.greet(snapshot);
    await connected;
  }

  greet(snapshot: Json = {}): void {
    this.socket.say({
      cursor: 'c1',
      snapshot: { userId: 'ana', deviceId: 'phone', serverTimeMs: String(this.time.now()), ...snapshot },
    });
  }

  ring(change: Json = {}): Json {
    return {
      callId: 'CL_1',
      callerUserId: 'ben',
      callerHandle: 'Ben',
      kind: 'CALL_KIND_DIRECT',
      media: 'MEDIA_VIDEO',
      deadlineMs: String(this.time.now() + 45_000),
      ...change,
    };
  }
}

export function call(change: Json = {}): Json {
  return {
    callId: 'CL_1',
    revision: '3',
    state: 'CALL_STATE_ACTIVE',
    kind: 'CALL_KIND_DIRECT',
    media: 'MEDIA_VIDEO',
    creatorUserId: 'ben',
    answeredAtMs: '1000000',
    meInCall: true,
    thisDevice: true,
    members: [{ userId: 'ben', handle: 'Ben', state: 'SHOWN_JOINED', identity: 'ben#1' }],
    ...change,
  };
}
