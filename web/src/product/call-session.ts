// One call on this device, from the click to the end: the signalling's view of it, and its media.
import { CallsError, type Call, type CallView, type Media } from '@sluice-calls/client';
import type { Call as MediaCall } from '../call/model.ts';
import type { EnterOptions, Opening } from '../call/livekit-call.ts';
import { openCamera, openMicrophone } from '../media/capture.ts';
import { joinProblem, type Problem } from '../problem.ts';
import { Store } from '../store.ts';
import type { Face } from './types.ts';

/** What a call needs of the page around it. */
export interface CallPlace {
  name: string;
  drawnCamera: boolean;
  path: EnterOptions['path'];
  portraitOf(userId: string): { name: string; hue: number };
  enterRoom(options: EnterOptions, tracks: () => Opening[]): Promise<MediaCall>;
}

export interface SessionOptions {
  face: Face;
  /** The chat that it belongs to; empty: none. */
  threadId: string;
  media: Media;
  audioOnly?: boolean;
  /** This user calls, and nobody has answered yet. */
  outgoing: boolean;
}

/** A lost room is tried again after so long, each time; the last failure is shown. */
const RETRY_MS = [1_000, 2_000, 4_000, 8_000];
/** Until the room hears of a permission that the call has given. */
const PERMISSION_MS = 8_000;

export class CallSession {
  readonly face: Face;
  readonly threadId: string;
  readonly outgoing: boolean;
  /** `null` until the server has answered the request. */
  readonly view = new Store<CallView | null>(null);
  readonly media = new Store<MediaCall | null>(null);
  readonly problem = new Store<Problem | null>(null);
  /** The camera turns on as soon as the others have agreed. */
  readonly wantsVideo = new Store(false);
  readonly #place: CallPlace;
  readonly #opening: Opening[] = [];
  #call: Call | null = null;
  #closed = false;
  #entering = false;
  #retries = 0;

  constructor(place: CallPlace, options: SessionOptions) {
    this.#place = place;
    this.face = options.face;
    this.threadId = options.threadId;
    this.outgoing = options.outgoing;
    // The devices open while the server is still asked: each saves the other's time.
    this.#opening.push({ device: 'microphone', track: openMicrophone() });
    if (options.media === 'video' && !options.audioOnly) {
      this.#opening.push({ device: 'camera', track: openCamera(place.drawnCamera, place.name) });
    }
    // Told where the tracks are used; a session that ends before that has nobody to tell.
    for (const opening of this.#opening) if ('track' in opening) opening.track.catch(() => {});
  }

  get call(): Call | null {
    return this.#call;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The server has answered. */
  begin(call: Call): void {
    this.#call = call;
    this.update();
  }

  /** The call has changed. */
  update(): void {
    const call = this.#call;
    if (!call || this.#closed) return;
    const before = this.view.get();
    this.view.set(call.view);
    if (!call.view.inLobby && !this.media.get()) void this.#enter();
    if (call.view.videoAllowed && before && !before.videoAllowed && this.wantsVideo.get()) void this.#showCamera();
    if (!call.view.upgradeRequestedBy && before?.upgradeRequestedBy && !call.view.videoAllowed) this.wantsVideo.set(false);
  }

  async askForVideo(): Promise<void> {
    this.wantsVideo.set(true);
    try {
      await this.#call?.requestUpgrade();
    } catch (error) {
      this.wantsVideo.set(false);
      throw error;
    }
  }

  async answerVideo(yes: boolean): Promise<void> {
    this.wantsVideo.set(yes);
    await this.#call?.respondUpgrade(yes);
  }

  /** Silent at once; the server hears of it as soon as it can. */
  async hold(on: boolean): Promise<void> {
    const media = this.media.get();
    const quiet = media?.setHold(on);
    try {
      await this.#call?.hold(on);
    } catch (error) {
      // The others know of no hold: what is heard follows what they see.
      await media?.setHold(!on);
      throw error;
    }
    await quiet;
  }

  async retry(): Promise<void> {
    this.#retries = 0;
    this.problem.set(null);
    await this.#enter();
  }

  /** Ends the media on this device. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    void this.media.get()?.leave();
    // What is still the session's own, because no room ever asked for it.
    for (const opening of this.#opening) {
      if ('track' in opening) opening.track.then((track) => track.stop(), () => {});
    }
  }

  async #enter(): Promise<void> {
    const call = this.#call;
    if (!call || this.#entering || this.#closed) return;
    this.#entering = true;
    try {
      const access = this.#retries > 0 || !call.media ? await call.refreshMedia() : call.media;
      const media = await this.#place.enterRoom(
        {
          room: this.face.name,
          name: this.#place.name,
          path: this.#place.path,
          drawnCamera: this.#place.drawnCamera,
          url: access.url,
          token: access.token,
          quiet: !this.face.group,
          portraitOf: (identity) => this.#portrait(identity),
        },
        () => this.#opening.splice(0),
      );
      if (this.#closed) return void media.leave();
      this.#retries = 0;
      this.problem.set(null);
      this.media.set(media);
      media.state.subscribe(() => media.state.get().phase === 'ended' && this.#lost(media));
      if (call.view.onHold) void media.setHold(true);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#entering = false;
    }
  }

  #portrait(identity: string): { name: string; hue: number } | null {
    const member = this.#call?.members.find((one) => one.identity === identity);
    const userId = member?.userId ?? identity.slice(0, Math.max(0, identity.lastIndexOf('#')));
    return userId ? this.#place.portraitOf(userId) : null;
  }

  /** The room is gone. If that was the call's end, the signalling says so within the first wait. */
  #lost(media: MediaCall): void {
    if (this.#closed || this.media.get() !== media) return;
    this.media.set(null);
    const on = media.state.get();
    this.#opening.push({ device: 'microphone', track: openMicrophone() });
    if (on.cameraOn) this.#opening.push({ device: 'camera', track: openCamera(this.#place.drawnCamera, this.#place.name) });
    this.#failed(null);
  }

  #failed(error: unknown): void {
    const call = this.#call;
    if (this.#closed || !call || call.over || !call.view.thisDevice) return;
    const wait = RETRY_MS[this.#retries++];
    const hopeless = error instanceof CallsError && error.code === 'FAILED_PRECONDITION';
    if (wait === undefined || hopeless) {
      this.problem.set(joinProblem(error));
      return;
    }
    setTimeout(() => {
      if (!this.#closed && !call.over && call.view.thisDevice && !this.media.get()) void this.#enter();
    }, wait);
  }

  /** The call allows it; the room learns of that a moment later. */
  async #showCamera(): Promise<void> {
    const media = this.media.get();
    if (!media) return;
    const allowed = new Promise<void>((resolve) => {
      const stop = media.state.subscribe(() => look());
      const timer = setTimeout(() => done(), PERMISSION_MS);
      const done = () => {
        clearTimeout(timer);
        stop();
        resolve();
      };
      const look = () => media.state.get().mayShowCamera && done();
      look();
    });
    await allowed;
    this.wantsVideo.set(false);
    if (!this.#closed && !media.state.get().cameraOn) await media.setCamera(true);
  }
}
