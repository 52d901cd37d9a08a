// A network that drops UDP: the call connects over TCP. The whole story runs in a network namespace of its own,
// server and browser in it, so that the firewall rule touches nothing else on the machine.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everybodyJoins, everybodySeesAndHearsEverybody, scene, type SignalPath } from '../harness/call.ts';
import { inNamespace, run } from '../harness/namespace.ts';

const RULES = `
table inet e2e {
  chain drop_udp {
    type filter hook input priority 0;
    meta l4proto udp counter drop
  }
}
`;

const network = {
  tools: ['nft'],
  prepare: (namespace: string) => void run('ip', 'netns', 'exec', namespace, 'nft', '-f', '-', RULES),
};

inNamespace('UDP is dropped by the firewall', import.meta.url, network, () => {
  for (const path of ['v1', 'v0'] satisfies SignalPath[]) {
    test(`UDP is dropped, the call goes over TCP (${path})`, { timeout: 120_000 }, async (t) => {
      const stage = await scene(t);
      const people = await everybodyJoins(stage, 'firewall', [path, path]);
      await everybodySeesAndHearsEverybody(people, 40_000);
      for (const who of people) {
        const transports = await who.call('transports');
        assert.ok(transports.length > 0 && transports.every((protocol) => protocol === 'tcp'), `${who.name}: ${transports}`);
      }
      const dropped = droppedDatagrams();
      t.diagnostic(`the firewall dropped ${dropped} datagrams`);
      assert.ok(dropped > 0, 'the firewall really stood in the way of UDP');
    });
  }
});

function droppedDatagrams(): number {
  const listing = run('nft', 'list', 'table', 'inet', 'e2e');
  return Number(/counter packets (\d+)/.exec(listing)?.[1] ?? 0);
}
