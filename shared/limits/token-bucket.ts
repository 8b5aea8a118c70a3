/**
 * A token bucket: so much a second in the long run, so much at once after a quiet time (C tor: token_bucket.c).
 *
 * @module
 */

/** Fills with time, empties with use; may go below zero, and what it owes is paid back before anything else goes. */
export class TokenBucket {
  private rate: number;
  private burst: number;
  private level: number;
  private filledAt: number;

  /** `rate` a second and at most `burst`; starts full. `now` is monotonic milliseconds, here and below. */
  constructor(rate: number, burst: number, now: number) {
    this.rate = rate;
    this.burst = burst;
    this.level = burst;
    this.filledAt = now;
  }

  /** New limits; what is in the bucket stays, as far as it still fits. */
  adjust(rate: number, burst: number, now: number): void {
    this.refill(now);
    this.rate = rate;
    this.burst = burst;
    this.level = Math.min(this.level, burst);
  }

  private refill(now: number): void {
    if (now <= this.filledAt) return;
    this.level = Math.min(this.burst, this.level + ((now - this.filledAt) * this.rate) / 1000);
    this.filledAt = now;
  }

  /** What is there. */
  available(now: number): number {
    this.refill(now);
    return this.level;
  }

  /** Takes more than there may be. */
  spend(amount: number, now: number): void {
    this.refill(now);
    this.level -= amount;
  }

  /** Takes `amount` if it is there. */
  take(amount: number, now: number): boolean {
    this.refill(now);
    if (this.level < amount) return false;
    this.level -= amount;
    return true;
  }

  /** Milliseconds until `amount` is there (or all the bucket holds); 0 when it is. */
  wait(amount: number, now: number): number {
    this.refill(now);
    const missing = Math.min(amount, this.burst) - this.level;
    return missing <= 0 ? 0 : (missing * 1000) / this.rate;
  }
}
