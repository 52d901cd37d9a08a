// Calls in the messaging product, as people make them: from a profile, in a chat, in a group; on one device or two.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { productStage } from '../harness/product.ts';

test('a video call from a profile, answered on the second of two tabs', { timeout: 150_000 }, async (t) => {
  const { signIn } = await productStage(t);
  const asha = await signIn('asha');
  const [first, second] = [await signIn('ravi'), await signIn('ravi')];
  await asha.openProfile('ravi');
  await asha.click('call-video');
  await Promise.all([first.sees('incoming'), second.sees('incoming')]);
  assert.equal(await second.at('incoming-name').innerText(), 'Asha Rao');
  await asha.is('ringing');
  await second.click('accept');
  await Promise.all([asha.is('talking'), second.is('talking'), first.seesNo('incoming')]);
  await Promise.all([asha.seesSomebody('Ravi'), second.seesSomebody('Asha')]);
  await Promise.all([asha.hearsSomebody(), second.hearsSomebody()]);

  // On to the tab that did not answer.
  await first.click('thread-t_asha_ravi');
  await first.click('move-here');
  await first.is('talking');
  await second.seesNo('call');
  await first.seesSomebody('Asha');

  await asha.click('hangup');
  assert.equal(await asha.ended(), 'left');
  assert.equal(await first.ended(), 'ended');
  await asha.openThread('t_asha_ravi');
  for (const tab of [asha, first]) assert.ok((await tab.lastEntry('answered')).durationMs > 0);
});

test('an audio call becomes a video call by consent, and a third person comes', { timeout: 150_000 }, async (t) => {
  const { signIn } = await productStage(t);
  const [asha, ravi, meera] = [await signIn('asha'), await signIn('ravi'), await signIn('meera')];
  await asha.openThread('t_asha_ravi');
  await asha.click('call-audio');
  await ravi.click('accept');
  await Promise.all([asha.is('talking'), ravi.is('talking')]);
  await Promise.all([asha.hearsSomebody(), ravi.hearsSomebody()]);

  await asha.click('upgrade-ask');
  await asha.sees('upgrade-waiting');
  await ravi.click('upgrade-accept');
  await Promise.all([asha.seesSomebody('Ravi'), ravi.seesSomebody('Asha')]);

  await asha.click('hold');
  await ravi.is('heldByOther');
  await asha.click('resume');
  await Promise.all([asha.is('talking'), ravi.is('talking')]);

  await asha.click('add-people');
  await asha.click('pick-meera');
  await asha.click('invite');
  await meera.click('accept');
  await meera.is('talking');
  await meera.hearsSomebody();
  await meera.click('hangup');
  await asha.is('talking');
});

test('declined, cancelled, busy: both sides see how it ended', { timeout: 150_000 }, async (t) => {
  const { signIn } = await productStage(t);
  const [asha, ravi] = [await signIn('asha'), await signIn('ravi')];
  await asha.openThread('t_asha_ravi');
  await ravi.openThread('t_asha_ravi');

  await asha.click('call-audio');
  await ravi.sees('incoming');
  await ravi.page.keyboard.press('Escape');
  assert.equal(await asha.ended(), 'declined');
  await ravi.seesNo('incoming');
  await asha.lastEntry('declined');

  await asha.click('call-video');
  await ravi.sees('incoming');
  await asha.is('ringing');
  await asha.click('hangup');
  assert.equal(await asha.ended(), 'cancelled');
  await ravi.seesNo('incoming');
  await ravi.lastEntry('missed');

  // The missed call calls back; Enter answers.
  await ravi.at('call-entry').last().getByTestId('call-back').click();
  await asha.sees('incoming');
  await asha.page.keyboard.press('Enter');
  await Promise.all([asha.is('talking'), ravi.is('talking')]);
  await ravi.click('hangup');
  await ravi.ended();
});

test('a group call rings everybody; one comes late, from the banner', { timeout: 150_000 }, async (t) => {
  const { signIn } = await productStage(t);
  const [lena, asha, yuki] = [await signIn('lena'), await signIn('asha'), await signIn('yuki')];
  for (const tab of [lena, asha, yuki]) await tab.openThread('t_weekend');
  await lena.click('call-audio');
  await Promise.all([asha.sees('incoming'), yuki.sees('incoming')]);
  await asha.click('accept');
  await Promise.all([lena.is('talking'), asha.is('talking')]);
  await yuki.click('decline');
  await yuki.click('banner-join');
  await yuki.is('talking');
  await yuki.hearsSomebody();
  await lena.click('hangup');
  await asha.is('talking');
});
