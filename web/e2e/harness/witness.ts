// What a window of the product remembers for the test: each state that its call's screen showed, and what it decodes.
import type { Page } from 'playwright-core';

/** A state of the call's screen, `calling` for example, or the reason of its end, as `over:noAnswer`. */
export interface Shown {
  state: string;
  /** Milliseconds since 1970. */
  atMs: number;
}

/** Runs in each window before the page's own scripts. */
export const WITNESS = `{
  const shown = [];
  const rang = [];
  const connections = [];
  const look = () => {
    for (const { dataset } of document.querySelectorAll('[data-testid=incoming]'))
      if (!rang.includes(dataset.callId)) rang.push(dataset.callId);
    const call = document.querySelector('[data-testid=call]');
    const over = document.querySelector('[data-testid=over]');
    const state = over ? 'over:' + over.dataset.reason : call ? call.dataset.status : '';
    if (state && state !== shown.at(-1)?.state) shown.push({ state, atMs: Date.now() });
    if (!state && shown.length > 0 && shown.at(-1).state !== '') shown.push({ state: '', atMs: Date.now() });
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...args) {
      super(...args);
      connections.push(this);
    }
  };
  const decodedSamples = async () => {
    let samples = 0;
    for (const connection of connections) {
      if (connection.connectionState === 'closed') continue;
      for (const report of (await connection.getStats()).values()) {
        if (report.type !== 'inbound-rtp' || report.kind !== 'audio') continue;
        samples += (report.totalSamplesReceived ?? 0) - (report.concealedSamples ?? 0);
      }
    }
    return samples;
  };
  const sends = async () => {
    for (const connection of connections) {
      if (connection.connectionState !== 'connected') continue;
      for (const report of (await connection.getStats()).values())
        if (report.type === 'outbound-rtp' && report.kind === 'audio' && report.packetsSent > 0) return true;
    }
    return false;
  };
  // From the click until sound that somebody sent, not sound that the decoder made up, has come out of a decoder.
  const untilDecoded = async (element, patienceMs) => {
    const closed = connections.length;
    const began = performance.now();
    element.click();
    while (performance.now() - began < patienceMs) {
      if (connections.length > closed && (await decodedSamples()) > 0) return performance.now() - began;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return Infinity;
  };
  const remoteAddresses = async () => {
    const found = new Set();
    for (const connection of connections)
      for (const report of (await connection.getStats()).values())
        if (report.type === 'remote-candidate') found.add(report.address ?? report.ip ?? '');
    return [...found];
  };
  window.witness = { shown, rang, decodedSamples, sends, untilDecoded, remoteAddresses };
}`;

/** Every state since the window was opened, each once until it changed; an empty one is a window without a call. */
export async function statesShown(page: Page): Promise<Shown[]> {
  return (await page.evaluate('window.witness.shown')) as Shown[];
}

/** The calls that this window has shown as incoming, by id. */
export async function callsThatRang(page: Page): Promise<string[]> {
  return (await page.evaluate('window.witness.rang')) as string[];
}

/** Whether sound leaves the page: its call's room is entered, and the microphone is in it. */
export async function sendsSound(page: Page): Promise<boolean> {
  return (await page.evaluate('window.witness.sends()')) as boolean;
}

/** Clicks, and gives the milliseconds until the first sound of a new connection was decoded. */
export async function clickUntilSound(page: Page, testId: string, patienceMs = 10_000): Promise<number> {
  const expression = `window.witness.untilDecoded(document.querySelector('[data-testid=${testId}]'), ${patienceMs})`;
  return (await page.evaluate(expression)) as number;
}

/** Where the page's peer connections may send to. */
export async function remoteAddresses(page: Page): Promise<string[]> {
  return (await page.evaluate('window.witness.remoteAddresses()')) as string[];
}
