// The room of a mock call: whoever the mock socket says is in the call has a tile. Development only.
import { MockCall, mockPicture } from '../../call/mock-call.ts';
import type { EnterOptions } from '../../call/livekit-call.ts';
import type { Tile } from '../../call/model.ts';

export interface MockMember {
  identity: string;
  here: boolean;
  video: boolean;
}

export class MockMedia extends MockCall {
  readonly #options: EnterOptions;
  readonly #tiles = new Map<string, Tile>();
  readonly #unwatch: () => void;

  constructor(options: EnterOptions, video: boolean, watch: (listener: (members: MockMember[]) => void) => () => void) {
    super(0, false, options.room);
    this.#options = options;
    const self = this.#tile('me#0', true, video);
    this.state.update((state) => ({ ...state, tiles: [self], cameraOn: video }));
    this.#unwatch = watch((members) => {
      const others = members.filter(({ here }) => here).map(({ identity, video: on }) => this.#tile(identity, false, on));
      this.state.update((state) => ({ ...state, tiles: [...state.tiles.filter(({ isSelf }) => isSelf), ...others] }));
    });
  }

  override async leave(): Promise<void> {
    this.#unwatch();
    await super.leave();
  }

  #tile(identity: string, isSelf: boolean, video: boolean): Tile {
    const key = `${identity}/${video}`;
    const known = this.#tiles.get(key);
    if (known) return known;
    const { name, hue } = isSelf ? { name: this.#options.name, hue: 24 } : (this.#options.portraitOf?.(identity) ?? { name: identity, hue: 0 });
    const tile: Tile = {
      key: `${identity}/camera`, identity, name, hue, isSelf, kind: 'camera', picture: video ? mockPicture(name) : null,
      mirrored: false, microphoneOn: true, speaking: false, health: 'good',
    };
    this.#tiles.set(key, tile);
    return tile;
  }
}
