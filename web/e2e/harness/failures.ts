// A reporter for Node's test runner: what failed and why, one paragraph each, for whoever reads only the end of a long log.
import type { TestEvent } from 'node:test/reporters';

/** The cause is what the story said; the runner's own error only says that it failed. */
function why(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}

export default async function* failures(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    // A file is a test that fails because one of its own failed.
    if (event.type === 'test:fail' && !event.data.name.endsWith('.e2e.ts')) {
      yield `${event.data.name}: ${why(event.data.details.error)}\n`;
    }
  }
}
