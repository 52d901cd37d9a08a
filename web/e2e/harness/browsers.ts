// Chromium and Firefox behind one small interface: open a page, run an expression in it.
import { chromium, type Browser as PlaywrightBrowser } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { CHROMIUM, FIREFOX } from './settings.ts';

export interface TestPage {
  evaluate(expression: string): Promise<unknown>;
  close(): Promise<void>;
}

export interface Browser {
  name: 'chromium' | 'firefox';
  open(url: string, onLog: (line: string) => void): Promise<TestPage>;
  close(): Promise<void>;
}

export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-ui-for-media-stream',
  '--use-fake-device-for-media-stream',
  '--allow-loopback-in-peer-connection',
  '--autoplay-policy=no-user-gesture-required',
];

/** Lets Chromium send three layers of a small picture; without it, only 960 pixels and more have three. */
export const THREE_LAYERS_FLAG = '--force-fieldtrials=WebRTC-LegacySimulcastLayerLimit/Disabled/';

export function launchChromium(flags: string[] = [], executablePath = CHROMIUM): Promise<PlaywrightBrowser> {
  return chromium.launch({ executablePath, args: [...CHROMIUM_FLAGS, ...flags] });
}

export async function openChromium(flags: string[] = [THREE_LAYERS_FLAG]): Promise<Browser> {
  const browser = await launchChromium(flags);
  return {
    name: 'chromium',
    async open(url, onLog) {
      // A window each: of the tabs of one window, only the foremost runs at full speed.
      const context = await browser.newContext();
      const page = await context.newPage();
      page.on('console', (message) => onLog(`${message.type()}: ${message.text()}`));
      page.on('pageerror', (error) => onLog(`uncaught: ${error.message}`));
      await page.goto(url);
      return { evaluate: (expression) => page.evaluate(expression), close: () => context.close() };
    },
    close: () => browser.close(),
  };
}

/** All its pages send the one tone of its fake microphone. */
export async function openFirefox(tone: number): Promise<Browser> {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: {
      'media.navigator.streams.fake': true,
      'media.navigator.audio.fake_frequency': tone,
      'media.navigator.permission.disabled': true,
      'media.peerconnection.ice.loopback': true,
      'media.peerconnection.ice.obfuscate_host_addresses': false,
      'media.autoplay.default': 0,
    },
  });
  return {
    name: 'firefox',
    async open(url, onLog) {
      const page = await browser.newPage();
      page.on('console', (message) => onLog(`${message.type()}: ${message.text()}`));
      page.on('pageerror', (error) => onLog(`uncaught: ${String(error)}`));
      await page.goto(url);
      return { evaluate: (expression) => page.evaluate(expression), close: () => page.close() };
    },
    close: () => browser.close(),
  };
}
