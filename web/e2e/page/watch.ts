// What a participant receives, measured where a person would look and listen.
import type { RemoteTrack } from 'livekit-client';
import type { Colour } from './picture.ts';
import { audioContext } from './sound.ts';

/** The browsers' own measure of a freeze, a usual gap and 150 ms, for 15 pictures a second. */
const STILL_MS = 67 + 150;
/** A report of more would not be read. */
const MOST_STILLS = 20;

export interface VideoReport {
  colour: Colour | null;
  width: number;
  height: number;
  frames: number;
  /** Sum of all gaps that are long enough to be seen, since `restart`. */
  frozenMs: number;
  longestGapMs: number;
  /** Each time that the picture stood still. */
  stills: Still[];
}

/** Stills of many pictures at the same time are this machine's doing; a change of width is a switch of layers. */
export interface Still {
  /** When the picture went on, in milliseconds since the epoch, comparable between pages. */
  at: number;
  ms: number;
  widthBefore: number;
  widthAfter: number;
}

/**
 * Frames as the browser composes them: the time between two is what a viewer sees. When this page's own script gets to hear of a frame
 * is not: on a busy machine it hears late, and of some frames not at all.
 */
export class VideoWatch {
  readonly element = document.createElement('video');
  #frames = 0;
  #since = performance.now();
  #last = performance.now();
  #presented = 0;
  #frozen = 0;
  #longest = 0;
  #width = 0;
  #stills: Still[] = [];

  constructor(track: RemoteTrack) {
    this.element.muted = true;
    // Drawing it is this machine's work, and no part of the question.
    this.element.width = 160;
    document.body.append(this.element);
    track.attach(this.element);
    const onFrame = (_heardAt: number, { presentationTime, presentedFrames }: VideoFrameCallbackMetadata) => {
      this.element.requestVideoFrameCallback(onFrame);
      const presented = Math.max(1, presentedFrames - this.#presented);
      this.#presented = presentedFrames;
      // A frame from before the restart that is heard of only now.
      if (presentationTime < this.#since) return;
      this.#gap(presentationTime, presented);
      this.#frames += presented;
    };
    this.element.requestVideoFrameCallback(onFrame);
  }

  restart(): void {
    this.#frames = 0;
    this.#frozen = 0;
    this.#longest = 0;
    this.#stills = [];
    this.#last = this.#since = performance.now();
  }

  read(): VideoReport {
    const now = performance.now();
    // A picture that stands still right now counts too, up to this moment.
    const open = now - Math.max(this.#last, this.#since);
    return {
      colour: this.#colour(),
      width: this.element.videoWidth,
      height: this.element.videoHeight,
      frames: this.#frames,
      frozenMs: Math.round(this.#frozen + (open > STILL_MS ? open : 0)),
      longestGapMs: Math.round(Math.max(this.#longest, open)),
      stills: this.#stills,
    };
  }

  remove(): void {
    this.element.remove();
  }

  /** Of frames that were not heard of it is known how many there were, and not when: their gaps count as equal. */
  #gap(now: number, frames: number): void {
    const gap = (now - this.#last) / frames;
    this.#last = now;
    this.#longest = Math.max(this.#longest, gap);
    const widthBefore = this.#width;
    this.#width = this.element.videoWidth;
    if (gap <= STILL_MS) return;
    this.#frozen += gap * frames;
    if (this.#stills.length < MOST_STILLS) {
      this.#stills.push({ at: Date.now(), ms: Math.round(gap), widthBefore, widthAfter: this.#width });
    }
  }

  /** The mean of a patch in the upper half, away from the moving square. */
  #colour(): Colour | null {
    if (this.element.videoWidth === 0) return null;
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 4;
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    if (!pen) return null;
    const { videoWidth: width, videoHeight: height } = this.element;
    pen.drawImage(this.element, width * 0.3, height * 0.2, width * 0.4, height * 0.3, 0, 0, 4, 4);
    const pixels = pen.getImageData(0, 0, 4, 4).data;
    const sum: Colour = [0, 0, 0];
    for (let at = 0; at < pixels.length; at += 4) for (const c of [0, 1, 2] as const) sum[c] += pixels[at + c] ?? 0;
    return sum.map((value) => Math.round((value * 4) / pixels.length)) as Colour;
  }
}

export interface AudioReport {
  /** Root mean square of the sound, 0 to 1. */
  loudness: number;
  /** The strongest frequency in hertz; `null` where the browser cannot analyse sound. */
  pitch: number | null;
}

/** Sound as it comes out of the decoder. */
export class AudioWatch {
  readonly #element: HTMLMediaElement;
  readonly #context = audioContext();
  readonly #analyser = new AnalyserNode(this.#context, { fftSize: 4096, smoothingTimeConstant: 0 });
  readonly #source: MediaStreamAudioSourceNode;
  #energy = 0;
  #duration = 0;

  constructor(readonly track: RemoteTrack) {
    // Browsers decode remote sound only while an element plays it.
    this.#element = track.attach();
    document.body.append(this.#element);
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track.mediaStreamTrack]));
    this.#source.connect(this.#analyser);
  }

  /** Firefox runs no AudioContext on a machine without a sound card; its decoder's energy counter works there too. */
  async read(): Promise<AudioReport> {
    return this.#context.state === 'running' ? this.#analyse() : this.#fromStats();
  }

  #analyse(): AudioReport {
    const wave = new Float32Array(this.#analyser.fftSize);
    this.#analyser.getFloatTimeDomainData(wave);
    const loudness = Math.sqrt(wave.reduce((sum, value) => sum + value * value, 0) / wave.length);
    const spectrum = new Float32Array(this.#analyser.frequencyBinCount);
    this.#analyser.getFloatFrequencyData(spectrum);
    let strongest = 0;
    for (const [bin, level] of spectrum.entries()) if (level > (spectrum[strongest] ?? -Infinity)) strongest = bin;
    return { loudness, pitch: (strongest * this.#context.sampleRate) / this.#analyser.fftSize };
  }

  async #fromStats(): Promise<AudioReport> {
    const entries = [...((await this.track.getRTCStatsReport())?.values() ?? [])];
    const inbound = entries.find((entry) => entry.type === 'inbound-rtp');
    const energy: number = inbound?.totalAudioEnergy ?? 0;
    const duration: number = inbound?.totalSamplesDuration ?? 0;
    const seconds = duration - this.#duration;
    const loudness = seconds > 0 ? Math.sqrt(Math.max(0, energy - this.#energy) / seconds) : 0;
    this.#energy = energy;
    this.#duration = duration;
    return { loudness, pitch: null };
  }

  remove(): void {
    this.#element.remove();
    this.#source.disconnect();
  }
}
