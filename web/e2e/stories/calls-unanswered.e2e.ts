// Calls that come to nothing, or to more than one wanted: nobody answers, a block, both call at once, a line that is busy.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { productStage, type Tab } from '../harness/product.ts';
import { callsThatRang, statesShown } from '../harness/witness.ts';

/** What the product's calls ring without an answer. */
const RING_MS = 45_000;
/** By the way to a browser and back, and by what this machine does besides. The server's own times have tests of their own. */
const LATE_MS = 3_000;

/** What the caller's screen showed, and when the server said so, in milliseconds since it had taken the call. */
async function courseOf(caller: Tab): Promise<{ states: string[]; ringingMs: number; overMs: number }> {
  const states = (await statesShown(caller.page)).map(({ state }) => state).filter((state) => state !== '');
  const signals = caller.received.filter(({ url }) => url.includes('/calls/v1'));
  const at = (what: RegExp) => signals.find(({ payload }) => what.test(String(payload)))?.atMs ?? NaN;
  const taken = at(/"reply".*"token"/);
  return { states, ringingMs: at(/SHOWN_RINGING/) - taken, overMs: at(/"over"/) - taken };
}

/** The product's backend has taken in what the window is about to put. */
async function saved(tab: Tab, path: string): Promise<void> {
  const answer = await tab.page.waitForResponse((one) => one.url().endsWith(path) && one.request().method() === 'PUT');
  assert.ok(answer.ok(), `${path}: ${answer.status()}`);
}

/** By the clock that all windows share: two clicks from outside come one after the other. */
function pressAt(tab: Tab, id: string, atMs: number): Promise<void> {
  return tab.at(id).evaluate(
    (button: HTMLElement, when) =>
      new Promise((resolve) => setTimeout(() => resolve(button.click()), Math.max(0, when - Date.now()))),
    atMs,
  );
}

test('a block looks like nobody answering', { timeout: 180_000 }, async (t) => {
  const { signIn } = await productStage(t);
  const [ravi, asha] = [await signIn('ravi'), await signIn('asha')];
  const [kabir, zainab] = [await signIn('kabir'), await signIn('zainab')];
  await zainab.openProfile('kabir');
  const blocked = saved(zainab, '/blocks/kabir');
  await zainab.click('block');
  await blocked;
  await ravi.openThread('t_asha_ravi');
  await kabir.openThread('t_kabir_zainab');

  await Promise.all([ravi.click('call-audio'), kabir.click('call-audio')]);
  await asha.sees('incoming');
  await Promise.all([ravi.is('ringing'), kabir.is('ringing')]);
  const reasons = await Promise.all([ravi.ended(RING_MS + 15_000), kabir.ended(RING_MS + 15_000)]);
  assert.deepEqual(reasons, ['noAnswer', 'noAnswer']);

  const [ignored, hidden] = await Promise.all([courseOf(ravi), courseOf(kabir)]);
  t.diagnostic(`nobody answers: ${JSON.stringify(ignored)}`);
  t.diagnostic(`blocked:        ${JSON.stringify(hidden)}`);
  assert.deepEqual(ignored.states, ['calling', 'ringing', 'over:noAnswer']);
  assert.deepEqual(hidden.states, ignored.states);
  for (const { ringingMs, overMs } of [ignored, hidden]) {
    assert.ok(ringingMs < LATE_MS, `it rang ${ringingMs} ms after the call`);
    assert.ok(overMs > RING_MS - LATE_MS && overMs < RING_MS + LATE_MS, `it was over ${overMs} ms after the call`);
  }
  assert.ok(Math.abs(ignored.ringingMs - hidden.ringingMs) < LATE_MS && Math.abs(ignored.overMs - hidden.overMs) < LATE_MS);

  await Promise.all([ravi.lastEntry('noAnswer'), kabir.lastEntry('noAnswer')]);
  await asha.openThread('t_asha_ravi');
  await asha.lastEntry('missed');
  await zainab.openThread('t_kabir_zainab');
  assert.equal((await callsThatRang(asha.page)).length, 1);
  assert.deepEqual(await callsThatRang(zainab.page), [], 'the blocked caller rang');
  assert.equal(await zainab.at('call-entry').count(), 0, 'the one who blocked finds the call');
});

test('two call each other at once, and are in one call', { timeout: 120_000 }, async (t) => {
  const { signIn } = await productStage(t);
  const [asha, ravi] = [await signIn('asha'), await signIn('ravi')];
  await Promise.all([asha.openThread('t_asha_ravi'), ravi.openThread('t_asha_ravi')]);
  await Promise.all([asha.sees('call-audio'), ravi.sees('call-audio')]);
  const soon = Date.now() + 1_000;
  await Promise.all([pressAt(asha, 'call-audio', soon), pressAt(ravi, 'call-audio', soon)]);
  await Promise.all([asha.is('talking'), ravi.is('talking')]);
  await Promise.all([asha.hearsSomebody(), ravi.hearsSomebody()]);
  const [hers, his] = await Promise.all([asha.callId(), ravi.callId()]);
  assert.match(hers, /^CL_/);
  assert.equal(his, hers);
  await asha.click('hangup');
  assert.equal(await ravi.ended(), 'ended');
  await asha.lastEntry('answered');
  assert.equal(await ravi.page.locator(`[data-testid=call-entry][data-call-id="${hers}"]`).count(), 1);
});

test('without call waiting a second caller finds the line busy', { timeout: 150_000 }, async (t) => {
  const { signIn } = await productStage(t);
  const [asha, ravi, meera] = [await signIn('asha'), await signIn('ravi'), await signIn('meera')];
  await asha.page.evaluate(() => (location.hash = '#/settings'));
  const withoutWaiting = saved(asha, '/settings');
  await asha.click('call-waiting');
  await withoutWaiting;

  await ravi.openThread('t_asha_ravi');
  await ravi.click('call-audio');
  await asha.click('accept');
  await Promise.all([asha.is('talking'), ravi.is('talking')]);

  await meera.openProfile('asha');
  await meera.click('call-audio');
  assert.equal(await meera.ended(), 'busy');
  assert.deepEqual((await statesShown(meera.page)).map(({ state }) => state).filter((state) => state === 'ringing'), []);
  await Promise.all([asha.is('talking'), ravi.is('talking')]);
  await Promise.all([asha.hearsSomebody(), ravi.hearsSomebody()]);
  assert.equal((await callsThatRang(asha.page)).length, 1, 'only the first call rang');

  await asha.click('hangup');
  assert.equal(await asha.ended(), 'left');
  await asha.openThread('t_meera_asha');
  await asha.lastEntry('missed');
  await meera.openThread('t_meera_asha');
  await meera.lastEntry('busy');
});
