// Both languages say everything, and numbers, times and lengths are said as their readers say them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { en } from './en.ts';
import { hi } from './hi.ts';
import { clockDuration, currentLanguage, dayName, spokenDuration } from './index.ts';
import { plural } from './plural.ts';

test('Hindi says all that English says, in Devanagari', () => {
  assert.deepEqual(Object.keys(hi).sort(), Object.keys(en).sort());
  const latinOnly = Object.entries(hi).filter(([, said]) => typeof said === 'string' && !/[\u0900-\u097f]/.test(said));
  assert.deepEqual(latinOnly.map(([key]) => key), ['brand']);
});

test('the form of a word follows its number, by the rules of its language', () => {
  assert.equal(en.members(1), '1 member');
  assert.equal(en.members(4), '4 members');
  // In Hindi zero and one share a form.
  assert.equal(plural('hi', 0, { one: 'सितारा', other: 'सितारे' }), 'सितारा');
  assert.equal(hi.rateStars(5), '5 सितारे');
});

test('lengths of calls', () => {
  assert.equal(currentLanguage(), 'en');
  assert.equal(spokenDuration(0), '0 sec');
  assert.equal(spokenDuration(61_400), '1 min 1 sec');
  assert.equal(spokenDuration(120_000), '2 min');
  assert.equal(spokenDuration(3_780_000), '1 hr 3 min');
  assert.equal(clockDuration(59_999), '0:59');
  assert.equal(clockDuration(3_725_000), '1:02:05');
});

test('days: today and yesterday by name', () => {
  const noon = new Date(2026, 2, 10, 12).getTime();
  assert.equal(dayName(noon, noon), 'Today');
  assert.equal(dayName(noon - 13 * 3_600_000, noon), 'Yesterday');
  assert.equal(dayName(new Date(2026, 2, 3, 12).getTime(), noon), 'Tue, Mar 3');
});
