// Waiting for conditions, never for time.

export interface Wait {
  /** Milliseconds until the test gives up. */
  within: number;
  /** Milliseconds between two looks. */
  every?: number;
}

/** Looks until `probe` gives something other than false, null or undefined; says what it last saw when it gives up. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  { within, every = 100 }: Wait,
): Promise<T> {
  const deadline = Date.now() + within;
  let last: unknown;
  do {
    try {
      const value = await probe();
      if (value !== false && value !== null && value !== undefined) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    await pause(every);
  } while (Date.now() < deadline);
  const seen = last instanceof Error ? last.message : JSON.stringify(last);
  throw new Error(`${what}: not within ${within} ms (last: ${seen})`);
}

/** For watching something for a while, not for hoping that it is done. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
