// What the line under a call's name says, from the first ring to the talk.
import type { CallView, Member } from '@sluice-calls/client';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { absentees, statusOf } from './status.ts';

function member(change: Partial<Member>): Member {
  return {
    userId: 'ben', handle: 'Ben', state: 'joined', onHold: false, videoAllowed: false, host: false, identity: 'ben#1', ...change,
  };
}

function view(change: Partial<CallView>): CallView {
  return {
    callId: 'CL_1', revision: 1n, state: 'active', kind: 'direct', media: 'audio', conversationId: 't', creatorUserId: 'ana',
    createdAtMs: 1, answeredAtMs: 2, members: [member({ userId: 'ana' }), member({})], meInCall: true, thisDevice: true,
    host: true, videoAllowed: false, onHold: false, inLobby: false, upgradeRequestedBy: '', linkId: '', ...change,
  };
}

test('an outgoing call: calling until a device rings', () => {
  assert.equal(statusOf(null, 'ana', null), 'calling');
  assert.equal(statusOf(view({ state: 'ringing', members: [member({ state: 'calling' })] }), 'ana', 'connected'), 'calling');
  assert.equal(statusOf(view({ state: 'ringing', members: [member({ state: 'ringing' })] }), 'ana', 'connected'), 'ringing');
  // This user's own state is not the callee's.
  assert.equal(statusOf(view({ state: 'ringing', members: [member({ userId: 'ana', state: 'ringing' })] }), 'ana', null), 'calling');
});

test('answered: connecting until both are in the room', () => {
  assert.equal(statusOf(view({}), 'ana', null), 'connecting');
  assert.equal(statusOf(view({ members: [member({ state: 'connecting' })] }), 'ana', 'connected'), 'connecting');
  assert.equal(statusOf(view({}), 'ana', 'connected'), 'talking');
  assert.equal(statusOf(view({ members: [member({ state: 'reconnecting' })] }), 'ana', 'connected'), 'reconnecting');
});

test('hold: one’s own comes before the other’s', () => {
  assert.equal(statusOf(view({ onHold: true, members: [member({ onHold: true })] }), 'ana', 'connected'), 'held');
  assert.equal(statusOf(view({ members: [member({ onHold: true })] }), 'ana', 'connected'), 'heldByOther');
  const group = view({ kind: 'group', members: [member({ onHold: true }), member({ userId: 'cem' })] });
  assert.equal(statusOf(group, 'ana', 'connected'), 'talking');
});

test('a group: whoever is not there is listed apart', () => {
  const members = [member({ userId: 'ana' }), member({}), member({ userId: 'cem', state: 'ringing' }), member({ userId: 'dev', state: 'declined' })];
  const group = view({ kind: 'group', members });
  assert.equal(statusOf(group, 'ana', 'connected'), 'talking');
  assert.deepEqual(absentees(group, 'ana').map(({ userId }) => userId), ['cem', 'dev']);
  assert.equal(statusOf(view({ kind: 'group', members: [member({ state: 'left' })] }), 'ana', 'connected'), 'waiting');
  assert.equal(statusOf(view({ inLobby: true }), 'ana', null), 'lobby');
});
