// A native SDK (libwebrtc without a browser) and Chromium see and hear each other.
import {
  AudioFrame,
  AudioSource,
  AudioStream,
  LocalAudioTrack,
  LocalVideoTrack,
  Room,
  RoomEvent,
  TrackKind,
  TrackPublishOptions,
  TrackSource,
  VideoBufferType,
  VideoFrame,
  VideoSource,
  VideoStream,
  dispose,
  type RemoteTrack,
} from '@livekit/rtc-node';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../harness/call.ts';
import { LOOKS, sameColour } from '../harness/participant.ts';
import { until } from '../harness/wait.ts';
import type { Colour } from '../page/picture.ts';

const WIDTH = 640;
const HEIGHT = 360;
const SAMPLE_RATE = 48_000;

test('the native SDK and Chromium see and hear each other', { timeout: 90_000 }, async (t) => {
  const stage = await scene(t);
  const chrome = await stage.participant(LOOKS[1]);
  await chrome.join(stage.server, 'native', { path: 'v1' });
  await chrome.publishBoth();

  const native = new NativeParticipant(LOOKS[0].colour, LOOKS[0].tone);
  t.after(() => native.leave());
  const { token, identity } = await stage.server.token('native', LOOKS[0].name);
  await native.join(stage.server.url.replace('http', 'ws'), token);
  await native.publish();

  const sender = { identity, name: LOOKS[0].name, look: LOOKS[0] };
  await chrome.sees(sender);
  await chrome.hears(sender);
  await until('the native SDK sees Chromium', () => sameColour(native.colour, chrome.look.colour) || bad(native.colour), {
    within: 20_000,
  });
  await until('the native SDK hears Chromium', () => native.loudness > 0.02 || bad(native.loudness), { within: 10_000 });

  await chrome.call('send', 'hello native', { reliable: true });
  await until('the native SDK gets a message', () => native.messages.includes('hello native'), { within: 10_000 });
  await native.send('hello browser');
  const message = await until(
    'Chromium gets a message',
    async () => (await chrome.call('messages')).find((seen) => seen.text === 'hello browser'),
    { within: 10_000 },
  );
  assert.equal(message.from, identity);

  await native.leave();
  await chrome.waitForEvent('left', identity);
});

function bad(seen: unknown): never {
  throw new Error(`it has ${JSON.stringify(seen)}`);
}

class NativeParticipant {
  colour: Colour | null = null;
  loudness = 0;
  readonly messages: string[] = [];
  readonly #room = new Room();
  readonly #timers: NodeJS.Timeout[] = [];
  #left = false;

  constructor(
    readonly ownColour: Colour,
    readonly tone: number,
  ) {
    this.#room.on(RoomEvent.TrackSubscribed, (track) => {
      void (track.kind === TrackKind.KIND_VIDEO ? this.#look(track) : this.#listen(track));
    });
    this.#room.on(RoomEvent.DataReceived, (payload) => this.messages.push(new TextDecoder().decode(payload)));
  }

  join(url: string, token: string): Promise<void> {
    return this.#room.connect(url, token, { autoSubscribe: true, dynacast: true });
  }

  async publish(): Promise<void> {
    const video = new VideoSource(WIDTH, HEIGHT);
    const audio = new AudioSource(SAMPLE_RATE, 1);
    const camera = new TrackPublishOptions({ source: TrackSource.SOURCE_CAMERA });
    const microphone = new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE });
    const local = this.#room.localParticipant;
    assert.ok(local);
    await local.publishTrack(LocalVideoTrack.createVideoTrack('camera', video), camera);
    await local.publishTrack(LocalAudioTrack.createAudioTrack('microphone', audio), microphone);
    this.#timers.push(setInterval(() => video.captureFrame(this.#frame()), 66));
    void this.#sing(audio);
  }

  async send(text: string): Promise<void> {
    await this.#room.localParticipant?.publishData(new TextEncoder().encode(text), { reliable: true });
  }

  async leave(): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#room.disconnect();
    await dispose();
  }

  #frame(): VideoFrame {
    const pixels = new Uint8Array(WIDTH * HEIGHT * 4);
    for (let at = 0; at < pixels.length; at += 4) pixels.set([...this.ownColour, 255], at);
    return new VideoFrame(pixels, WIDTH, HEIGHT, VideoBufferType.RGBA);
  }

  /** Ten milliseconds a frame; the source itself keeps the pace. */
  async #sing(audio: AudioSource): Promise<void> {
    const samples = SAMPLE_RATE / 100;
    for (let at = 0; !this.#left; at += samples) {
      const wave = Int16Array.from({ length: samples }, (_, n) =>
        Math.round(10_000 * Math.sin((2 * Math.PI * this.tone * (at + n)) / SAMPLE_RATE)),
      );
      await audio.captureFrame(new AudioFrame(wave, SAMPLE_RATE, 1, samples));
    }
  }

  async #look(track: RemoteTrack): Promise<void> {
    for await (const { frame } of new VideoStream(track)) {
      const rgba = frame.convert(VideoBufferType.RGBA);
      const at = (Math.round(rgba.height * 0.3) * rgba.width + Math.round(rgba.width / 2)) * 4;
      this.colour = [rgba.data[at] ?? 0, rgba.data[at + 1] ?? 0, rgba.data[at + 2] ?? 0];
    }
  }

  async #listen(track: RemoteTrack): Promise<void> {
    for await (const { data } of new AudioStream(track)) {
      this.loudness = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length) / 32_768;
    }
  }
}
