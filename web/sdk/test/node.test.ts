// The same client over a real WebSocket, in Node.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { WebSocket, WebSocketServer, type RawData } from 'ws';
import { CallsClient, type Ring } from '../src/index.js';

test('a program answers a call without a browser', { timeout: 10_000 }, async (t) => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  t.after(() => server.close());
  await once(server, 'listening');
  const heard: Record<string, unknown>[] = [];
  server.on('connection', (socket) => {
    const say = (message: unknown) => socket.send(JSON.stringify(message));
    say({ cursor: '1', snapshot: { userId: 'robot', deviceId: 'rack', serverTimeMs: String(Date.now()) } });
    say({ cursor: '2', ring: { callId: 'CL_1', callerHandle: 'Ana', deadlineMs: String(Date.now() + 45_000) } });
    socket.on('message', (data: RawData) => {
      const message = JSON.parse(String(data)) as Record<string, unknown>;
      heard.push(message);
      const call = { callId: 'CL_1', revision: '2', state: 'CALL_STATE_ACTIVE', meInCall: true, thisDevice: true };
      if ('accept' in message) say({ reply: { id: message['id'], call, media: { token: 'key' } } });
    });
  });

  const { port } = server.address() as AddressInfo;
  const client = new CallsClient({ url: `http://127.0.0.1:${port}`, token: async () => 'secret', WebSocket });
  t.after(() => client.close());
  const incoming = new Promise<Ring>((resolve) => client.on('incoming', resolve));
  await client.connect();
  const call = await (await incoming).accept();
  assert.deepEqual([call.state, call.media?.url], ['active', `ws://127.0.0.1:${port}`]);
  assert.deepEqual(heard.map((message) => Object.keys(message)[1]), ['ack', 'accept']);
});
