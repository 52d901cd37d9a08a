// Calls as people make them: from a profile, a chat and a group, in real browsers, over the whole product.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProduct, type Device } from '../harness/product.ts';
import { until } from '../harness/wait.ts';

/** Longer than a default ring. */
const UNANSWERED_MS = 60_000;

async function calls(caller: Device, threadOrProfile: 'thread' | 'profile', id: string, media: 'audio' | 'video'): Promise<void> {
  await (threadOrProfile === 'thread' ? caller.openThread(id) : caller.openProfile(id));
  await caller.press(`call-${media}`);
  await caller.shows('call');
}

test('from the profile, answered on the second tab, a third comes in, to another tab, with video, and into the thread', { timeout: 240_000 }, async (t) => {
  const product = await startProduct(t);
  const ravi = await product.open('ravi');
  const [phone, laptop] = [await product.open('asha'), await product.open('asha')];
  const lena = await product.open('lena');

  await calls(ravi, 'profile', 'asha', 'audio');
  await Promise.all([phone.shows('incoming'), laptop.shows('incoming')]);
  await ravi.reaches('ringing');
  await phone.picture('incoming');
  await laptop.press('accept');
  await phone.hides('incoming');
  await Promise.all([ravi.reaches('talking'), laptop.reaches('talking')]);
  await Promise.all([ravi.hears(), laptop.hears()]);
  await ravi.picture('in-call-audio');

  await ravi.press('add-people');
  await ravi.press('pick-lena');
  await ravi.press('invite');
  await lena.shows('incoming');
  await lena.press('accept');
  await Promise.all([lena.reaches('talking'), lena.hears(), ravi.hears()]);

  await phone.openThread('t_asha_ravi');
  await phone.press('move-here');
  await phone.reaches('talking');
  await laptop.hides('call');
  await Promise.all([phone.hears(), ravi.hears()]);

  await ravi.press('upgrade-ask');
  await Promise.all([phone.press('upgrade-accept'), lena.press('upgrade-accept')]);
  await phone.press('toggle-camera').catch(() => undefined);
  await Promise.all([phone.sees(1, 30_000), ravi.sees(1, 30_000)]);
  await ravi.picture('in-call-video');

  await lena.press('hangup');
  await phone.press('hangup');
  await ravi.press('hangup').catch(() => undefined);
  await ravi.hides('call');
  await ravi.openThread('t_asha_ravi');
  const { durationMs } = await ravi.callEntry('answered');
  assert.ok(durationMs > 1_000, `the thread says ${durationMs} ms`);
  await ravi.picture('thread-after-call');
});

test('a group call rings everybody, and a late member joins from the banner', { timeout: 180_000 }, async (t) => {
  const product = await startProduct(t);
  const people = { lena: await product.open('lena'), asha: await product.open('asha'), ravi: await product.open('ravi'), yuki: await product.open('yuki') };
  const { lena, asha, ravi, yuki } = people;
  await calls(lena, 'thread', 't_weekend', 'audio');
  await Promise.all([asha.shows('incoming'), ravi.shows('incoming'), yuki.shows('incoming')]);
  await asha.press('accept');
  await ravi.press('accept');
  await yuki.press('decline');
  await Promise.all([asha.reaches('talking'), ravi.reaches('talking'), lena.reaches('talking')]);
  await yuki.openThread('t_weekend');
  await yuki.shows('banner');
  await yuki.picture('banner');
  await yuki.press('banner-join');
  await yuki.reaches('talking');
  await Promise.all([yuki.hears(), lena.hears(), asha.hears()]);
  for (const device of Object.values(people)) await device.press('hangup');
  await yuki.callEntry('answered');
  await yuki.hides('banner');
});

test('declined, cancelled and busy end as they should, on both screens', { timeout: 180_000 }, async (t) => {
  const product = await startProduct(t);
  const [asha, ravi, meera] = [await product.open('asha'), await product.open('ravi'), await product.open('meera')];

  await calls(ravi, 'thread', 't_asha_ravi', 'audio');
  await asha.press('decline');
  await ravi.isOver('declined');
  await asha.hides('incoming');
  await ravi.picture('over-declined');
  await ravi.closeOver();
  await asha.openThread('t_asha_ravi');
  await Promise.all([ravi.callEntry('declined'), asha.callEntry('declined')]);

  await ravi.press('call-audio');
  await asha.shows('incoming');
  await ravi.reaches('ringing');
  await ravi.press('hangup');
  await asha.hides('incoming');
  await Promise.all([ravi.callEntry('cancelled'), asha.callEntry('missed')]);

  // Devices of the product can show a second call: it rings softly, and is declined as busy is.
  await ravi.press('call-audio');
  await asha.press('accept');
  await asha.reaches('talking');
  await calls(meera, 'profile', 'asha', 'audio');
  await asha.shows('incoming');
  assert.equal(await asha.page.getByTestId('incoming').first().getAttribute('data-waiting'), 'true');
  await asha.picture('call-waiting');
  await asha.press('decline');
  await meera.isOver('declined');
  await asha.reaches('talking');
  await asha.press('hangup');
  await ravi.hides('call');
});

test('nobody answers, and a block looks exactly the same to the caller', { timeout: 240_000 }, async (t) => {
  const product = await startProduct(t);
  const [asha, ravi, kabir, zainab] = [await product.open('asha'), await product.open('ravi'), await product.open('kabir'), await product.open('zainab')];
  await zainab.openProfile('kabir');
  await zainab.press('block');

  await Promise.all([calls(ravi, 'thread', 't_asha_ravi', 'audio'), calls(kabir, 'thread', 't_kabir_zainab', 'audio')]);
  await asha.shows('incoming');
  await Promise.all([ravi.reaches('ringing'), kabir.reaches('ringing')]);
  assert.equal(await zainab.count('incoming'), 0, 'the blocked caller rings');
  await Promise.all([ravi.isOver('noAnswer', UNANSWERED_MS), kabir.isOver('noAnswer', UNANSWERED_MS)]);
  assert.equal(await zainab.count('incoming'), 0, 'the blocked caller rings');
  await Promise.all([ravi.closeOver(), kabir.closeOver()]);
  await asha.openThread('t_asha_ravi');
  await zainab.openThread('t_kabir_zainab');
  await Promise.all([ravi.callEntry('noAnswer'), kabir.callEntry('noAnswer'), asha.callEntry('missed')]);
  assert.equal(await zainab.count('call-entry'), 0, 'the one who blocked sees an entry');
  await asha.picture('missed');
});

test('two call each other at once and are in one call', { timeout: 120_000 }, async (t) => {
  const product = await startProduct(t);
  const [asha, ravi] = [await product.open('asha'), await product.open('ravi')];
  await Promise.all([asha.openThread('t_asha_ravi'), ravi.openThread('t_asha_ravi')]);
  await Promise.all([asha.press('call-audio'), ravi.press('call-audio')]);
  await Promise.all([asha.reaches('talking', 20_000), ravi.reaches('talking', 20_000)]);
  await Promise.all([asha.hears(), ravi.hears()]);
  const ids = await Promise.all([asha, ravi].map(({ page }) => page.getByTestId('call').getAttribute('data-call-id')));
  assert.equal(ids[0], ids[1]);
  await asha.press('hangup');
  await ravi.hides('call');
});

test('from accept to the first sound: half within 500 ms, nearly all within 1.2 s', { timeout: 240_000 }, async (t) => {
  const rounds = Number(process.env['SLUICE_E2E_CALLS'] ?? 10);
  const product = await startProduct(t);
  const [asha, ravi] = [await product.open('asha'), await product.open('ravi')];
  await ravi.openThread('t_asha_ravi');
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await ravi.press('call-audio');
    await asha.shows('incoming');
    await ravi.reaches('ringing');
    const time = await asha.page.evaluate(async () => {
      const { decodedAudio } = window as unknown as { decodedAudio(): Promise<number> };
      const before = await decodedAudio();
      const accept = document.querySelector<HTMLElement>('[data-testid="accept"]');
      const began = performance.now();
      accept?.click();
      while ((await decodedAudio()) <= before) {
        if (performance.now() - began > 10_000) return Infinity;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return performance.now() - began;
    });
    times.push(time);
    await asha.reaches('talking');
    await asha.press('hangup');
    await ravi.hides('call');
    await until('both are done', async () => (await asha.count('call')) === 0, { within: 10_000 });
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.ceil(share * times.length) - 1] ?? Infinity;
  t.diagnostic(`accept to first audio decoded, ${rounds} calls: p50 ${at(0.5).toFixed(0)} ms, p95 ${at(0.95).toFixed(0)} ms`);
  assert.ok(at(0.5) < 500 && at(0.95) < 1_200, times.map((time) => time.toFixed(0)).join(' '));
});
