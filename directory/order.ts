/**
 * Order statistics as the vote needs them: low medians, and the most frequent member with C tor's ways of breaking
 * ties (`order.c`, `smartlist_get_most_frequent_`).
 *
 * @module
 */

/** Orders two values. */
export type Compare<T> = (a: T, b: T) => number;

/** Byte order of ASCII strings, as strcmp. */
export const compareText: Compare<string> = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** Numeric order. */
export const compareNumbers: Compare<number> = (a, b) => a - b;

/** The nth smallest (from 0); `values` must have that many. */
export const nthSmallest = (values: readonly number[], nth: number): number =>
  [...values].sort(compareNumbers)[nth]!;

/** The low median: of an even number of values, the lower of the two in the middle. `values` must not be empty. */
export const lowMedian = (values: readonly number[]): number =>
  nthSmallest(values, Math.floor((values.length - 1) / 2));

/** The most frequent member and its count; of several, the last in order. Undefined for no values. */
export function mostFrequent<T>(
  values: readonly T[],
  compare: Compare<T>,
): { readonly value: T; readonly count: number } | undefined {
  const sorted = [...values].sort(compare);
  let best: { value: T; count: number } | undefined;
  let start = 0;
  for (let i = 1; i <= sorted.length; i++) {
    if (i < sorted.length && compare(sorted[start]!, sorted[i]!) === 0) continue;
    const count = i - start;
    if (!best || count >= best.count) best = { value: sorted[start]!, count };
    start = i;
  }
  return best;
}

/** The members that occur more than `threshold` times, in order. */
export function frequentMembers<T>(values: readonly T[], compare: Compare<T>, threshold: number): T[] {
  const sorted = [...values].sort(compare);
  const out: T[] = [];
  let start = 0;
  for (let i = 1; i <= sorted.length; i++) {
    if (i < sorted.length && sorted[start] === sorted[i]) continue;
    if (i - start > threshold) out.push(sorted[start]!);
    start = i;
  }
  return out;
}
