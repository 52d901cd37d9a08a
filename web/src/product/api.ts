// The product's backend over HTTP. Knows paths and shapes, keeps nothing.
import { words } from '../words/index.ts';
import type { Problem } from '../problem.ts';
import type { Media } from '@sluice-calls/client';
import type { Message, PastCall, Person, Profile, Session, Settings, Thread } from './types.ts';

/** What the backend answered in place of a result, with a sentence that says what to do. */
export class ApiError extends Error {
  constructor(
    /** Of HTTP; 0 when nothing answered. */
    readonly status: number,
    readonly code: string,
    readonly problem: Problem,
  ) {
    super(problem.title);
  }
}

export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  return { title: words().serverTitle, hint: error instanceof Error ? error.message : String(error) };
}

type Fetch = typeof fetch;
export type Relationship = 'blocks' | 'contacts' | 'follows';

/** A thread as it comes: with the people in it. */
type RawThread = Omit<Thread, 'memberIds'> & { members: Person[] };

export class Api {
  /** People that came along with something else. */
  onPeople: (people: Person[]) => void = () => {};
  onSignedOut: () => void = () => {};

  constructor(
    readonly session: string = '',
    readonly send: Fetch = (input, init) => fetch(input, init),
  ) {}

  samplePeople(): Promise<Person[]> {
    return this.#get('people?sample=1');
  }

  signIn(who: { personId: string } | { handle: string; name?: string }, deviceId: string): Promise<Session> {
    return this.#ask('POST', 'session', { ...who, ...(deviceId ? { deviceId } : {}) });
  }

  async signOut(): Promise<void> {
    await this.#ask('DELETE', 'session');
  }

  me(): Promise<Person> {
    return this.#get('me');
  }

  findPeople(query: string): Promise<Person[]> {
    return this.#get(`people?query=${encodeURIComponent(query)}`);
  }

  person(id: string): Promise<Profile> {
    return this.#get(`people/${encodeURIComponent(id)}`);
  }

  async relate(relationship: Relationship, id: string, on: boolean): Promise<void> {
    await this.#ask(on ? 'PUT' : 'DELETE', `${relationship}/${encodeURIComponent(id)}`);
  }

  settings(): Promise<Settings> {
    return this.#get('settings');
  }

  async saveSettings(settings: Settings): Promise<void> {
    await this.#ask('PUT', 'settings', settings);
  }

  async threads(): Promise<Thread[]> {
    return (await this.#get<RawThread[]>('threads')).map((thread) => this.readThread(thread));
  }

  async openThread(kind: Thread['kind'], memberIds: string[], title?: string): Promise<Thread> {
    return this.readThread(await this.#ask<RawThread>('POST', 'threads', { kind, memberIds, ...(title ? { title } : {}) }));
  }

  async messages(threadId: string, before = ''): Promise<Message[]> {
    const query = before ? `?before=${encodeURIComponent(before)}` : '';
    const { messages } = await this.#get<{ messages: Message[] }>(`threads/${encodeURIComponent(threadId)}/messages${query}`);
    return messages;
  }

  write(threadId: string, text: string): Promise<Message> {
    return this.#ask('POST', `threads/${encodeURIComponent(threadId)}/messages`, { text });
  }

  async read(threadId: string): Promise<void> {
    await this.#ask('POST', `threads/${encodeURIComponent(threadId)}/read`);
  }

  async history(): Promise<PastCall[]> {
    const calls = await this.#get<(PastCall & { people: Person[] })[]>('history');
    this.onPeople(calls.flatMap(({ people }) => people));
    return calls;
  }

  async deviceToken(): Promise<string> {
    return (await this.#ask<{ token: string }>('POST', 'device-token')).token;
  }

  createLink(media: Media, lobby: boolean): Promise<{ slug: string; url: string }> {
    return this.#ask('POST', 'links', { media, lobby });
  }

  readThread(raw: RawThread): Thread {
    const { members, ...thread } = raw;
    this.onPeople(members);
    return {
      ...thread,
      memberIds: members.map(({ id }) => id),
      last: thread.last ?? null,
      liveCall: thread.liveCall ?? null,
    };
  }

  #get<T>(path: string): Promise<T> {
    return this.#ask('GET', path);
  }

  async #ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    let response: Response;
    try {
      response = await this.send(`./demo/api/${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(this.session ? { authorization: `Bearer ${this.session}` } : {}),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch {
      throw new ApiError(0, 'unreachable', { title: words().unreachableTitle, hint: words().unreachableHint });
    }
    if (!response.ok) throw await this.#refusal(response);
    const text = await response.text();
    return (text ? JSON.parse(text) : undefined) as T;
  }

  async #refusal(response: Response): Promise<ApiError> {
    const { error } = (await response.json().catch(() => ({}))) as { error?: { code?: string; message?: string } };
    const w = words();
    if (response.status === 401 && this.session) {
      this.onSignedOut();
      return new ApiError(401, 'signed_out', { title: w.signedOutTitle, hint: w.signedOutHint });
    }
    if (response.status === 404 && !error) {
      return new ApiError(404, 'no_product', { title: w.noProductTitle, hint: w.noProductHint });
    }
    const hint = error?.message ?? `${response.status} ${response.statusText}`;
    return new ApiError(response.status, error?.code ?? '', { title: w.serverTitle, hint });
  }
}
