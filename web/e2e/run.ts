// `npm run e2e`: runs the stories one after the other, for they measure time on the same machine.
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HELP = `npm run e2e -- [story ...] [--grep pattern] [--full]

  story            part of a file name in e2e/stories, for example: call-of-four
  --grep pattern   only tests whose name matches
  --full           watch calls for 60 s instead of 12, and hold times to their goals: for a machine that does nothing else

Environment
  SLUICE_BIN              the server (default: ../target/release/sluice, then ../target/debug/sluice)
  SLUICE_E2E_WINDOW_S     for how long calls are watched, in seconds
  SLUICE_E2E_CALLS        how many calls the measurement of their beginning makes
  SLUICE_E2E_RESULTS      logs and pictures, and failures.txt with what failed and why (default: test-results)
  SLUICE_E2E_SCREENSHOTS  pictures of the page (default: test-results/screenshots)
  SLUICE_E2E_README_PICTURE   a file: where to put a new picture of a call of four
  SLUICE_E2E_CHROMIUM, SLUICE_E2E_FIREFOX   the browsers
`;

const HERE = dirname(fileURLToPath(import.meta.url));

function main(args: string[]): void {
  const words: string[] = [];
  const options = ['--import', 'tsx', '--test', '--test-concurrency=1'];
  const environment = { ...process.env };
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    if (arg === '--help') return void process.stdout.write(HELP);
    if (arg === '--full') Object.assign(environment, { SLUICE_E2E_FULL: '1', SLUICE_E2E_WINDOW_S: '60' });
    else if (arg === '--grep') options.push(`--test-name-pattern=${args[++at] ?? ''}`);
    else if (arg.startsWith('--grep=')) options.push(`--test-name-pattern=${arg.slice('--grep='.length)}`);
    else if (arg.startsWith('-')) return fail(`unknown option ${arg}\n\n${HELP}`);
    else words.push(arg);
  }
  const stories = readdirSync(join(HERE, 'stories')).filter((file) => file.endsWith('.e2e.ts'));
  const chosen = stories.filter((file) => words.length === 0 || words.some((word) => file.includes(word)));
  if (chosen.length === 0) return fail(`no story matches ${words.join(' ')}; there are: ${stories.join(' ')}\n`);
  const results = environment['SLUICE_E2E_RESULTS'] ?? join(HERE, '../test-results');
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  options.push('--test-reporter=spec', '--test-reporter-destination=stdout');
  options.push(`--test-reporter=${join(HERE, 'harness/failures.mjs')}`, `--test-reporter-destination=${join(results, 'failures.txt')}`);
  const files = chosen.map((file) => join(HERE, 'stories', file));
  const child = spawn(process.execPath, [...options, ...files], { stdio: 'inherit', cwd: HERE, env: environment });
  child.once('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}

function fail(message: string): void {
  process.stderr.write(message);
  process.exitCode = 2;
}

main(process.argv.slice(2));
