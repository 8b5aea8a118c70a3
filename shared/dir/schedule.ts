/**
 * When directory documents are fetched again (dir-spec 4.3, 5.1): pure functions of time.
 *
 * @module
 */
import type { Random } from '../runtime/types.js';

/** The times of a consensus that matter here, milliseconds. */
export interface ConsensusTimes {
  readonly validAfter: number;
  readonly freshUntil: number;
  readonly validUntil: number;
}

/** A cache waits this long after the end of freshness, or a sixteenth of the interval if that is less [CONSENSUS_MIN_SECONDS_BEFORE_CACHING]. */
const CACHE_DELAY = 120_000;

/**
 * When a cache fetches the next consensus: after fresh-until, up to two minutes later plus a random part of half the
 * interval [update_consensus_networkstatus_fetch_time_impl].
 */
export function cacheFetchTime(times: ConsensusTimes, random: Random): number {
  const interval = times.freshUntil - times.validAfter;
  const least = Math.min(CACHE_DELAY, interval / 16);
  return times.freshUntil + least + random.fraction() * (interval / 2);
}

/**
 * When a client does: from three quarters of an interval after fresh-until, anywhere in the first 7/8 of what is left
 * until valid-until, so that caches are not asked by all at once.
 */
export function clientFetchTime(times: ConsensusTimes, random: Random): number {
  const interval = times.freshUntil - times.validAfter;
  const start = times.freshUntil + (interval * 3) / 4;
  const room = ((times.validUntil - start) * 7) / 8;
  // A consensus that hardly outlives its freshness leaves no room: fetch as soon as it is no longer fresh.
  if (room <= 0)
    return times.freshUntil + random.fraction() * Math.max((times.validUntil - times.freshUntil) / 2, 0);
  return start + random.fraction() * room;
}

/**
 * Longest sleep of what waits for a time of day, milliseconds. Timers stand still while a machine is suspended and know
 * nothing of a clock that is set, so the time is looked at again this often, as C tor does [fetch_networkstatus_callback].
 */
export const LOOK_AGAIN = 60_000;

/** Exponential backoff with decorrelated jitter, as C tor's download schedules [next_random_exponential_delay]. */
export function nextDelay(previous: number, base: number, max: number, random: Random): number {
  const high = Math.max(Math.min(previous * 3, max), base);
  return base + random.fraction() * (high - base);
}
