// Somebody calls: the whole screen while nothing else goes on, a soft card beside a call that does.
import { useEffect, useRef } from 'preact/hooks';
import type { Ring } from '@sluice-calls/client';
import { useStore } from '../../store.ts';
import { BellOffIcon, CameraIcon, HangUpIcon, PhoneIcon } from '../../view/icons.tsx';
import { useWords } from '../../words/index.ts';
import type { Calling } from '../calling.ts';
import { Avatar } from './parts.tsx';

export function Incoming({ calling }: { calling: Calling }) {
  const rings = useStore(calling.rings);
  const scene = useStore(calling.scene);
  const [first, ...more] = rings;
  if (!first) return null;
  const soft = scene.at === 'call' || first.waiting;
  const beside = soft ? rings : more;
  return (
    <>
      {!soft && <IncomingScreen key={first.callId} ring={first} calling={calling} />}
      {beside.length > 0 && (
        <div class="ring-cards">
          {beside.map((ring) => (
            <IncomingCard key={ring.callId} ring={ring} calling={calling} inCall={scene.at === 'call'} />
          ))}
        </div>
      )}
    </>
  );
}

interface Props {
  ring: Ring;
  calling: Calling;
}

function IncomingScreen({ ring, calling }: Props) {
  const w = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  const accept = useRef<HTMLButtonElement>(null);
  const { face, groupTitle } = calling.faceOfRing(ring);
  const video = ring.media === 'video';
  const what = video ? w.incomingVideo : w.incomingAudio;
  useEffect(() => {
    // A modal dialog keeps the focus inside by itself.
    dialog.current?.showModal();
    accept.current?.focus();
    navigator.vibrate?.([300, 200, 300]);
  }, []);
  const decline = () => calling.decline(ring);
  return (
    <dialog
      ref={dialog}
      class="incoming"
      role="alertdialog"
      aria-labelledby="incoming-who"
      aria-describedby="incoming-what"
      data-testid="incoming"
      data-call-id={ring.callId}
      data-media={ring.media}
      data-waiting="false"
      style={{ '--hue': face.hue }}
      onCancel={(event) => {
        event.preventDefault();
        decline();
      }}
    >
      <div class="incoming-who">
        <span class="halo">
          <Avatar face={face} size={132} />
        </span>
        <h1 id="incoming-who" data-testid="incoming-name">
          {face.name}
        </h1>
        <p id="incoming-what">
          {video ? <CameraIcon /> : <PhoneIcon />}
          {what} {groupTitle && w.incomingGroup(groupTitle)}
        </p>
      </div>
      <div class="incoming-actions">
        <button type="button" class="answer decline" data-testid="decline" onClick={decline}>
          <span>
            <HangUpIcon />
          </span>
          {w.decline}
        </button>
        {video && (
          <button type="button" class="answer quiet" data-testid="accept-audio" onClick={() => void calling.accept(ring, true)}>
            <span>
              <CameraIcon off />
            </span>
            {w.acceptAudio}
          </button>
        )}
        <button ref={accept} type="button" class="answer accept" data-testid="accept" onClick={() => void calling.accept(ring)}>
          <span>{video ? <CameraIcon /> : <PhoneIcon />}</span>
          {w.accept}
        </button>
      </div>
      <div class="incoming-foot">
        <button type="button" class="ghost" data-testid="ignore" onClick={() => ring.ignore()}>
          <BellOffIcon /> {w.ignore}
        </button>
        <small class="wide-only">{w.ringKeys}</small>
      </div>
    </dialog>
  );
}

function IncomingCard({ ring, calling, inCall }: Props & { inCall: boolean }) {
  const w = useWords();
  const { face, groupTitle } = calling.faceOfRing(ring);
  const what = ring.media === 'video' ? w.incomingVideo : w.incomingAudio;
  return (
    <section
      class="ring-card"
      role="alertdialog"
      aria-live="assertive"
      aria-label={`${face.name} ${w.waitingCall}. ${what}`}
      data-testid="incoming"
      data-call-id={ring.callId}
      data-media={ring.media}
      data-waiting="true"
    >
      <Avatar face={face} size={44} />
      <div class="row-text">
        <strong data-testid="incoming-name">{face.name}</strong>
        <small>
          {what} {groupTitle && w.incomingGroup(groupTitle)}
        </small>
      </div>
      <div class="ring-card-actions">
        <button type="button" class="secondary" data-testid="ignore" aria-label={w.ignore} title={w.ignore} onClick={() => ring.ignore()}>
          <BellOffIcon />
        </button>
        <button type="button" class="secondary danger" data-testid="decline" onClick={() => calling.decline(ring)}>
          {w.decline}
        </button>
        <button type="button" class="primary small" data-testid="accept" onClick={() => void calling.accept(ring)}>
          {inCall ? w.endAndAccept : w.accept}
        </button>
      </div>
    </section>
  );
}
