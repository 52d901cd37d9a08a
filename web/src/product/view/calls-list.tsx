// This person's calls, latest first.
import { useEffect, useState } from 'preact/hooks';
import { useStore } from '../../store.ts';
import { ArrowInIcon, ArrowOutIcon, CameraIcon, PhoneIcon } from '../../view/icons.tsx';
import { clockTime, dayName, useWords } from '../../words/index.ts';
import type { Calling } from '../calling.ts';
import type { Product } from '../product.ts';
import { formatRoute } from '../route.ts';
import type { Face, PastCall } from '../types.ts';
import { callLine } from './call-entry.tsx';
import { Avatar, BackButton } from './parts.tsx';

interface Props {
  product: Product;
  calling: Calling;
}

export function CallsView({ product, calling }: Props) {
  const w = useWords();
  const scene = useStore(calling.scene);
  const [past, setPast] = useState<PastCall[] | null>(null);
  useEffect(() => {
    if (scene.at !== 'idle') return;
    void product.attempt(() => product.api.history()).then((calls) => setPast(calls ?? []));
  }, [product, scene.at]);
  return (
    <section class="calls-view" aria-label={w.calls} data-testid="history">
      <header class="pane-head">
        <BackButton />
        <h1>{w.calls}</h1>
      </header>
      <ul class="list" aria-busy={past === null}>
        {past?.length === 0 && <li class="empty">{w.noCalls}</li>}
        {past?.map((call) => (
          <PastCallRow key={call.callId} call={call} product={product} calling={calling} />
        ))}
      </ul>
    </section>
  );
}

function faceOf(call: PastCall, product: Product, groupCall: string): Face {
  const thread = call.threadId ? product.thread(call.threadId) : undefined;
  if (thread) return product.face(thread);
  const other = call.memberIds.find((id) => id !== product.me.id);
  if (call.kind === 'group' || !other) return { name: groupCall, hue: 190, group: true };
  return { ...product.person(other), group: false };
}

function PastCallRow({ call, product, calling }: { call: PastCall; product: Product; calling: Calling }) {
  const w = useWords();
  const face = faceOf(call, product, w.groupCall);
  const mine = call.startedBy === product.me.id;
  const missed = call.outcome === 'missed' && !mine;
  const thread = call.threadId ? product.thread(call.threadId) : undefined;
  return (
    <li class="row" data-testid="past-call" data-outcome={call.outcome}>
      <Avatar face={face} />
      <a class="row-text" href={formatRoute(thread ? { at: 'thread', id: thread.id } : { at: 'calls' })}>
        <strong class={missed ? 'missed' : ''}>{face.name}</strong>
        <small>
          {mine ? <ArrowOutIcon /> : <ArrowInIcon />} {callLine(call, product.me.id, w)}
        </small>
      </a>
      <span class="row-end">
        <time>
          {dayName(call.startedAtMs)}, {clockTime(call.startedAtMs)}
        </time>
      </span>
      {thread && (
        <button
          type="button"
          class="icon-button call-button"
          aria-label={`${w.callBack}: ${face.name}`}
          title={w.callBack}
          onClick={() => void calling.call(thread, call.media)}
        >
          {call.media === 'video' ? <CameraIcon /> : <PhoneIcon />}
        </button>
      )}
    </li>
  );
}
