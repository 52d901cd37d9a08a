// What the page's own address says, and the addresses that follow from it.

/** `v1` uses one peer connection, `v0` two. */
export type SignalPath = 'v0' | 'v1';

export interface Address {
  /** A plain room by link, or its lobby if there is no name; `null` is the messaging product. */
  room: string | null;
  name: string;
  path: SignalPath;
  /** Publish a drawn picture instead of a camera: for demonstrations and machines without one. */
  drawnCamera: boolean;
  /** The slug of a call link that was followed; empty: none. */
  link: string;
  /** Without a server, in development: with a room, a call of so many people; without, the whole product. */
  mock: number | null;
}

export function readAddress(search: string = location.search): Address {
  const query = new URLSearchParams(search);
  return {
    room: query.get('room')?.trim() ?? null,
    name: (query.get('name') ?? '').trim(),
    path: query.get('path') === 'v0' ? 'v0' : 'v1',
    drawnCamera: query.get('camera') === 'drawn',
    link: (query.get('link') ?? '').trim(),
    mock: query.has('mock') ? Math.max(0, Math.min(24, Number(query.get('mock')) || 0)) : null,
  };
}

/** The link that brings somebody else into the room. */
export function inviteLink(room: string): string {
  return `${location.origin}${location.pathname}?room=${encodeURIComponent(room)}`;
}

/** Puts the room into the address bar, so that the address itself can be shared. */
export function showRoomInAddress(room: string): void {
  const url = new URL(location.href);
  url.searchParams.set('room', room);
  history.replaceState(null, '', url);
}

/** The page and the signalling share one origin. */
export function signalUrl(): string {
  return location.origin.replace(/^http/, 'ws');
}
