/**
 * MaxMemInQueues: a bound on the memory of all queues, and who has to go when it is reached (dos-spec; C tor:
 * cell_queues_check_size, circuits_handle_oom).
 *
 * Counted are cells in circuits' queues, what streams hold or left to the sockets behind them, and what links have not
 * sent. All of it grows only by what is read, so reading is where the bound is looked at. Whoever holds the oldest data
 * goes first, however little it is: a peer that reads has none that is old.
 *
 * @module
 */
import type { Log } from '../log/types.js';
import type { Clock } from '../runtime/types.js';
import type { Options } from '../torrc/options.js';
import type { Meter } from './metered-transport.js';

const MEGABYTE = 1024 ** 2;
const GIGABYTE = 1024 ** 3;
/** The share of the bound that is kept after circuits were killed. */
const KEEP = 0.9;
/** The part of the bound that may be read between two looks. */
const STEP = 1 / 64;
/** Bytes between two looks even with a small bound. */
const LEAST_STEP = 64 * 1024;

/** Bounds of the default (C tor: compute_real_max_mem_in_queues, MAX_DEFAULT_MEMORY_QUEUE_SIZE). */
const LEAST_DEFAULT = 256 * MEGABYTE;
const MOST_DEFAULT = 8 * GIGABYTE;

/** Memory to reckon with where nobody says how much there is. */
const UNKNOWN_MEMORY = 2 * GIGABYTE;

/** MaxMemInQueues where none is given, by the memory of the machine: three quarters, two fifths of a large one. */
export function defaultCeiling(memory: number = UNKNOWN_MEMORY): number {
  const share = memory >= 8 * GIGABYTE ? (memory / 5) * 2 : (memory / 4) * 3;
  return Math.floor(Math.min(MOST_DEFAULT, Math.max(LEAST_DEFAULT, share)));
}

/** MaxMemInQueues, or what takes its place; `memory` is what the machine has. */
export const ceilingOf = ({ MaxMemInQueues }: Pick<Options, 'MaxMemInQueues'>, memory?: number): number =>
  MaxMemInQueues || defaultCeiling(memory);

const CIRCUITS = 'circuitsKilled' as const;
const LINKS = 'linksKilled' as const;
const STREAMS = 'streamsKilled' as const;

/** Something that holds memory and can be ended: a circuit, a link, the socket behind a stream. */
export interface Holder {
  /** Bytes. */
  readonly memory: number;
  /** Monotonic milliseconds since when its oldest data waits; undefined when nothing does. */
  readonly waitingSince: number | undefined;
  /** Ends it at once. */
  kill(): void;
}

/** What the ceiling needs. */
export interface MemoryEnv {
  readonly clock: Clock;
  readonly log: Log;
  /** Bytes allowed. */
  ceiling(): number;
  /** Bytes in use. */
  used(): number;
  circuits(): Iterable<Holder>;
  links(): Iterable<Holder>;
  /** What no circuit counts, or any more: sockets of streams. */
  streams(): Iterable<Holder>;
}

/** Counts since the start. */
export interface MemoryCounts {
  readonly circuitsKilled: number;
  readonly linksKilled: number;
  readonly streamsKilled: number;
  readonly bytesFreed: number;
}

/** Keeps to the ceiling. */
export class MemoryCeiling implements Meter {
  private readonly env: MemoryEnv;
  private unseen = 0;
  private scheduled = false;
  private readonly count = { circuitsKilled: 0, linksKilled: 0, streamsKilled: 0, bytesFreed: 0 };

  constructor(env: MemoryEnv) {
    this.env = env;
  }

  /** Bytes allowed. */
  get limit(): number {
    return this.env.ceiling();
  }

  get counts(): MemoryCounts {
    return { ...this.count };
  }

  read(bytes: number): void {
    this.unseen += bytes;
    if (this.scheduled || this.unseen < LEAST_STEP) return;
    if (this.unseen < this.env.ceiling() * STEP) return;
    this.scheduled = true;
    // Not now: the chunk that was read is still being handed on.
    this.env.clock.defer(() => {
      this.scheduled = false;
      this.unseen = 0;
      this.check();
    });
  }

  written(): void {}

  /** Kills what has to go. */
  check(): void {
    const { env } = this;
    const ceiling = env.ceiling();
    const used = env.used();
    if (used <= ceiling) return;
    let over = used - ceiling * KEEP;
    const before = { ...this.count };
    const waiting = (what: typeof CIRCUITS | typeof LINKS | typeof STREAMS, all: Iterable<Holder>) =>
      [...all]
        .map((holder) => ({ holder, since: holder.waitingSince, what }))
        .filter(({ since }) => since !== undefined);
    const holders = [
      ...waiting(CIRCUITS, env.circuits()),
      ...waiting(LINKS, env.links()),
      ...waiting(STREAMS, env.streams()),
    ];
    holders.sort((a, b) => a.since! - b.since!);
    for (const { holder, what } of holders) {
      if (over <= 0) break;
      // A circuit may have gone with its link meanwhile, and holds nothing then.
      const { memory } = holder;
      if (memory === 0) continue;
      holder.kill();
      over -= memory;
      this.count.bytesFreed += memory;
      this.count[what]++;
    }
    env.log.warn('MaxMemInQueues was reached: ended the circuits and links with the oldest data.', {
      used,
      limit: ceiling,
      circuits: this.count.circuitsKilled - before.circuitsKilled,
      links: this.count.linksKilled - before.linksKilled,
      streams: this.count.streamsKilled - before.streamsKilled,
      freed: this.count.bytesFreed - before.bytesFreed,
    });
  }
}
