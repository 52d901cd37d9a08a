// A participant of a call, in whatever browser: the test page's functions, typed, and what a test asks of them.
import type { ClientApi, JoinOptions, StreamReport } from '../page/client.ts';
import type { Colour } from '../page/picture.ts';
import type { Browser, TestPage } from './browsers.ts';
import type { Server } from './server.ts';
import { until } from './wait.ts';

export interface Look {
  name: string;
  colour: Colour;
  /** Hertz of the tone that stands for the voice. */
  tone: number;
}

/** Colours that survive VP8's colour space and lie far from each other; tones a third apart. */
export const LOOKS = [
  { name: 'Ana', colour: [200, 50, 50], tone: 440 },
  { name: 'Ben', colour: [40, 160, 70], tone: 554 },
  { name: 'Caro', colour: [60, 80, 200], tone: 698 },
  { name: 'Dan', colour: [200, 170, 50], tone: 880 },
] as const satisfies Look[];

/** VP8 at a low rate, full-range to video-range and back, moves a channel by up to some 20. */
const COLOUR_TOLERANCE = 45;

export function sameColour(seen: Colour | null, sent: Colour): boolean {
  return seen !== null && seen.every((value, channel) => Math.abs(value - (sent[channel] ?? 0)) <= COLOUR_TOLERANCE);
}

/** Whom one can see and hear: a participant of this harness, or of a native SDK. */
export interface Sender {
  identity: string;
  name: string;
  look: Look;
}

type Result<K extends keyof ClientApi> = Awaited<ReturnType<ClientApi[K]>>;

export class Participant implements Sender {
  identity = '';
  readonly log: string[] = [];
  #page: TestPage | undefined;

  private constructor(
    readonly look: Look,
    readonly browser: Browser,
  ) {}

  static async open(browser: Browser, pageUrl: string, look: Look): Promise<Participant> {
    const participant = new Participant(look, browser);
    participant.#page = await browser.open(pageUrl, (line) => participant.log.push(line));
    return participant;
  }

  get name(): string {
    return this.look.name;
  }

  async call<K extends keyof ClientApi>(name: K, ...args: Parameters<ClientApi[K]>): Promise<Result<K>> {
    if (!this.#page) throw new Error(`${this.name} has no page`);
    const expression = `window.callClient(${JSON.stringify(name)}, ${JSON.stringify(args)})`;
    return (await this.#page.evaluate(expression)) as Result<K>;
  }

  async join(server: Server, room: string, options: Omit<JoinOptions, 'url' | 'token'>): Promise<void> {
    const { token, identity } = await server.token(room, this.name);
    this.identity = identity;
    await this.call('join', { url: server.url.replace('http', 'ws'), token, ...options });
  }

  /** With a token that somebody else gave. */
  async enter(access: { url: string; token: string; identity: string }, path: JoinOptions['path']): Promise<void> {
    this.identity = access.identity;
    await this.call('join', { url: access.url, token: access.token, path });
  }

  async publishBoth(width = 640, height = 360, framesPerSecond = 15): Promise<void> {
    await this.call('publishTone', this.look.tone);
    await this.call('publishPicture', { colour: this.look.colour, width, height, framesPerSecond });
  }

  async streamOf(other: Sender, source: 'camera' | 'microphone'): Promise<StreamReport | undefined> {
    const streams = await this.call('streams');
    return streams.find((stream) => stream.identity === other.identity && stream.source === source);
  }

  /** Waits until the other's own colour is what this page shows. */
  async sees(other: Sender, within = 15_000): Promise<StreamReport> {
    return until(
      `${this.name} sees ${other.name}`,
      async () => {
        const stream = await this.streamOf(other, 'camera');
        if (!stream?.video || !sameColour(stream.video.colour, other.look.colour)) throw new Error(JSON.stringify(stream));
        return stream;
      },
      { within },
    );
  }

  /** Waits until the other's own tone is what this page plays. */
  async hears(other: Sender, within = 15_000): Promise<StreamReport> {
    return until(
      `${this.name} hears ${other.name}`,
      async () => {
        const stream = await this.streamOf(other, 'microphone');
        if (!isHeard(stream, other.look)) throw new Error(JSON.stringify(stream));
        return stream;
      },
      { within },
    );
  }

  async waitForEvent(name: string, detail: string | RegExp = '', within = 10_000): Promise<void> {
    await until(
      `${this.name} notices ${name} ${detail}`,
      async () => {
        const events = await this.call('events');
        const found = events.some((event) => event.name === name && matches(event.detail, detail));
        if (!found) throw new Error(events.map((event) => `${event.name} ${event.detail}`).join('; '));
        return true;
      },
      { within },
    );
  }

  async close(): Promise<void> {
    await this.#page?.close();
  }
}

function matches(detail: string, wanted: string | RegExp): boolean {
  return typeof wanted === 'string' ? detail.includes(wanted) : wanted.test(detail);
}

/** Well above the noise of a codec that was sent silence, well below the tone that is sent. */
const AUDIBLE = 0.02;
/** One step of the analyser is 12 Hz; the tones are more than 100 Hz apart. */
const PITCH_TOLERANCE = 30;

export function isHeard(stream: StreamReport | undefined, sender: Look): stream is StreamReport {
  if (!stream?.audio || stream.audio.loudness < AUDIBLE) return false;
  const { pitch } = stream.audio;
  return pitch === null || Math.abs(pitch - sender.tone) < PITCH_TOLERANCE;
}
