// Where one is, to and from the address's fragment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatRoute, parseRoute, type Route } from './route.ts';

test('every place survives a reload of the page', () => {
  const places: Route[] = [
    { at: 'chats' }, { at: 'calls' }, { at: 'settings' }, { at: 'thread', id: 't_1' }, { at: 'profile', id: 'a/b#c' },
  ];
  for (const place of places) assert.deepEqual(parseRoute(formatRoute(place)), place);
});

test('an address that says nothing leads to the list', () => {
  for (const fragment of ['', '#', '#/', '#/thread', '#/elsewhere/7']) assert.deepEqual(parseRoute(fragment), { at: 'chats' });
});
