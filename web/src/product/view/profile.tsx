// A person: who they are, and what one may do: write, call, keep, follow, block.
import { useEffect } from 'preact/hooks';
import { useStore } from '../../store.ts';
import { BlockIcon, ChatIcon, CheckIcon, ContactIcon, PlusIcon } from '../../view/icons.tsx';
import { useWords } from '../../words/index.ts';
import type { Relationship } from '../api.ts';
import type { Calling } from '../calling.ts';
import type { Product } from '../product.ts';
import { go } from '../route.ts';
import { Avatar, BackButton } from './parts.tsx';
import { CallButtons } from './thread-view.tsx';

interface Props {
  id: string;
  product: Product;
  calling: Calling;
}

export function ProfileView({ id, product, calling }: Props) {
  const w = useWords();
  const profile = useStore(product.profiles).get(id);
  const busy = useStore(calling.scene).at === 'call';
  useEffect(() => void product.loadProfile(id), [product, id]);
  const person = profile ?? product.person(id);
  const self = id === product.me.id;
  const relation = profile?.relation;
  async function write() {
    const thread = await product.attempt(() => product.openThread('direct', [id]));
    if (thread) go({ at: 'thread', id: thread.id });
  }
  const toggle = (relationship: Relationship, on: boolean) => void product.relate(relationship, id, on);
  return (
    <section class="profile" aria-label={w.profile} data-testid="profile">
      <header class="pane-head">
        <BackButton />
        <p class="pane-title">{w.profile}</p>
      </header>
      <div class="profile-body">
        <Avatar face={{ ...person, group: false }} size={112} />
        <h1>{person.name}</h1>
        <p class="handle">{person.handle}</p>
        <p class="about">{person.about || ' '}</p>
        {!self && (
          <>
            <div class="profile-actions">
              <button type="button" class="call-button large" data-testid="write" onClick={() => void write()}>
                <ChatIcon />
                <span>{w.message}</span>
              </button>
              <CallButtons large disabled={busy} onCall={(media) => void calling.callPerson(id, media)} />
            </div>
            <div class="profile-relation" aria-busy={!relation}>
              <Toggle
                on={relation?.contact ?? false}
                testId="contact"
                label={relation?.contact ? w.removeContact : w.addContact}
                icon={relation?.contact ? <CheckIcon /> : <ContactIcon />}
                onToggle={(on) => toggle('contacts', on)}
              />
              <Toggle
                on={relation?.followed ?? false}
                testId="follow"
                label={relation?.followed ? w.unfollow : w.follow}
                icon={relation?.followed ? <CheckIcon /> : <PlusIcon />}
                onToggle={(on) => toggle('follows', on)}
              />
              <Toggle
                danger
                on={relation?.blocked ?? false}
                testId="block"
                label={relation?.blocked ? w.unblock : w.block}
                icon={<BlockIcon />}
                onToggle={(on) => toggle('blocks', on)}
              />
            </div>
            <p class="blocked-note" data-shown={relation?.blocked ?? false} role="status">
              {relation?.blocked ? w.blockedNote : ''}
            </p>
          </>
        )}
      </div>
    </section>
  );
}

interface ToggleProps {
  on: boolean;
  danger?: boolean;
  label: string;
  testId: string;
  icon: preact.JSX.Element;
  onToggle(on: boolean): void;
}

function Toggle({ on, danger = false, label, testId, icon, onToggle }: ToggleProps) {
  return (
    <button
      type="button"
      class={`secondary toggle ${danger ? 'danger' : ''}`}
      aria-pressed={on}
      data-testid={testId}
      onClick={() => onToggle(!on)}
    >
      {icon}
      {label}
    </button>
  );
}
