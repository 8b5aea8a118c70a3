/**
 * The rate a peer's XON advises (prop324 4.2): a bucket of one second's bytes, as C tor has it
 * (`circuit_process_stream_xon`).
 *
 * @module
 */
import type { Clock } from '../runtime/types.js';

const INT32_MAX = 0x7fffffff;

/** Bytes per second from XON's kilobytes; undefined when it names no rate. */
export function rateOfXon(kbps: number): number | undefined {
  const rate = kbps * 1000;
  return rate === 0 || rate > INT32_MAX ? undefined : rate;
}

/** Lets so many bytes a second go, and as many at once. */
export class Pace {
  private readonly clock: Clock;
  private readonly rate: number;
  private tokens: number;
  private filledAt: number;

  constructor(clock: Clock, rate: number) {
    this.clock = clock;
    this.rate = rate;
    this.tokens = rate;
    this.filledAt = clock.monotonic();
  }

  /** Bytes that may go now; may be negative after a last cell that was larger than what was left. */
  get allowance(): number {
    const now = this.clock.monotonic();
    this.tokens = Math.min(this.rate, this.tokens + ((now - this.filledAt) * this.rate) / 1000);
    this.filledAt = now;
    return this.tokens;
  }

  spend(bytes: number): void {
    this.tokens -= bytes;
  }

  /** Milliseconds until `bytes` may go. */
  wait(bytes: number): number {
    return Math.max(1, ((Math.min(bytes, this.rate) - this.tokens) * 1000) / this.rate);
  }
}
