import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TileMeter, formatBitrate, formatLoss } from './stats.ts';

function report(...entries: { id: string; [field: string]: unknown }[]): Map<string, unknown> {
  return new Map(entries.map((entry) => [entry.id, entry]));
}

const VP8 = { id: 'C1', type: 'codec', mimeType: 'video/VP8' };
const OPUS = { id: 'C2', type: 'codec', mimeType: 'audio/opus' };

test('a received picture: size, rate and loss come from the difference of two readings', () => {
  const inbound = { id: 'I', type: 'inbound-rtp', kind: 'video', codecId: 'C1', frameWidth: 640, frameHeight: 360 };
  const meter = new TileMeter();
  meter.read('receiving', [
    report(VP8, { ...inbound, timestamp: 1000, bytesReceived: 0, packetsReceived: 0, packetsLost: 0 }),
  ]);
  const stats = meter.read('receiving', [
    report(VP8, {
      ...inbound,
      timestamp: 3000,
      bytesReceived: 125_000,
      packetsReceived: 99,
      packetsLost: 1,
      framesPerSecond: 14.6,
    }),
  ]);
  assert.deepEqual(stats.video, [{ rid: '', width: 640, height: 360, framesPerSecond: 15, bitsPerSecond: 500_000 }]);
  assert.equal(stats.videoCodec, 'VP8');
  assert.equal(stats.videoLoss, 0.01);
});

test('a sent picture lists its active layers, the largest first, with the loss that the receiver reports', () => {
  const layer = (rid: string, width: number, active: boolean) => ({
    id: rid,
    type: 'outbound-rtp',
    kind: 'video',
    rid,
    active,
    timestamp: 0,
    bytesSent: 0,
    frameWidth: width,
    frameHeight: (width * 9) / 16,
  });
  const stats = new TileMeter().read('sending', [
    report(layer('q', 320, true), layer('f', 1280, true), layer('h', 640, false), {
      id: 'R',
      type: 'remote-inbound-rtp',
      kind: 'video',
      fractionLost: 0.25,
    }),
  ]);
  assert.deepEqual(
    stats.video.map((sent) => sent.rid),
    ['f', 'q'],
  );
  assert.equal(stats.videoLoss, 0.25);
});

test('sound has a rate, and a late packet never makes the loss negative', () => {
  const inbound = { id: 'A', type: 'inbound-rtp', kind: 'audio', codecId: 'C2' };
  const meter = new TileMeter();
  meter.read('receiving', [
    report(OPUS, { ...inbound, timestamp: 0, bytesReceived: 0, packetsReceived: 10, packetsLost: 3 }),
  ]);
  const stats = meter.read('receiving', [
    report(OPUS, { ...inbound, timestamp: 1000, bytesReceived: 4_000, packetsReceived: 60, packetsLost: 2 }),
  ]);
  assert.equal(stats.audioBitsPerSecond, 32_000);
  assert.equal(stats.audioLoss, 0);
  assert.equal(stats.audioCodec, 'Opus');
});

test('figures read well', () => {
  assert.equal(formatBitrate(1_449_000), '1.4 Mbit/s');
  assert.equal(formatBitrate(32_100), '32 kbit/s');
  assert.equal(formatLoss(null), '–');
  assert.equal(formatLoss(0.0123), '1.2 %');
});
