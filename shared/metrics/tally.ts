/**
 * A histogram that is kept where its values arise, and read when somebody looks.
 *
 * @module
 */
import type { Histogram } from './types.js';

/** Counts of values by size. */
export class Tally implements Histogram {
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[];
  /** For each bucket how many values were no larger: those of smaller buckets included. */
  readonly atMost: number[];
  count = 0;
  sum = 0;

  constructor(buckets: readonly number[]) {
    this.buckets = buckets;
    this.atMost = buckets.map(() => 0);
  }

  observe(value: number): void {
    this.count++;
    this.sum += value;
    this.buckets.forEach((bound, i) => {
      if (value <= bound) this.atMost[i]!++;
    });
  }
}
