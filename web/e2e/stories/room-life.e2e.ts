// What happens in a room besides pictures: messages, mutes, subscriptions, metadata, coming and going.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everybodyJoins, scene, type SignalPath } from '../harness/call.ts';
import { until } from '../harness/wait.ts';

for (const path of ['v1', 'v0'] satisfies SignalPath[]) {
  test(`messages reach whom they are meant for, and nobody else (${path})`, { timeout: 90_000 }, async (t) => {
    const stage = await scene(t);
    const people = await everybodyJoins(stage, 'messages', [path, path, path]);
    const [ana, ben, caro] = people;
    assert.ok(ana && ben && caro);
    await Promise.all([ana, ben, caro].map((who) => until('all are there', async () => (await who.call('people')).length === 2, { within: 10_000 })));

    await ana.call('send', 'to all', { reliable: true, topic: 'chat' });
    await ana.call('send', 'to Ben', { reliable: true, to: [ben.identity] });
    // Lossy messages may be lost; that many are not.
    for (let n = 0; n < 20; n++) await ana.call('send', `lossy to all ${n}`, { reliable: false });
    for (let n = 0; n < 20; n++) await ana.call('send', `lossy to Caro ${n}`, { reliable: false, to: [caro.identity] });
    // Reliable messages keep their order, so whoever has this one has all that were meant for them.
    await ana.call('send', 'end', { reliable: true });
    for (const who of [ben, caro]) {
      await until(`${who.name} has the last message`, async () => (await who.call('messages')).some((m) => m.text === 'end'), {
        within: 10_000,
      });
    }
    await until('Caro has lossy messages', async () => (await caro.call('messages')).some((m) => m.text.startsWith('lossy to Caro')), {
      within: 5_000,
    });

    const reliable = async (who: typeof ana) => (await who.call('messages')).filter((m) => m.reliable).map((m) => m.text);
    assert.deepEqual(await reliable(ben), ['to all', 'to Ben', 'end']);
    assert.deepEqual(await reliable(caro), ['to all', 'end']);
    assert.deepEqual(await ana.call('messages'), [], 'no echo');
    const lossyAtBen = (await ben.call('messages')).filter((m) => !m.reliable);
    assert.ok(lossyAtBen.length >= 15, `Ben has ${lossyAtBen.length} of 20 lossy messages`);
    assert.ok(lossyAtBen.every((m) => m.text.startsWith('lossy to all')), 'nothing lossy of Caro’s at Ben');
    // A lossy one may overtake it: the channels are not ordered among each other.
    const first = (await ben.call('messages')).find((m) => m.reliable);
    assert.deepEqual([first?.from, first?.topic], [ana.identity, 'chat']);
  });

  test(`mute, unmute, unsubscribe, subscribe, unpublish, metadata, leave (${path})`, { timeout: 120_000 }, async (t) => {
    const stage = await scene(t);
    const people = await everybodyJoins(stage, 'life', [path, path]);
    const [ana, ben] = people;
    assert.ok(ana && ben);
    await Promise.all([ana.sees(ben), ben.sees(ana), ana.hears(ben), ben.hears(ana)]);

    await ana.call('mute', 'microphone');
    await ben.waitForEvent('muted', `${ana.identity} microphone`);
    await until('Ben no longer hears Ana', async () => {
      const sound = await ben.streamOf(ana, 'microphone');
      return sound?.muted === true && (sound.audio?.loudness ?? 0) < 0.005;
    }, { within: 5_000 });
    await ana.call('unmute', 'microphone');
    await ben.waitForEvent('unmuted', `${ana.identity} microphone`);
    await ben.hears(ana);

    await ben.call('subscribe', ana.identity, 'camera', false);
    await ben.waitForEvent('unsubscribed', `${ana.identity} camera`);
    await ben.hears(ana);
    await ben.call('subscribe', ana.identity, 'camera', true);
    await ben.sees(ana);

    await ana.call('mute', 'camera');
    await ben.waitForEvent('muted', `${ana.identity} camera`);
    await ana.call('unmute', 'camera');
    await ben.waitForEvent('unmuted', `${ana.identity} camera`);
    await ben.call('startWindow');
    await until('Ana’s picture moves again', async () => ((await ben.streamOf(ana, 'camera'))?.video?.frames ?? 0) > 10, {
      within: 10_000,
    });

    await ana.call('unpublish', 'camera');
    await until('Ana’s picture is gone at Ben', async () => (await ben.streamOf(ana, 'camera')) === undefined, { within: 10_000 });
    await ana.call('publishPicture', { colour: ana.look.colour, width: 640, height: 360, framesPerSecond: 15 });
    await ben.sees(ana);

    await ana.call('setMetadata', '{"hand":"up"}');
    await ben.waitForEvent('metadata', '{"hand":"up"}');
    assert.equal(await ben.call('metadataOf', ana.identity), '{"hand":"up"}');

    await ana.call('leave');
    await ben.waitForEvent('left', ana.identity);
    assert.deepEqual(await ben.call('people'), []);
  });
}

test('whoever speaks is told to the others', { timeout: 60_000 }, async (t) => {
  const stage = await scene(t);
  const people = await everybodyJoins(stage, 'speakers', ['v1', 'v1']);
  const [ana, ben] = people;
  assert.ok(ana && ben);
  await ben.call('mute', 'microphone');
  // Ana spoke before Ben came: he is told all the same. The list counts, for the event may precede his connection.
  await until('Ben is told that Ana alone speaks', async () => (await ben.call('speakers')).join() === ana.identity, {
    within: 10_000,
  });
  await ana.call('mute', 'microphone');
  await until('nobody speaks', async () => (await ben.call('speakers')).length === 0, { within: 10_000 });
  await ana.call('unmute', 'microphone');
  await ben.waitForEvent('speakers', ana.identity);
});
