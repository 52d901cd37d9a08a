// An operator looks into the node through its gRPC API, and mutes somebody.
import { status } from '@grpc/grpc-js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everybodyJoins, scene } from '../harness/call.ts';
import { Control } from '../harness/control.ts';
import { startServer } from '../harness/server.ts';
import { until } from '../harness/wait.ts';

test('an operator mutes a microphone over gRPC: nobody hears it until it is unmuted', { timeout: 90_000 }, async (t) => {
  const server = await startServer(t.name);
  const stage = await scene(t, server);
  const [ana, ben] = await everybodyJoins(stage, 'operator', ['v1', 'v0']);
  assert.ok(ana && ben);
  const heard = await ben.hears(ana);

  const stranger = new Control({ ...server.control, token: 'not the token' });
  t.after(() => stranger.close());
  await assert.rejects(stranger.rooms(), { code: status.UNAUTHENTICATED });

  const operator = new Control(server.control);
  t.after(() => operator.close());
  const rooms = await operator.rooms();
  assert.equal(rooms.length, 1);
  const [room] = rooms;
  const publications = room?.sessions.flatMap((session) => session.publications) ?? [];
  assert.ok(room && publications.some(({ publicationId }) => publicationId === heard.sid), JSON.stringify(rooms));

  await operator.setMuted(room.roomId, heard.sid, true);
  await until('Ben hears nothing of Ana', async () => ((await ben.streamOf(ana, 'microphone'))?.audio?.loudness ?? 0) < 0.005, {
    within: 5_000,
  });
  // Her picture is another publication.
  await ben.sees(ana);
  await operator.setMuted(room.roomId, heard.sid, false);
  await ben.hears(ana);
});
