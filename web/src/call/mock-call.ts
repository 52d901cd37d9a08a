// A call without a server, for work on the views: `npm run dev`, then `/?room&mock=7`. Not part of a build.
import { drawCamera } from '../media/drawn-camera.ts';
import { Store } from '../store.ts';
import type { Call, CallState, DeviceKind, Notice, Picture, Tile } from './model.ts';
import { Notices } from './notices.ts';
import type { TileStats } from './stats.ts';

const NAMES = [
  'Amara Okafor', 'Ben Lindqvist', 'Chiara Rossi', 'Daniel Kim', 'Elif Yılmaz', 'Farid', 'Grace Hopper-Wallington-Smythe',
  'Hiro Tanaka', 'Inés', 'Jonas', 'Kavita Rao', 'Liam',
];

export class MockCall implements Call {
  readonly startedAt = Date.now() - 754_000;
  readonly state: Store<CallState>;
  readonly notices: Store<Notice[]>;
  readonly #notices = new Notices();

  constructor(
    people: number,
    screen: boolean,
    readonly room: string = 'design-review',
  ) {
    this.notices = this.#notices.store;
    const tiles = Array.from({ length: people }, (_, index) => mockTile(index));
    if (screen) tiles.push(mockScreen());
    this.state = new Store<CallState>({
      phase: 'connected',
      ended: null,
      tiles,
      microphoneOn: true,
      cameraOn: true,
      sharingScreen: false,
      soundBlocked: false,
      mayShowCamera: true,
    });
    if (people === 0) return;
    this.#notices.inform(`${NAMES[1]} joined`);
    this.#notices.warn({ title: 'No camera was found.', hint: 'Plug one in or choose another under Devices.' });
    setInterval(() => this.#someoneElseSpeaks(), 2_000);
  }

  #someoneElseSpeaks(): void {
    const speaker = Math.floor(Math.random() * this.state.get().tiles.length);
    this.state.update((state) => ({
      ...state,
      tiles: state.tiles.map((tile, index) => ({ ...tile, speaking: index === speaker && tile.microphoneOn })),
    }));
  }

  async setMicrophone(on: boolean): Promise<void> {
    this.#changeSelf({ microphoneOn: on });
    this.state.update((state) => ({ ...state, microphoneOn: on }));
  }

  async setCamera(on: boolean): Promise<void> {
    this.#changeSelf({ picture: on ? mockPicture('Amara') : null });
    this.state.update((state) => ({ ...state, cameraOn: on }));
  }

  async setScreen(on: boolean): Promise<void> {
    this.state.update((state) => ({ ...state, sharingScreen: on }));
    this.#notices.warn({ title: 'Nothing is shared.', hint: 'This is a mock.' });
  }

  #changeSelf(change: Partial<Tile>): void {
    this.state.update((state) => ({
      ...state,
      tiles: state.tiles.map((tile) => (tile.isSelf ? { ...tile, ...change } : tile)),
    }));
  }

  async useDevice(): Promise<void> {}

  activeDevice(_kind: DeviceKind): string {
    return '';
  }

  async unblockSound(): Promise<void> {}

  async setHold(): Promise<void> {}

  async readStats(tileKey: string): Promise<TileStats> {
    const sending = this.state.get().tiles.some((tile) => tile.isSelf && tile.key === tileKey);
    const layer = (rid: string, width: number, bitsPerSecond: number) => ({
      rid,
      width,
      height: (width * 9) / 16,
      framesPerSecond: 30,
      bitsPerSecond,
    });
    return {
      direction: sending ? 'sending' : 'receiving',
      video: sending
        ? [layer('f', 1280, 1_480_000), layer('h', 640, 430_000), layer('q', 320, 118_000)]
        : [layer('', 640, 431_000)],
      videoCodec: 'VP8',
      audioBitsPerSecond: 32_000,
      audioCodec: 'Opus',
      videoLoss: 0.004,
      audioLoss: 0,
    };
  }

  dismissNotice(id: number): void {
    this.#notices.dismiss(id);
  }

  async leave(): Promise<void> {
    this.state.update((state) => ({ ...state, phase: 'ended' }));
  }
}

function mockTile(index: number): Tile {
  const name = NAMES[index % NAMES.length] as string;
  return {
    key: `mock-${index}/camera`,
    identity: `mock-${index}`,
    name,
    isSelf: index === 0,
    kind: 'camera',
    picture: index % 4 === 3 ? null : mockPicture(name),
    mirrored: false,
    microphoneOn: index % 3 !== 2,
    speaking: index === 1,
    health: index === 5 ? 'poor' : 'good',
  };
}

function mockScreen(): Tile {
  return { ...mockTile(1), key: 'mock-1/screen', kind: 'screen', picture: mockPicture('screen') };
}

export function mockPicture(name: string): Picture {
  const stream = new MediaStream([drawCamera(name)]);
  return {
    attach: (element) => {
      element.srcObject = stream;
    },
    detach: (element) => {
      element.srcObject = null;
    },
  };
}
