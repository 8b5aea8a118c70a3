/**
 * How long to wait before trying again.
 *
 * @module
 */
import type { Random } from '../shared/runtime/types.js';

/** First and longest wait, milliseconds. */
export interface BackoffLimits {
  readonly first: number;
  readonly longest: number;
}

/** Waits that double, each made up to a third longer or shorter so that many relays do not ask at one moment. */
export class Backoff {
  private readonly random: Random;
  private readonly limits: BackoffLimits;
  private wait: number;

  constructor(random: Random, limits: BackoffLimits) {
    this.random = random;
    this.limits = limits;
    this.wait = limits.first;
  }

  /** Milliseconds to wait now. */
  next(): number {
    const wait = this.wait;
    this.wait = Math.min(this.limits.longest, wait * 2);
    return wait * (2 / 3 + (2 / 3) * this.random.fraction());
  }

  /** It worked. */
  reset(): void {
    this.wait = this.limits.first;
  }
}
