// Everybody at once: a grid that fits, or one large tile with a filmstrip.
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Call, Tile } from '../call/model.ts';
import { tileFocus, tileGrid, tilePair, type Rect, type Size } from '../layout/tiling.ts';
import { useWords } from '../words/index.ts';
import { TileView } from './tile.tsx';

const GAP_WIDE = 12;
/** A phone has no pixels to spare for air between the pictures. */
const GAP_NARROW = 6;
const NARROW = 600;

/** `auto`: the latest screen that somebody else shares, if any. `grid`: nobody is large. Else a tile's key. */
export type Focus = 'auto' | 'grid' | (string & {});

interface Props {
  call: Call;
  tiles: Tile[];
  focus: Focus;
  showStats: boolean;
  /** A call of two: the other fills the stage, oneself lies small in a corner. */
  pair?: boolean;
  onFocus(focus: Focus): void;
}

export function Stage({ call, tiles, focus, showStats, pair = false, onFocus }: Props) {
  const w = useWords();
  const stage = useRef<HTMLDivElement>(null);
  const area = useSize(stage);
  const main = focusedTile(tiles, focus);
  const asPair = pair && !main && tiles.length <= 2;
  const places = asPair ? arrangePair(tiles, area) : arrange(tiles, main, area);
  return (
    <div ref={stage} class="stage" role="region" aria-label={w.participants(countPeople(tiles))}>
      {tiles.map((tile) => {
        const place = places.get(tile.key);
        return (
          place && (
            <TileView
              key={tile.key}
              call={call}
              tile={tile}
              place={place}
              pinned={main?.key === tile.key}
              canPin={tiles.length > 1 && !asPair}
              floating={asPair && tile.isSelf}
              showStats={showStats}
              onPin={() => onFocus(main?.key === tile.key ? 'grid' : tile.key)}
            />
          )
        );
      })}
    </div>
  );
}

export function countPeople(tiles: Tile[]): number {
  return tiles.filter((tile) => tile.kind === 'camera').length;
}

function focusedTile(tiles: Tile[], focus: Focus): Tile | undefined {
  if (tiles.length < 2 || focus === 'grid') return undefined;
  const pinned = tiles.find((tile) => tile.key === focus);
  // One's own screen, shown large on that same screen, would be a hall of mirrors.
  return pinned ?? tiles.findLast((tile) => tile.kind === 'screen' && !tile.isSelf);
}

function arrange(tiles: Tile[], main: Tile | undefined, area: Size): Map<string, Rect> {
  const gap = area.width < NARROW ? GAP_NARROW : GAP_WIDE;
  if (!main) {
    const grid = tileGrid(tiles.length, area, gap);
    return zip(tiles, grid);
  }
  const others = tiles.filter((tile) => tile !== main);
  const focus = tileFocus(others.length, area, gap);
  return zip(others, focus.strip).set(main.key, focus.main);
}

function arrangePair(tiles: Tile[], area: Size): Map<string, Rect> {
  const { main, corner } = tilePair(area, area.width < NARROW ? GAP_NARROW * 2 : GAP_WIDE);
  return new Map(tiles.map((tile) => [tile.key, tile.isSelf ? corner : main]));
}

function zip(tiles: Tile[], rects: Rect[]): Map<string, Rect> {
  const places = new Map<string, Rect>();
  for (const [index, tile] of tiles.entries()) {
    const rect = rects[index];
    if (rect) places.set(tile.key, rect);
  }
  return places;
}

function useSize(element: { readonly current: HTMLElement | null }): Size {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const target = element.current;
    if (!target) return;
    const measure = () => setSize({ width: target.clientWidth, height: target.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(target);
    return () => observer.disconnect();
  }, []);
  return size;
}
