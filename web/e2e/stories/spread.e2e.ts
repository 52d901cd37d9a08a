// A room that is too large for one shard lives on two. Whoever is in it does not notice.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { everybodyJoins, everybodySeesAndHearsEverybody, scene, type SignalPath } from '../harness/call.ts';
import { startHalves } from '../harness/halves.ts';
import { until } from '../harness/wait.ts';

for (const path of ['v1', 'v0'] satisfies SignalPath[]) {
  test(`a room on two shards (${path})`, { timeout: 120_000 }, (t) => spread(t, path));
}

async function spread(t: TestContext, path: SignalPath): Promise<void> {
  const halves = await startHalves(t.name, 1);
  const stage = await scene(t, halves);
  const people = await everybodyJoins(stage, 'spread', [path, path, path]);
  await everybodySeesAndHearsEverybody(people);

  const [ana, ben] = people;
  assert.ok(ana && ben);
  await ana.call('mute', 'microphone');
  await ben.waitForEvent('muted', `${ana.identity} microphone`);
  await ana.call('unmute', 'microphone');
  await everybodySeesAndHearsEverybody(people);

  // It did cross: otherwise this was a room on one shard. Shards report once a second, and quick machines are here sooner.
  let crossed = 0;
  const enough = async (): Promise<boolean> => {
    crossed = await halves.nodeMetric('sluice_node_link_packets_in_total');
    return crossed > 100;
  };
  await until('media went from shard to shard', enough, { within: 10_000 });
  t.diagnostic(`${crossed} packets went from shard to shard`);
}
