// The calls of this device: what rings, the one call that is on, what just ended, and what goes on elsewhere.
import {
  CallsError,
  type Call,
  type CallsClient,
  type ConnectionState,
  type ErrorReason,
  type Media,
  type OverReason,
  type Ring,
  type StopReason,
} from '@sluice-calls/client';
import { Store } from '../store.ts';
import { words } from '../words/index.ts';
import { CallSession, type CallPlace } from './call-session.ts';
import type { Product } from './product.ts';
import type { Face, Thread } from './types.ts';

/** How a call ended, as this device shows it. */
export interface Over {
  face: Face;
  threadId: string;
  reason: OverReason | 'left';
  /** The server's word where the call never began. */
  refusal: ErrorReason;
  /** The server's sentence to it. */
  detail: string;
  durationMs: number;
  /** To rate; `null` if nobody answered. */
  call: Call | null;
  again: Media | null;
}

export type Scene = { at: 'idle' } | { at: 'call'; session: CallSession } | { at: 'over'; over: Over };

export class Calling {
  readonly scene = new Store<Scene>({ at: 'idle' });
  readonly rings = new Store<readonly Ring[]>([]);
  /** This user's live calls, by id. A new map at each change. */
  readonly calls = new Store<ReadonlyMap<string, Call>>(new Map());
  readonly connection = new Store<ConnectionState>({ state: 'connecting' });
  /** Calls that this device has left: a late word of them brings them back to nobody. */
  readonly #left = new Set<string>();

  constructor(
    readonly client: CallsClient,
    readonly product: Product,
    readonly place: CallPlace,
  ) {}

  /** Connects, and listens until the returned function is called. */
  open(): () => void {
    const { client } = this;
    const offs = [
      client.on('incoming', () => this.rings.set(client.rings)),
      client.on('ringStopped', ({ ring, reason }) => this.#ringStopped(ring, reason)),
      client.on('call', (call) => this.#changed(call)),
      client.on('over', ({ call, reason, durationMs }) => this.#over(call, reason, durationMs)),
      client.on('movedAway', (call) => this.#movedAway(call)),
      client.on('connection', (connection) => this.connection.set(connection)),
    ];
    this.connect();
    return () => {
      for (const off of offs) off();
      this.#session()?.close();
      client.close();
    };
  }

  /** Also takes the calls back from another page of this device. */
  connect(): void {
    // Fails only when it is closed or replaced; the connection's state says which.
    this.client.connect().catch(() => {});
  }

  /** How the caller of a ring is shown, and the group that it is about. */
  faceOfRing(ring: Ring): { face: Face; groupTitle: string } {
    const { name, hue } = this.product.person(ring.caller.userId);
    const thread = this.product.thread(ring.conversationId);
    const groupTitle = ring.kind === 'group' ? (thread?.kind === 'group' ? thread.title : words().groupCall) : '';
    return { face: { name: name === '…' ? ring.caller.handle : name, hue, group: false }, groupTitle };
  }

  /** Calls everybody in a thread. */
  async call(thread: Thread, media: Media): Promise<void> {
    const face = this.product.face(thread);
    const kind = thread.kind === 'group' ? 'group' : 'direct';
    await this.#begin({ face, threadId: thread.id, media, outgoing: true }, () =>
      this.client.call({ callees: this.product.others(thread), conversationId: thread.id, media, kind }),
    );
  }

  async callPerson(personId: string, media: Media): Promise<void> {
    const thread = await this.product.attempt(() => this.product.openThread('direct', [personId]));
    if (thread) await this.call(thread, media);
  }

  async accept(ring: Ring, audioOnly = false): Promise<void> {
    const { face, groupTitle } = this.faceOfRing(ring);
    const shown = ring.kind === 'group' ? { ...face, name: groupTitle, group: true } : face;
    await this.leave();
    await this.#begin({ face: shown, threadId: ring.conversationId, media: ring.media, audioOnly, outgoing: false }, () =>
      ring.accept({ audioOnly }),
    );
  }

  decline(ring: Ring): void {
    void this.product.attempt(() => ring.decline());
  }

  /** Comes into the call that goes on in a thread; takes it over from another device of this user. */
  async joinThread(thread: Thread): Promise<void> {
    const { liveCall } = thread;
    const known = [...this.calls.get().values()].find(({ view }) => view.conversationId === thread.id);
    const callId = known?.id ?? liveCall?.callId;
    if (!callId) return;
    const elsewhere = known ? known.view.meInCall && !known.view.thisDevice : !!liveCall?.memberIds.includes(this.product.me.id);
    const media = liveCall?.media ?? known?.type ?? 'audio';
    await this.#begin({ face: this.product.face(thread), threadId: thread.id, media, outgoing: false }, async () => {
      if (!known || !elsewhere) return this.client.join(callId, { transfer: elsewhere });
      await known.transferHere();
      return known;
    });
  }

  async joinLink(slug: string): Promise<void> {
    const face: Face = { name: words().groupCall, hue: 190, group: true };
    await this.#begin({ face, threadId: '', media: 'audio', outgoing: false }, () => this.client.joinLink(slug));
  }

  /** Leaves the call that is on; before the answer that is cancelling it. */
  async leave(): Promise<void> {
    const session = this.#session();
    if (!session) return;
    const { call } = session;
    session.close();
    if (!call) {
      this.scene.set({ at: 'idle' });
      return;
    }
    this.#left.add(call.id);
    const cancelling = session.outgoing && call.state === 'ringing' && !call.view.answeredAtMs;
    const reason = cancelling ? 'cancelled' : 'left';
    const durationMs = call.view.answeredAtMs ? Math.max(0, Date.now() - call.view.answeredAtMs) : 0;
    this.#showOver(session, { reason, durationMs, call: durationMs > 0 ? call : null });
    try {
      await (cancelling ? call.cancel() : call.leave());
    } catch (error) {
      // It was over already: that is what was wanted.
      if (!(error instanceof CallsError && error.code === 'FAILED_PRECONDITION')) await this.product.attempt(() => Promise.reject(error));
    }
  }

  async endForAll(): Promise<void> {
    const call = this.#session()?.call;
    if (call) await this.product.attempt(() => call.end());
  }

  closeOver(): void {
    if (this.scene.get().at === 'over') this.scene.set({ at: 'idle' });
  }

  async again(over: Over): Promise<void> {
    this.closeOver();
    const thread = this.product.thread(over.threadId);
    if (thread && over.again) await this.call(thread, over.again);
  }

  #session(): CallSession | null {
    const scene = this.scene.get();
    return scene.at === 'call' ? scene.session : null;
  }

  async #begin(options: ConstructorParameters<typeof CallSession>[1], request: () => Promise<Call>): Promise<void> {
    if (this.#session()) return;
    const session = new CallSession(this.place, options);
    this.scene.set({ at: 'call', session });
    try {
      const call = await request();
      if (session.closed) {
        // Hung up before the server had answered.
        this.#left.add(call.id);
        await this.product.attempt(() => (call.state === 'ringing' && options.outgoing ? call.cancel() : call.leave()));
        return;
      }
      this.#left.delete(call.id);
      session.begin(call);
      if (call.over) this.#over(call, call.over.reason, call.over.durationMs);
    } catch (error) {
      if (session.closed) return;
      session.close();
      const refusal = error instanceof CallsError ? error.reason : '';
      const detail = error instanceof Error ? error.message : '';
      const again = options.outgoing ? options.media : null;
      this.#showOver(session, { reason: shownReason(error), refusal, detail, again });
    }
  }

  #changed(call: Call): void {
    this.#list();
    const session = this.#session();
    if (session?.call === call) {
      const was = session.view.get();
      session.update();
      const thrownOut = was?.meInCall && !call.view.meInCall && !call.over && !this.#left.has(call.id);
      if (thrownOut) this.#end(session, { reason: 'ended', call });
      return;
    }
    // This very device is in a call that the page knows nothing of: it was loaded anew.
    if (!session && call.view.meInCall && call.view.thisDevice && call.state !== 'ended' && !this.#left.has(call.id)) {
      this.#resume(call);
    }
  }

  #resume(call: Call): void {
    const thread = this.product.thread(call.view.conversationId);
    const other = call.members.find(({ userId }) => userId !== this.product.me.id);
    const group = call.kind === 'group';
    const person = other && !group ? this.product.person(other.userId) : null;
    // Chats and names may still be on their way: the call itself knows the handle.
    const name = person ? (person.name === '…' ? (other?.handle ?? '') : person.name) : words().groupCall;
    const face = thread ? this.product.face(thread) : { name, hue: person?.hue ?? 190, group };
    const outgoing = call.view.creatorUserId === this.product.me.id && call.state === 'ringing';
    const session = new CallSession(this.place, { face, threadId: call.view.conversationId, media: call.type, outgoing });
    this.scene.set({ at: 'call', session });
    session.begin(call);
  }

  #movedAway(call: Call): void {
    const session = this.#session();
    if (session?.call !== call) return;
    session.close();
    this.scene.set({ at: 'idle' });
    this.product.say(words().overMoved);
  }

  #over(call: Call, reason: OverReason, durationMs: number): void {
    this.#list();
    const session = this.#session();
    if (session?.call === call) this.#end(session, { reason, durationMs, call: durationMs > 0 ? call : null });
  }

  #end(session: CallSession, over: Partial<Over> & Pick<Over, 'reason'>): void {
    session.close();
    const unanswered = ['declined', 'busy', 'noAnswer', 'failed', 'connectionLost'].includes(over.reason);
    const again = unanswered && session.threadId ? (session.view.get()?.media ?? 'audio') : null;
    this.#showOver(session, { again, ...over });
  }

  #showOver(session: CallSession, over: Partial<Over> & Pick<Over, 'reason'>): void {
    const { face, threadId } = session;
    this.scene.set({
      at: 'over',
      over: { face, threadId, refusal: '', detail: '', durationMs: 0, call: null, again: null, ...over },
    });
  }

  #ringStopped(ring: Ring, reason: StopReason): void {
    this.rings.set(this.client.rings);
    const w = words();
    if (reason === 'acceptedElsewhere') this.product.say(w.ringAnsweredElsewhere);
    if (reason === 'declinedElsewhere') this.product.say(w.ringDeclinedElsewhere);
    if (reason === 'missed' || reason === 'cancelled') this.product.say(w.missedFrom(this.faceOfRing(ring).face.name));
  }

  #list(): void {
    this.calls.set(new Map(this.client.calls.map((call) => [call.id, call])));
  }
}

function shownReason(error: unknown): OverReason {
  if (!(error instanceof CallsError)) return 'failed';
  if (error.reason === 'RING_OVER' || error.reason === 'CALL_ENDED' || error.reason === 'ALREADY_ANSWERED') return 'ended';
  if (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED') return 'failed';
  return 'cannotCall';
}
