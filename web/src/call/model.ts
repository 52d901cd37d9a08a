// What the views know of a call. The LiveKit call and the development mock both fill in this model.
import type { Problem } from '../problem.ts';
import type { Readable } from '../store.ts';
import type { TileStats } from './stats.ts';

/** A moving picture that a `<video>` element can show. */
export interface Picture {
  attach(element: HTMLVideoElement): void;
  detach(element: HTMLVideoElement): void;
}

export type TileKind = 'camera' | 'screen';
export type ConnectionHealth = 'good' | 'poor' | 'lost' | 'unknown';

/** One rectangle of the stage: somebody's camera, or the screen that somebody shares. */
export interface Tile {
  /** Stable for the whole call. */
  key: string;
  identity: string;
  name: string;
  /** Of the colour behind the initials; absent: from the name. */
  hue?: number;
  isSelf: boolean;
  kind: TileKind;
  /** `null` shows the initials. */
  picture: Picture | null;
  mirrored: boolean;
  microphoneOn: boolean;
  speaking: boolean;
  health: ConnectionHealth;
}

export type Phase = 'connected' | 'reconnecting' | 'ended';

export interface CallState {
  phase: Phase;
  /** Why it ended; `null` while it lasts and when the user left. */
  ended: Problem | null;
  tiles: Tile[];
  microphoneOn: boolean;
  cameraOn: boolean;
  sharingScreen: boolean;
  /** The server lets this participant send a picture. */
  mayShowCamera: boolean;
  /** The browser waits for a click before it plays sound. */
  soundBlocked: boolean;
}

export type NoticeKind = 'info' | 'problem';

export interface Notice {
  id: number;
  kind: NoticeKind;
  title: string;
  hint: string;
}

export type DeviceKind = 'audioinput' | 'videoinput' | 'audiooutput';

export interface Call {
  readonly room: string;
  readonly state: Readable<CallState>;
  readonly notices: Readable<Notice[]>;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  setMicrophone(on: boolean): Promise<void>;
  setCamera(on: boolean): Promise<void>;
  setScreen(on: boolean): Promise<void>;
  useDevice(kind: DeviceKind, id: string): Promise<void>;
  activeDevice(kind: DeviceKind): string;
  unblockSound(): Promise<void>;
  readStats(tileKey: string): Promise<TileStats | null>;
  dismissNotice(id: number): void;
  /** Silences everybody, and oneself, until `false`. */
  setHold(on: boolean): Promise<void>;
  leave(): Promise<void>;
}
