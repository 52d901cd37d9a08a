// The signed-in product: the list, what is open beside it, and over both whatever the calls want to show.
import { useEffect, useState } from 'preact/hooks';
import { CallsError } from '@sluice-calls/client';
import { readAddress } from '../../address.ts';
import { useStore } from '../../store.ts';
import { useWords } from '../../words/index.ts';
import type { Calling } from '../calling.ts';
import type { Product } from '../product.ts';
import { route } from '../route.ts';
import { play } from '../sound.ts';
import { statusOf } from '../status.ts';
import { CallScreen } from './call-screen.tsx';
import { CallsView } from './calls-list.tsx';
import { Incoming } from './incoming.tsx';
import { LinkView } from './link-view.tsx';
import { OverView } from './over.tsx';
import { Toasts, useNow } from './parts.tsx';
import { ProfileView } from './profile.tsx';
import { SettingsView } from './settings.tsx';
import { Sidebar } from './sidebar.tsx';
import { ThreadView } from './thread-view.tsx';
import { Logo } from '../../view/icons.tsx';

interface Props {
  product: Product;
  calling: Calling;
  onSignOut(): void;
}

export function HomeView({ product, calling, onSignOut }: Props) {
  const at = useStore(route);
  const scene = useStore(calling.scene);
  const { state } = useStore(calling.connection);
  const [link, setLink] = useState(() => readAddress().link);
  // Names arrive after the threads that they stand in.
  useStore(product.people);
  useSounds(product, calling);
  useTitle(calling);
  // It has done its work: going back to it would only ask again.
  const closeLink = () => {
    const url = new URL(location.href);
    url.searchParams.delete('link');
    history.replaceState(null, '', url);
    setLink('');
  };
  return (
    <>
      <div class="home" data-testid="home" data-at={at.at} data-connection={state} inert={scene.at === 'call'}>
        <Sidebar product={product} calling={calling} />
        <main class="pane">
          {at.at === 'thread' && <ThreadView key={at.id} id={at.id} product={product} calling={calling} />}
          {at.at === 'profile' && <ProfileView key={at.id} id={at.id} product={product} calling={calling} />}
          {at.at === 'calls' && <CallsView product={product} calling={calling} />}
          {at.at === 'settings' && <SettingsView product={product} onSignOut={onSignOut} />}
          {at.at === 'chats' && <Nothing />}
        </main>
      </div>
      <Offline calling={calling} />
      {link && scene.at === 'idle' && <LinkView onJoin={() => void calling.joinLink(link)} onClose={closeLink} />}
      {scene.at === 'call' && <CallScreen session={scene.session} product={product} calling={calling} />}
      {scene.at === 'over' && <OverView over={scene.over} product={product} calling={calling} />}
      <Incoming calling={calling} />
      <Toasts product={product} />
    </>
  );
}

function Nothing() {
  const w = useWords();
  return (
    <div class="nothing">
      <Logo />
      <h1>{w.pickThread}</h1>
      <p class="lead">{w.pickThreadLead}</p>
    </div>
  );
}

/** A blink of the network is nobody's business. */
const SHOW_AFTER_MS = 2_500;

function Offline({ calling }: { calling: Calling }) {
  const w = useWords();
  const { state, retryAtMs, error } = useStore(calling.connection);
  const [long, setLong] = useState(false);
  const online = state === 'online';
  useEffect(() => {
    if (online) return setLong(false);
    const timer = setTimeout(() => setLong(true), SHOW_AFTER_MS);
    return () => clearTimeout(timer);
  }, [online]);
  const now = useNow(1_000, long);
  if (error instanceof CallsError && error.reason === 'REPLACED') {
    return (
      <p class="offline" role="status" data-testid="replaced">
        {w.replaced}
        <button type="button" class="secondary" onClick={() => calling.connect()}>
          {w.useHere}
        </button>
      </p>
    );
  }
  if (!long) return null;
  const seconds = retryAtMs ? Math.max(0, Math.ceil((retryAtMs - now) / 1_000)) : 0;
  return (
    <p class="offline" role="status" data-testid="offline">
      <span>
        {w.offline} {seconds > 0 ? w.retryIn(seconds) : w.connecting}
      </span>
    </p>
  );
}

/** What is heard follows from what is seen. */
function useSounds(product: Product, calling: Calling): void {
  useEffect(() => {
    const choose = () => {
      const scene = calling.scene.get();
      const [ring] = calling.rings.get();
      if (ring) return play(scene.at === 'call' || ring.waiting ? 'waiting' : 'ring');
      if (scene.at !== 'call' || !scene.session.outgoing) return play(null);
      play(statusOf(scene.session.view.get(), product.me.id, null) === 'ringing' ? 'ringback' : null);
    };
    const offs = [calling.scene, calling.rings, calling.calls].map((store) => store.subscribe(choose));
    return () => {
      for (const off of offs) off();
      play(null);
    };
  }, [product, calling]);
}

function useTitle(calling: Calling): void {
  const w = useWords();
  const [ring] = useStore(calling.rings);
  const scene = useStore(calling.scene);
  useEffect(() => {
    if (ring) {
      const what = ring.media === 'video' ? w.incomingVideo : w.incomingAudio;
      document.title = `${calling.faceOfRing(ring).face.name} · ${what}`;
    } else document.title = scene.at === 'call' ? `${scene.session.face.name} · Sluice` : 'Sluice';
  }, [ring, scene, w]);
}
