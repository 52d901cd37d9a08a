// The server's two halves as two processes, so that one can die while the other lives.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sluiceBinary } from './settings.ts';
import { freePorts, ready, spawnSluice, withoutSettings, type ControlAddress, type Server, type SluiceProcess } from './server.ts';

const run = promisify(execFile);

/** Everybody knows this key; the halves listen on loopback only. */
const KEYS = { SLUICE_ROOMS_KEYS: 'devkey:secret' };

export interface Halves extends Server {
  /** The calls API. */
  calls: ControlAddress;
  /** A counter of the node, all its series together, as its shards last reported it: they do so once a second. */
  nodeMetric(name: string): Promise<number>;
  /** Ends room management as a crash would. */
  killRooms(): Promise<void>;
  /** Starts it again, on the same port. It does not wait until it answers. */
  startRooms(): void;
}

/** `sessionsPerShard`: the node has two shards, and rooms with more sessions than this on one spread to the other. */
export async function startHalves(test: string, sessionsPerShard?: number): Promise<Halves> {
  const { http, tcp, udp, grpc, calls: callsPort } = await freePorts();
  const { http: metrics } = await freePorts();
  const url = `http://127.0.0.1:${http}`;
  const token = randomUUID();
  const calls = { address: `127.0.0.1:${callsPort}`, token: randomUUID() };
  const data = mkdtempSync(join(tmpdir(), 'sluice-e2e-'));
  const settings = join(data, 'sluice.toml');
  writeFileSync(settings, `[sfu.limits]\nroom_sessions_per_shard = ${sessionsPerShard ?? 200}\n`);
  const node = spawnSluice(
    test,
    'sfu',
    [
      ...['sfu', '--tcp-port', `${tcp}`, '--grpc', `127.0.0.1:${grpc}`, '--metrics', `127.0.0.1:${metrics}`],
      // Two shards need two ports: the kernel knows free ones.
      ...(sessionsPerShard ? ['--udp-port', '0', '--shards', '2', '--config', settings] : ['--udp-port', `${udp}`, '--shards', '1']),
    ],
    { SLUICE_SFU_TOKEN: token },
  );
  const start = (): SluiceProcess =>
    spawnSluice(
      test,
      'rooms',
      [
        ...['rooms', '--http', `127.0.0.1:${http}`, '--node', `http://127.0.0.1:${grpc}`],
        ...['--calls-grpc', calls.address, '--data-dir', join(data, 'calls')],
      ],
      { ...KEYS, SLUICE_ROOMS_NODE_TOKEN: token, SLUICE_ROOMS_CALLS_GRPC_TOKEN: calls.token },
    );
  let rooms = start();
  const halves = {
    url,
    calls,
    logFile: rooms.logFile,
    token: signedToken,
    async nodeMetric(name: string) {
      const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
      const series = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
      return series.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
    killRooms: () => rooms.kill(),
    startRooms: () => {
      rooms = start();
    },
    async stop() {
      await rooms.stop();
      await node.stop();
      rmSync(data, { recursive: true, force: true });
    },
  };
  try {
    await ready(rooms, url);
  } catch (error) {
    await halves.stop();
    throw error;
  }
  return halves;
}

async function signedToken(room: string, name: string): Promise<{ token: string; identity: string }> {
  const identity = `${name}-${randomUUID().slice(0, 8)}`;
  const args = ['token', '--room', room, '--identity', identity, '--name', name];
  const { stdout } = await run(sluiceBinary(), args, { env: withoutSettings(process.env) });
  return { token: stdout.trim(), identity };
}
