// What a call is doing, in one word, for the line under its name. Pure.
import type { CallView, Member, MemberState } from '@sluice-calls/client';
import type { Phase } from '../call/model.ts';

export type Status =
  | 'calling'
  | 'ringing'
  | 'connecting'
  | 'reconnecting'
  | 'talking'
  | 'held'
  | 'heldByOther'
  | 'waiting'
  | 'lobby';

const PRESENT: readonly MemberState[] = ['connecting', 'joined', 'reconnecting'];

/** `phase` is that of the media; `null` while this device is not in the room yet. */
export function statusOf(view: CallView | null, me: string, phase: Phase | null): Status {
  if (!view) return 'calling';
  if (view.inLobby) return 'lobby';
  const others = view.members.filter(({ userId }) => userId !== me);
  if (view.state === 'ringing') return others.some(({ state }) => state === 'ringing') ? 'ringing' : 'calling';
  if (view.onHold) return 'held';
  if (phase === 'reconnecting' || others.some(({ state }) => state === 'reconnecting')) return 'reconnecting';
  if (phase !== 'connected') return 'connecting';
  const present = others.filter(({ state }) => PRESENT.includes(state));
  if (present.length === 0) return 'waiting';
  if (view.kind === 'direct' && present.some(({ state }) => state === 'connecting')) return 'connecting';
  if (present.every(({ onHold }) => onHold)) return 'heldByOther';
  return 'talking';
}

/** Who was asked and is not there: their state is shown beside the pictures. */
export function absentees(view: CallView | null, me: string): Member[] {
  return (view?.members ?? []).filter(({ userId, state }) => userId !== me && !PRESENT.includes(state));
}
