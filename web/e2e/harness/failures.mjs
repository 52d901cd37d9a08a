// A reporter for Node's test runner: what failed, why, and what the story said of it, one paragraph each, for whoever
// reads only the end of a long log.
// Plain JavaScript: the runner loads reporters before anything that understands TypeScript.

/** The cause is what the story said; the runner's own error only says that it failed. */
function why(error) {
  const cause = error?.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}

/** @param {AsyncIterable<import('node:test/reporters').TestEvent>} events */
export default async function* failures(events) {
  // What a story has to say comes directly after its result.
  let failed = false;
  for await (const event of events) {
    if (event.type === 'test:diagnostic' && failed) yield `    ${event.data.message}\n`;
    // A file is a test that fails because one of its own failed.
    else if (event.type === 'test:fail' && !event.data.name.endsWith('.e2e.ts')) {
      failed = true;
      yield `${event.data.name}: ${why(event.data.details.error)}\n`;
    } else if (event.type !== 'test:stdout' && event.type !== 'test:stderr') failed = false;
  }
}
