// The call that is on: calling, ringing, talking, holding. The pictures are drawn by the same stage as in a plain room.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { CallView } from '@sluice-calls/client';
import type { Call as MediaCall, CallState, Tile } from '../../call/model.ts';
import { loadPreferences } from '../../preferences.ts';
import { Store, useStore, type Readable } from '../../store.ts';
import { Clock, Notices, useShortcuts } from '../../view/call-view.tsx';
import { DeviceDialog } from '../../view/device-dialog.tsx';
import { PeopleIcon } from '../../view/icons.tsx';
import { Stage, type Focus } from '../../view/stage.tsx';
import { initials } from '../../view/names.ts';
import { useWords, type Words } from '../../words/index.ts';
import type { CallSession } from '../call-session.ts';
import type { Calling } from '../calling.ts';
import type { Product } from '../product.ts';
import { absentees, statusOf, type Status } from '../status.ts';
import { CallControls } from './call-controls.tsx';
import { Absentees, AddPeopleDialog, CallMembersDialog, LobbyGuests } from './call-people.tsx';
import { Avatar, ProblemNote } from './parts.tsx';

interface Props {
  session: CallSession;
  product: Product;
  calling: Calling;
}

const NO_MEDIA: CallState = {
  phase: 'connected', ended: null, tiles: [], microphoneOn: true, cameraOn: false, sharingScreen: false, soundBlocked: false,
  mayShowCamera: true,
};
const NOTHING: Readable<CallState> = new Store(NO_MEDIA);

const SAID = {
  calling: 'calling',
  ringing: 'ringing',
  connecting: 'connecting',
  reconnecting: 'reconnecting',
  held: 'onHold',
  waiting: 'waitingForOthers',
  lobby: 'lobbyTitle',
} as const satisfies Partial<Record<Status, keyof Words>>;

export function CallScreen({ session, product, calling }: Props) {
  const view = useStore(session.view);
  const media = useStore(session.media);
  const state = useStore(media?.state ?? NOTHING);
  useStore(product.people);
  const [focus, setFocus] = useState<Focus>('auto');
  const [showStats, setShowStats] = useState(false);
  const [open, setOpen] = useState<'devices' | 'add' | 'members' | null>(null);
  const screen = useRef<HTMLElement>(null);
  const me = product.me.id;
  const status = statusOf(view, me, media ? state.phase : null);
  const direct = view ? view.kind === 'direct' : !session.face.group;
  const screens = state.tiles.filter((tile) => tile.kind === 'screen').map((tile) => tile.key).join();

  useEffect(() => setFocus('auto'), [screens]);
  useEffect(() => screen.current?.focus(), []);
  useShortcuts({
    toggleMicrophone: () => void media?.setMicrophone(!state.microphoneOn),
    toggleCamera: () => {
      if (view?.videoAllowed) void media?.setCamera(!state.cameraOn);
      else if (view?.state === 'active' && !view.upgradeRequestedBy) void product.attempt(() => session.askForVideo());
    },
    toggleScreen: () => void media?.setScreen(!state.sharingScreen),
    toggleStats: () => setShowStats((shown) => !shown),
  });

  const tiles = shownTiles(state.tiles, direct, view);
  const alone = !tiles.some((tile) => !tile.isSelf);
  return (
    <main ref={screen} class="call product-call" tabIndex={-1} aria-label={session.face.name} data-testid="call" data-status={status} data-call-id={view?.callId}>
      <CallHead session={session} view={view} status={status} product={product} onMembers={() => setOpen('members')} />
      <div class="call-area">
        {media && <Stage call={media} tiles={tiles} focus={focus} showStats={showStats} pair={direct} onFocus={setFocus} />}
        {alone && <Alone session={session} status={status} small={tiles.length > 0 && !direct} />}
        {view && !direct && <Absentees members={absentees(view, me)} product={product} session={session} />}
        <Asks session={session} view={view} status={status} product={product} media={media} state={state} />
      </div>
      <CallControls
        session={session}
        view={view}
        media={media}
        state={state}
        product={product}
        onAdd={() => setOpen('add')}
        onDevices={() => setOpen('devices')}
        onLeave={() => void calling.leave()}
      />
      {media && <Notices call={media} />}
      {open === 'devices' && (
        <DeviceDialog
          active={(kind) => media?.activeDevice(kind) ?? loadPreferences().microphoneId}
          onUse={(kind, id) => void media?.useDevice(kind, id)}
          onClose={() => setOpen(null)}
        />
      )}
      {open === 'add' && session.call && view && (
        <AddPeopleDialog call={session.call} view={view} product={product} onClose={() => setOpen(null)} />
      )}
      {open === 'members' && session.call && view && (
        <CallMembersDialog call={session.call} view={view} product={product} onEndForAll={() => void calling.endForAll()} onClose={() => setOpen(null)} />
      )}
    </main>
  );
}

/** In an audio call of two, one's own initials would only be in the way. */
function shownTiles(tiles: Tile[], direct: boolean, view: CallView | null): Tile[] {
  if (!direct || view?.videoAllowed) return tiles;
  return tiles.filter((tile) => !tile.isSelf || tile.picture || tile.kind === 'screen');
}

interface HeadProps {
  session: CallSession;
  view: CallView | null;
  status: Status;
  product: Product;
  onMembers(): void;
}

function CallHead({ session, view, status, product, onMembers }: HeadProps) {
  const w = useWords();
  const present = view?.members.filter(({ state }) => state === 'joined' || state === 'reconnecting').length ?? 0;
  const { face } = session;
  // Whoever came third makes a group of two; one name no longer says who is here.
  const others = view?.members.filter(({ userId }) => userId !== product.me.id) ?? [];
  const name = view?.kind === 'group' && !face.group ? others.map(({ userId }) => product.person(userId).name).join(', ') : face.name;
  return (
    <header class="top-bar">
      <Avatar face={face} size={36} />
      <div class="call-title">
        <h1 title={name}>{name}</h1>
        <p class="call-state" role="status" aria-live="polite" data-testid="call-state" data-status={status}>
          <StatusText status={status} view={view} product={product} />
        </p>
      </div>
      <button type="button" class="icon-button people-button" aria-label={w.callMembers} data-testid="call-members" disabled={!view} onClick={onMembers}>
        <PeopleIcon />
        <span>{present || ''}</span>
      </button>
    </header>
  );
}

function StatusText({ status, view, product }: { status: Status; view: CallView | null; product: Product }) {
  const w = useWords();
  if (status === 'talking') return <Clock since={view?.answeredAtMs || Date.now()} />;
  if (status === 'heldByOther') {
    const holder = view?.members.find(({ userId, onHold }) => userId !== product.me.id && onHold);
    return <>{w.otherHolds(holder ? product.person(holder.userId).name : '')}</>;
  }
  return <>{w[SAID[status]]}</>;
}

/** Nobody to see yet: who is called, large, in the place where their picture will be. */
function Alone({ session, status, small }: { session: CallSession; status: Status; small: boolean }) {
  if (small) return null;
  const waiting = status === 'calling' || status === 'ringing';
  return (
    <div class="alone" data-status={status} style={{ '--hue': session.face.hue }} aria-hidden="true">
      <span class={`avatar ${waiting ? 'halo' : ''}`}>{initials(session.face.name)}</span>
      <strong>{session.face.name}</strong>
    </div>
  );
}

interface AsksProps {
  session: CallSession;
  view: CallView | null;
  status: Status;
  product: Product;
  media: MediaCall | null;
  state: CallState;
}

/** What the call wants to know, over the pictures: they do not move for it. */
function Asks({ session, view, status, product, media, state }: AsksProps) {
  const w = useWords();
  const problem = useStore(session.problem);
  const me = product.me.id;
  const asker = view?.upgradeRequestedBy;
  const act = (what: () => Promise<unknown>) => () => void product.attempt(what);
  return (
    <div class="asks">
      {state.soundBlocked && (
        <p class="banner" role="status">
          {w.soundBlocked}
          <button type="button" onClick={() => void media?.unblockSound()}>
            {w.playSound}
          </button>
        </p>
      )}
      {problem && (
        <div class="banner stacked">
          <ProblemNote problem={problem} />
          <button type="button" data-testid="media-retry" onClick={() => void session.retry()}>
            {w.tryAgain}
          </button>
        </div>
      )}
      {view?.inLobby && (
        <div class="banner stacked lobby-wait" role="status" data-testid="lobby-wait">
          <strong>{w.lobbyTitle}</strong>
          <p>{w.lobbyLead}</p>
        </div>
      )}
      {status === 'held' && (
        <p class="banner" role="status">
          {w.onHold}
          <button type="button" data-testid="resume" onClick={act(() => session.hold(false))}>
            {w.resume}
          </button>
        </p>
      )}
      {asker && asker !== me && (
        <div class="banner stacked" role="alertdialog" aria-live="assertive" aria-label={w.upgradeAsk(product.person(asker).name)} data-testid="upgrade-request">
          <strong>{w.upgradeAsk(product.person(asker).name)}</strong>
          <p>{w.upgradeHint}</p>
          <div class="buttons">
            <button type="button" class="secondary" data-testid="upgrade-decline" onClick={act(() => session.answerVideo(false))}>
              {w.upgradeDecline}
            </button>
            <button type="button" class="primary small" data-testid="upgrade-accept" autofocus onClick={act(() => session.answerVideo(true))}>
              {w.upgradeAccept}
            </button>
          </div>
        </div>
      )}
      {asker === me && (
        <p class="banner" role="status" data-testid="upgrade-waiting">
          <span class="spinner" /> {w.askedVideo}
        </p>
      )}
      {view && session.call && view.host && <LobbyGuests call={session.call} view={view} product={product} />}
    </div>
  );
}
