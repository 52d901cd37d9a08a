// The lobby's camera and microphone: opened to be looked at, then handed over to the call.
import type { LocalAudioTrack, LocalTrack, LocalVideoTrack } from 'livekit-client';
import type { DeviceKind } from '../call/model.ts';
import { loadPreferences, savePreferences } from '../preferences.ts';
import { deviceProblem, type Problem } from '../problem.ts';
import { Store } from '../store.ts';
import { openCamera, openMicrophone } from './capture.ts';

export interface PreviewState {
  camera: LocalVideoTrack | null;
  microphone: LocalAudioTrack | null;
  openingCamera: boolean;
  openingMicrophone: boolean;
  cameraProblem: Problem | null;
  microphoneProblem: Problem | null;
}

export class Preview {
  readonly state = new Store<PreviewState>({
    camera: null,
    microphone: null,
    openingCamera: false,
    openingMicrophone: false,
    cameraProblem: null,
    microphoneProblem: null,
  });
  #closed = false;

  constructor(readonly drawnCamera: boolean) {}

  /** Opens what was on last time. */
  async open(name: string): Promise<void> {
    const { camera, microphone } = loadPreferences();
    await Promise.all([camera ? this.setCamera(true, name) : null, microphone ? this.setMicrophone(true) : null]);
  }

  async setCamera(on: boolean, name: string): Promise<void> {
    this.state.get().camera?.stop();
    this.#change({ camera: null, cameraProblem: null, openingCamera: on });
    if (!on) return;
    try {
      const camera = await openCamera(this.drawnCamera, name);
      if (this.#closed) camera.stop();
      else this.#change({ camera, openingCamera: false });
    } catch (error) {
      this.#change({ openingCamera: false, cameraProblem: deviceProblem(error, 'camera') });
    }
  }

  async setMicrophone(on: boolean): Promise<void> {
    this.state.get().microphone?.stop();
    this.#change({ microphone: null, microphoneProblem: null, openingMicrophone: on });
    if (!on) return;
    try {
      const microphone = await openMicrophone();
      if (this.#closed) microphone.stop();
      else this.#change({ microphone, openingMicrophone: false });
    } catch (error) {
      this.#change({ openingMicrophone: false, microphoneProblem: deviceProblem(error, 'microphone') });
    }
  }

  async useDevice(kind: DeviceKind, id: string, name: string): Promise<void> {
    if (kind === 'audiooutput') savePreferences({ speakerId: id });
    if (kind === 'videoinput') {
      savePreferences({ cameraId: id });
      await this.setCamera(true, name);
    }
    if (kind === 'audioinput') {
      savePreferences({ microphoneId: id });
      await this.setMicrophone(true);
    }
  }

  /** The open tracks. They stay the lobby's until `release`, for joining may fail. */
  tracks(): LocalTrack[] {
    const { camera, microphone } = this.state.get();
    return [microphone, camera].filter((track) => track !== null);
  }

  /** The call owns the tracks now. */
  release(): void {
    this.#closed = true;
    this.#change({ camera: null, microphone: null });
  }

  /** Stops what is still the lobby's. */
  close(): void {
    for (const track of this.tracks()) track.stop();
    this.release();
  }

  #change(change: Partial<PreviewState>): void {
    this.state.update((state) => ({ ...state, ...change }));
  }
}
