// The list of chats, the search for people, and the way to everything else.
import { useEffect, useState } from 'preact/hooks';
import { useStore } from '../../store.ts';
import {
  CameraIcon, ChatIcon, CloseIcon, GearIcon, GroupIcon, LinkIcon, Logo, PhoneIcon, SearchIcon,
} from '../../view/icons.tsx';
import { shortTime, useWords, type Words } from '../../words/index.ts';
import type { Calling } from '../calling.ts';
import type { Product } from '../product.ts';
import { formatRoute, go, route, type Route } from '../route.ts';
import type { Message, Person, Thread } from '../types.ts';
import { callLine } from './call-entry.tsx';
import { NewGroupDialog, NewLinkDialog } from './dialogs.tsx';
import { Avatar } from './parts.tsx';

interface Props {
  product: Product;
  calling: Calling;
}

export function Sidebar({ product, calling }: Props) {
  const w = useWords();
  const [query, setQuery] = useState('');
  const [dialog, setDialog] = useState<'group' | 'link' | null>(null);
  return (
    <nav class="sidebar" aria-label={w.chats}>
      <header class="sidebar-head">
        <Logo />
        <button type="button" class="me" data-testid="me" title={product.me.handle} onClick={() => go({ at: 'settings' })}>
          <strong>{product.me.name}</strong>
          <small>{product.me.handle}</small>
        </button>
        <button type="button" class="icon-button" aria-label={w.newLink} title={w.newLink} data-testid="new-link" onClick={() => setDialog('link')}>
          <LinkIcon />
        </button>
        <button type="button" class="icon-button" aria-label={w.newGroup} title={w.newGroup} data-testid="new-group" onClick={() => setDialog('group')}>
          <GroupIcon />
        </button>
      </header>
      <div class="search" role="search">
        <SearchIcon />
        <input
          type="search"
          value={query}
          placeholder={w.search}
          aria-label={w.search}
          data-testid="search"
          onInput={(event) => setQuery(event.currentTarget.value)}
        />
        {query && (
          <button type="button" class="icon-button" aria-label={w.close} onClick={() => setQuery('')}>
            <CloseIcon />
          </button>
        )}
      </div>
      {query.trim() ? (
        <Found product={product} query={query.trim()} onChosen={() => setQuery('')} />
      ) : (
        <ThreadList product={product} calling={calling} />
      )}
      <Tabs />
      {dialog === 'group' && <NewGroupDialog product={product} onClose={() => setDialog(null)} />}
      {dialog === 'link' && <NewLinkDialog product={product} onClose={() => setDialog(null)} />}
    </nav>
  );
}

function Tabs() {
  const w = useWords();
  const { at } = useStore(route);
  const tab = (to: Route, label: string, icon: preact.JSX.Element, current: boolean) => (
    <a href={formatRoute(to)} aria-current={current ? 'page' : undefined} data-testid={`tab-${to.at}`}>
      {icon}
      <span>{label}</span>
    </a>
  );
  return (
    <div class="tabs">
      {tab({ at: 'chats' }, w.chats, <ChatIcon />, at === 'chats' || at === 'thread' || at === 'profile')}
      {tab({ at: 'calls' }, w.calls, <PhoneIcon />, at === 'calls')}
      {tab({ at: 'settings' }, w.settings, <GearIcon />, at === 'settings')}
    </div>
  );
}

/** Typing pauses for so long before the server is asked. */
const SEARCH_PAUSE_MS = 180;

function Found({ product, query, onChosen }: { product: Product; query: string; onChosen(): void }) {
  const w = useWords();
  const [people, setPeople] = useState<Person[] | null>(null);
  useEffect(() => {
    let stale = false;
    const timer = setTimeout(async () => {
      const found = await product.attempt(() => product.api.findPeople(query));
      if (stale) return;
      product.learn(found ?? []);
      setPeople(found ?? []);
    }, SEARCH_PAUSE_MS);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [product, query]);
  return (
    <ul class="list" aria-label={w.searchResults} aria-busy={people === null}>
      {people?.length === 0 && <li class="empty">{w.searchNothing}</li>}
      {people?.map((person) => (
        <li key={person.id}>
          <a class="row" href={formatRoute({ at: 'profile', id: person.id })} data-testid={`person-${person.id}`} onClick={onChosen}>
            <Avatar face={{ ...person, group: false }} />
            <span class="row-text">
              <strong>{person.name}</strong>
              <small>{person.handle}</small>
            </span>
          </a>
        </li>
      ))}
    </ul>
  );
}

function ThreadList({ product }: Props) {
  const w = useWords();
  const threads = useStore(product.threads);
  const at = useStore(route);
  if (!threads) {
    return (
      <ul class="list" aria-busy="true" aria-label={w.chats}>
        {[0, 1, 2, 3, 4].map((index) => (
          <li key={index} class="row">
            <span class="skeleton face" />
            <span class="row-text">
              <span class="skeleton line" />
              <span class="skeleton line short" />
            </span>
          </li>
        ))}
      </ul>
    );
  }
  return (
    <ul class="list" aria-label={w.chats}>
      {threads.length === 0 && <li class="empty">{w.noThreads}</li>}
      {threads.map((thread) => (
        <ThreadRow key={thread.id} product={product} thread={thread} current={at.at === 'thread' && at.id === thread.id} />
      ))}
    </ul>
  );
}

function ThreadRow({ product, thread, current }: { product: Product; thread: Thread; current: boolean }) {
  const w = useWords();
  const face = product.face(thread);
  const { last, liveCall, unread } = thread;
  const missed = !liveCall && last?.call?.outcome === 'missed';
  return (
    <li>
      <a
        class="row"
        href={formatRoute({ at: 'thread', id: thread.id })}
        aria-current={current ? 'page' : undefined}
        data-testid={`thread-${thread.id}`}
        data-unread={unread}
      >
        <Avatar face={face} live={liveCall !== null} />
        <span class="row-text">
          <strong>{face.name}</strong>
          <small class={missed ? 'missed' : liveCall ? 'live' : ''}>
            {liveCall ? w.ongoing(liveCall.memberIds.length) : last ? lastLine(product, thread, last, w) : ' '}
          </small>
        </span>
        <span class="row-end">
          <time>{last ? shortTime(last.atMs) : ''}</time>
          <span class="badge" data-shown={unread > 0} aria-label={unread > 0 ? w.unread(unread) : undefined}>
            {unread > 99 ? '99+' : unread || ''}
          </span>
        </span>
      </a>
    </li>
  );
}

function lastLine(product: Product, thread: Thread, last: Message, w: Words) {
  if (last.call) {
    return (
      <>
        {last.call.media === 'video' ? <CameraIcon /> : <PhoneIcon />} {callLine(last.call, product.me.id, w)}
      </>
    );
  }
  const who = last.from === product.me.id ? `${w.you}: ` : thread.kind === 'group' ? `${firstName(product.person(last.from).name)}: ` : '';
  return `${who}${last.text ?? ''}`;
}

function firstName(name: string): string {
  return name.split(' ')[0] ?? name;
}
