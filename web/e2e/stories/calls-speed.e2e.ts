// How soon one hears the other after accepting: from the click until sound has come out of the browser's decoder.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { productStage } from '../harness/product.ts';
import { FULL } from '../harness/settings.ts';
import { until } from '../harness/wait.ts';
import { clickUntilSound, sendsSound } from '../harness/witness.ts';

const CALLS = Number(process.env['SLUICE_E2E_CALLS'] ?? (FULL ? 30 : 6));
/** The goal, for a machine that does nothing else; otherwise only what no wait of a person's length may hide behind. */
const [HALF_MS, NEARLY_ALL_MS] = FULL ? [500, 1_200] : [2_500, 5_000];

test('from accept to the first sound', { timeout: 60_000 + CALLS * 15_000 }, async (t) => {
  const { signIn } = await productStage(t);
  const people = [await signIn('asha'), await signIn('ravi')] as const;
  for (const one of people) await one.openThread('t_asha_ravi');
  const times: number[] = [];
  for (let round = 0; round < CALLS; round++) {
    // In turns, or whoever calls would be stopped as somebody who calls too often.
    const [caller, callee] = round % 2 === 0 ? people : ([people[1], people[0]] as const);
    await caller.click('call-audio');
    await callee.sees('incoming');
    await caller.is('ringing');
    // A person takes a second to answer at the least; by then the caller waits in the room. A click of a program would be
    // there before that, and measure the caller's way in as well.
    await until('the caller waits in the room', () => sendsSound(caller.page), { within: 10_000 });
    times.push(await clickUntilSound(callee.page, 'accept'));
    await Promise.all([caller.is('talking'), callee.is('talking')]);
    await callee.click('hangup');
    await Promise.all([caller.ended(), callee.ended()]);
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.ceil(share * times.length) - 1] ?? Infinity;
  const all = times.map((ms) => ms.toFixed(0)).join(' ');
  t.diagnostic(`accept to first sound in ${CALLS} calls: p50 ${at(0.5).toFixed(0)} ms, p95 ${at(0.95).toFixed(0)} ms (${all})`);
  assert.ok(at(0.5) < HALF_MS, `half take more than ${HALF_MS} ms: ${all}`);
  assert.ok(at(0.95) < NEARLY_ALL_MS, `too many take more than ${NEARLY_ALL_MS} ms: ${all}`);
});
