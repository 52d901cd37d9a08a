// Who is signed in, in this tab: every tab is a device of its own, so that several people can sit in one browser.
import type { Session } from './types.ts';

const KEY = 'sluice.session';
const DEVICE_KEY = 'sluice.device';

export function loadSession(): Session | null {
  try {
    const stored = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Partial<Session> | null;
    return stored?.session && stored.me && stored.deviceId ? (stored as Session) : null;
  } catch {
    // Storage may be forbidden or hold something else: not signed in then.
    return null;
  }
}

export function keepSession(session: Session | null): void {
  try {
    if (session) sessionStorage.setItem(KEY, JSON.stringify(session));
    else sessionStorage.removeItem(KEY);
  } catch {
    // The session then lasts until the page is closed or loaded anew.
  }
}

/** Stays with the tab, over reloads and over signing in as somebody else. */
export function deviceId(): string {
  try {
    const known = sessionStorage.getItem(DEVICE_KEY);
    if (known) return known;
    const made = `tab-${Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(36)).join('')}`;
    sessionStorage.setItem(DEVICE_KEY, made);
    return made;
  } catch {
    return '';
  }
}
