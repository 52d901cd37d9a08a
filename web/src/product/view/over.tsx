// After a call: how it ended, what to do now, and how it was.
import { useEffect, useRef, useState } from 'preact/hooks';
import { StarIcon } from '../../view/icons.tsx';
import { spokenDuration, useWords, type Words } from '../../words/index.ts';
import type { Calling, Over } from '../calling.ts';
import type { Product } from '../product.ts';
import { go } from '../route.ts';
import { Avatar } from './parts.tsx';

const TITLES = {
  ended: 'overEnded',
  left: 'overLeft',
  cancelled: 'overCancelled',
  declined: 'overDeclined',
  busy: 'overBusy',
  noAnswer: 'overNoAnswer',
  cannotCall: 'overCannotCall',
  failed: 'overFailed',
  connectionLost: 'overConnectionLost',
} as const satisfies Record<Over['reason'], keyof Words>;

const HINTS: Partial<Record<Over['reason'], keyof Words & `hint${string}`>> = {
  declined: 'hintDeclined',
  busy: 'hintBusy',
  noAnswer: 'hintNoAnswer',
  cannotCall: 'hintCannotCall',
  failed: 'hintFailed',
  connectionLost: 'hintConnectionLost',
};

function hintOf(over: Over, w: Words): string {
  if (over.refusal === 'RATE_LIMITED') return w.hintRateLimited;
  // Other refusals are particular; the server has the best words for them.
  if (over.refusal && over.refusal !== 'CANNOT_CALL' && over.detail) return over.detail;
  const key = HINTS[over.reason];
  return key ? w[key] : '';
}

/** An end that needs no word of explanation goes away by itself. */
const STAY_MS = 4_000;

export function OverView({ over, product, calling }: { over: Over; product: Product; calling: Calling }) {
  const w = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const leaves = !over.again && !over.call && !over.refusal && (over.reason === 'cancelled' || over.reason === 'left' || over.reason === 'ended');
  useEffect(() => {
    if (!leaves) return;
    const timer = setTimeout(() => calling.closeOver(), STAY_MS);
    return () => clearTimeout(timer);
  }, [leaves]);
  const duration = over.durationMs > 0 ? spokenDuration(over.durationMs) : '';
  const title = over.reason === 'left' && !over.face.group ? w.overEnded : w[TITLES[over.reason]];
  function write() {
    calling.closeOver();
    if (over.threadId) go({ at: 'thread', id: over.threadId });
  }
  return (
    <dialog
      ref={dialog}
      class="over"
      aria-labelledby="over-title"
      data-testid="over"
      data-reason={over.reason}
      data-refusal={over.refusal}
      style={{ '--hue': over.face.hue }}
      onClose={() => calling.closeOver()}
    >
      <Avatar face={over.face} size={96} />
      <p class="over-name">{over.face.name}</p>
      <h1 id="over-title" data-testid="call-state" data-status="over">
        {title}
      </h1>
      <p class="lead">{duration || hintOf(over, w)}</p>
      {over.call && <Stars onRate={(stars) => void product.attempt(async () => over.call?.rate(stars))} />}
      <div class="buttons">
        {over.again && (
          <button type="button" class="primary" data-testid="call-again" onClick={() => void calling.again(over)}>
            {w.callAgain}
          </button>
        )}
        {over.again && over.threadId && (
          <button type="button" class="secondary" onClick={write}>
            {w.message}
          </button>
        )}
        <button type="button" class="secondary" data-testid="over-close" autofocus={!over.again} onClick={() => calling.closeOver()}>
          {w.close}
        </button>
      </div>
    </dialog>
  );
}

const ALL_STARS = [1, 2, 3, 4, 5] as const;

function Stars({ onRate }: { onRate(stars: (typeof ALL_STARS)[number]): void }) {
  const w = useWords();
  const [given, setGiven] = useState(0);
  return (
    <div class="stars" role="group" aria-label={w.rateAsk}>
      <p aria-live="polite">{given ? w.rateThanks : w.rateAsk}</p>
      <div>
        {ALL_STARS.map((stars) => (
          <button
            key={stars}
            type="button"
            class="icon-button"
            aria-label={w.rateStars(stars)}
            aria-pressed={stars <= given}
            data-testid={`rate-${stars}`}
            onClick={() => {
              setGiven(stars);
              onRate(stars);
            }}
          >
            <StarIcon filled={stars <= given} />
          </button>
        ))}
      </div>
    </div>
  );
}
