// The calls service dies while one call rings and another talks, and comes back with both.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { CallsClient, MemberState, OverReason, Ring } from '../../sdk/src/index.ts';
import { scene, type Scene } from '../harness/call.ts';
import { CallsApi, connectDevice } from '../harness/calls-api.ts';
import { startHalves, type Halves } from '../harness/halves.ts';
import { LOOKS, type Participant } from '../harness/participant.ts';
import { until } from '../harness/wait.ts';

const RING_S = 20;
/** What the next process may be late by. */
const LATE_MS = 2_000;
/** Media does not pass through the process that died: nothing longer than a hiccup of this machine. */
const GAP_MS = 1_000;

test('one call rings, one talks, the calls service is killed, and both go on', { timeout: 150_000 }, async (t) => {
  const halves = await startHalves(t.name);
  const stage = await scene(t, halves);
  const api = new CallsApi(halves.calls);
  t.after(() => api.close());
  const device = async (user: string, id?: string) => {
    const client = await connectDevice(halves.url, api, user, id);
    t.after(() => client.close());
    return client;
  };
  const [ana, ben, caro, dan] = [await device('ana'), await device('ben'), await device('caro'), await device('dan')];
  const talking = await talk(stage, ana, ben);
  const ringing = await ring(caro, dan);

  const devices = [ana, ben, caro, dan];
  await Promise.all(talking.people.map((who) => who.call('startWindow')));
  await restart(t, halves, devices);

  // The ring is still there: for the device that came back by itself, and for one that comes only now.
  const late = await device('dan', 'tablet');
  assert.deepEqual(late.rings.map(({ callId }) => callId), [ringing.callId]);
  assert.deepEqual(dan.rings.map(({ callId }) => callId), [ringing.callId]);
  assert.equal(late.rings[0]?.view.deadlineMs, ringing.deadlineMs, 'its own deadline still');

  const { reason, lateBy } = await ringing.over;
  t.diagnostic(`the ring ended ${lateBy} ms after its deadline`);
  assert.equal(reason, 'noAnswer');
  assert.ok(lateBy >= -LATE_MS / 4 && lateBy < LATE_MS, `${lateBy} ms after its deadline`);
  await until('no device of Dan rings', () => dan.rings.length + late.rings.length === 0, { within: LATE_MS });

  await mediaWentOn(t, talking.people);
  const benOver = nextOver(ben);
  await ana.calls[0]?.leave();
  assert.equal(await benOver, 'ended');
  await rightRecords(t, api, talking.callId, ringing);
});

/** Two people talk, with pictures, in the room of their call. */
async function talk(stage: Scene, ana: CallsClient, ben: CallsClient): Promise<{ callId: string; people: [Participant, Participant] }> {
  const incoming = nextRing(ben);
  const call = await ana.call({ callees: ['ben'], media: 'video' });
  const answered = await (await incoming).accept();
  const people: [Participant, Participant] = [await stage.participant(LOOKS[0]), await stage.participant(LOOKS[1])];
  for (const [index, { media }] of [call, answered].entries()) {
    const who = people[index];
    assert.ok(media && who, 'a token for the call’s room');
    await who.enter(media, 'v1');
    await who.publishBoth();
  }
  const [first, second] = people;
  await Promise.all([first.sees(second), first.hears(second), second.sees(first), second.hears(first)]);
  await until('both are in the call', () => ana.calls[0]?.members.every(({ state }) => state === 'joined'), { within: 10_000 });
  return { callId: call.id, people };
}

interface Ringing {
  callId: string;
  deadlineMs: number;
  over: Promise<{ reason: OverReason; lateBy: number }>;
}

async function ring(caller: CallsClient, callee: CallsClient): Promise<Ringing> {
  const incoming = nextRing(callee);
  const call = await caller.call({ callees: [callee.self.userId], ringSeconds: RING_S });
  const { deadlineMs } = (await incoming).view;
  const state = (): MemberState | undefined => call.members.find(({ userId }) => userId === callee.self.userId)?.state;
  await until('the caller sees that it rings', () => state() === 'ringing', { within: 5_000 });
  const over = nextOver(caller).then((reason) => ({ reason, lateBy: Date.now() - deadlineMs }));
  return { callId: call.id, deadlineMs, over };
}

async function restart(t: TestContext, halves: Halves, devices: CallsClient[]): Promise<void> {
  await halves.killRooms();
  await until('the devices notice', () => devices.every(({ connection }) => connection.state !== 'online'), { within: 10_000 });
  const started = Date.now();
  halves.startRooms();
  await until('the devices are back', () => devices.every(({ connection }) => connection.state === 'online'), { within: 15_000 });
  t.diagnostic(`all devices were back ${Date.now() - started} ms after the new process started`);
}

async function mediaWentOn(t: TestContext, [first, second]: [Participant, Participant]): Promise<void> {
  for (const [receiver, sender] of [[first, second], [second, first]] as const) {
    const gap = (await receiver.streamOf(sender, 'camera'))?.video?.longestGapMs ?? Infinity;
    t.diagnostic(`longest gap of ${sender.name}'s picture at ${receiver.name}: ${gap} ms`);
    assert.ok(gap < GAP_MS, `${sender.name}'s picture stood still for ${gap} ms at ${receiver.name}`);
    await Promise.all([receiver.sees(sender), receiver.hears(sender)]);
  }
}

async function rightRecords(t: TestContext, api: CallsApi, talked: string, rang: Ringing): Promise<void> {
  const answered = await until('the record of the call that talked', () => api.record(talked), { within: 5_000 });
  t.diagnostic(`the call that talked lasted ${answered.durationMs} ms`);
  assert.equal(answered.endReason, 'END_REASON_COMPLETED');
  assert.equal(answered.durationMs, answered.endedAtMs - answered.answeredAtMs);
  assert.ok(answered.endedAtMs > rang.deadlineMs, 'it outlived the ring, and the process that it began in');
  for (const leg of answered.legs) assert.ok(leg.joinedAtMs > 0 && leg.leftAtMs >= leg.joinedAtMs, JSON.stringify(leg));
  assert.deepEqual(answered.legs.map(({ shown }) => shown), ['OUTCOME_ANSWERED', 'OUTCOME_ANSWERED']);

  const [missed, ...more] = await api.records('dan');
  assert.deepEqual([missed?.callId, more.length], [rang.callId, 0], 'one record for each call');
  assert.equal(missed?.endReason, 'END_REASON_NO_ANSWER');
  assert.equal(missed?.durationMs, 0);
  const lateBy = (missed?.endedAtMs ?? Infinity) - rang.deadlineMs;
  assert.ok(lateBy >= 0 && lateBy < LATE_MS, `recorded ${lateBy} ms after its deadline`);
  const shown = Object.fromEntries(missed?.legs.map((leg) => [leg.userId, leg.shown]) ?? []);
  assert.deepEqual(shown, { caro: 'OUTCOME_NO_ANSWER', dan: 'OUTCOME_MISSED' });
}

function nextRing(client: CallsClient): Promise<Ring> {
  return new Promise((resolve) => client.on('incoming', resolve));
}

function nextOver(client: CallsClient): Promise<OverReason> {
  return new Promise((resolve) => client.on('over', ({ reason }) => resolve(reason)));
}
