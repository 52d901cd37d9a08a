// A receiver says how large it shows a picture, and gets the layer that fits, soon.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { scene, type SignalPath } from '../harness/call.ts';
import { LOOKS, sameColour, type Participant } from '../harness/participant.ts';
import { until } from '../harness/wait.ts';

/** The time in which a new layer must be on the screen. */
const SWITCH_MS = 2_000;

for (const path of ['v1', 'v0'] satisfies SignalPath[]) {
  test(`layers follow the size that is asked for (${path})`, { timeout: 90_000 }, (t) => layersFollow(t, path));
}

async function layersFollow(t: TestContext, path: SignalPath): Promise<void> {
  const stage = await scene(t);
  const [ana, ben] = [await stage.participant(LOOKS[0]), await stage.participant(LOOKS[1])];
  // Dynacast would first have to start a layer again; that has its own story.
  await ana.join(stage.server, 'layers', { path, dynacast: false });
  await ben.join(stage.server, 'layers', { path });
  await ana.call('publishPicture', { colour: ana.look.colour, width: 1280, height: 720, framesPerSecond: 20 });
  await ben.sees(ana);
  // A browser that is short of processor begins with fewer layers, and adds one every few seconds.
  await until('Ana sends all three layers', async () => (await layerCount(ana)) === 3, { within: 45_000 });

  const times: Record<string, number> = {};
  for (const [width, height] of [[320, 180], [1280, 720], [640, 360], [320, 180], [1280, 720]] as const) {
    const before = (await ben.streamOf(ana, 'camera'))?.video?.width ?? 0;
    const ms = await timeUntilWidth(ben, ana, width, height);
    times[`${before} to ${width}`] = ms;
    t.diagnostic(`${path}: from ${before} to ${width} pixels in ${ms} ms`);
  }
  for (const [change, ms] of Object.entries(times)) assert.ok(ms <= SWITCH_MS, `${change} took ${ms} ms`);

  const { video } = await ben.sees(ana);
  assert.ok(sameColour(video?.colour ?? null, ana.look.colour), 'the picture is still Ana’s after all switches');
}

async function layerCount(publisher: Participant): Promise<number> {
  return Object.keys(await publisher.call('sentLayers')).length;
}

async function timeUntilWidth(receiver: Participant, sender: Participant, width: number, height: number): Promise<number> {
  const asked = Date.now();
  await receiver.call('askForSize', sender.identity, 'camera', width, height);
  await until(
    `${receiver.name} gets ${sender.name} at ${width}x${height}`,
    async () => {
      const video = (await receiver.streamOf(sender, 'camera'))?.video;
      if (video?.width !== width) throw new Error(`it is ${video?.width}x${video?.height}`);
      return true;
    },
    // Longer than allowed, so that a slow switch is reported with its time.
    { within: 10_000, every: 30 },
  );
  return Date.now() - asked;
}

test('layers that nobody shows are not sent (dynacast)', { timeout: 90_000 }, async (t) => {
  const stage = await scene(t);
  const [ana, ben] = [await stage.participant(LOOKS[0]), await stage.participant(LOOKS[1])];
  await ana.join(stage.server, 'dynacast', { path: 'v1', dynacast: true });
  await ben.join(stage.server, 'dynacast', { path: 'v1' });
  await ana.call('publishPicture', { colour: ana.look.colour, width: 1280, height: 720, framesPerSecond: 20 });
  await ben.sees(ana);

  await ben.call('askForSize', ana.identity, 'camera', 320, 180);
  // The server waits some seconds before it takes a layer away, for sizes change often.
  await until('Ana sends the low layer only', async () => {
    const layers = await ana.call('sentLayers');
    if (Object.keys(layers).join() !== 'q') throw new Error(JSON.stringify(layers));
    return true;
  }, { within: 15_000 });
  const ms = await timeUntilWidth(ben, ana, 1280, 720);
  t.diagnostic(`a layer that had been stopped was back after ${ms} ms`);
  await ben.sees(ana);
});
