// The server's two halves as two processes, so that one can die while the other lives.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
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
  /** Ends room management as a crash would. */
  killRooms(): Promise<void>;
  /** Starts it again, on the same port. It does not wait until it answers. */
  startRooms(): void;
}

export async function startHalves(test: string): Promise<Halves> {
  const { http, tcp, udp, grpc, calls: callsPort } = await freePorts();
  const url = `http://127.0.0.1:${http}`;
  const token = randomUUID();
  const calls = { address: `127.0.0.1:${callsPort}`, token: randomUUID() };
  const data = mkdtempSync(join(tmpdir(), 'sluice-e2e-'));
  const node = spawnSluice(
    test,
    'sfu',
    ['sfu', '--tcp-port', `${tcp}`, '--udp-port', `${udp}`, '--shards', '1', '--grpc', `127.0.0.1:${grpc}`],
    { SLUICE_SFU_TOKEN: token },
  );
  const start = (): SluiceProcess =>
    spawnSluice(
      test,
      'rooms',
      [
        ...['rooms', '--http', `127.0.0.1:${http}`, '--node', `http://127.0.0.1:${grpc}`],
        ...['--calls-grpc', calls.address, '--data-dir', data],
      ],
      { ...KEYS, SLUICE_ROOMS_NODE_TOKEN: token, SLUICE_ROOMS_CALLS_GRPC_TOKEN: calls.token },
    );
  let rooms = start();
  const halves = {
    url,
    calls,
    logFile: rooms.logFile,
    token: signedToken,
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
