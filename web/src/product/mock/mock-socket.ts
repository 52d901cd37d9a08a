// The other end of `/calls/v1`, played by people with simple habits. Development only.
import type { CallEntry, Person } from '../types.ts';
import type { MockMember } from './mock-media.ts';

export interface Plot {
  person(id: string): Person;
  live(threadId: string, live: { callId: string; media: 'audio' | 'video'; memberIds: string[] } | null): void;
  ended(threadId: string, entry: CallEntry): void;
}

type Json = Record<string, unknown>;
type Body = Record<string, never> & { calleeUserIds: string[]; callId: string; media: string; conversationId: string; userIds: string[]; yes: boolean; userId: string; admit: boolean };

interface MockLeg {
  userId: string;
  state: string;
  onHold?: boolean;
  video?: boolean;
}

let plot: Plot;
let socket: MockSocket | null = null;
const watchers = new Set<(members: MockMember[]) => void>();

export function setPlot(next: Plot): void {
  plot = next;
}

const ME = 'asha';
const HABITS: Record<string, string> = { meera: 'DECLINED', kabir: 'BUSY', yuki: 'NO_ANSWER' };

export class MockSocket {
  onopen: ((event: never) => unknown) | null = null;
  onmessage: ((event: never) => unknown) | null = null;
  onclose: ((event: never) => unknown) | null = null;
  onerror: ((event: never) => unknown) | null = null;
  #call: (Json & { legs: MockLeg[]; revision: number; callId: string; media: string; answeredAtMs: number; state: string }) | null = null;

  constructor(_url: string) {
    socket = this;
    setTimeout(() => {
      this.onopen?.({} as never);
      this.#say({ snapshot: { userId: ME, deviceId: 'tab-mock', serverTimeMs: String(Date.now()) } });
    }, 100);
  }

  close(): void {}

  send(data: string): void {
    const { id, ...request } = JSON.parse(data) as { id: string } & Json;
    const [kind = '', body] = Object.entries(request)[0] ?? [];
    this.#do(id, kind, body as Body);
  }

  static watch(listener: (members: MockMember[]) => void): () => void {
    watchers.add(listener);
    if (socket) socket.#show();
    return () => watchers.delete(listener);
  }

  /** Somebody calls. */
  static ring(from = 'ravi', media = 'video', more: Json = {}): void {
    const callId = `CL_${Math.random()}`;
    if (!socket) return;
    socket.#say({
      ring: {
        callId, callerUserId: from, callerHandle: plot.person(from).handle, kind: 'CALL_KIND_DIRECT', media: `MEDIA_${media.toUpperCase()}`,
        conversationId: `t_${from}`, deadlineMs: String(Date.now() + 45_000), ...more,
      },
    });
  }

  static lobby(userId = 'zainab'): void {
    const at = socket;
    if (at) at.#change(() => at.#call && at.#call.legs.push({ userId, state: 'IN_LOBBY' }));
  }

  #do(id: string, kind: string, body: Body): void {
    const reply = (media = false) => this.#say({ reply: { id, call: this.#view(), ...(media ? { media: { token: 'mock' } } : {}) } });
    switch (kind) {
      case 'call':
        if (body.calleeUserIds[0] === 'tomas' && body.calleeUserIds.length === 1) {
          return this.#say({ reply: { id, error: { code: 'PERMISSION_DENIED', reason: 'CANNOT_CALL', message: 'not now' } } });
        }
        this.#begin(body.media, body.conversationId, body.calleeUserIds.map((userId) => ({ userId, state: 'CALLING' })), ME);
        reply(true);
        return this.#callees();
      case 'accept':
        this.#begin('MEDIA_VIDEO', 't_ravi', [{ userId: 'ravi', state: 'JOINED', video: true }], 'ravi');
        if (this.#call) Object.assign(this.#call, { state: 'ACTIVE', answeredAtMs: Date.now() });
        reply(true);
        return this.#show();
      case 'join':
      case 'transfer':
        this.#begin('MEDIA_AUDIO', 't_weekend', ['lena', 'yuki'].map((userId) => ({ userId, state: 'JOINED' })), 'lena');
        if (this.#call) Object.assign(this.#call, { state: 'ACTIVE', answeredAtMs: Date.now() - 200_000 });
        reply(true);
        return this.#show();
      case 'hold':
        this.#change(() => this.#call && (this.#call['onHold'] = body.yes));
        return reply();
      case 'invite':
        this.#change(() => this.#call?.legs.push(...body.userIds.map((userId) => ({ userId, state: 'CALLING' }))));
        if (this.#call) this.#call['kind'] = 'CALL_KIND_GROUP';
        reply();
        return this.#callees();
      case 'requestUpgrade':
        this.#change(() => this.#call && (this.#call['upgradeRequestedBy'] = ME));
        reply();
        setTimeout(() => this.#change(() => {
          if (this.#call) Object.assign(this.#call, { upgradeRequestedBy: '', videoAllowed: true, media: 'MEDIA_VIDEO' });
          for (const leg of this.#call?.legs ?? []) leg.video = true;
        }), 1_500);
        return;
      case 'admit':
        this.#change(() => {
          const leg = this.#call?.legs.find(({ userId }) => userId === body.userId);
          if (leg) leg.state = body.admit ? 'JOINED' : 'DECLINED';
        });
        return reply();
      case 'leave':
      case 'cancel':
      case 'end':
        reply();
        return this.#end(kind === 'cancel' ? 'CANCELLED' : 'ENDED');
      case 'decline':
        return this.#say({ reply: { id } });
      case 'ack':
        return;
      case 'ping':
        return this.#say({ pong: { serverTimeMs: String(Date.now()) } });
      default:
        reply();
    }
  }

  #begin(media: string, conversationId: string, legs: MockLeg[], creatorUserId: string): void {
    this.#call = {
      callId: `CL_${Math.random()}`, revision: 1, state: 'RINGING', media, conversationId, creatorUserId, legs, answeredAtMs: 0,
      kind: conversationId === 't_weekend' || conversationId === 't_kitchen' ? 'CALL_KIND_GROUP' : 'CALL_KIND_DIRECT',
      videoAllowed: media === 'MEDIA_VIDEO', host: creatorUserId === ME,
    };
  }

  /** Each callee rings after a moment, and does what they always do. */
  #callees(): void {
    for (const [index, leg] of (this.#call?.legs ?? []).filter(({ state }) => state === 'CALLING').entries()) {
      setTimeout(() => this.#change(() => leg.state === 'CALLING' && (leg.state = 'RINGING')), 900 + 300 * index);
      setTimeout(() => this.#answers(leg), 3_000 + 900 * index);
    }
  }

  #answers(leg: MockLeg): void {
    const call = this.#call;
    if (!call || leg.state !== 'RINGING') return;
    const habit = HABITS[leg.userId];
    if (habit && call.legs.length === 1) return this.#end(habit);
    this.#change(() => {
      leg.state = habit ?? 'JOINED';
      leg.video = call.media === 'MEDIA_VIDEO';
      if (!habit && call.state === 'RINGING') Object.assign(call, { state: 'ACTIVE', answeredAtMs: Date.now() });
    });
  }

  #end(reason: string): void {
    const call = this.#call;
    if (!call) return;
    this.#call = null;
    const durationMs = call.answeredAtMs ? Date.now() - call.answeredAtMs : 0;
    this.#say({ over: { callId: call.callId, reason: `SHOWN_REASON_${reason}`, durationMs: String(durationMs) } });
    const outcomes: Record<string, CallEntry['outcome']> = { DECLINED: 'declined', BUSY: 'busy', NO_ANSWER: 'noAnswer', CANCELLED: 'cancelled' };
    plot.ended(String(call['conversationId']), {
      callId: call.callId, media: call.media === 'MEDIA_VIDEO' ? 'video' : 'audio', kind: 'direct', outcome: outcomes[reason] ?? 'answered',
      durationMs, startedBy: String(call['creatorUserId']), memberIds: [],
    });
  }

  #change(change: () => unknown): void {
    if (!this.#call) return;
    change();
    this.#call.revision++;
    this.#say({ call: this.#view() });
    this.#show();
  }

  #view(): Json | undefined {
    if (!this.#call) return undefined;
    const { legs, ...call } = this.#call;
    return {
      ...call,
      revision: String(call.revision),
      state: `CALL_STATE_${call.state}`,
      answeredAtMs: String(call.answeredAtMs),
      meInCall: true,
      thisDevice: true,
      members: [{ userId: ME, state: 'SHOWN_JOINED', identity: `${ME}#0` }, ...legs.map((leg) => ({
        userId: leg.userId, handle: plot.person(leg.userId).handle, state: `SHOWN_${leg.state}`, identity: `${leg.userId}#0`, onHold: leg.onHold,
      }))],
    };
  }

  #show(): void {
    const members = (this.#call?.legs ?? []).map((leg) => ({ identity: `${leg.userId}#0`, here: leg.state === 'JOINED', video: leg.video ?? false }));
    for (const watcher of watchers) watcher(members);
  }

  #say(message: Json): void {
    setTimeout(() => this.onmessage?.({ data: JSON.stringify(message) } as never), 0);
  }
}
