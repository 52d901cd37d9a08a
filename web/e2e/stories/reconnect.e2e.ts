// The signalling breaks and comes back; the call goes on.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { everybodyJoins, everybodySeesAndHearsEverybody, scene, type SignalPath } from '../harness/call.ts';
import type { SimulationScenario } from 'livekit-client';
import { until } from '../harness/wait.ts';

/** A lost WebSocket leaves the media alone: pictures must not stand still for longer than a hiccup. */
const RESUME_GAP_MS = 1_000;

for (const path of ['v1', 'v0'] satisfies SignalPath[]) {
  test(`a lost WebSocket is resumed, media never stops (${path})`, { timeout: 90_000 }, (t) =>
    comesBack(t, path, 'signal-reconnect'),
  );
  test(`a full reconnect brings everything back (${path})`, { timeout: 90_000 }, (t) =>
    comesBack(t, path, 'full-reconnect'),
  );
}

async function comesBack(t: TestContext, path: SignalPath, scenario: SimulationScenario): Promise<void> {
  const stage = await scene(t);
  const people = await everybodyJoins(stage, 'reconnect', [path, path]);
  const [ana, ben] = people;
  assert.ok(ana && ben);
  await everybodySeesAndHearsEverybody(people);

  await Promise.all(people.map((who) => who.call('startWindow')));
  const began = Date.now();
  await ana.call('disturb', scenario);
  await ana.waitForEvent('reconnected', '', 15_000);
  t.diagnostic(`${path} ${scenario}: back after ${Date.now() - began} ms`);

  if (scenario === 'signal-reconnect') {
    const gaps = await Promise.all([ana.streamOf(ben, 'camera'), ben.streamOf(ana, 'camera')]);
    t.diagnostic(`longest gaps: ${gaps.map((stream) => stream?.video?.longestGapMs).join(' and ')} ms`);
    for (const stream of gaps) assert.ok((stream?.video?.longestGapMs ?? Infinity) <= RESUME_GAP_MS, JSON.stringify(stream));
    const left = (await ben.call('events')).filter((event) => event.name === 'left');
    assert.deepEqual(left, [], 'Ben never saw Ana leave');
  }
  await everybodySeesAndHearsEverybody(people);

  // The new signalling works both ways.
  await ana.call('mute', 'microphone');
  await ben.waitForEvent('muted', `${ana.identity} microphone`);
  await ben.call('send', 'welcome back', { reliable: true });
  await until('Ana gets a message', async () => (await ana.call('messages')).some((m) => m.text === 'welcome back'), { within: 5_000 });
}
