// The messaging product: who is signed in, and whether there is a server behind it or the development mock.
import { useEffect, useState } from 'preact/hooks';
import { CallsClient } from '@sluice-calls/client';
import { readAddress } from '../address.ts';
import { enterRoom } from '../call/livekit-call.ts';
import { Api } from './api.ts';
import type { CallPlace } from './call-session.ts';
import { Calling } from './calling.ts';
import type { NewsSource } from './live.ts';
import { Product } from './product.ts';
import { keepSession, loadSession } from './session.ts';
import type { Session } from './types.ts';
import { HomeView } from './view/home.tsx';
import { SignInView } from './view/sign-in.tsx';

/** What the product needs of the world outside; the mock brings its own. */
export interface Outside {
  fetch: typeof fetch;
  news: (url: string) => NewsSource;
  WebSocket: ConstructorParameters<typeof CallsClient>[0]['WebSocket'];
  enterRoom: CallPlace['enterRoom'];
}

const REAL: Outside = {
  fetch: (input, init) => fetch(input, init),
  news: (url) => new EventSource(url),
  WebSocket: undefined,
  enterRoom,
};

export function ProductApp() {
  const [outside, setOutside] = useState<Outside | null>(null);
  useEffect(() => {
    if (import.meta.env.DEV && readAddress().mock !== null) {
      void import('./mock/mock-world.ts').then(({ mockWorld }) => setOutside(mockWorld()));
    } else setOutside(REAL);
  }, []);
  return outside && <Signed outside={outside} />;
}

interface Open {
  product: Product;
  calling: Calling;
}

function Signed({ outside }: { outside: Outside }) {
  const [session, setSession] = useState<Session | null>(loadSession);
  const [open, setOpen] = useState<Open | null>(null);
  const change = (next: Session | null) => {
    keepSession(next);
    setOpen(null);
    setSession(next);
  };
  useEffect(() => {
    if (!session) return;
    const api = new Api(session.session, outside.fetch);
    api.onSignedOut = () => change(null);
    const product = new Product(api, session);
    const calling = new Calling(clientOf(api, outside), product, placeOf(product, outside));
    const closeProduct = product.open(outside.news);
    const closeCalling = calling.open();
    setOpen({ product, calling });
    return () => {
      closeCalling();
      closeProduct();
    };
  }, [session, outside]);

  if (!session) return <SignInView api={new Api('', outside.fetch)} onSignedIn={change} />;
  if (!open) return null;
  const signOut = () => {
    // The session ends here in any case; on the server too, if it can be reached.
    open.product.api.signOut().catch(() => {});
    change(null);
  };
  return <HomeView product={open.product} calling={open.calling} onSignOut={signOut} />;
}

function clientOf(api: Api, outside: Outside): CallsClient {
  return new CallsClient({
    // Page, product and calls share one origin, and perhaps a path before them.
    url: new URL('.', location.href).href,
    token: () => api.deviceToken(),
    ...(outside.WebSocket ? { WebSocket: outside.WebSocket } : {}),
  });
}

function placeOf(product: Product, outside: Outside): CallPlace {
  const { drawnCamera, path } = readAddress();
  return {
    name: product.me.name,
    drawnCamera,
    path,
    portraitOf: (userId) => product.person(userId),
    enterRoom: outside.enterRoom,
  };
}
