// A story that runs whole, server and browsers, in a network namespace of its own: nothing else on the machine notices.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const INSIDE = 'SLUICE_E2E_INSIDE_NAMESPACE';

/** What a story needs of its network. */
export interface Network {
  /** Programs besides `ip`. */
  tools?: string[];
  /** Runs once the namespace and its loopback interface are there. */
  prepare(namespace: string): void;
  /** Takes away what lies outside of the namespace. */
  tidy?(namespace: string): void;
}

/** Of the story that runs now. */
export function namespaceHere(): string {
  const here = process.env[INSIDE];
  if (!here) throw new Error('this runs outside of any namespace of its own');
  return here;
}

/**
 * Registers `stories` where they belong: in a process inside the namespace. Outside, one test starts that process and
 * reports how it ended, or says why it cannot.
 */
export function inNamespace(name: string, file: string, network: Network, stories: () => void): void {
  if (process.env[INSIDE]) return stories();
  const missing = whatIsMissing(['ip', ...(network.tools ?? [])]);
  test(name, { timeout: 300_000, skip: missing }, async () => {
    const namespace = `sluice-e2e-${process.pid}`;
    run('ip', 'netns', 'add', namespace);
    try {
      run('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
      network.prepare(namespace);
      await runIn(namespace, fileURLToPath(file));
    } finally {
      network.tidy?.(namespace);
      run('ip', 'netns', 'delete', namespace);
    }
  });
}

/** Runs a program; a last argument of several lines is its input. */
export function run(command: string, ...args: string[]): string {
  const input = args.at(-1)?.includes('\n') ? args.pop() : undefined;
  return execFileSync(command, args, { encoding: 'utf8', ...(input ? { input } : {}) });
}

function whatIsMissing(tools: string[]): string | false {
  if (process.getuid?.() !== 0) return 'needs root to make a network namespace';
  for (const tool of tools) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`]);
    } catch {
      return `needs ${tool}`;
    }
  }
  return false;
}

async function runIn(namespace: string, file: string): Promise<void> {
  const args = ['netns', 'exec', namespace, process.execPath, '--import', 'tsx', file];
  const environment: NodeJS.ProcessEnv = { ...process.env, [INSIDE]: namespace };
  // A test runner that runs inside another one would report to it instead of failing by its exit code.
  delete environment['NODE_TEST_CONTEXT'];
  const child = spawn('ip', args, { stdio: 'inherit', env: environment });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  assert.equal(code, 0, 'the story inside the namespace failed; its report is above');
}
