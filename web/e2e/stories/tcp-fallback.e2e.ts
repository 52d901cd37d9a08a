// A network that drops UDP: the call connects over TCP. The whole story runs in a network namespace of its own,
// server and browser in it, so that the firewall rule touches nothing else on the machine.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { everybodyJoins, everybodySeesAndHearsEverybody, scene, type SignalPath } from '../harness/call.ts';

const INSIDE = 'SLUICE_E2E_INSIDE_NAMESPACE';

if (process.env[INSIDE]) {
  for (const path of ['v1', 'v0'] satisfies SignalPath[]) {
    test(`UDP is dropped, the call goes over TCP (${path})`, { timeout: 120_000 }, async (t) => {
      const stage = await scene(t);
      const people = await everybodyJoins(stage, 'firewall', [path, path]);
      await everybodySeesAndHearsEverybody(people, 40_000);
      for (const who of people) {
        const transports = await who.call('transports');
        assert.ok(transports.length > 0 && transports.every((protocol) => protocol === 'tcp'), `${who.name}: ${transports}`);
      }
      const dropped = droppedDatagrams();
      t.diagnostic(`the firewall dropped ${dropped} datagrams`);
      assert.ok(dropped > 0, 'the firewall really stood in the way of UDP');
    });
  }
} else {
  const missing = whatIsMissing();
  test('UDP is dropped by the firewall', { timeout: 300_000, skip: missing }, async () => {
    const namespace = `sluice-e2e-${process.pid}`;
    run('ip', 'netns', 'add', namespace);
    try {
      run('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
      run('ip', 'netns', 'exec', namespace, 'nft', '-f', '-', RULES);
      await runThisFileIn(namespace);
    } finally {
      run('ip', 'netns', 'delete', namespace);
    }
  });
}

const RULES = `
table inet e2e {
  chain drop_udp {
    type filter hook input priority 0;
    meta l4proto udp counter drop
  }
}
`;

function run(command: string, ...args: string[]): string {
  const input = args.at(-1)?.includes('\n') ? args.pop() : undefined;
  return execFileSync(command, args, { encoding: 'utf8', ...(input ? { input } : {}) });
}

function whatIsMissing(): string | false {
  if (process.getuid?.() !== 0) return 'needs root to make a network namespace';
  for (const tool of ['ip', 'nft']) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`]);
    } catch {
      return `needs ${tool}`;
    }
  }
  return false;
}

function droppedDatagrams(): number {
  const listing = execFileSync('nft', ['list', 'table', 'inet', 'e2e'], { encoding: 'utf8' });
  return Number(/counter packets (\d+)/.exec(listing)?.[1] ?? 0);
}

async function runThisFileIn(namespace: string): Promise<void> {
  const args = ['netns', 'exec', namespace, process.execPath, '--import', 'tsx', fileURLToPath(import.meta.url)];
  const environment: NodeJS.ProcessEnv = { ...process.env, [INSIDE]: '1' };
  // A test runner that runs inside another one would report to it instead of failing by its exit code.
  delete environment['NODE_TEST_CONTEXT'];
  const child = spawn('ip', args, { stdio: 'inherit', env: environment });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  assert.equal(code, 0, 'the story inside the namespace failed; its report is above');
}
