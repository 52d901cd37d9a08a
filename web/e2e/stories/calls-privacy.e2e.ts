// Nobody learns anybody's address. Server and browsers are hosts of their own, each with its own address; what reaches a
// browser is read in its page and on the wire.
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { formOf } from '../harness/address.ts';
import { launchChromium } from '../harness/browsers.ts';
import { capture, type Capture, type Packet } from '../harness/capture.ts';
import { inNamespace, namespaceHere, run } from '../harness/namespace.ts';
import { productStage, type Received, type Tab } from '../harness/product.ts';
import { CHROMIUM, RESULTS } from '../harness/settings.ts';
import { remoteAddresses } from '../harness/witness.ts';

const SERVER = '10.78.0.1';
const PEOPLE = ['asha', 'ravi', 'meera'] as const;
type Person = (typeof PEOPLE)[number];

/** All that docs/calls.md lets a callee's device know before it accepts. */
const FIELDS_OF_A_RING = ['callId', 'callerUserId', 'callerHandle', 'kind', 'media', 'conversationId', 'deadlineMs', 'waiting'];
/** Four encrypted bytes are an address by chance once in 4 GB: a story's few megabytes hold no three. */
const BY_CHANCE = 2;

const hostOf = (person: Person) => PEOPLE.indexOf(person) + 1;
const addressOf = (person: Person) => `10.78.${hostOf(person)}.2`;
const othersOf = (person: Person) => PEOPLE.filter((other) => other !== person);
/** The server's end of the line to this person's host. */
const lineOf = (person: Person) => `to-${person}`;
const namespaceOf = (person: Person, namespace: string) => `${namespace}-${person}`;

const network = {
  tools: ['tcpdump'],
  prepare(namespace: string) {
    run('ip', '-n', namespace, 'address', 'add', `${SERVER}/32`, 'dev', 'lo');
    for (const person of PEOPLE) {
      const theirs = namespaceOf(person, namespace);
      run('ip', 'netns', 'add', theirs);
      run('ip', '-n', theirs, 'link', 'set', 'lo', 'up');
      run('ip', '-n', namespace, 'link', 'add', lineOf(person), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', theirs);
      run('ip', '-n', namespace, 'address', 'add', `10.78.${hostOf(person)}.1/24`, 'dev', lineOf(person));
      run('ip', '-n', theirs, 'address', 'add', `${addressOf(person)}/24`, 'dev', 'eth0');
      run('ip', '-n', namespace, 'link', 'set', lineOf(person), 'up');
      run('ip', '-n', theirs, 'link', 'set', 'eth0', 'up');
      // Nothing is forwarded from host to host: all that anybody gets comes from the server.
      run('ip', '-n', theirs, 'route', 'add', 'default', 'via', `10.78.${hostOf(person)}.1`);
    }
  },
  tidy(namespace: string) {
    for (const person of PEOPLE) {
      if (run('ip', 'netns', 'list').includes(namespaceOf(person, namespace))) run('ip', 'netns', 'delete', namespaceOf(person, namespace));
    }
  },
};

inNamespace('nobody learns an address', import.meta.url, network, () => {
  test('in a video call with a third person added, nobody learns an address', { timeout: 200_000 }, async (t) => {
    const { server, signIn } = await productStage(t, { listenOn: SERVER, browserOf });
    const folder = dirname(server.logFile);
    const wires = new Map<Person, Capture>();
    for (const person of PEOPLE) wires.set(person, await capture(lineOf(person), join(folder, `${person}.pcap`)));
    const tabs = new Map<Person, Tab>();
    for (const person of PEOPLE) tabs.set(person, await signIn(person));
    const [asha, ravi, meera] = PEOPLE.map((person) => tabs.get(person)) as [Tab, Tab, Tab];

    await asha.openThread('t_asha_ravi');
    const called = Date.now();
    await asha.click('call-video');
    await ravi.sees('incoming');
    await asha.is('ringing');
    const accepted = Date.now();
    const callId = await asha.callId();
    await ravi.click('accept');
    await Promise.all([asha.is('talking'), ravi.is('talking')]);
    await Promise.all([asha.seesSomebody('Ravi'), ravi.seesSomebody('Asha'), asha.hearsSomebody(), ravi.hearsSomebody()]);

    await asha.click('add-people');
    await asha.click('pick-meera');
    await asha.click('invite');
    await meera.click('accept');
    await Promise.all([meera.seesSomebody('Asha'), meera.seesSomebody('Ravi'), asha.seesSomebody('Meera'), ravi.seesSomebody('Meera')]);
    for (const tab of [asha, ravi, meera]) assert.deepEqual(await remoteAddresses(tab.page), [SERVER], tab.who);
    await asha.click('hangup');
    await ravi.click('hangup');

    onlyTheRing(ravi.received.filter(({ atMs }) => atMs >= called && atMs < accepted), callId);
    for (const person of PEOPLE) {
      const tab = tabs.get(person);
      const packets = (await wires.get(person)?.stop())?.filter(({ to }) => to === addressOf(person)) ?? [];
      assert.ok(tab);
      knowsNobody(person, tab.received, packets);
      theCheckFinds(person, tab.received, packets);
      const bytes = packets.reduce((sum, { content }) => sum + content.length, 0);
      t.diagnostic(`${person}: ${tab.received.length} messages, ${packets.length} packets with ${bytes} bytes, no address`);
      if (person === 'ravi') assert.deepEqual(packets.filter(({ protocol, atMs }) => protocol === 'udp' && atMs < accepted), [], 'media before accept');
    }
  });
});

/** A browser on this person's own host; camera and microphone are for secure pages only, unless one says otherwise. */
function browserOf(person: string, serverUrl: string) {
  const namespace = namespaceOf(person as Person, namespaceHere());
  const wrapper = join(RESULTS, `chromium-of-${person}`);
  writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${namespace} ${CHROMIUM} "$@"\n`);
  chmodSync(wrapper, 0o755);
  return launchChromium([`--unsafely-treat-insecure-origin-as-secure=${serverUrl}`], wrapper);
}

/** Before it accepts, a device hears of the call that it rings, and answers to its own requests that say no more. */
function onlyTheRing(received: Received[], callId: string): void {
  const texts = received.filter(({ url }) => url.includes('/calls/v1')).map(({ payload }) => JSON.parse(String(payload)));
  const rings = texts.filter((message) => 'ring' in message);
  assert.equal(rings.length, 1, 'it rings once');
  assert.equal(rings[0].ring.callId, callId);
  assert.deepEqual(Object.keys(rings[0].ring).filter((field) => !FIELDS_OF_A_RING.includes(field)), []);
  for (const message of texts.filter((one) => !('ring' in one))) {
    const { cursor: _cursor, ...rest } = message;
    assert.ok('pong' in rest || ('reply' in rest && Object.keys(rest.reply).join() === 'id'), JSON.stringify(message));
  }
  assert.deepEqual(received.filter(({ url }) => url.includes('/rtc')), [], 'media signalling before accept');
}

function knowsNobody(person: Person, received: Received[], packets: Packet[]): void {
  assert.ok(received.length > 10 && packets.length > 100, 'there was something to look at');
  for (const other of othersOf(person)) {
    const address = addressOf(other);
    for (const { url, payload } of received) {
      const form = formOf(address, Buffer.from(payload));
      assert.equal(form, null, `${person} is told ${other}'s address as ${form} on ${url.split('?')[0]}: ${String(payload).slice(0, 500)}`);
    }
    let chance = 0;
    for (const { content, clear, from, protocol } of packets) {
      const form = formOf(address, content.subarray(0, clear));
      assert.equal(form, null, `${person} gets ${other}'s address as ${form} from ${from} over ${protocol}: ${content.toString('hex')}`);
      if (formOf(address, content)) chance++;
    }
    assert.ok(chance <= BY_CHANCE, `${chance} encrypted packets to ${person} hold ${other}'s address`);
  }
}

/** A check that finds nothing proves something only if it can find. */
function theCheckFinds(person: Person, received: Received[], packets: Packet[]): void {
  const found = (address: string, contents: Buffer[]) => new Set(contents.map((content) => formOf(address, content)));
  const messages = received.map(({ payload }) => Buffer.from(payload));
  assert.ok(found(SERVER, messages).has('text'), `${person} is told where the server's media port is`);
  const clear = packets.map((packet) => packet.content.subarray(0, packet.clear));
  assert.ok(found(addressOf(person), clear).has('xor-mapped'), `${person}'s own address comes back by STUN`);
  assert.equal(formOf(SERVER, Buffer.from([1, 10, 78, 0, 1, 2])), 'bytes');
  assert.equal(formOf('10.78.1.2', Buffer.from('a=candidate:1 1 udp 1 10.78.1.25 9')), null);
}
