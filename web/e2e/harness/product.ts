// The messaging product as people use it: each person, on each device, is a window of its own.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Browser, BrowserContextOptions, Page, WebSocket } from 'playwright-core';
import { launchChromium } from './browsers.ts';
import { startServer, type DevServer } from './server.ts';
import { SCREENSHOTS } from './settings.ts';
import { until } from './wait.ts';

/** Everything between two windows goes through the server and back; on a busy machine that takes its time. */
const SOON_MS = 15_000;

/** Keeps hold of a page's connections, so that a test can ask what was decoded. */
const WATCH_CONNECTIONS = `
  window.connections = [];
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...args) { super(...args); window.connections.push(this); }
  };
  window.decodedAudio = async () => {
    let samples = 0;
    for (const connection of window.connections) {
      for (const report of (await connection.getStats()).values()) {
        if (report.type === 'inbound-rtp' && report.kind === 'audio')
          samples += Math.max(0, (report.totalSamplesReceived ?? 0) - (report.concealedSamples ?? 0));
      }
    }
    return samples;
  };
  window.soundEnergy = async () => {
    let energy = 0;
    for (const connection of window.connections) {
      for (const report of (await connection.getStats()).values()) {
        if (report.type === 'inbound-rtp' && report.kind === 'audio') energy += report.totalAudioEnergy ?? 0;
      }
    }
    return energy;
  };
`;

export interface Product {
  server: DevServer;
  /** Opens the product on a new device of this person and signs in. */
  open(personId: string, options?: BrowserContextOptions): Promise<Device>;
}

export async function startProduct(t: TestContext): Promise<Product> {
  const server = await startServer(t.name);
  t.diagnostic(`server log: ${server.logFile}`);
  const browser: Browser = await launchChromium();
  const devices: Device[] = [];
  t.after(async () => {
    for (const [index, { page, personId }] of devices.entries()) {
      const path = server.logFile.replace(/dev\.log$/, `${index + 1}-${personId}.png`);
      if (!page.isClosed()) await page.screenshot({ path }).catch((error: unknown) => t.diagnostic(String(error)));
    }
    await browser.close();
    await server.stop();
  });
  return {
    server,
    async open(personId, options = {}) {
      const context = await browser.newContext({ viewport: { width: 1180, height: 760 }, ...options });
      await context.grantPermissions(['camera', 'microphone'], { origin: server.url });
      await context.addInitScript(WATCH_CONNECTIONS);
      const page = await context.newPage();
      page.on('pageerror', (error) => t.diagnostic(`uncaught at ${personId}: ${error.message}`));
      page.on('console', (message) => {
        if (message.type() === 'error') t.diagnostic(`${personId}: ${message.text().slice(0, 300)}`);
      });
      const device = new Device(page, personId);
      devices.push(device);
      await page.goto(`${server.url}/?camera=drawn`);
      await device.press(`signin-person-${personId}`);
      await page.getByTestId('me').waitFor({ timeout: SOON_MS });
      await device.isOnline();
      return device;
    },
  };
}

/** One person at one window. */
export class Device {
  /** Text frames of the calls' WebSocket and binary ones of the media signalling, as they came in. */
  readonly received: (string | Buffer)[] = [];
  readonly #sockets = new Set<WebSocket>();

  constructor(
    readonly page: Page,
    readonly personId: string,
  ) {
    page.on('websocket', (socket) => {
      this.#sockets.add(socket);
      socket.on('framereceived', ({ payload }) => this.received.push(payload));
    });
  }

  press(testId: string): Promise<void> {
    return this.page.getByTestId(testId).first().click({ timeout: SOON_MS });
  }

  shows(testId: string, within = SOON_MS): Promise<void> {
    return this.page.getByTestId(testId).first().waitFor({ state: 'visible', timeout: within });
  }

  hides(testId: string, within = SOON_MS): Promise<void> {
    return this.page.getByTestId(testId).first().waitFor({ state: 'hidden', timeout: within });
  }

  count(testId: string): Promise<number> {
    return this.page.getByTestId(testId).count();
  }

  /** The calls' WebSocket is up: without it a call would be missed. */
  async isOnline(): Promise<void> {
    await until(`${this.personId} is online`, () => this.received.some((frame) => String(frame).includes('"snapshot"')), {
      within: SOON_MS,
    });
  }

  async openThread(id: string): Promise<void> {
    await this.press(`thread-${id}`);
    await this.shows('thread');
  }

  async openProfile(id: string): Promise<void> {
    await this.page.evaluate((person) => (location.hash = `#/people/${person}`), id);
    await this.shows('profile');
  }

  /** What the line under the call's name says: `calling`, `ringing`, `talking`. */
  async reaches(status: string, within = SOON_MS): Promise<void> {
    const state = this.page.locator(`[data-testid="call-state"][data-status="${status}"]`);
    await state.first().waitFor({ timeout: within });
  }

  /** The end screen, with the reason as the SDK names it. */
  async isOver(reason: string, within = SOON_MS): Promise<void> {
    await this.page.locator(`[data-testid="over"][data-reason="${reason}"]`).waitFor({ timeout: within });
  }

  /** Hears a sound that lasts: what was decoded gains energy. */
  async hears(within = SOON_MS): Promise<void> {
    const energy = () => this.page.evaluate('window.soundEnergy()') as Promise<number>;
    const before = await energy();
    await until(`${this.personId} hears something`, async () => (await energy()) > before + 1e-4, { within });
  }

  /** Sees as many moving pictures of others. */
  async sees(pictures: number, within = SOON_MS): Promise<void> {
    const frames = () =>
      this.page.evaluate(() =>
        [...document.querySelectorAll<HTMLVideoElement>('[data-testid="call"] video')]
          .filter((video) => !video.closest('[data-self="true"]') && video.videoWidth > 0)
          .map((video) => video.getVideoPlaybackQuality().totalVideoFrames),
      );
    const before = await frames();
    await until(
      `${this.personId} sees ${pictures} moving pictures`,
      async () => {
        const now = await frames();
        const moving = now.filter((count, index) => count > (before[index] ?? 0) + 3).length;
        if (moving < pictures) throw new Error(`${moving} of ${now.length} move`);
        return true;
      },
      { within },
    );
  }

  /** The newest call in the open thread, once it has this outcome. */
  async callEntry(outcome: string, within = SOON_MS): Promise<{ durationMs: number }> {
    const entry = this.page.locator(`[data-testid="call-entry"][data-outcome="${outcome}"]`).last();
    await entry.waitFor({ timeout: within });
    return { durationMs: Number(await entry.getAttribute('data-duration-ms')) };
  }

  async closeOver(): Promise<void> {
    await this.press('over-close');
    await this.hides('over');
  }

  async picture(name: string): Promise<void> {
    mkdirSync(SCREENSHOTS, { recursive: true });
    await this.page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
  }
}
