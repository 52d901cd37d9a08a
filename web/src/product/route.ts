// Where one is in the product, kept in the address's fragment: the browser's back button works, and so does reloading.
import { Store } from '../store.ts';

export type Route =
  | { at: 'chats' }
  | { at: 'thread'; id: string }
  | { at: 'profile'; id: string }
  | { at: 'calls' }
  | { at: 'settings' };

export function parseRoute(fragment: string): Route {
  const [at = '', id = ''] = fragment.replace(/^#\/?/, '').split('/');
  if ((at === 'thread' || at === 'profile') && id) return { at, id: decodeURIComponent(id) };
  if (at === 'calls' || at === 'settings') return { at };
  return { at: 'chats' };
}

export function formatRoute(route: Route): string {
  return 'id' in route ? `#/${route.at}/${encodeURIComponent(route.id)}` : `#/${route.at}`;
}

export const route = new Store<Route>(parseRoute(globalThis.location?.hash ?? ''));
globalThis.addEventListener?.('hashchange', () => route.set(parseRoute(location.hash)));

export function go(to: Route): void {
  if (formatRoute(to) !== location.hash) location.hash = formatRoute(to);
}
