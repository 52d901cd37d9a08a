// Stories of one device: it rings, answers, loses the network and comes back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallsError, type Call, type Ring } from '../src/index.js';
import { Stage, call, settle } from './fake-server.ts';

test('a ring is announced, acknowledged once a hearing, and accepted', async () => {
  const stage = new Stage();
  const rings: Ring[] = [];
  const stops: string[] = [];
  stage.client.on('incoming', (ring) => rings.push(ring));
  stage.client.on('ringStopped', ({ reason }) => stops.push(reason));
  await stage.online();
  assert.match(stage.socket.url, /^ws:\/\/calls\.test\/calls\/v1\?access_token=a%20token$/);
  assert.deepEqual(stage.client.self, { userId: 'ana', deviceId: 'phone' });

  stage.socket.say({ cursor: 'c2', ring: stage.ring() });
  const [ring] = rings;
  assert.ok(ring);
  assert.deepEqual([ring.caller, ring.media, ring.kind, ring.waiting], [{ userId: 'ben', handle: 'Ben' }, 'video', 'direct', false]);
  assert.deepEqual(stage.socket.last('ack').body, { callId: 'CL_1' });

  const accepted = ring.accept({ audioOnly: true });
  const { id, body } = stage.socket.last('accept');
  assert.deepEqual(body, { callId: 'CL_1', audioOnly: true });
  stage.socket.say({ reply: { id, call: call(), media: { token: 'key', room: 'CL_1', identity: 'ana#0', expiresAtMs: '9' } } });
  const answered = await accepted;
  assert.equal(answered.state, 'active');
  assert.equal(answered.members[0]?.state, 'joined');
  // The server knows no public name: the media go where the signalling went.
  assert.deepEqual(answered.media, { url: 'ws://calls.test', token: 'key', room: 'CL_1', identity: 'ana#0', expiresAtMs: 9 });
  assert.deepEqual(stops, ['answeredHere']);
  assert.deepEqual(stage.client.rings, []);
});

test('another device was faster: the error says so by code and reason, and the ring is over', async () => {
  const stage = new Stage();
  await stage.online({ rings: [stage.ring()] });
  const [ring] = stage.client.rings;
  assert.ok(ring);
  const accepted = ring.accept();
  const error = { code: 'FAILED_PRECONDITION', reason: 'ALREADY_ANSWERED', message: 'answered' };
  stage.socket.say({ reply: { id: stage.socket.last('accept').id, error } });
  await assert.rejects(accepted, (caught: unknown) => {
    assert.ok(caught instanceof CallsError);
    assert.deepEqual([caught.code, caught.reason], ['FAILED_PRECONDITION', 'ALREADY_ANSWERED']);
    return true;
  });
  assert.equal(ring.stopped, 'acceptedElsewhere');
});

test('a ring ends at its deadline by itself, offline and with a clock that is an hour off', async () => {
  const stage = new Stage();
  const stops: string[] = [];
  stage.client.on('ringStopped', ({ reason }) => stops.push(reason));
  const hour = 3_600_000;
  const serverNow = stage.time.now() + hour;
  await stage.online({
    serverTimeMs: String(serverNow),
    rings: [stage.ring({ deadlineMs: String(serverNow + 30_000) })],
  });
  stage.socket.lose();
  await stage.time.pass(29_000);
  assert.deepEqual(stops, []);
  await stage.time.pass(1_001);
  assert.deepEqual(stops, ['missed']);
});

test('a ring whose deadline has passed is not announced', async () => {
  const stage = new Stage();
  stage.client.on('incoming', () => assert.fail('it is too late'));
  await stage.online({ rings: [stage.ring({ deadlineMs: String(stage.time.now() - 1) })] });
  assert.deepEqual(stage.client.rings, []);
});

test('declining is quiet at once; ignoring tells the server nothing', async () => {
  const stage = new Stage();
  const stops: string[] = [];
  stage.client.on('ringStopped', ({ reason }) => stops.push(reason));
  await stage.online({ rings: [stage.ring(), stage.ring({ callId: 'CL_2' })] });
  const [first, second] = stage.client.rings;
  const declined = first?.decline();
  second?.ignore();
  assert.deepEqual(stops, ['declinedHere', 'ignored']);
  const [{ id, body } = { id: '', body: {} }, ...more] = stage.socket.requests('decline');
  assert.deepEqual([body, more], [{ callId: 'CL_1' }, []]);
  stage.socket.say({ reply: { id } });
  await declined;
});

test('a call: calling, ringing, joined, over', async () => {
  const stage = new Stage();
  await stage.online();
  const seen: string[] = [];
  stage.client.on('call', (changed) => seen.push(`${changed.state}/${changed.members[0]?.state}`));
  const placed = stage.client.call({ callees: ['ben'], media: 'video', conversationId: 'chat-7' });
  const { id, body } = stage.socket.last('call');
  assert.deepEqual(body, {
    calleeUserIds: ['ben'],
    kind: 'CALL_KIND_DIRECT',
    media: 'MEDIA_VIDEO',
    conversationId: 'chat-7',
  });
  const member = (state: string) => ({ members: [{ userId: 'ben', handle: 'Ben', state: `SHOWN_${state}` }] });
  stage.socket.say({ reply: { id, call: call({ revision: '1', state: 'CALL_STATE_RINGING', ...member('CALLING') }), media: { token: 'k' } } });
  const made = await placed;
  stage.socket.say({ call: call({ revision: '2', state: 'CALL_STATE_RINGING', ...member('RINGING') }) });
  stage.socket.say({ call: call({ revision: '3', ...member('JOINED') }) });
  // An older state that was overtaken.
  stage.socket.say({ call: call({ revision: '2', state: 'CALL_STATE_RINGING', ...member('RINGING') }) });
  assert.deepEqual(seen, ['ringing/calling', 'ringing/ringing', 'active/joined', 'active/joined']);
  stage.socket.say({ over: { callId: 'CL_1', reason: 'SHOWN_REASON_NO_ANSWER', durationMs: '61000' } });
  assert.deepEqual([made.state, made.over], ['ended', { reason: 'noAnswer', durationMs: 61_000 }]);
  assert.deepEqual(stage.client.calls, []);
});

test('a call that is over at once, as with a busy line, says why, whichever comes first', async () => {
  const over = { callId: 'CL_1', reason: 'SHOWN_REASON_BUSY' };
  for (const first of ['over', 'reply']) {
    const stage = new Stage();
    const ends: string[] = [];
    stage.client.on('over', ({ call, reason }) => ends.push(`${call.id} ${reason}`));
    await stage.online();
    const asked = stage.client.call({ callees: ['ben'] });
    const reply = { id: stage.socket.last('call').id, call: call({ state: 'CALL_STATE_ENDED' }) };
    for (const message of first === 'over' ? [{ over }, { reply }] : [{ reply }, { over }]) {
      stage.socket.say(message);
      await settle();
    }
    const called = await asked;
    assert.deepEqual([called.state, called.over?.reason], ['ended', 'busy'], first);
    assert.deepEqual([stage.client.calls, ends], [[], first === 'over' ? [] : ['CL_1 busy']], first);
  }
});

test('after a lost connection: back-off, the cursor, and the same request with the same id', async () => {
  const stage = new Stage();
  const states: string[] = [];
  stage.client.on('connection', ({ state }) => states.push(state));
  await stage.online({ calls: [call()] });
  const [live] = stage.client.calls;
  assert.ok(live);
  const left = live.leave();
  const { id } = stage.socket.last('leave');
  stage.socket.lose();
  await stage.time.pass(399);
  assert.equal(stage.sockets.length, 1);
  await stage.time.pass(2);
  assert.equal(stage.sockets.length, 2);
  assert.match(stage.socket.url, /&cursor=c1$/);
  stage.socket.lose();
  await stage.time.pass(799);
  assert.equal(stage.sockets.length, 2, 'the second wait is longer');
  await stage.time.pass(2);
  stage.socket.open();
  assert.deepEqual(stage.socket.requests('leave'), [{ id, body: { callId: 'CL_1' } }]);
  stage.socket.say({ cursor: 'c5', reply: { id, call: call({ revision: '4', meInCall: false, thisDevice: false }) } });
  await left;
  assert.equal(live.view.meInCall, false);
  assert.deepEqual(states, ['connecting', 'online', 'offline', 'connecting', 'offline', 'connecting', 'online']);
});

test('a request that nobody answers ends with TIMED_OUT', async () => {
  const stage = new Stage({ requestTimeoutMs: 5_000 });
  await stage.online();
  const failed = assert.rejects(stage.client.join('CL_9'), { code: 'DEADLINE_EXCEEDED', reason: 'TIMED_OUT' });
  await stage.time.pass(5_001);
  await failed;
});

test('a server that has gone silent is left for a new connection', async () => {
  const stage = new Stage();
  await stage.online();
  await stage.time.pass(10_001);
  assert.equal(stage.socket.requests('ping').length, 1);
  await stage.time.pass(10_001);
  assert.equal(stage.sockets[0]?.closed, true);
  await stage.time.pass(401);
  assert.equal(stage.sockets.length, 2);
});

test('a hidden page, whose timers sleep, keeps a connection that answers', async () => {
  const stage = new Stage();
  await stage.online();
  for (let minute = 0; minute < 5; minute++) {
    await stage.time.pass(10_000);
    stage.socket.say({ pong: { serverTimeMs: String(stage.time.now()) } });
  }
  assert.equal(stage.sockets.length, 1);
  assert.equal(stage.socket.requests('ping').length, 5);
});

test('the same device connects from another page: this one steps back until it is asked to connect', async () => {
  const stage = new Stage();
  await stage.online({ calls: [call()] });
  const left = assert.rejects(stage.client.calls[0]?.leave() ?? Promise.resolve(), { reason: 'REPLACED' });
  stage.socket.lose(4001);
  await left;
  await stage.time.pass(600_000);
  assert.equal(stage.sockets.length, 1);
  const { state, retryAtMs, error } = stage.client.connection;
  assert.deepEqual([state, retryAtMs, (error as CallsError).reason], ['offline', undefined, 'REPLACED']);
  const back = stage.client.connect();
  await settle();
  stage.socket.open();
  stage.greet();
  await back;
  assert.deepEqual([stage.sockets.length, stage.client.connection.state], [2, 'online']);
});

test('a snapshot is the whole truth: what it leaves out has stopped, what it holds is new', async () => {
  const stage = new Stage();
  const stops: string[] = [];
  const overs: string[] = [];
  await stage.online({ rings: [stage.ring({ callId: 'CL_old' })], calls: [call({ callId: 'CL_gone' })] });
  stage.client.on('ringStopped', ({ ring, reason }) => stops.push(`${ring.callId} ${reason}`));
  stage.client.on('over', ({ call, reason }) => overs.push(`${call.id} ${reason}`));
  stage.greet({ rings: [stage.ring({ callId: 'CL_new' })], calls: [call({ callId: 'CL_here' })] });
  assert.deepEqual([stops, overs], [['CL_old unknown'], ['CL_gone ended']]);
  assert.deepEqual(stage.client.rings.map(({ callId }) => callId), ['CL_new']);
  assert.deepEqual(stage.client.calls.map(({ id }) => id), ['CL_here']);
});

test('the call moves to another device of this user', async () => {
  const stage = new Stage();
  await stage.online({ calls: [call()] });
  const moved: Call[] = [];
  stage.client.on('movedAway', (call) => moved.push(call));
  stage.socket.say({ ringStopped: { callId: 'CL_1', reason: 'STOP_REASON_MOVED_TO_DEVICE' } });
  stage.socket.say({ call: call({ revision: '4', thisDevice: false }) });
  assert.deepEqual(moved.map(({ id, view }) => [id, view.thisDevice]), [['CL_1', false]]);

  const back = moved[0]?.transferHere();
  const { id, body } = stage.socket.last('transfer');
  assert.deepEqual(body, { callId: 'CL_1' });
  stage.socket.say({ reply: { id, call: call({ revision: '5' }), media: { token: 'fresh', url: 'wss://media.test' } } });
  await back;
  assert.deepEqual([moved[0]?.view.thisDevice, moved[0]?.media?.url], [true, 'wss://media.test']);
});

test('every other wish goes out in the words of the protocol', async () => {
  const stage = new Stage();
  await stage.online({ calls: [call()] });
  const [live] = stage.client.calls;
  assert.ok(live);
  const wishes: [string, Promise<unknown>, unknown][] = [
    ['cancel', live.cancel(), { callId: 'CL_1' }],
    ['end', live.end(), { callId: 'CL_1' }],
    ['invite', live.invite(['cem'], { ringSeconds: 20 }), { callId: 'CL_1', userIds: ['cem'], ringS: 20 }],
    ['cancelInvite', live.cancelInvite('cem'), { callId: 'CL_1', userId: 'cem' }],
    ['requestUpgrade', live.requestUpgrade(), { callId: 'CL_1' }],
    ['respondUpgrade', live.respondUpgrade(true), { callId: 'CL_1', yes: true }],
    ['hold', live.hold(false), { callId: 'CL_1', yes: false }],
    ['moderate', live.moderate('ben', { mute: true }), { callId: 'CL_1', userId: 'ben', mute: true }],
    ['admit', live.admit('dora', false), { callId: 'CL_1', userId: 'dora', admit: false }],
    ['rate', live.rate(4), { callId: 'CL_1', stars: 4 }],
    ['join', stage.client.joinLink('slug'), { linkSlug: 'slug' }],
  ];
  for (const [kind, done, expected] of wishes) {
    const { id, body } = stage.socket.last(kind);
    assert.deepEqual(body, expected, kind);
    stage.socket.say({ reply: { id, call: call({ revision: '9' }) } });
    await done;
  }
});

test('a token that cannot be had: offline with the reason and the time of the next attempt', async () => {
  let attempts = 0;
  const stage = new Stage({
    token: async () => {
      attempts++;
      throw new Error('signed out');
    },
  });
  void stage.client.connect().catch(() => {});
  await settle();
  const { state, error, retryAtMs } = stage.client.connection;
  assert.deepEqual([state, (error as Error).message, retryAtMs], ['offline', 'signed out', stage.time.now() + 400]);
  await stage.time.pass(401);
  assert.equal(attempts, 2);
  stage.client.close();
  await stage.time.pass(60_000);
  assert.equal(attempts, 2, 'a closed client is quiet');
});

test('what a newer server adds is passed over; what is no message leads to a new connection', async () => {
  const stage = new Stage();
  await stage.online();
  stage.socket.say({ cursor: 'c9', novelty: { some: 'thing' } });
  stage.socket.onmessage?.({ data: '<html>proxy</html>' } as never);
  assert.equal(stage.client.connection.state, 'offline');
  await stage.time.pass(401);
  assert.match(stage.socket.url, /cursor=c9$/);
});
