// The stage of a story: a server, the test page, browsers; all of it ends with the test.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { openChromium, openFirefox, type Browser } from './browsers.ts';
import { servePage } from './page-server.ts';
import { LOOKS, Participant, type Look } from './participant.ts';
import type { Still } from '../page/watch.ts';
import { startServer, type Server } from './server.ts';
import { pause } from './wait.ts';

export type SignalPath = 'v0' | 'v1';

export interface Scene {
  server: Server;
  pageUrl: string;
  /** Opens a page in a browser of this kind; all pages of a kind share one browser. */
  participant(look: Look, browser?: Browser['name']): Promise<Participant>;
}

export async function scene(test: TestContext, server?: Server): Promise<Scene> {
  const running = server ?? (await startServer(test.name));
  const pages = await servePage();
  const browsers = new Map<Browser['name'], Promise<Browser>>();
  const participants: Participant[] = [];
  test.diagnostic(`logs: ${dirname(running.logFile)}`);
  test.after(async () => {
    for (const participant of participants) keepLog(running, participant);
    for (const browser of browsers.values()) await (await browser).close();
    await pages.stop();
    await running.stop();
  });
  return {
    server: running,
    pageUrl: pages.url,
    async participant(look, kind = 'chromium') {
      let browser = browsers.get(kind);
      if (!browser) {
        browser = kind === 'firefox' ? openFirefox(look.tone) : openChromium();
        browsers.set(kind, browser);
      }
      const participant = await Participant.open(await browser, pages.url, look);
      participants.push(participant);
      return participant;
    },
  };
}

/** What the page logged, beside the server's log: it explains most failures. */
function keepLog(server: Server, participant: Participant): void {
  writeFileSync(join(dirname(server.logFile), `page-${participant.name}.log`), `${participant.log.join('\n')}\n`);
}

/** Everybody joins and publishes a picture and a tone. */
export async function everybodyJoins(stage: Scene, room: string, paths: SignalPath[]): Promise<Participant[]> {
  const people: Participant[] = [];
  for (const [index, path] of paths.entries()) {
    const look = LOOKS[index];
    if (!look) throw new Error(`no look for participant ${index}`);
    const participant = await stage.participant(look);
    await participant.join(stage.server, room, { path });
    await participant.publishBoth();
    people.push(participant);
  }
  return people;
}

/** Every ordered pair: who receives, who sends. */
export function pairs(people: Participant[]): [receiver: Participant, sender: Participant][] {
  return people.flatMap((receiver) =>
    people.filter((sender) => sender !== receiver).map((sender): [Participant, Participant] => [receiver, sender]),
  );
}

export async function everybodySeesAndHearsEverybody(people: Participant[], within = 20_000): Promise<void> {
  const waits = pairs(people).flatMap(([receiver, sender]) => [
    receiver.sees(sender, within),
    receiver.hears(sender, within),
  ]);
  const failures = (await Promise.allSettled(waits)).filter((result) => result.status === 'rejected');
  if (failures.length === 0) return;
  const reasons = failures.map(({ reason }) => (reason instanceof Error ? reason.message : String(reason)));
  throw new Error(`${failures.length} of ${waits.length} streams are missing or wrong:\n${reasons.join('\n')}`);
}

export interface Frozen {
  stream: string;
  frozenMs: number;
  longestGapMs: number;
  frames: number;
  stills: Still[];
}

/** Watches all pictures for a while: how long did each of them stand still? */
export async function watchForFreezes(people: Participant[], forMs: number): Promise<Frozen[]> {
  await Promise.all(people.map((participant) => participant.call('startWindow')));
  await pause(forMs);
  const reports = await Promise.all(
    people.map(async (receiver) =>
      (await receiver.call('streams')).flatMap(({ identity, video }) => {
        const sender = people.find((participant) => participant.identity === identity);
        return video ? [{ stream: `${sender?.name ?? identity} at ${receiver.name}`, ...video }] : [];
      }),
    ),
  );
  return reports.flat().map(({ stream, frozenMs, longestGapMs, frames, stills }) => ({ stream, frozenMs, longestGapMs, frames, stills }));
}
