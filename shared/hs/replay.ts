/**
 * What was seen before: bounded memory of byte strings, each as its digest.
 *
 * @module
 */
import { sha256 } from '../crypto/digest.js';

const nameOf = (bytes: Uint8Array): string => Buffer.from(sha256(bytes)).toString('latin1');

/** Remembers what it is shown, for a time or for good. */
export class ReplayCache {
  private readonly horizon: number;
  private readonly max: number;
  private readonly seen = new Map<string, number>();

  /** `horizon`: milliseconds for which a string is remembered; `max`: strings, the oldest go first. */
  constructor({ horizon = Number.POSITIVE_INFINITY, max }: { horizon?: number; max: number }) {
    this.horizon = horizon;
    this.max = max;
  }

  get size(): number {
    return this.seen.size;
  }

  /** Whether the string was seen; it is not remembered for that. */
  has(bytes: Uint8Array, now: number): boolean {
    this.forget(now);
    return this.seen.has(nameOf(bytes));
  }

  /** Whether the string is new; it is remembered. `now` never goes back (a monotonic clock). */
  isNew(bytes: Uint8Array, now: number): boolean {
    this.forget(now);
    const key = nameOf(bytes);
    if (this.seen.has(key)) return false;
    this.seen.set(key, now);
    if (this.seen.size > this.max) this.seen.delete(this.seen.keys().next().value!);
    return true;
  }

  private forget(now: number): void {
    for (const [key, time] of this.seen) {
      if (now - time <= this.horizon) return;
      this.seen.delete(key);
    }
  }
}
