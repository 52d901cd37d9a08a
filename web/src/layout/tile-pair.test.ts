// A call of two: the other everywhere, oneself in the corner.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tilePair } from './tiling.ts';

for (const area of [{ width: 1256, height: 640 }, { width: 374, height: 700 }, { width: 700, height: 300 }, { width: 90, height: 60 }]) {
  test(`${area.width} by ${area.height}: the corner lies inside and hides less than a sixth`, () => {
    const { main, corner } = tilePair(area, 12);
    assert.deepEqual(main, { x: 0, y: 0, ...area });
    assert.ok(corner.x >= 0 && corner.y >= 0 && corner.width > 0 && corner.height > 0);
    assert.ok(corner.x + corner.width <= area.width && corner.y + corner.height <= area.height);
    assert.ok(corner.width * corner.height < (area.width * area.height) / 6);
  });
}
