// Where the tiles go. Pure: sizes in, rectangles out, in CSS pixels, so that every window size can be tested.

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Size {
  width: number;
  height: number;
}

/** Wider than this and a camera picture would show bars; most cameras are 16:9. */
const WIDEST = 16 / 9;
/** Narrower tiles crop too much of a 16:9 picture. On a phone held upright people accept more cropping. */
const NARROWEST_LANDSCAPE = 4 / 3;
const NARROWEST_PORTRAIT = 2 / 3;

/** Equal tiles, as large as `count` of them can be; every row centred, the last one too. */
export function tileGrid(count: number, area: Size, gap: number, narrowest = narrowestIn(area)): Rect[] {
  if (count <= 0 || area.width <= 0 || area.height <= 0) return [];
  let best = gridOf(1, count, area, gap, narrowest);
  for (let columns = 2; columns <= count; columns++) {
    const candidate = gridOf(columns, count, area, gap, narrowest);
    if (candidate.width * candidate.height > best.width * best.height) best = candidate;
  }
  return placeRows(best, count, area, gap);
}

function narrowestIn(area: Size): number {
  return area.width < area.height ? NARROWEST_PORTRAIT : NARROWEST_LANDSCAPE;
}

/** The other fills the area; oneself lies over its lower right corner, upright where the area is. */
export function tilePair(area: Size, gap: number): { main: Rect; corner: Rect } {
  const upright = area.width < area.height;
  const width = Math.min(upright ? 132 : 260, area.width * 0.34);
  const height = upright ? width * 1.3 : (width * 9) / 16;
  return {
    main: { x: 0, y: 0, ...area },
    corner: { x: Math.max(0, area.width - width - gap), y: Math.max(0, area.height - height - gap), width, height },
  };
}

interface Grid extends Size {
  columns: number;
  rows: number;
}

function gridOf(columns: number, count: number, area: Size, gap: number, narrowest: number): Grid {
  const rows = Math.ceil(count / columns);
  const cell = {
    width: Math.max(0, (area.width - gap * (columns - 1)) / columns),
    height: Math.max(0, (area.height - gap * (rows - 1)) / rows),
  };
  const width = Math.min(cell.width, cell.height * WIDEST);
  const height = Math.min(cell.height, width / narrowest);
  return { columns, rows, width, height };
}

function placeRows(grid: Grid, count: number, area: Size, gap: number): Rect[] {
  const top = (area.height - grid.rows * grid.height - (grid.rows - 1) * gap) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / grid.columns);
    const inRow = Math.min(grid.columns, count - row * grid.columns);
    const left = (area.width - inRow * grid.width - (inRow - 1) * gap) / 2;
    return {
      x: Math.round(left + (index % grid.columns) * (grid.width + gap)),
      y: Math.round(top + row * (grid.height + gap)),
      width: Math.floor(grid.width),
      height: Math.floor(grid.height),
    };
  });
}

export interface Focus {
  main: Rect;
  strip: Rect[];
}

/** One large tile and a filmstrip of the others: at the side of a wide area, below in a tall one. */
export function tileFocus(others: number, area: Size, gap: number): Focus {
  if (others <= 0) return { main: { x: 0, y: 0, ...area }, strip: [] };
  if (area.width >= area.height) {
    const side = Math.round(Math.min(clamp(area.width * 0.2, 120, 300), area.width / 3));
    const main = { x: 0, y: 0, width: area.width - side - gap, height: area.height };
    const strip = tileGrid(others, { width: side, height: area.height }, gap, NARROWEST_LANDSCAPE);
    return { main, strip: shift(strip, main.width + gap, 0) };
  }
  const below = Math.round(Math.min(clamp(area.height * 0.28, 90, 260), area.height / 3));
  const main = { x: 0, y: 0, width: area.width, height: area.height - below - gap };
  const strip = tileGrid(others, { width: area.width, height: below }, gap, NARROWEST_LANDSCAPE);
  return { main, strip: shift(strip, 0, main.height + gap) };
}

function shift(rects: Rect[], x: number, y: number): Rect[] {
  return rects.map((rect) => ({ ...rect, x: rect.x + x, y: rect.y + y }));
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, value));
}
