// What the messaging product knows of people, chats and calls: the shapes of its backend's JSON.
import type { CallKind, Media } from '@sluice-calls/client';

export interface Person {
  id: string;
  handle: string;
  name: string;
  about: string;
  /** Of their colour, 0 to 359. */
  hue: number;
}

export interface Relation {
  blocked: boolean;
  contact: boolean;
  followed: boolean;
}

export type Profile = Person & { relation: Relation; threadId?: string };

export interface Session {
  session: string;
  deviceId: string;
  me: Person;
}

export type WhoMayCall = 'everyone' | 'followed' | 'contacts' | 'nobody';

export interface Settings {
  whoMayCall: WhoMayCall;
  silenceUnknown: boolean;
  hideBusy: boolean;
  /** A second call rings softly while one goes on; otherwise its caller sees "busy". */
  callWaiting: boolean;
}

export type CallOutcome = 'answered' | 'missed' | 'declined' | 'cancelled' | 'noAnswer' | 'busy' | 'failed';

export interface CallEntry {
  callId: string;
  media: Media;
  kind: CallKind;
  outcome: CallOutcome;
  durationMs: number;
  startedBy: string;
  memberIds: string[];
}

/** A call in a person's own history. */
export interface PastCall extends CallEntry {
  startedAtMs: number;
  endedAtMs: number;
  threadId?: string;
}

export interface Message {
  id: string;
  threadId: string;
  kind: 'text' | 'call';
  from: string;
  atMs: number;
  text?: string;
  call?: CallEntry;
}

export interface LiveCall {
  callId: string;
  media: Media;
  memberIds: string[];
  startedAtMs: number;
}

export interface Thread {
  id: string;
  kind: 'direct' | 'group';
  title: string;
  memberIds: string[];
  last: Message | null;
  unread: number;
  liveCall: LiveCall | null;
  /** For the order of the list while there is no message. */
  openedAtMs: number;
}

/** How a thread or a person is shown: in lists, on buttons, while it rings. */
export interface Face {
  name: string;
  hue: number;
  group: boolean;
}
