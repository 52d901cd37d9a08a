// What the environment may change. `npm run e2e -- --help` lists it.
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const WEB = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const REPOSITORY = resolve(WEB, '..');

/** Logs and pictures of the last run. */
export const RESULTS = process.env['SLUICE_E2E_RESULTS'] ?? join(WEB, 'test-results');

/** Where pictures of the product page go. */
export const SCREENSHOTS = process.env['SLUICE_E2E_SCREENSHOTS'] ?? join(RESULTS, 'screenshots');

/** Asked to measure with care, on a machine that does nothing else. */
export const FULL = process.env['SLUICE_E2E_FULL'] === '1';

/** For how long a call is watched once everybody sees everybody. */
export const WINDOW_MS = Number(process.env['SLUICE_E2E_WINDOW_S'] ?? 12) * 1_000;

export const CHROMIUM = firstThatExists('SLUICE_E2E_CHROMIUM', ['/usr/bin/chromium', '/usr/bin/chromium-browser']);
export const FIREFOX = firstThatExists('SLUICE_E2E_FIREFOX', ['/usr/bin/firefox-esr', '/usr/bin/firefox']);

export function sluiceBinary(): string {
  const named = process.env['SLUICE_BIN'];
  const candidates = named ? [resolve(named)] : ['release', 'debug'].map((kind) => join(REPOSITORY, 'target', kind, 'sluice'));
  const found = candidates.find((path) => existsSync(path));
  if (!found) throw new Error(`no server binary at ${candidates.join(' or ')}: run \`cargo build --release\` or set SLUICE_BIN`);
  return found;
}

function firstThatExists(variable: string, paths: string[]): string {
  const named = process.env[variable];
  if (named) return named;
  const found = paths.find((path) => existsSync(path));
  if (!found) throw new Error(`no browser at ${paths.join(' or ')}: install it or set ${variable}`);
  return found;
}
