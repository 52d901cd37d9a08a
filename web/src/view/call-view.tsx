// The call itself: who is there, what it says about itself, and the controls.
import { useEffect, useState } from 'preact/hooks';
import { inviteLink } from '../address.ts';
import type { Call, Notice } from '../call/model.ts';
import { useStore } from '../store.ts';
import { clockDuration, useWords } from '../words/index.ts';
import { Controls, type Actions } from './controls.tsx';
import { DeviceDialog } from './device-dialog.tsx';
import { CheckIcon, CloseIcon, LinkIcon, Logo, PeopleIcon } from './icons.tsx';
import { Stage, countPeople, type Focus } from './stage.tsx';

export function CallView({ call }: { call: Call }) {
  const w = useWords();
  const state = useStore(call.state);
  const [showStats, setShowStats] = useState(false);
  const [choosing, setChoosing] = useState(false);
  const [focus, setFocus] = useState<Focus>('auto');
  const screens = state.tiles.filter((tile) => tile.kind === 'screen').map((tile) => tile.key).join();
  // A new shared screen is what everybody wants to see, whatever was large before.
  useEffect(() => setFocus('auto'), [screens]);

  const actions: Actions = {
    toggleMicrophone: () => void call.setMicrophone(!call.state.get().microphoneOn),
    toggleCamera: () => void call.setCamera(!call.state.get().cameraOn),
    toggleScreen: () => void call.setScreen(!call.state.get().sharingScreen),
    toggleStats: () => setShowStats((shown) => !shown),
    chooseDevices: () => setChoosing(true),
    leave: () => void call.leave(),
  };
  useShortcuts(actions);

  return (
    <main class="call">
      <TopBar call={call} people={countPeople(state.tiles)} />
      <Stage call={call} tiles={state.tiles} focus={focus} showStats={showStats} onFocus={setFocus} />
      <Controls state={state} showStats={showStats} actions={actions} />
      <div class="banners" role="status">
        {state.phase === 'reconnecting' && (
          <p class="banner warning">
            <span class="spinner" /> {w.interrupted}
          </p>
        )}
        {state.soundBlocked && (
          <p class="banner">
            {w.soundBlocked}
            <button type="button" onClick={() => void call.unblockSound()}>
              {w.playSound}
            </button>
          </p>
        )}
        {countPeople(state.tiles) === 1 && state.phase === 'connected' && <Invitation room={call.room} />}
      </div>
      <Notices call={call} />
      {choosing && (
        <DeviceDialog
          active={(kind) => call.activeDevice(kind)}
          onUse={(kind, id) => void call.useDevice(kind, id)}
          onClose={() => setChoosing(false)}
        />
      )}
    </main>
  );
}

function TopBar({ call, people }: { call: Call; people: number }) {
  const w = useWords();
  return (
    <header class="top-bar">
      <Logo />
      <h1 title={call.room}>{call.room}</h1>
      <Clock since={call.startedAt} />
      <span class="people" title={w.inTheCall(people)}>
        <PeopleIcon />
        <span aria-label={w.inTheCall(people)}>{people}</span>
      </span>
      <CopyLink room={call.room} />
    </header>
  );
}

function Invitation({ room }: { room: string }) {
  const w = useWords();
  return (
    <p class="banner">
      {w.nobodyHere}
      <CopyLink room={room} />
    </p>
  );
}

/** Long enough to be noticed. */
const COPIED_MS = 2_000;

function CopyLink({ room }: { room: string }) {
  const w = useWords();
  const [copied, setCopied] = useState(false);
  async function copy() {
    try {
      await navigator.clipboard.writeText(inviteLink(room));
      setCopied(true);
    } catch {
      // No permission for the clipboard: show the link, so that it can be copied by hand.
      window.prompt(w.copyByHand, inviteLink(room));
    }
    setTimeout(() => setCopied(false), COPIED_MS);
  }
  return (
    <button type="button" class="copy-link" aria-label={copied ? w.linkCopied : w.copyLink} onClick={copy}>
      {copied ? <CheckIcon /> : <LinkIcon />}
      <span>{copied ? w.copied : w.copyLink}</span>
    </button>
  );
}

export function Clock({ since }: { since: number }) {
  const w = useWords();
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <time class="clock" role="timer" aria-label={w.timeInCall}>
      {clockDuration(now - since)}
    </time>
  );
}

export function Notices({ call }: { call: Call }) {
  const w = useWords();
  const notices = useStore(call.notices);
  return (
    <div class="notices" role="log" aria-live="polite" aria-label={w.messages}>
      {notices.map((notice) => (
        <NoticeView key={notice.id} notice={notice} onDismiss={() => call.dismissNotice(notice.id)} />
      ))}
    </div>
  );
}

function NoticeView({ notice, onDismiss }: { notice: Notice; onDismiss(): void }) {
  const w = useWords();
  return (
    <div class={`notice notice-${notice.kind}`}>
      <div>
        <strong>{notice.title}</strong>
        {notice.hint && <p>{notice.hint}</p>}
      </div>
      {notice.kind === 'problem' && (
        <button type="button" class="icon-button" aria-label={w.dismiss} onClick={onDismiss}>
          <CloseIcon />
        </button>
      )}
    </div>
  );
}

export function useShortcuts(actions: Omit<Actions, 'chooseDevices' | 'leave'>): void {
  useEffect(() => {
    const keys: Record<string, () => void> = {
      m: actions.toggleMicrophone,
      v: actions.toggleCamera,
      s: actions.toggleScreen,
      i: actions.toggleStats,
    };
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      // Letters belong to whatever is being typed in or chosen from.
      if (event.target instanceof Element && event.target.closest('input, select, textarea, dialog')) return;
      const action = keys[event.key.toLowerCase()];
      if (!action) return;
      event.preventDefault();
      action();
    };
    window.addEventListener('keydown', press);
    return () => window.removeEventListener('keydown', press);
  });
}
