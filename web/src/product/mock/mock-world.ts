// The product without a server, for work on the views: `npm run dev`, then `/?mock`. Not part of a build.
//
// Everybody answers in a way of their own: Ravi and Lena accept, Meera declines, Kabir is busy, Yuki never answers, Tomás
// cannot be called. `mock.ring('lena', 'video')` in the console lets somebody call.
import type { EnterOptions, Opening } from '../../call/livekit-call.ts';
import type { Call } from '../../call/model.ts';
import type { Outside } from '../product-app.tsx';
import type { Message, Person, Settings } from '../types.ts';
import { MockSocket, setPlot, type Plot } from './mock-socket.ts';
import { MockMedia } from './mock-media.ts';

const PEOPLE: Person[] = [
  { id: 'asha', handle: '@asha', name: 'Asha Rao', about: 'Potter in Pune. Answers on the second ring.', hue: 24 },
  { id: 'ravi', handle: '@ravi', name: 'Ravi Menon', about: 'Trains, tea and long calls with my sister.', hue: 204 },
  { id: 'meera', handle: '@meera', name: 'Meera Iyer', about: 'Plays the veena; rehearses on Sundays.', hue: 316 },
  { id: 'kabir', handle: '@kabir', name: 'Kabir Khan', about: 'Runs the corner bookshop. Ask me for a novel.', hue: 142 },
  { id: 'lena', handle: '@lena', name: 'Lena Vogel', about: 'Maps mountain paths, mostly on foot.', hue: 262 },
  { id: 'tomas', handle: '@tomas', name: 'Tomás Duarte', about: 'Cooks for forty on Fridays.', hue: 8 },
  { id: 'yuki', handle: '@yuki', name: 'Yuki Tanaka', about: 'Draws birds that hold still.', hue: 178 },
  { id: 'zainab', handle: '@zainab', name: 'Zainab Bello', about: 'Night shifts, so write first and call later.', hue: 48 },
];

const person = (id: string) => PEOPLE.find((one) => one.id === id) as Person;

interface RawThread {
  id: string;
  kind: 'direct' | 'group';
  title: string;
  members: Person[];
  last: Message | null;
  unread: number;
  liveCall: { callId: string; media: 'audio' | 'video'; memberIds: string[]; startedAtMs: number } | null;
  openedAtMs: number;
}

const MINUTE = 60_000;
const now = Date.now();
const messages = new Map<string, Message[]>();
const threads: RawThread[] = [
  thread('t_ravi', 'direct', '', ['asha', 'ravi'], [
    text('ravi', 96, 'The kiln survived the move?'),
    text('asha', 90, 'Not a crack. I can show you, call me when you are off the train.'),
    call('ravi', 74, 'video', 'answered', 754_000),
    text('ravi', 30, 'That blue glaze is something else.'),
    text('ravi', 29, 'And say hello to the cat.'),
    call('ravi', 12, 'audio', 'missed', 0),
  ], 1),
  thread('t_weekend', 'group', 'Weekend walk', ['lena', 'asha', 'ravi', 'yuki'], [
    text('lena', 61, 'Nine o’clock at the bridge, rain or not.'),
    text('yuki', 52, 'I bring the sketchbook and an umbrella.'),
    call('lena', 48, 'audio', 'answered', 1_620_000, 'group'),
    text('ravi', 9, 'Let us talk over the way on Friday, all of us.'),
  ], 2),
  thread('t_meera', 'direct', '', ['asha', 'meera'], [
    text('meera', 300, 'Concert is on the 14th. I kept two seats for you.'),
    call('asha', 290, 'audio', 'noAnswer', 0),
  ], 0),
  thread('t_kabir', 'direct', '', ['asha', 'kabir'], [text('kabir', 1_500, 'Your order came in, the one with the blue cover.')], 0),
  thread('t_kitchen', 'group', 'Friday kitchen', ['tomas', 'kabir', 'meera', 'zainab', 'asha'], [
    text('tomas', 2_000, 'Forty-two this week. Who cuts onions?'),
    text('kabir', 1_990, 'Me, but only with music.'),
  ], 0),
  thread('t_lena', 'direct', '', ['asha', 'lena'], [call('asha', 4_400, 'video', 'declined', 0)], 0),
];
let settings: Settings = { whoMayCall: 'everyone', silenceUnknown: false, hideBusy: false, callWaiting: true };

function text(from: string, minutesAgo: number, line: string): Omit<Message, 'id' | 'threadId'> {
  return { kind: 'text', from, atMs: now - minutesAgo * MINUTE, text: line };
}

function call(
  from: string, minutesAgo: number, media: 'audio' | 'video', outcome: 'answered' | 'missed' | 'noAnswer' | 'declined',
  durationMs: number, kind: 'direct' | 'group' = 'direct',
): Omit<Message, 'id' | 'threadId'> {
  const entry = { callId: `CL_${from}${minutesAgo}`, media, kind, outcome, durationMs, startedBy: from, memberIds: [from] };
  return { kind: 'call', from, atMs: now - minutesAgo * MINUTE, call: entry };
}

function thread(
  id: string, kind: 'direct' | 'group', title: string, memberIds: string[], lines: Omit<Message, 'id' | 'threadId'>[], unread: number,
): RawThread {
  const list = lines.map((line, index) => ({ ...line, id: `${id}_${index}`, threadId: id }));
  messages.set(id, list);
  return { id, kind, title, members: memberIds.map(person), last: list.at(-1) ?? null, unread, liveCall: null, openedAtMs: now };
}

type Listener = (event: MessageEvent<string>) => void;
const listeners = new Map<string, Set<Listener>>();

function tell(name: string, data: unknown): void {
  const event = new MessageEvent(name, { data: JSON.stringify(data) });
  for (const listener of listeners.get(name) ?? []) listener(event);
}

function post(message: Omit<Message, 'id'>): Message {
  const full = { ...message, id: `m_${Math.random()}` };
  messages.get(message.threadId)?.push(full);
  const owner = threads.find(({ id }) => id === message.threadId);
  if (owner) owner.last = full;
  tell('message', full);
  return full;
}

/** One answer per path; the patience of a good network. */
async function answer(method: string, path: string, body: Record<string, string & string[]>): Promise<unknown> {
  await new Promise((resolve) => setTimeout(resolve, 120));
  const [what, id, sub] = path.split('?')[0]?.split('/') ?? [];
  const query = new URLSearchParams(path.split('?')[1] ?? '').get('query')?.toLowerCase();
  if (what === 'session') return { session: 'mock', me: person(body['personId'] ?? 'asha') ?? PEOPLE[0], deviceId: 'tab-mock' };
  if (what === 'people' && !id) return PEOPLE.filter(({ name, handle }) => !query || `${name}${handle}`.toLowerCase().includes(query));
  if (what === 'people' && id) return { ...person(id), relation: { blocked: false, contact: id === 'ravi', followed: false } };
  if (what === 'settings') return method === 'PUT' ? (settings = body as unknown as Settings) : settings;
  if (what === 'threads' && !id && method === 'GET') return threads;
  if (what === 'threads' && !id) return open(body['kind'] as 'direct' | 'group', body['memberIds'] ?? [], body['title'] ?? '');
  if (what === 'threads' && id && sub === 'messages' && method === 'GET') return { messages: path.includes('before=') ? [] : messages.get(id) };
  if (what === 'threads' && id && sub === 'messages') return post({ threadId: id, kind: 'text', from: 'asha', atMs: Date.now(), text: body['text'] ?? '' });
  if (what === 'history') return history();
  if (what === 'device-token') return { token: 'mock', expiresAtMs: 0 };
  if (what === 'links') return { slug: 'k3v9q2', url: '/?link=k3v9q2' };
  return undefined;
}

function open(kind: 'direct' | 'group', memberIds: string[], title: string): RawThread {
  const known = threads.find((one) => kind === 'direct' && one.kind === kind && one.members.some(({ id }) => id === memberIds[0]));
  if (known) return known;
  const made = thread(`t_${Math.random()}`, kind, title, ['asha', ...memberIds], [], 0);
  threads.push(made);
  return made;
}

function history(): unknown[] {
  return [...messages.values()].flat().filter((message) => message.call).sort((a, b) => b.atMs - a.atMs)
    .map((message) => ({ ...message.call, startedAtMs: message.atMs, endedAtMs: message.atMs, threadId: message.threadId, people: PEOPLE }));
}

const plot: Plot = {
  person,
  live(threadId, live) {
    const owner = threads.find(({ id }) => id === threadId);
    if (!owner) return;
    owner.liveCall = live && { ...live, startedAtMs: Date.now() };
    tell('thread', owner);
  },
  ended(threadId, entry) {
    post({ threadId, kind: 'call', from: entry.startedBy, atMs: Date.now(), call: entry });
  },
};

export function mockWorld(): Outside {
  setPlot(plot);
  Object.assign(window, { mock: { ring: MockSocket.ring, live: plot.live, lobby: MockSocket.lobby } });
  return {
    fetch: async (input, init) => {
      const path = String(input).replace(/^.*\/demo\/api\//, '');
      const body = init?.body ? (JSON.parse(String(init.body)) as Record<string, string & string[]>) : {};
      const result = await answer(init?.method ?? 'GET', path, body);
      return new Response(result === undefined ? null : JSON.stringify(result), { status: result === undefined ? 204 : 200 });
    },
    news: () => ({
      readyState: 1,
      addEventListener(name, listener) {
        const known = listeners.get(name) ?? new Set();
        listeners.set(name, known.add(listener));
        if (name === 'open') setTimeout(() => listener(new MessageEvent('open')), 50);
      },
      close: () => listeners.clear(),
    }),
    WebSocket: MockSocket,
    enterRoom: async (options: EnterOptions, tracks: () => Opening[]): Promise<Call> => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      const video = tracks().some((opening) => 'device' in opening && opening.device === 'camera');
      return new MockMedia(options, video, MockSocket.watch);
    },
  };
}

