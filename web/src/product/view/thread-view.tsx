// One chat: who, what was said and called, and the line to write in.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { useStore } from '../../store.ts';
import { CameraIcon, DeviceMoveIcon, PeopleIcon, PhoneIcon, SendIcon } from '../../view/icons.tsx';
import { clockTime, dayName, useWords } from '../../words/index.ts';
import type { Calling } from '../calling.ts';
import type { Conversation, Product } from '../product.ts';
import { go } from '../route.ts';
import type { Message, Thread } from '../types.ts';
import { CallEntryView } from './call-entry.tsx';
import { MembersDialog } from './dialogs.tsx';
import { Avatar, BackButton } from './parts.tsx';

interface Props {
  id: string;
  product: Product;
  calling: Calling;
}

export function ThreadView({ id, product, calling }: Props) {
  const threads = useStore(product.threads);
  const conversation = useStore(product.conversations).get(id);
  useEffect(() => product.look(id), [product, id]);
  const thread = threads?.find((one) => one.id === id);
  if (!thread) return <ThreadSkeleton />;
  return (
    <section class="thread" aria-label={product.face(thread).name} data-testid="thread">
      <ThreadHead thread={thread} product={product} calling={calling} />
      <Ongoing thread={thread} product={product} calling={calling} />
      <Messages thread={thread} product={product} calling={calling} conversation={conversation} />
      <Composer product={product} threadId={id} />
    </section>
  );
}

function ThreadSkeleton() {
  return (
    <section class="thread" aria-busy="true">
      <header class="thread-head">
        <BackButton />
        <span class="skeleton face" />
        <span class="row-text">
          <span class="skeleton line" />
        </span>
      </header>
    </section>
  );
}

interface PartProps {
  thread: Thread;
  product: Product;
  calling: Calling;
}

function ThreadHead({ thread, product, calling }: PartProps) {
  const w = useWords();
  const [showMembers, setShowMembers] = useState(false);
  const busy = useStore(calling.scene).at === 'call';
  const face = product.face(thread);
  const [other] = product.others(thread);
  const open = () => {
    if (thread.kind === 'group') setShowMembers(true);
    else if (other) go({ at: 'profile', id: other });
  };
  const subtitle = thread.kind === 'group' ? w.members(thread.memberIds.length) : other ? product.person(other).handle : '';
  return (
    <header class="thread-head">
      <BackButton />
      <h1 class="thread-title">
        <button type="button" class="thread-who" data-testid="thread-who" onClick={open}>
          <Avatar face={face} size={40} />
          <span class="row-text">
            <strong>{face.name}</strong>
            <small>{subtitle}</small>
          </span>
        </button>
      </h1>
      {thread.kind === 'group' && (
        <button type="button" class="icon-button wide-only" aria-label={w.showMembers} onClick={open}>
          <PeopleIcon />
        </button>
      )}
      <CallButtons disabled={busy} onCall={(media) => void calling.call(thread, media)} />
      {showMembers && <MembersDialog thread={thread} product={product} onClose={() => setShowMembers(false)} />}
    </header>
  );
}

interface CallButtonsProps {
  disabled?: boolean;
  large?: boolean;
  onCall(media: 'audio' | 'video'): void;
}

export function CallButtons({ disabled = false, large = false, onCall }: CallButtonsProps) {
  const w = useWords();
  const look = large ? 'call-button large' : 'icon-button call-button';
  return (
    <>
      <button type="button" class={look} aria-label={w.audioCall} title={w.audioCall} data-testid="call-audio" disabled={disabled} onClick={() => onCall('audio')}>
        <PhoneIcon />
        {large && <span>{w.audioCall}</span>}
      </button>
      <button type="button" class={look} aria-label={w.videoCall} title={w.videoCall} data-testid="call-video" disabled={disabled} onClick={() => onCall('video')}>
        <CameraIcon />
        {large && <span>{w.videoCall}</span>}
      </button>
    </>
  );
}

/** A call goes on in this chat: without this user, or with another of their devices. */
function Ongoing({ thread, product, calling }: PartProps) {
  const w = useWords();
  const calls = useStore(calling.calls);
  const scene = useStore(calling.scene);
  const rings = useStore(calling.rings);
  const known = [...calls.values()].find(({ view }) => view.conversationId === thread.id);
  const { liveCall } = thread;
  if (scene.at === 'call' || (!known && !liveCall)) return null;
  if (rings.some(({ conversationId }) => conversationId === thread.id)) return null;
  const elsewhere = known ? known.view.meInCall && !known.view.thisDevice : !!liveCall?.memberIds.includes(product.me.id);
  // A direct call that this user has no part in yet is ringing, or over in a moment.
  if (thread.kind === 'direct' && !elsewhere) return null;
  const joined = known?.members.filter(({ state }) => state === 'joined' || state === 'connecting').length;
  return (
    <div class="ongoing" role="status" data-testid="banner">
      <span class="pulse" aria-hidden="true" />
      <span class="ongoing-text">{elsewhere ? w.ongoingElsewhere : w.ongoing(liveCall?.memberIds.length ?? joined ?? 0)}</span>
      <button
        type="button"
        class="primary small"
        data-testid={elsewhere ? 'move-here' : 'banner-join'}
        onClick={() => void calling.joinThread(thread)}
      >
        {elsewhere && <DeviceMoveIcon />}
        {elsewhere ? w.moveHere : w.join}
      </button>
    </div>
  );
}

/** Messages of one person within so long are one block. */
const BLOCK_MS = 5 * 60_000;
/** Nearer to the bottom than this means: reading along. */
const NEAR_PX = 120;

function Messages({ thread, product, calling, conversation }: PartProps & { conversation: Conversation | undefined }) {
  const w = useWords();
  const list = useRef<HTMLDivElement>(null);
  const atBottom = useRef(true);
  const heightBefore = useRef(0);
  const messages = conversation?.messages ?? [];
  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return;
    if (atBottom.current) element.scrollTop = element.scrollHeight;
    // What came above pushes nothing away from under the eyes.
    else if (heightBefore.current) element.scrollTop += element.scrollHeight - heightBefore.current;
    heightBefore.current = 0;
  }, [messages]);
  const scrolled = () => {
    const element = list.current;
    if (!element) return;
    atBottom.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
  };
  const older = () => {
    heightBefore.current = list.current?.scrollHeight ?? 0;
    atBottom.current = false;
    void product.loadOlder(thread.id);
  };
  return (
    <div ref={list} class="messages" role="log" aria-live="polite" tabIndex={0} aria-label={product.face(thread).name} onScroll={scrolled}>
      <div class="messages-inner">
        {!conversation || (conversation.loading && messages.length === 0) ? (
          <MessageSkeletons />
        ) : messages.length === 0 ? (
          <p class="empty">{w.noMessages}</p>
        ) : (
          !conversation.complete &&
          messages.length >= 50 && (
            <button type="button" class="secondary older" disabled={conversation.loading} onClick={older}>
              {w.olderMessages}
            </button>
          )
        )}
        {messages.map((message, index) => (
          <MessageView
            key={message.id}
            message={message}
            before={messages[index - 1]}
            thread={thread}
            product={product}
            onCall={message.call ? () => void calling.call(thread, message.call?.media ?? 'audio') : null}
          />
        ))}
      </div>
    </div>
  );
}

function MessageSkeletons() {
  return (
    <>
      {[55, 38, 62].map((width, index) => (
        <span key={index} class={`skeleton bubble ${index === 1 ? 'mine' : ''}`} style={{ width: `${width}%` }} />
      ))}
    </>
  );
}

interface MessageProps {
  message: Message;
  before: Message | undefined;
  thread: Thread;
  product: Product;
  onCall: (() => void) | null;
}

function MessageView({ message, before, thread, product, onCall }: MessageProps) {
  const mine = message.from === product.me.id;
  const author = product.person(message.from);
  const newDay = !before || dayName(before.atMs) !== dayName(message.atMs);
  const goesOn =
    !newDay && before?.kind === 'text' && before.from === message.from && message.atMs - before.atMs < BLOCK_MS;
  return (
    <>
      {newDay && <p class="day">{dayName(message.atMs)}</p>}
      {message.call ? (
        <CallEntryView call={message.call} me={product.me.id} atMs={message.atMs} startedBy={author.name} onCall={onCall} />
      ) : (
        <div class={`bubble ${mine ? 'mine' : ''} ${goesOn ? 'goes-on' : ''}`} style={{ '--hue': author.hue }} data-testid="message">
          {!mine && thread.kind === 'group' && !goesOn && <strong class="author">{author.name}</strong>}
          <span class="bubble-text">{message.text}</span>
          <time>{clockTime(message.atMs)}</time>
        </div>
      )}
    </>
  );
}

const LONGEST = 2_000;
/** Lines of the composer before it scrolls. */
const TALLEST_PX = 140;

function Composer({ product, threadId }: { product: Product; threadId: string }) {
  const w = useWords();
  const [text, setText] = useState('');
  const [sending, setSending] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    element.style.height = 'auto';
    element.style.height = `${Math.min(element.scrollHeight, TALLEST_PX)}px`;
  }, [text]);
  async function send() {
    const line = text.trim();
    if (!line || sending) return;
    setSending(true);
    if (await product.write(threadId, line)) setText('');
    setSending(false);
    area.current?.focus();
  }
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <textarea
        ref={area}
        rows={1}
        value={text}
        maxLength={LONGEST}
        placeholder={w.write}
        aria-label={w.write}
        data-testid="compose"
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          void send();
        }}
      />
      <button type="submit" class="round send" aria-label={w.send} data-testid="send" disabled={!text.trim() || sending}>
        <SendIcon />
      </button>
    </form>
  );
}
