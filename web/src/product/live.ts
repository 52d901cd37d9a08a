// The backend's stream of news (server-sent events). The browser reconnects by itself; each time what may have been missed
// is loaded anew.
import type { Api } from './api.ts';
import type { Message, Profile, Settings, Thread } from './types.ts';

export interface News {
  message(message: Message): void;
  thread(thread: Thread): void;
  settings(settings: Settings): void;
  person(person: Profile): void;
  /** Connected, for the first time or again. */
  opened(): void;
}

/** What is needed of an `EventSource`. */
export interface NewsSource {
  addEventListener(name: string, listener: (event: MessageEvent<string>) => void): void;
  readonly readyState: number;
  close(): void;
}

const CLOSED = 2;
/** For streams that the browser gives up, as it does after a refusal. */
const REOPEN_MS = 3_000;

/** Listens until the returned function is called. */
export function listen(api: Api, open: (url: string) => NewsSource, news: News): () => void {
  let source: NewsSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let done = false;
  const start = () => {
    source = open(`./demo/api/live?session=${encodeURIComponent(api.session)}`);
    source.addEventListener('open', () => news.opened());
    source.addEventListener('message', (event) => event.data && news.message(JSON.parse(event.data) as Message));
    source.addEventListener('thread', (event) => news.thread(api.readThread(JSON.parse(event.data))));
    source.addEventListener('settings', (event) => news.settings(JSON.parse(event.data) as Settings));
    source.addEventListener('person', (event) => news.person(JSON.parse(event.data) as Profile));
    source.addEventListener('error', () => {
      if (done || source.readyState !== CLOSED) return;
      clearTimeout(timer);
      timer = setTimeout(start, REOPEN_MS);
    });
  };
  start();
  return () => {
    done = true;
    clearTimeout(timer);
    source.close();
  };
}
