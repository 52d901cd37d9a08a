import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tileFocus, tileGrid, type Rect, type Size } from './tiling.ts';

const GAP = 12;
const WINDOWS: Record<string, Size> = {
  laptop: { width: 1256, height: 620 },
  'wide screen': { width: 2520, height: 1200 },
  phone: { width: 366, height: 640 },
  'phone on its side': { width: 800, height: 280 },
  'tiny window': { width: 200, height: 150 },
};

function inside(rect: Rect, area: Size): boolean {
  return rect.x >= 0 && rect.y >= 0 && rect.x + rect.width <= area.width + 1 && rect.y + rect.height <= area.height + 1;
}

function apart(a: Rect, b: Rect): boolean {
  return a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
}

for (const [name, area] of Object.entries(WINDOWS)) {
  test(`1 to 12 people on a ${name}: all tiles equal, inside the window, none over another`, () => {
    for (let count = 1; count <= 12; count++) {
      const tiles = tileGrid(count, area, GAP);
      assert.equal(tiles.length, count);
      for (const [index, tile] of tiles.entries()) {
        assert.ok(tile.width > 0 && tile.height > 0, `${count} people: tile ${index} is empty`);
        assert.ok(inside(tile, area), `${count} people: tile ${index} sticks out: ${JSON.stringify(tile)}`);
        assert.equal(tile.width, tiles[0]?.width);
        assert.equal(tile.height, tiles[0]?.height);
        for (const other of tiles.slice(index + 1)) assert.ok(apart(tile, other), `${count} people: tiles overlap`);
      }
    }
  });

  test(`a shared screen on a ${name} is larger than every tile of its filmstrip`, () => {
    for (let others = 1; others <= 12; others++) {
      const { main, strip } = tileFocus(others, area, GAP);
      assert.ok(inside(main, area));
      for (const tile of strip) {
        assert.ok(inside(tile, area));
        assert.ok(apart(main, tile));
        assert.ok(tile.width * tile.height < main.width * main.height);
      }
    }
  });
}

test('four people on a laptop sit two by two', () => {
  const tiles = tileGrid(4, WINDOWS['laptop'] as Size, GAP);
  assert.equal(new Set(tiles.map((tile) => tile.x)).size, 2);
  assert.equal(new Set(tiles.map((tile) => tile.y)).size, 2);
});

test('two people on a phone sit one above the other', () => {
  const tiles = tileGrid(2, WINDOWS['phone'] as Size, GAP);
  assert.equal(new Set(tiles.map((tile) => tile.x)).size, 1);
});

test('three people on a laptop: the last row is centred', () => {
  const area = { width: 900, height: 700 };
  const [first, second, third] = tileGrid(3, area, GAP);
  assert.ok(first && second && third);
  assert.ok(third.y > second.y);
  assert.ok(Math.abs(third.x + third.width / 2 - area.width / 2) <= 1);
});

test('nobody and no room give no tiles', () => {
  assert.deepEqual(tileGrid(0, { width: 100, height: 100 }, GAP), []);
  assert.deepEqual(tileGrid(3, { width: 0, height: 100 }, GAP), []);
});
