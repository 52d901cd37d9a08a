// Room management dies and comes back. The node forwards on, nobody's picture stops, nobody is thrown out.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { everybodyJoins, everybodySeesAndHearsEverybody, pairs, scene, type SignalPath } from '../harness/call.ts';
import { startHalves } from '../harness/halves.ts';
import { LOOKS, type Participant } from '../harness/participant.ts';
import { until } from '../harness/wait.ts';

/** From the start of the new process until every client has its signalling back. */
const BACK_MS = 5_000;
/** Media does not pass through the process that died: nothing longer than a hiccup of this machine. */
const GAP_MS = 1_000;

for (const path of ['v1', 'v0'] satisfies SignalPath[]) {
  test(`rooms dies and comes back, media never stops (${path})`, { timeout: 120_000 }, (t) => roomsRestart(t, path));
}

async function roomsRestart(t: TestContext, path: SignalPath): Promise<void> {
  const halves = await startHalves(t.name);
  const stage = await scene(t, halves);
  const people = await everybodyJoins(stage, 'restart', [path, path]);
  const [ana, ben] = people;
  assert.ok(ana && ben);
  await everybodySeesAndHearsEverybody(people);

  await Promise.all(people.map((who) => who.call('startWindow')));
  await halves.killRooms();
  await Promise.all(people.map((who) => who.waitForEvent('signal-reconnecting', '', 10_000)));
  const started = Date.now();
  halves.startRooms();
  const times = await Promise.all(people.map((who) => timeUntilBack(who, started)));
  t.diagnostic(`back in signalling ${times.join(' and ')} ms after the new process started`);

  for (const [receiver, sender] of pairs(people)) {
    const gap = (await receiver.streamOf(sender, 'camera'))?.video?.longestGapMs ?? Infinity;
    t.diagnostic(`longest gap of ${sender.name}'s picture at ${receiver.name}: ${gap} ms`);
    assert.ok(gap <= GAP_MS, `${sender.name}'s picture stood still for ${gap} ms at ${receiver.name}`);
  }
  for (const ms of times) assert.ok(ms <= BACK_MS, `signalling took ${ms} ms to come back`);
  for (const who of people) {
    const events = await who.call('events');
    const bad = events.filter((event) => ['left', 'disconnected', 'reconnecting'].includes(event.name));
    assert.deepEqual(bad, [], `${who.name} noticed more than a lost WebSocket`);
  }

  // The new process knows the room: who is in it, their tracks, and how to add one more.
  await ana.call('mute', 'microphone');
  await ben.waitForEvent('muted', `${ana.identity} microphone`);
  await ana.call('unmute', 'microphone');
  const caro = await stage.participant(LOOKS[2]);
  await caro.join(halves, 'restart', { path });
  await caro.publishBoth();
  await everybodySeesAndHearsEverybody([...people, caro]);
}

async function timeUntilBack(who: Participant, started: number): Promise<number> {
  await until(`${who.name} is back in signalling`, async () => (await who.call('events')).some((event) => event.name === 'reconnected'), {
    within: 20_000,
    every: 30,
  });
  return Date.now() - started;
}
