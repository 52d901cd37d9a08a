// A reporter for Node's test runner: what failed and why, one paragraph each, for whoever reads only the end of a long log.
// Plain JavaScript: the runner loads reporters before anything that understands TypeScript.

/** The cause is what the story said; the runner's own error only says that it failed. */
function why(error) {
  const cause = error?.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}

/** @param {AsyncIterable<import('node:test/reporters').TestEvent>} events */
export default async function* failures(events) {
  for await (const event of events) {
    // A file is a test that fails because one of its own failed.
    if (event.type === 'test:fail' && !event.data.name.endsWith('.e2e.ts')) {
      yield `${event.data.name}: ${why(event.data.details.error)}\n`;
    }
  }
}
