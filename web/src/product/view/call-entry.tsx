// A call as a line of a chat: what kind, how it went, how long, and a way to call back.
import { CameraIcon, PhoneIcon } from '../../view/icons.tsx';
import { clockTime, spokenDuration, useWords, type Words } from '../../words/index.ts';
import type { CallEntry, CallOutcome } from '../types.ts';

const OUTCOMES = {
  answered: 'outcomeAnswered',
  missed: 'outcomeMissed',
  declined: 'outcomeDeclined',
  cancelled: 'outcomeCancelled',
  noAnswer: 'outcomeNoAnswer',
  busy: 'outcomeBusy',
  failed: 'outcomeFailed',
} as const satisfies Record<CallOutcome, keyof Words>;

/** "Missed video call", "Audio call · no answer", "Video call · 4 min 12 sec". */
export function callLine(call: CallEntry, me: string, w: Words): string {
  const video = call.media === 'video';
  if (call.outcome === 'answered') return w.entryOutgoing(video, spokenDuration(call.durationMs));
  if (call.outcome === 'missed' && call.startedBy !== me) return w.entryMissed(video);
  return w.entryOutgoing(video, w[OUTCOMES[call.outcome] ?? 'outcomeFailed']);
}

/** How long it was, and in a group who began it. */
function details(call: CallEntry, mine: boolean, startedBy: string): string[] {
  const lasted = call.outcome === 'answered' ? [spokenDuration(call.durationMs)] : [];
  return call.kind === 'group' && !mine ? [...lasted, startedBy] : lasted;
}

interface Props {
  call: CallEntry;
  me: string;
  atMs: number;
  startedBy: string;
  onCall: (() => void) | null;
}

export function CallEntryView({ call, me, atMs, startedBy, onCall }: Props) {
  const w = useWords();
  const mine = call.startedBy === me;
  const missed = call.outcome === 'missed' && !mine;
  return (
    <div
      class={`call-entry ${missed ? 'missed' : ''} ${mine ? 'mine' : ''}`}
      data-testid="call-entry"
      data-outcome={call.outcome}
      data-duration-ms={call.durationMs}
      data-call-id={call.callId}
    >
      <span class="call-entry-icon">{call.media === 'video' ? <CameraIcon /> : <PhoneIcon />}</span>
      <span class="row-text">
        <strong>{call.outcome === 'answered' ? w.entryAnswered(call.media === 'video') : callLine(call, me, w)}</strong>
        <small>{[...details(call, mine, startedBy), clockTime(atMs)].join(' · ')}</small>
      </span>
      {onCall && (
        <button type="button" class="secondary" data-testid="call-back" onClick={onCall}>
          {missed ? w.callBack : w.callAgain}
        </button>
      )}
    </div>
  );
}
