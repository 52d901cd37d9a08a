// The small windows of the product: a new group, a call link, who is in a group, whom to add.
import { useEffect, useState } from 'preact/hooks';
import type { Media } from '@sluice-calls/client';
import { useStore } from '../../store.ts';
import { CheckIcon, SearchIcon } from '../../view/icons.tsx';
import { useWords } from '../../words/index.ts';
import type { Product } from '../product.ts';
import { formatRoute, go } from '../route.ts';
import type { Person, Thread } from '../types.ts';
import { Avatar, CopyButton, Dialog } from './parts.tsx';

interface PickerProps {
  product: Product;
  chosen: readonly string[];
  /** Nobody chooses them. */
  without: readonly string[];
  onChange(chosen: string[]): void;
}

/** People to tick: those that are known, or those that a search finds. */
export function PeoplePicker({ product, chosen, without, onChange }: PickerProps) {
  const w = useWords();
  const [query, setQuery] = useState('');
  const [people, setPeople] = useState<Person[] | null>(null);
  useEffect(() => {
    let stale = false;
    void product.attempt(() => product.api.findPeople(query.trim())).then((found) => {
      if (stale) return;
      product.learn(found ?? []);
      setPeople(found ?? []);
    });
    return () => {
      stale = true;
    };
  }, [product, query]);
  const shown = people?.filter(({ id }) => id !== product.me.id && !without.includes(id));
  const toggle = (id: string) => onChange(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  return (
    <div class="picker">
      <div class="search">
        <SearchIcon />
        <input type="search" value={query} placeholder={w.search} aria-label={w.search} onInput={(event) => setQuery(event.currentTarget.value)} />
      </div>
      <ul class="list" aria-busy={people === null}>
        {shown?.length === 0 && <li class="empty">{w.searchNothing}</li>}
        {shown?.map((person) => (
          <li key={person.id}>
            <button
              type="button"
              class="row"
              role="checkbox"
              aria-checked={chosen.includes(person.id)}
              data-testid={`pick-${person.id}`}
              onClick={() => toggle(person.id)}
            >
              <Avatar face={{ ...person, group: false }} size={36} />
              <span class="row-text">
                <strong>{person.name}</strong>
                <small>{person.handle}</small>
              </span>
              <span class="tick">{chosen.includes(person.id) && <CheckIcon />}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

export function NewGroupDialog({ product, onClose }: { product: Product; onClose(): void }) {
  const w = useWords();
  const [title, setTitle] = useState('');
  const [chosen, setChosen] = useState<string[]>([]);
  async function create(event: Event) {
    event.preventDefault();
    const thread = await product.attempt(() => product.openThread('group', chosen, title.trim()));
    if (!thread) return;
    onClose();
    go({ at: 'thread', id: thread.id });
  }
  return (
    <Dialog title={w.newGroup} onClose={onClose}>
      <form class="stack" onSubmit={(event) => void create(event)}>
        <label class="field">
          <span>{w.groupName}</span>
          <input value={title} required autofocus maxLength={64} data-testid="group-title" onInput={(event) => setTitle(event.currentTarget.value)} />
        </label>
        <PeoplePicker product={product} chosen={chosen} without={[]} onChange={setChosen} />
        <button type="submit" class="primary" data-testid="group-create" disabled={chosen.length === 0 || !title.trim()}>
          {w.createGroup}
        </button>
      </form>
    </Dialog>
  );
}

export function NewLinkDialog({ product, onClose }: { product: Product; onClose(): void }) {
  const w = useWords();
  const [media, setMedia] = useState<Media>('audio');
  const [lobby, setLobby] = useState(true);
  const [link, setLink] = useState<string | null>(null);
  async function create(event: Event) {
    event.preventDefault();
    const made = await product.attempt(() => product.api.createLink(media, lobby));
    // The page knows best by which name and path it was reached.
    if (made) setLink(new URL(`?link=${encodeURIComponent(made.slug)}`, new URL('.', location.href)).href);
  }
  return (
    <Dialog title={w.newLink} onClose={onClose}>
      <p class="lead">{w.linkLead}</p>
      {link ? (
        <div class="stack">
          <output class="link" data-testid="link-url">
            {link}
          </output>
          <div class="buttons">
            <CopyButton text={link} />
            <a class="primary" href={link} data-testid="link-open">
              {w.openLink}
            </a>
          </div>
        </div>
      ) : (
        <form class="stack" onSubmit={(event) => void create(event)}>
          <fieldset class="choices">
            <legend>{w.linkMedia}</legend>
            {(['audio', 'video'] as const).map((one) => (
              <label key={one} class="choice">
                <input type="radio" name="media" checked={media === one} onChange={() => setMedia(one)} />
                {one === 'audio' ? w.audioCall : w.videoCall}
              </label>
            ))}
          </fieldset>
          <label class="choice">
            <input type="checkbox" checked={lobby} data-testid="link-lobby" onChange={(event) => setLobby(event.currentTarget.checked)} />
            {w.linkLobby}
          </label>
          <button type="submit" class="primary" data-testid="link-create">
            {w.createLink}
          </button>
        </form>
      )}
    </Dialog>
  );
}

export function MembersDialog({ thread, product, onClose }: { thread: Thread; product: Product; onClose(): void }) {
  const w = useWords();
  useStore(product.people);
  return (
    <Dialog title={thread.title} testId="members" onClose={onClose}>
      <p class="lead">{w.members(thread.memberIds.length)}</p>
      <ul class="list">
        {thread.memberIds.map((id) => {
          const person = product.person(id);
          return (
            <li key={id}>
              <a class="row" href={formatRoute({ at: 'profile', id })} onClick={onClose}>
                <Avatar face={{ ...person, group: false }} size={36} />
                <span class="row-text">
                  <strong>{id === product.me.id ? w.nameYou(person.name) : person.name}</strong>
                  <small>{person.handle}</small>
                </span>
              </a>
            </li>
          );
        })}
      </ul>
    </Dialog>
  );
}
