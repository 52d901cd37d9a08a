// The signed-in person's world: people, chats, messages, settings. Calls are in `calling.ts`.
import { Store } from '../store.ts';
import type { Problem } from '../problem.ts';
import { hueOf } from '../view/names.ts';
import { problemOf, type Api, type Relationship } from './api.ts';
import { listen, type NewsSource } from './live.ts';
import type { Face, Message, Person, Profile, Session, Settings, Thread } from './types.ts';

export interface Conversation {
  /** Oldest first. */
  messages: readonly Message[];
  loading: boolean;
  /** The first message of all is here. */
  complete: boolean;
}

export interface Toast {
  id: number;
  title: string;
  hint: string;
  problem: boolean;
}

const NOTHING: Conversation = { messages: [], loading: true, complete: false };
const TOAST_MS = 5_000;

export class Product {
  readonly me: Person;
  readonly deviceId: string;
  readonly people = new Store<ReadonlyMap<string, Person>>(new Map());
  /** `null` while they load for the first time. Latest first. */
  readonly threads = new Store<readonly Thread[] | null>(null);
  readonly conversations = new Store<ReadonlyMap<string, Conversation>>(new Map());
  readonly profiles = new Store<ReadonlyMap<string, Profile>>(new Map());
  readonly settings = new Store<Settings | null>(null);
  readonly toasts = new Store<readonly Toast[]>([]);
  /** The thread that is being looked at: what comes there is read. */
  #looking = '';
  #lastToast = 0;
  readonly #asked = new Set<string>();

  constructor(
    readonly api: Api,
    session: Session,
  ) {
    this.me = session.me;
    this.deviceId = session.deviceId;
    this.learn([session.me]);
    api.onPeople = (people) => this.learn(people);
  }

  /** Loads and listens until the returned function is called. */
  open(source: (url: string) => NewsSource): () => void {
    return listen(this.api, source, {
      opened: () => void this.#load(),
      message: (message) => this.#heard(message),
      thread: (thread) => this.#putThread(thread),
      settings: (settings) => this.settings.set(settings),
      person: (person) => {
        this.learn([person]);
        this.#putProfile(person);
      },
    });
  }

  async #load(): Promise<void> {
    await this.attempt(async () => {
      const [threads, settings] = await Promise.all([this.api.threads(), this.api.settings()]);
      this.threads.set(latestFirst(threads));
      this.settings.set(settings);
      for (const id of new Set(threads.flatMap(({ memberIds }) => memberIds))) this.#meet(id);
      if (this.#looking) await this.#loadMessages(this.#looking);
    });
  }

  /** Does something; a failure is told, not thrown. */
  async attempt<T>(what: () => Promise<T>): Promise<T | undefined> {
    try {
      return await what();
    } catch (error) {
      this.warn(problemOf(error));
      return undefined;
    }
  }

  say(title: string): void {
    this.#toast({ title, hint: '', problem: false });
  }

  warn(problem: Problem): void {
    this.#toast({ ...problem, problem: true });
  }

  dismiss(id: number): void {
    this.toasts.update((toasts) => toasts.filter((toast) => toast.id !== id));
  }

  #toast(toast: Omit<Toast, 'id'>): void {
    const id = ++this.#lastToast;
    this.toasts.update((toasts) => [...toasts.filter(({ title }) => title !== toast.title), { ...toast, id }].slice(-3));
    setTimeout(() => this.dismiss(id), toast.problem ? 2 * TOAST_MS : TOAST_MS);
  }

  // People

  learn(people: readonly Person[]): void {
    if (people.length === 0) return;
    this.people.update((known) => new Map([...known, ...people.map((person) => [person.id, person] as const)]));
  }

  /** What is known of somebody; asks for the rest. */
  person(id: string): Person {
    this.#meet(id);
    return this.people.get().get(id) ?? { id, handle: id, name: '…', about: '', hue: hueOf(id) };
  }

  #meet(id: string): void {
    if (this.people.get().has(id) || this.#asked.has(id)) return;
    this.#asked.add(id);
    this.api.person(id).then(
      (person) => this.learn([person]),
      // Whoever needs the name asks again; a name alone is not worth a message.
      () => this.#asked.delete(id),
    );
  }

  async loadProfile(id: string): Promise<void> {
    await this.attempt(async () => this.#putProfile(await this.api.person(id)));
  }

  #putProfile(profile: Profile): void {
    this.learn([profile]);
    const known = this.profiles.get().get(profile.id);
    const relation = profile.relation ?? known?.relation ?? { blocked: false, contact: false, followed: false };
    this.profiles.update((profiles) => new Map([...profiles, [profile.id, { ...known, ...profile, relation }]]));
  }

  async relate(relationship: Relationship, id: string, on: boolean): Promise<void> {
    const key = ({ blocks: 'blocked', contacts: 'contact', follows: 'followed' } as const)[relationship];
    const change = (value: boolean) => {
      const profile = this.profiles.get().get(id);
      if (profile) this.#putProfile({ ...profile, relation: { ...profile.relation, [key]: value } });
    };
    change(on);
    try {
      await this.api.relate(relationship, id, on);
    } catch (error) {
      change(!on);
      this.warn(problemOf(error));
    }
  }

  async saveSettings(settings: Settings): Promise<void> {
    const before = this.settings.get();
    this.settings.set(settings);
    try {
      await this.api.saveSettings(settings);
    } catch (error) {
      this.settings.set(before);
      this.warn(problemOf(error));
    }
  }

  // Chats

  thread(id: string): Thread | undefined {
    return this.threads.get()?.find((thread) => thread.id === id);
  }

  others(thread: Thread): string[] {
    return thread.memberIds.filter((id) => id !== this.me.id);
  }

  face(thread: Thread): Face {
    const [other] = this.others(thread);
    if (thread.kind === 'direct' && other) {
      const { name, hue } = this.person(other);
      return { name, hue, group: false };
    }
    return { name: thread.title, hue: hueOf(thread.title), group: true };
  }

  async openThread(kind: Thread['kind'], memberIds: string[], title?: string): Promise<Thread> {
    const thread = await this.api.openThread(kind, memberIds, title);
    this.#putThread(thread);
    return thread;
  }

  /** Somebody looks at a thread until the returned function is called. */
  look(threadId: string): () => void {
    this.#looking = threadId;
    void this.#loadMessages(threadId);
    this.#read(threadId);
    return () => {
      if (this.#looking === threadId) this.#looking = '';
    };
  }

  async #loadMessages(threadId: string): Promise<void> {
    await this.attempt(async () => {
      const messages = await this.api.messages(threadId);
      this.#putMessages(threadId, messages, { complete: messages.length === 0 });
    });
  }

  async loadOlder(threadId: string): Promise<void> {
    const known = this.conversations.get().get(threadId);
    const [oldest] = known?.messages ?? [];
    if (!known || known.loading || known.complete || !oldest) return;
    this.#change(threadId, (conversation) => ({ ...conversation, loading: true }));
    const messages = await this.attempt(() => this.api.messages(threadId, oldest.id));
    this.#putMessages(threadId, messages ?? [], { complete: messages?.length === 0 });
  }

  async write(threadId: string, text: string): Promise<boolean> {
    const message = await this.attempt(() => this.api.write(threadId, text));
    if (message) this.#heard(message);
    return message !== undefined;
  }

  #heard(message: Message): void {
    this.#meet(message.from);
    if (this.conversations.get().has(message.threadId)) this.#putMessages(message.threadId, [message], {});
    const thread = this.thread(message.threadId);
    if (thread && (!thread.last || thread.last.atMs <= message.atMs)) this.#putThread({ ...thread, last: message });
    if (message.threadId === this.#looking && message.from !== this.me.id) this.#read(message.threadId);
  }

  #read(threadId: string): void {
    const thread = this.thread(threadId);
    if (thread?.unread) this.#putThread({ ...thread, unread: 0 });
    // The next look at the thread says it again: nothing is lost but a number.
    this.api.read(threadId).catch(() => {});
  }

  #putThread(thread: Thread): void {
    for (const id of thread.memberIds) this.#meet(id);
    const seen = thread.id === this.#looking ? { ...thread, unread: 0 } : thread;
    this.threads.update((threads) => latestFirst([...(threads ?? []).filter(({ id }) => id !== thread.id), seen]));
  }

  #putMessages(threadId: string, messages: readonly Message[], { complete = false }): void {
    this.#change(threadId, (known) => {
      const byId = new Map([...known.messages, ...messages].map((message) => [message.id, message]));
      return {
        messages: [...byId.values()].sort((a, b) => a.atMs - b.atMs || a.id.localeCompare(b.id)),
        loading: false,
        complete: known.complete || complete,
      };
    });
  }

  #change(threadId: string, change: (conversation: Conversation) => Conversation): void {
    this.conversations.update((all) => new Map([...all, [threadId, change(all.get(threadId) ?? NOTHING)]]));
  }
}

function latestFirst(threads: readonly Thread[]): Thread[] {
  const at = (thread: Thread) => Math.max(thread.last?.atMs ?? thread.openedAtMs ?? 0, thread.liveCall?.startedAtMs ?? 0);
  return [...threads].sort((a, b) => at(b) - at(a) || a.id.localeCompare(b.id));
}
