// The messaging product in windows: who signs in where, and what a person does and sees there.
import type { TestContext } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launchChromium } from './browsers.ts';
import { startServer, warnings, type DevServer } from './server.ts';
import { until } from './wait.ts';
import { WITNESS, statesShown } from './witness.ts';

const LAPTOP = { width: 1280, height: 760 };
/** Ringing, accepting and the first picture, on a machine that is busy with all sides at once. */
const PATIENCE_MS = 25_000;

export type Status = 'calling' | 'ringing' | 'connecting' | 'talking' | 'held' | 'heldByOther' | 'waiting' | 'lobby';

/** A message that a page got on a WebSocket. */
export interface Received {
  atMs: number;
  url: string;
  payload: string | Buffer;
}

/** One tab: a person on a device of its own. */
export class Tab {
  /** What came in on the page's WebSockets, the calls' text and the media signalling's bytes. */
  readonly received: Received[] = [];

  constructor(
    readonly who: string,
    readonly page: Page,
  ) {
    page.on('websocket', (socket) => {
      socket.on('framereceived', ({ payload }) => this.received.push({ atMs: Date.now(), url: socket.url(), payload }));
    });
  }

  /** An element by its `data-testid`. */
  at(id: string) {
    return this.page.getByTestId(id);
  }

  async click(id: string): Promise<void> {
    await this.at(id).first().click({ timeout: PATIENCE_MS });
  }

  async openProfile(person: string): Promise<void> {
    await this.page.evaluate((id) => (location.hash = `#/profile/${id}`), person);
    await this.at('profile').waitFor({ timeout: PATIENCE_MS });
  }

  /** The chat with one person, or a group by its id. */
  async openThread(id: string): Promise<void> {
    await this.page.evaluate((thread) => (location.hash = `#/thread/${thread}`), id);
    await this.at('thread').waitFor({ timeout: PATIENCE_MS });
  }

  async sees(id: string): Promise<void> {
    await this.at(id).first().waitFor({ timeout: PATIENCE_MS });
  }

  async seesNo(id: string): Promise<void> {
    await until(`${this.who} sees no ${id}`, async () => (await this.at(id).count()) === 0, { within: PATIENCE_MS });
  }

  async is(status: Status): Promise<void> {
    await this.page.locator(`[data-testid=call][data-status=${status}]`).waitFor({ timeout: PATIENCE_MS });
  }

  /** Of the call on this screen. */
  async callId(): Promise<string> {
    return (await this.at('call').getAttribute('data-call-id')) ?? '';
  }

  /** The end's reason, as the screen gives it. */
  async ended(within = PATIENCE_MS): Promise<string> {
    const over = this.at('over');
    await over.waitFor({ timeout: within });
    const reason = (await over.getAttribute('data-reason')) ?? '';
    await this.click('over-close');
    return reason;
  }

  /** The newest call in the open chat. */
  async lastEntry(outcome: string): Promise<{ durationMs: number }> {
    const last = this.at('call-entry').last();
    await until(
      `${this.who}'s chat ends with a call that was ${outcome}`,
      async () => (await last.getAttribute('data-outcome')) === outcome,
      { within: PATIENCE_MS },
    );
    return { durationMs: Number(await last.getAttribute('data-duration-ms')) };
  }

  /** A picture of somebody else moves: its frames are counted twice. */
  async seesSomebody(name: string): Promise<void> {
    const video = this.page.getByRole('group', { name: new RegExp(`^${name}`) }).locator('video');
    await video.waitFor({ timeout: PATIENCE_MS });
    const frames = () => video.evaluate((element: HTMLVideoElement) => element.getVideoPlaybackQuality().totalVideoFrames);
    const before = await frames();
    await until(`${this.who} sees ${name} move`, async () => (await frames()) > before + 5, { within: PATIENCE_MS });
  }

  /** What this window shows and has shown, in a line, for the report of a failure. */
  async told(): Promise<string> {
    const text = await this.page.locator('body').innerText({ timeout: 2_000 });
    const states = (await statesShown(this.page)).map(({ state }) => state).join(' ');
    // What lies over the rest, a ring or a refusal, comes last.
    return `${this.who} at ${new URL(this.page.url()).hash}, calls: ${states}; …${text.replace(/\s+/g, ' ').slice(-300)}`;
  }

  /** Sound arrives that is not silence: the browser's fake microphone beeps. */
  async hearsSomebody(): Promise<void> {
    await until(`${this.who} hears somebody`, () => this.page.evaluate(LOUDEST).then((loudest) => Number(loudest) > 0.01), {
      within: PATIENCE_MS,
    });
  }
}

/** A script and not a function: functions are compiled with a name that the page does not have. */
const LOUDEST = `(async () => {
  const context = (window.__listening ??= new AudioContext());
  const found = [...document.querySelectorAll('audio')].map((element) => element.srcObject).filter(Boolean);
  const ears = found.map((stream) => {
    const ear = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(ear);
    return ear;
  });
  let loudest = 0;
  for (let look = 0; look < 15; look++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    for (const ear of ears) {
      const samples = new Float32Array(ear.fftSize);
      ear.getFloatTimeDomainData(samples);
      loudest = Math.max(loudest, ...samples.map(Math.abs));
    }
  }
  return loudest;
})()`;

export interface ProductStage {
  server: DevServer;
  /** Signs a sample person in, on a device of its own. */
  signIn(person: string, options?: BrowserContextOptions): Promise<Tab>;
}

/** For stories whose people are not all in one place. */
export interface Place {
  /** Where the server listens, if not on loopback. */
  listenOn?: string;
  /** A browser for this person alone; otherwise all share one. */
  browserOf?(person: string, serverUrl: string): Promise<Browser>;
}

export async function productStage(t: TestContext, place: Place = {}): Promise<ProductStage> {
  const server = await startServer(t.name, place.listenOn);
  t.diagnostic(`server log: ${server.logFile}`);
  const browsers = new Map<string, Promise<Browser>>();
  const browserFor = (person: string): Promise<Browser> => {
    const key = place.browserOf ? person : '';
    const browser = browsers.get(key) ?? place.browserOf?.(person, server.url) ?? launchChromium();
    browsers.set(key, browser);
    return browser;
  };
  const tabs: Tab[] = [];
  t.after(async () => {
    // What every window showed at the end explains most failures.
    for (const [index, tab] of tabs.entries()) {
      if (tab.page.isClosed()) continue;
      const path = server.logFile.replace(/dev\.log$/, `window-${index + 1}-${tab.who}.png`);
      const told = tab.told().then((text) => t.diagnostic(text));
      await Promise.all([tab.page.screenshot({ path }), told]).catch((error: unknown) => t.diagnostic(String(error)));
    }
    for (const line of warnings(server.logFile)) t.diagnostic(line);
    for (const browser of browsers.values()) await (await browser).close();
    await server.stop();
  });
  return {
    server,
    async signIn(person, options = {}) {
      const context = await (await browserFor(person)).newContext({ viewport: LAPTOP, ...options });
      await context.addInitScript(WITNESS);
      const page = await context.newPage();
      const tab = new Tab(person, page);
      tabs.push(tab);
      page.on('pageerror', (error) => t.diagnostic(`uncaught at ${person}: ${error.message}`));
      page.on('console', (message) => {
        if (message.type() === 'error') t.diagnostic(`${person}: ${message.text().slice(0, 300)}`);
      });
      await page.goto(`${server.url}/?camera=drawn`);
      await tab.click(`signin-person-${person}`);
      await tab.sees('me');
      await page.locator('[data-testid=home][data-connection=online]').waitFor({ timeout: PATIENCE_MS });
      return tab;
    },
  };
}
