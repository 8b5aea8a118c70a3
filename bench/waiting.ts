/**
 * Trying again, and giving up.
 *
 * @module
 */

const PAUSE = 50;

/** Tries until it works, `patience` milliseconds at most; then rejects as the last try did. */
export async function until(attempt: () => Promise<unknown>, patience = 120_000): Promise<void> {
  const end = performance.now() + patience;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

/** Rejects when the work takes longer than so many milliseconds. The work itself goes on. */
export async function within<T>(limit: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${limit / 1000} s`)), limit);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
