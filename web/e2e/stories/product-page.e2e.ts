// A plain room by link as a person uses it: two windows, then four, on a laptop and on a phone.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launchChromium } from '../harness/browsers.ts';
import { SCREENSHOTS } from '../harness/settings.ts';
import { startServer, type Server } from '../harness/server.ts';
import { until } from '../harness/wait.ts';

/** For the README: where to put the picture of a call of four, if it is to be made anew. */
const README_PICTURE = process.env['SLUICE_E2E_README_PICTURE'];

const LAPTOP = { width: 1280, height: 760 };
const PHONE = { width: 390, height: 844 };

interface Windows {
  server: Server;
  open(address: string, options?: BrowserContextOptions): Promise<Page>;
}

async function windows(t: TestContext): Promise<Windows> {
  const server = await startServer(t.name);
  t.diagnostic(`server log: ${server.logFile}`);
  const browser: Browser = await launchChromium();
  const opened: Page[] = [];
  t.after(async () => {
    // What every window showed at the end explains most failures.
    for (const [index, page] of opened.entries()) {
      const path = server.logFile.replace(/dev\.log$/, `window-${index + 1}.png`);
      if (!page.isClosed()) await page.screenshot({ path }).catch((error: unknown) => t.diagnostic(String(error)));
    }
    await browser.close();
    await server.stop();
  });
  return {
    server,
    async open(address, options = {}) {
      const context = await browser.newContext({ viewport: LAPTOP, ...options });
      await context.grantPermissions(['clipboard-read', 'clipboard-write', 'camera', 'microphone'], { origin: server.url });
      const page = await context.newPage();
      opened.push(page);
      page.on('pageerror', (error) => t.diagnostic(`uncaught in the page: ${error.message}`));
      page.on('console', (message) => {
        if (message.type() === 'error') t.diagnostic(`page: ${message.text().slice(0, 300)}`);
      });
      await page.goto(`${server.url}${address}`);
      return page;
    },
  };
}

async function joinAs(page: Page, name: string, room?: string): Promise<void> {
  await page.getByLabel('Your name').fill(name);
  if (room) await page.getByLabel('Room', { exact: true }).fill(room);
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await page.getByRole('toolbar', { name: 'Call controls' }).waitFor({ timeout: 20_000 });
  // Away from the tiles, which show more under the pointer.
  await page.mouse.move(0, 0);
}

async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

function tile(page: Page, name: string) {
  return page.getByRole('group', { name: new RegExp(`^${name}`) });
}

/** The picture of a tile moves: two looks at the video's clock differ, and it has a size. */
async function moves(page: Page, name: string): Promise<void> {
  const video = tile(page, name).locator('video');
  await video.waitFor({ timeout: 20_000 });
  const clock = () => video.evaluate((element: HTMLVideoElement) => [element.videoWidth, element.getVideoPlaybackQuality().totalVideoFrames]);
  const [, before = 0] = await clock();
  await until(
    `${name}'s picture moves`,
    async () => {
      const [width = 0, frames = 0] = await clock();
      return width > 0 && frames > before + 5;
    },
    { within: 20_000 },
  );
}

test('two windows: a link is shared, both see each other, mute shows, leaving works', { timeout: 120_000 }, async (t) => {
  const { open } = await windows(t);
  const ana = await open('/?room&camera=drawn');
  await picture(ana, 'lobby');
  await joinAs(ana, 'Ana', 'tea time');
  await ana.getByText('Nobody else is here yet').waitFor();
  await ana.getByRole('button', { name: 'Copy link' }).first().click();
  const link = await ana.evaluate(() => navigator.clipboard.readText());
  assert.match(link, /\?room=tea%20time$/);

  const ben = await open(`${new URL(link).search}&camera=drawn`, { colorScheme: 'dark' });
  assert.equal(await ben.getByLabel('Room', { exact: true }).inputValue(), 'tea time');
  await joinAs(ben, 'Ben');
  await ana.getByText('Ben joined').waitFor();
  await Promise.all([moves(ana, 'Ben'), moves(ben, 'Ana')]);
  await picture(ana, 'call-of-two-light');
  await picture(ben, 'call-of-two-dark');

  await ben.keyboard.press('m');
  await ana.getByRole('group', { name: 'Ben, muted' }).waitFor();
  await ben.getByRole('button', { name: 'Unmute microphone' }).click();
  await ana.getByRole('group', { name: 'Ben, microphone on' }).waitFor();

  await ben.keyboard.press('v');
  await ana.getByRole('group', { name: 'Ben, microphone on, camera off' }).waitFor();
  await picture(ana, 'camera-off');
  await ben.keyboard.press('v');
  await moves(ana, 'Ben');

  await ana.keyboard.press('i');
  await until('the figures show a picture that flows', async () => {
    const text = await tile(ana, 'Ben').getByTestId('stats').innerText();
    if (!/\d+×\d+/.test(text) || !/VP8/.test(text) || !/[1-9]\d* kbit\/s|Mbit\/s/.test(text)) throw new Error(text);
    return true;
  }, { within: 15_000 });
  await picture(ana, 'figures');

  await ben.getByRole('button', { name: 'Leave the call' }).click();
  await ben.getByText('You left the call.').waitFor();
  await ana.getByText('Ben left').waitFor();
  await until('Ben’s tile is gone', async () => (await tile(ana, 'Ben').count()) === 0, { within: 10_000 });
});

test('a shared screen is large, with the others in a filmstrip', { timeout: 120_000 }, async (t) => {
  const { open } = await windows(t);
  const ana = await open('/?room=screens&camera=drawn&name=Ana');
  const ben = await open('/?room=screens&camera=drawn&name=Ben');
  await joinAs(ana, 'Ana');
  await joinAs(ben, 'Ben');
  await moves(ana, 'Ben');
  await ben.keyboard.press('s');
  const screen = tile(ana, 'Ben’s screen');
  await screen.locator('video').waitFor({ timeout: 20_000 });
  await until('the screen is larger than the faces', async () => {
    const [large, small] = await Promise.all([screen.boundingBox(), tile(ana, 'Ben,').boundingBox()]);
    return !!large && !!small && large.width > 3 * small.width;
  }, { within: 10_000 });
  await picture(ana, 'shared-screen');
  await ben.keyboard.press('s');
  await until('the screen is gone', async () => (await screen.count()) === 0, { within: 10_000 });
});

test('a camera that is refused: the page says what to do, and one joins without', { timeout: 90_000 }, async (t) => {
  const { server } = await windows(t);
  // Without the flag that answers for the user, and without permission, the browser refuses.
  const browser = await launchChromium(['--deny-permission-prompts']);
  t.after(() => browser.close());
  const context = await browser.newContext({ viewport: PHONE });
  const page = await context.newPage();
  await page.addInitScript(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('Permission denied', 'NotAllowedError'));
  });
  await page.goto(`${server.url}/?room=refused`);
  await page.getByText('The browser may not use your camera.').waitFor();
  await picture(page, 'camera-refused-phone');
  await joinAs(page, 'Ana');
  await page.getByRole('group', { name: /^Ana \(you\), muted, camera off/ }).waitFor();
});

/** A script and not a function: functions are compiled with a name that the page does not have. */
const REMEMBER_SOCKETS = `
  const sockets = new Set();
  window.WebSocket = class extends window.WebSocket {
    constructor(...args) {
      super(...args);
      sockets.add(this);
    }
  };
  window.closeSockets = () => sockets.forEach((socket) => socket.close());
`;

test('the connection is lost and comes back: the page says so', { timeout: 90_000 }, async (t) => {
  const { open } = await windows(t);
  const ana = await open('/?room=lost&camera=drawn&name=Ana');
  await ana.addInitScript(REMEMBER_SOCKETS);
  await ana.reload();
  await joinAs(ana, 'Ana');
  await ana.evaluate('closeSockets()');
  await ana.getByText('Reconnecting…').waitFor({ timeout: 10_000 });
  await picture(ana, 'reconnecting');
  await ana.getByText('Reconnecting…').waitFor({ state: 'detached', timeout: 20_000 });
  await ana.getByRole('toolbar', { name: 'Call controls' }).waitFor();
});

test('a call of four, on a laptop and on a phone', { timeout: 180_000 }, async (t) => {
  const { open } = await windows(t);
  // Names whose drawn people differ.
  const names = ['Elena Ruiz', 'Mei Lin', 'Jonas Berg', 'Yuki Tanaka'];
  const pages: Page[] = [];
  for (const [index, name] of names.entries()) {
    const options = index === 3 ? { viewport: PHONE, colorScheme: 'dark' as const } : {};
    const page = await open(`/?room=product-sync&camera=drawn&name=${encodeURIComponent(name)}`, options);
    await joinAs(page, name);
    pages.push(page);
  }
  const [laptop, second, , phone] = pages;
  assert.ok(laptop && second && phone);
  await second.keyboard.press('m');
  for (const name of names.slice(1)) await moves(laptop, name);
  await moves(phone, names[0] as string);
  await until('no message covers the pictures', async () => (await laptop.locator('.notice').count()) === 0, { within: 15_000 });
  await picture(laptop, 'call-of-four');
  await picture(phone, 'call-of-four-phone');
  if (README_PICTURE) {
    mkdirSync(dirname(README_PICTURE), { recursive: true });
    await laptop.screenshot({ path: README_PICTURE });
  }
});
