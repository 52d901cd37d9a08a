// Firefox and Chromium in one room: first a message, then sound, then the picture, each negotiated anew.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { scene, type SignalPath } from '../harness/call.ts';
import { inNamespace, run } from '../harness/namespace.ts';
import { LOOKS, type Participant } from '../harness/participant.ts';
import { ownAddress, startServer } from '../harness/server.ts';
import { until } from '../harness/wait.ts';

// Firefox uses no loopback address while there is another one, so the story has a host of its own with an address of its own.
const network = {
  prepare(namespace: string) {
    run('ip', '-n', namespace, 'link', 'add', 'host0', 'type', 'veth', 'peer', 'name', 'host1');
    run('ip', '-n', namespace, 'address', 'add', '10.77.0.1/24', 'dev', 'host0');
    for (const end of ['host0', 'host1']) run('ip', '-n', namespace, 'link', 'set', end, 'up');
    // It offers the address of the default route; nothing is ever sent beyond.
    run('ip', '-n', namespace, 'route', 'add', 'default', 'dev', 'host0');
  },
};

inNamespace('Firefox with Chromium', import.meta.url, network, () => {
  for (const path of ['v1', 'v0'] satisfies SignalPath[]) {
    test(`Firefox with Chromium, data, then sound, then picture (${path})`, { timeout: 120_000 }, (t) => meet(t, path));
  }
});

async function meet(t: TestContext, path: SignalPath): Promise<void> {
  const stage = await scene(t, await startServer(t.name, ownAddress()));
  const fox = await stage.participant(LOOKS[0], 'firefox');
  const chrome = await stage.participant(LOOKS[1], 'chromium');
  await fox.join(stage.server, 'browsers', { path });
  await chrome.join(stage.server, 'browsers', { path });
  await fox.waitForEvent('joined', chrome.identity);

  await fox.call('send', 'hello from Firefox', { reliable: true });
  await receives(chrome, fox, 'hello from Firefox');
  await chrome.call('send', 'hello from Chromium', { reliable: true });
  await receives(fox, chrome, 'hello from Chromium');

  await fox.call('publishTone', fox.look.tone);
  await chrome.call('publishTone', chrome.look.tone);
  await Promise.all([chrome.hears(fox), fox.hears(chrome)]);

  for (const who of [fox, chrome]) {
    await who.call('publishPicture', { colour: who.look.colour, width: 640, height: 360, framesPerSecond: 15 });
  }
  await Promise.all([chrome.sees(fox, 20_000), fox.sees(chrome, 20_000)]);
  // What came first still works after the last negotiation.
  await Promise.all([chrome.hears(fox), fox.hears(chrome)]);
  await fox.call('send', 'still here', { reliable: true });
  await receives(chrome, fox, 'still here');
}

async function receives(receiver: Participant, sender: Participant, text: string): Promise<void> {
  const message = await until(
    `${receiver.name} gets “${text}”`,
    async () => (await receiver.call('messages')).find((seen) => seen.text === text),
    { within: 10_000 },
  );
  assert.equal(message.from, sender.identity);
}
