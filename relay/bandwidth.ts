/**
 * What a relay has carried: the best ten seconds of the last days, which its descriptor tells as observed bandwidth,
 * and sums by day for the extra-info (dir-spec 2.1.1, 2.1.2; C tor: bwhist.c).
 *
 * @module
 */
import type { Clock } from '../shared/runtime/types.js';

/** Seconds over which a rate must be held to count (C tor: NUM_SECS_ROLLING_MEASURE). */
const ROLLING = 10;
/** Milliseconds of one period (C tor: NUM_SECS_BW_SUM_INTERVAL). */
export const PERIOD = 86_400_000;
/** Periods kept (C tor: NUM_SECS_BW_SUM_IS_VALID). */
const PERIODS = 5;

/** One finished or running period. */
export interface Period {
  /** Bytes in all. */
  readonly total: number;
  /** Most bytes in any ten seconds. */
  readonly best: number;
}

/** What is kept over restarts. */
export interface SavedHistory {
  /** Wall-clock end of the running period, milliseconds. */
  readonly ends: number;
  /** Oldest first; the last is the running one. */
  readonly read: readonly Period[];
  readonly written: readonly Period[];
}

/** One direction. */
class Direction {
  periods: { total: number; best: number }[] = [{ total: 0, best: 0 }];
  private readonly seconds = new Float64Array(ROLLING);
  private second = 0;
  private sum = 0;

  add(second: number, bytes: number): void {
    if (second !== this.second) this.advance(second);
    this.seconds[second % ROLLING]! += bytes;
    this.sum += bytes;
    const period = this.periods.at(-1)!;
    period.total += bytes;
    if (this.sum > period.best) period.best = this.sum;
  }

  private advance(second: number): void {
    const steps = Math.min(second - this.second, ROLLING);
    for (let i = 1; i <= steps; i++) {
      const slot = (this.second + i) % ROLLING;
      this.sum -= this.seconds[slot]!;
      this.seconds[slot] = 0;
    }
    // A pause longer than the ring leaves it empty, with the second out of step.
    if (steps === ROLLING) {
      this.seconds.fill(0);
      this.sum = 0;
    }
    this.second = second;
  }

  nextPeriod(): void {
    this.periods.push({ total: 0, best: 0 });
    if (this.periods.length > PERIODS + 1) this.periods.shift();
  }

  get best(): number {
    return Math.max(...this.periods.map((period) => period.best));
  }
}

/** Counts bytes read and written on all connections. Costs some additions a chunk. */
export class BandwidthHistory {
  private readonly clock: Clock;
  private readonly reading = new Direction();
  private readonly writing = new Direction();
  private ends: number;
  private totalRead = 0;
  private totalWritten = 0;
  private lastSecond = -1;

  constructor(clock: Clock) {
    this.clock = clock;
    this.ends = clock.now() + PERIOD;
  }

  /** Bytes since the start. */
  get totals(): { readonly read: number; readonly written: number } {
    return { read: this.totalRead, written: this.totalWritten };
  }

  read(bytes: number): void {
    this.totalRead += bytes;
    this.reading.add(this.second(), bytes);
  }

  written(bytes: number): void {
    this.totalWritten += bytes;
    this.writing.add(this.second(), bytes);
  }

  /** The monotonic second it is. The time of day, which costs more to ask for, is looked at once in each. */
  private second(): number {
    const second = Math.floor(this.clock.monotonic() / 1000);
    if (second === this.lastSecond) return second;
    this.lastSecond = second;
    if (this.clock.now() >= this.ends) this.roll();
    return second;
  }

  /** Bytes a second: the lesser of the best ten seconds of reading and of writing. */
  observed(): number {
    this.roll();
    return Math.floor(Math.min(this.reading.best, this.writing.best) / ROLLING);
  }

  private roll(): void {
    const now = this.clock.now();
    for (let i = 0; this.ends <= now && i <= PERIODS; i++) {
      this.reading.nextPeriod();
      this.writing.nextPeriod();
      this.ends += PERIOD;
    }
    // After a long pause or a stepped clock only the place of the period matters, not how many were empty.
    if (this.ends <= now || this.ends > now + PERIOD) this.ends = now + PERIOD;
  }

  /** Finished periods, oldest first, for `write-history` and `read-history`; `end` is when the last of them ended. */
  history(): { readonly end: number; readonly read: readonly number[]; readonly written: readonly number[] } {
    this.roll();
    const done = (direction: Direction) => direction.periods.slice(0, -1).map((period) => period.total);
    return { end: this.ends - PERIOD, read: done(this.reading), written: done(this.writing) };
  }

  save(): SavedHistory {
    this.roll();
    const copy = (direction: Direction) => direction.periods.map((period) => ({ ...period }));
    return { ends: this.ends, read: copy(this.reading), written: copy(this.writing) };
  }

  /** Takes up what an earlier run saved. */
  restore(saved: SavedHistory): void {
    const now = this.clock.now();
    if (saved.ends > now + PERIOD || saved.ends < now - PERIODS * PERIOD) return;
    if (saved.read.length === 0 || saved.read.length !== saved.written.length) return;
    this.ends = saved.ends;
    this.reading.periods = saved.read.slice(-(PERIODS + 1)).map((period) => ({ ...period }));
    this.writing.periods = saved.written.slice(-(PERIODS + 1)).map((period) => ({ ...period }));
    this.roll();
  }
}
