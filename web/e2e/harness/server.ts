// A real server for one test: started on free ports, ended by its pid, its log kept.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { RESULTS, sluiceBinary } from './settings.ts';
import { until } from './wait.ts';

export interface Ports {
  http: number;
  tcp: number;
  udp: number;
  grpc: number;
  /** The calls API. */
  calls: number;
}

export interface Token {
  token: string;
  identity: string;
}

export interface Server {
  /** The page and the signalling, for example `http://127.0.0.1:7880`. */
  url: string;
  logFile: string;
  token(room: string, name: string): Promise<Token>;
  stop(): Promise<void>;
}

/** Where a program controls the node, and the bearer token that it needs. */
export interface ControlAddress {
  address: string;
  token: string;
}

export interface DevServer extends Server {
  control: ControlAddress;
}

/** Starting includes checking certificates and ports; a debug build on a busy machine needs some seconds. */
const START_MS = 30_000;
/** A graceful end tells every client; then patience ends. */
const STOP_MS = 5_000;
/** Of a server's log, in the report of a failure. */
const MOST_WARNINGS = 10;

export async function startServer(test: string, listenOn = '127.0.0.1'): Promise<DevServer> {
  const ports = await freePorts();
  const { http, tcp, udp, grpc, calls } = ports;
  const elsewhere = listenOn === '127.0.0.1' ? [] : ['--bind', listenOn, '--allow-dev-key-anywhere'];
  const control = { address: `${listenOn}:${grpc}`, token: randomUUID() };
  const process = spawnSluice(
    test,
    'dev',
    [
      'dev',
      ...['--http-port', `${http}`, '--tcp-port', `${tcp}`, '--udp-port', `${udp}`, '--grpc-port', `${grpc}`],
      // In memory: what one run leaves must not meet the next.
      ...['--calls-grpc-port', `${calls}`, '--data-dir', ''],
      ...elsewhere,
    ],
    { SLUICE_DEV_GRPC_TOKEN: control.token },
  );
  const url = `http://${listenOn}:${http}`;
  try {
    await ready(process, url);
  } catch (error) {
    await process.stop();
    throw error;
  }
  return {
    url,
    logFile: process.logFile,
    control,
    token: (room, name) => developmentToken(url, room, name),
    stop: () => process.stop(),
  };
}

/**
 * Firefox offers no loopback candidate while the machine has another address, so a server for it must listen there.
 * What is sent to an own address never leaves the machine.
 */
export function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}

async function developmentToken(url: string, room: string, name: string): Promise<Token> {
  const response = await fetch(`${url}/dev/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ room, name }),
  });
  if (!response.ok) throw new Error(`no token: ${response.status} ${await response.text()}`);
  return (await response.json()) as Token;
}

export interface SluiceProcess {
  child: ChildProcess;
  logFile: string;
  /** Asks it to end; kills it when it does not. */
  stop(): Promise<void>;
  /** Ends it without warning, as a crash would. */
  kill(): Promise<void>;
}

export function spawnSluice(
  test: string,
  name: string,
  args: string[],
  environment: Record<string, string> = {},
): SluiceProcess {
  const folder = join(RESULTS, test.replace(/[^a-z0-9]+/gi, '-').toLowerCase());
  mkdirSync(folder, { recursive: true });
  const logFile = join(folder, `${name}.log`);
  const log = createWriteStream(logFile, { flags: 'a' });
  const child = spawn(sluiceBinary(), args, {
    // A developer's own sluice.toml must not reach the tests.
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...withoutSettings(process.env), RUST_BACKTRACE: '1', ...environment },
  });
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(timer);
  };
  return { child, logFile, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') };
}

/** The last that a server complained of. */
export function warnings(logFile: string): string[] {
  const lines = readFileSync(logFile, 'utf8').split('\n');
  return lines.filter((line) => /\b(WARN|ERROR)\b/.test(line)).slice(-MOST_WARNINGS);
}

/** The server takes every SLUICE_ variable for a setting of its own; those of the tests would be errors. */
export function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('SLUICE_')));
}

export async function ready(process: SluiceProcess, url: string): Promise<void> {
  await until(
    `the server answers at ${url} (log: ${process.logFile})`,
    async () => {
      const { exitCode, signalCode } = process.child;
      if (exitCode !== null || signalCode !== null) return { died: exitCode ?? signalCode };
      return (await fetch(url, { method: 'HEAD' })).ok && { died: null };
    },
    { within: START_MS },
  ).then(({ died }) => {
    if (died !== null) throw new Error(`the server ended with ${died} at start; its log: ${process.logFile}`);
  });
}

export async function freePorts(): Promise<Ports> {
  const [http, tcp, grpc, calls, udp] = await Promise.all([freeTcp(), freeTcp(), freeTcp(), freeTcp(), freeUdp()]);
  return { http, tcp, udp, grpc, calls };
}

function freeTcp(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}

function freeUdp(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createSocket('udp4');
    probe.once('error', reject);
    probe.bind(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
