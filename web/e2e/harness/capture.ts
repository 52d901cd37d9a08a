// Packets on an interface, as tcpdump writes them down, without their IP headers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { until } from './wait.ts';

export interface Packet {
  atMs: number;
  from: string;
  to: string;
  protocol: 'tcp' | 'udp';
  /** From the transport's header on. */
  content: Buffer;
  /** How much of `content` can be read without a key; the rest is encrypted. */
  clear: number;
}

export interface Capture {
  /** Ends it, and gives what was seen. */
  stop(): Promise<Packet[]>;
}

const START_MS = 10_000;
const FILE_HEADER = 24;
const ETHERNET = 14;
const IPV4 = 0x0800;

export async function capture(device: string, file: string): Promise<Capture> {
  // `-U`: what was seen is in the file at once. `-Z root`: the file's folder belongs to root.
  const args = ['-i', device, '-w', file, '-U', '-s', '0', '-B', '16384', '-n', '-Z', 'root', '--immediate-mode'];
  const child = spawn('tcpdump', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text) => (said += String(text)));
  await until(`tcpdump listens on ${device}`, () => existsSync(file) && statSync(file).size >= FILE_HEADER && /listening on/.test(said), {
    within: START_MS,
  });
  return {
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGINT');
      await ended;
      const dropped = Number(/(\d+) packets? dropped by kernel/.exec(said)?.[1] ?? NaN);
      if (dropped !== 0) throw new Error(`tcpdump missed packets on ${device}: ${said}`);
      return readPackets(readFileSync(file));
    },
  };
}

/** The classic format, little-endian with microseconds, of Ethernet frames. */
export function readPackets(file: Buffer): Packet[] {
  if (file.readUInt32LE(0) !== 0xa1b2c3d4 || file.readUInt32LE(20) !== 1) throw new Error('not a capture of Ethernet frames');
  const packets: Packet[] = [];
  for (let at = FILE_HEADER; at + 16 <= file.length; ) {
    const [seconds, micros, length, whole] = [0, 4, 8, 12].map((field) => file.readUInt32LE(at + field)) as [number, number, number, number];
    if (length !== whole) throw new Error(`a packet of ${whole} bytes was cut to ${length}`);
    const packet = readFrame(seconds * 1_000 + micros / 1_000, file.subarray(at + 16, at + 16 + length));
    if (packet) packets.push(packet);
    at += 16 + length;
  }
  return packets;
}

/** `null`: neither TCP nor UDP over IPv4. */
function readFrame(atMs: number, frame: Buffer): Packet | null {
  if (frame.length < ETHERNET + 20 || frame.readUInt16BE(12) !== IPV4) return null;
  const ip = frame.subarray(ETHERNET);
  const protocol = ({ 6: 'tcp', 17: 'udp' } as const)[ip[9] ?? 0];
  if (!protocol) return null;
  const content = ip.subarray(((ip[0] ?? 0) & 15) * 4, ip.readUInt16BE(2));
  const from = ip.subarray(12, 16).join('.');
  const to = ip.subarray(16, 20).join('.');
  return { atMs, from, to, protocol, content, clear: protocol === 'udp' ? 8 + clearPart(content.subarray(8)) : content.length };
}

/** Of a datagram of WebRTC: RFC 7983 tells its kinds apart by the first byte. */
function clearPart(datagram: Buffer): number {
  const first = datagram[0] ?? 0;
  if (first < 128 || first > 191) return datagram.length;
  const kind = datagram[1] ?? 0;
  // RTCP, encrypted behind its first header.
  if (kind >= 192 && kind <= 223) return Math.min(8, datagram.length);
  const header = 12 + (first & 15) * 4;
  const extended = (first & 16) !== 0 && datagram.length >= header + 4;
  return Math.min(datagram.length, extended ? header + 4 + datagram.readUInt16BE(header + 2) * 4 : header);
}
