// What this device shows of its calls, from the first word of the server to the last. The server is played by the test.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Stage, call, settle, type Json } from '../../sdk/test/fake-server.ts';
import type { EnterOptions } from '../call/livekit-call.ts';
import type { Call as MediaCall, CallState } from '../call/model.ts';
import { Store } from '../store.ts';
import { Api } from './api.ts';
import { Calling, type Over } from './calling.ts';
import { Product } from './product.ts';
import type { Thread } from './types.ts';

const ME = { id: 'ana', handle: '@ana', name: 'Ana', about: '', hue: 1 };
const BEN = { id: 'ben', handle: '@ben', name: 'Ben', about: '', hue: 2 };
const THREAD: Thread = {
  id: 't_1', kind: 'direct', title: '', memberIds: ['ana', 'ben'], last: null, unread: 0, liveCall: null, openedAtMs: 0,
};

/** A room that is entered at once, and remembers that it was left. */
class Room {
  readonly state = new Store({ phase: 'connected', tiles: [], cameraOn: false, mayShowCamera: true } as unknown as CallState);
  left = false;

  constructor(readonly options: EnterOptions) {}

  async leave(): Promise<void> {
    this.left = true;
  }

  async setHold(): Promise<void> {}
}

async function scene() {
  const stage = new Stage();
  const product = new Product(new Api('session', async () => new Response('{}')), { session: 'session', deviceId: 'phone', me: ME });
  product.learn([BEN]);
  product.threads.set([THREAD]);
  const rooms: Room[] = [];
  const calling = new Calling(stage.client, product, {
    name: 'Ana',
    drawnCamera: false,
    path: 'v1',
    portraitOf: (id) => product.person(id),
    enterRoom: async (options) => {
      const room = new Room(options);
      rooms.push(room);
      return room as unknown as MediaCall;
    },
  });
  calling.open();
  await settle();
  stage.socket.open();
  stage.greet();
  const reply = (kind: string, answer: Json) => {
    stage.socket.say({ reply: { id: stage.socket.last(kind).id, ...answer } });
    return settle();
  };
  const over = (): Over => {
    const shown = calling.scene.get();
    if (shown.at !== 'over') throw new Error(`the screen shows ${shown.at}`);
    return shown.over;
  };
  return { stage, product, calling, rooms, reply, over };
}

const RINGING = { media: 'MEDIA_AUDIO', state: 'CALL_STATE_RINGING', answeredAtMs: '0', creatorUserId: 'ana' };

test('an outgoing call warms up its room before the answer, and shows how it ended', async () => {
  const { stage, calling, rooms, reply, over } = await scene();
  void calling.call(THREAD, 'audio');
  assert.equal(calling.scene.get().at, 'call', 'the screen answers the click, not the server');
  await reply('call', { call: call(RINGING), media: { token: 'key', url: 'ws://media' } });
  assert.deepEqual(rooms.map(({ options }) => [options.url, options.token]), [['ws://media', 'key']]);
  stage.socket.say({ over: { callId: 'CL_1', reason: 'SHOWN_REASON_DECLINED' } });
  assert.deepEqual([over().reason, over().again, over().threadId], ['declined', 'audio', 't_1']);
  assert.equal(rooms[0]?.left, true);
});

test('hanging up before the answer cancels; before the server has answered, it cancels as soon as it can', async () => {
  const { stage, calling, reply, over } = await scene();
  void calling.call(THREAD, 'audio');
  await reply('call', { call: call(RINGING), media: { token: 'key' } });
  void calling.leave();
  assert.equal(over().reason, 'cancelled');
  await reply('cancel', { call: call({ ...RINGING, revision: '4', state: 'CALL_STATE_ENDED' }) });

  void calling.call(THREAD, 'audio');
  void calling.leave();
  assert.equal(calling.scene.get().at, 'idle');
  await reply('call', { call: call({ ...RINGING, callId: 'CL_2' }), media: { token: 'key' } });
  assert.deepEqual(stage.socket.last('cancel').body, { callId: 'CL_2' });
});

test('a call that may not be placed says so, with the server’s word', async () => {
  const { calling, rooms, reply, over } = await scene();
  void calling.call(THREAD, 'video');
  await reply('call', { error: { code: 'RESOURCE_EXHAUSTED', reason: 'RATE_LIMITED', message: 'too many' } });
  assert.deepEqual([over().reason, over().refusal, over().again, rooms.length], ['cannotCall', 'RATE_LIMITED', 'video', 0]);
});

test('an accepted ring is a call; when it moves to another device, the room here is left without an end', async () => {
  const { stage, calling, rooms, reply, product } = await scene();
  stage.socket.say({ ring: stage.ring({ media: 'MEDIA_AUDIO', conversationId: 't_1' }) });
  const [ring] = calling.rings.get();
  assert.ok(ring);
  assert.deepEqual(calling.faceOfRing(ring).face.name, 'Ben');
  void calling.accept(ring);
  await settle();
  await reply('accept', { call: call({ conversationId: 't_1' }), media: { token: 'key' } });
  assert.deepEqual([calling.rings.get().length, rooms.length], [0, 1]);
  stage.socket.say({ call: call({ revision: '4', conversationId: 't_1', thisDevice: false }) });
  assert.deepEqual([calling.scene.get().at, rooms[0]?.left], ['idle', true]);
  assert.equal(product.toasts.get().length, 1);

  void calling.joinThread(THREAD);
  await settle();
  assert.deepEqual(stage.socket.last('transfer').body, { callId: 'CL_1' });
});

test('a page that was loaded anew goes back into its call; one that has left does not', async () => {
  const { stage, calling, rooms, reply } = await scene();
  stage.greet({ calls: [call()] });
  await settle();
  await reply('refreshMedia', { call: call({ revision: '4' }), media: { token: 'fresh' } });
  assert.deepEqual([calling.scene.get().at, rooms[0]?.options.token], ['call', 'fresh']);
  void calling.leave();
  stage.socket.say({ call: call({ revision: '5' }) });
  assert.notEqual(calling.scene.get().at, 'call');
});

test('removed by a host: the screen says that the call is over', async () => {
  const { stage, calling, reply, over } = await scene();
  stage.greet({ calls: [call()] });
  await settle();
  await reply('refreshMedia', { call: call({ revision: '4' }), media: { token: 'fresh' } });
  stage.socket.say({ call: call({ revision: '5', meInCall: false, thisDevice: false }) });
  assert.equal(over().reason, 'ended');
  assert.equal(calling.scene.get().at, 'over');
});
