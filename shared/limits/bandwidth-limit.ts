/**
 * BandwidthRate and RelayBandwidthRate: how fast a relay reads and writes, all connections together (C tor:
 * connection_bucket_*, token_bucket_rw).
 *
 * Each direction has two buckets, one for everything and one for what is carried for others. A connection that meets
 * an empty bucket waits in line; one timer for each line lets in as many as the bucket can feed, in turn. What came in
 * one chunk or goes in one write is never cut: the bucket then owes, and the long run is exact.
 *
 * @module
 */
import type { Clock, Timer } from '../runtime/types.js';
import type { Options } from '../torrc/options.js';
import { TokenBucket } from './token-bucket.js';

/** Bytes one connection is taken to want at a time: a TLS record. */
const PORTION = 16 * 1024;
/** Least milliseconds between looks at a line. */
const LEAST_WAIT = 10;
/** The part of a second's bytes that is let in at once, so that few but large portions do not make long pauses. */
const SHARE = 0.1;

/** Bytes a second, and at once. */
export interface Rate {
  readonly rate: number;
  readonly burst: number;
}

/** The limits in force: of everything, and of what is carried for others. */
export interface BandwidthLimits {
  readonly all: Rate;
  readonly relayed: Rate;
}

/**
 * The limits that options ask for. Without a RelayBandwidthRate the first limit is the only one; with a larger one it is
 * raised to that (C tor: options_validate_relay_bandwidth).
 */
export function limitsOf(options: Options): BandwidthLimits {
  const all = { rate: options.BandwidthRate, burst: options.BandwidthBurst };
  const rate = options.RelayBandwidthRate || options.RelayBandwidthBurst;
  if (rate === 0) return { all, relayed: all };
  const relayed = { rate, burst: options.RelayBandwidthBurst || rate };
  return {
    all: { rate: Math.max(all.rate, relayed.rate), burst: Math.max(all.burst, relayed.burst) },
    relayed,
  };
}

/** Which buckets a connection's bytes come out of. */
export type Traffic = 'relayed' | 'own';

/** One direction: its buckets, and who waits for them. */
export class Flow {
  private readonly clock: Clock;
  private readonly all: TokenBucket;
  private readonly relayed: TokenBucket;
  private rate: number;
  private readonly lines: Record<Traffic, Set<() => void>> = { relayed: new Set(), own: new Set() };
  private timer: Timer | undefined;
  /** Times the buckets ran dry. */
  exhausted = 0;

  constructor(clock: Clock, limits: BandwidthLimits) {
    const now = clock.monotonic();
    this.clock = clock;
    this.all = new TokenBucket(limits.all.rate, limits.all.burst, now);
    this.relayed = new TokenBucket(limits.relayed.rate, limits.relayed.burst, now);
    this.rate = Math.min(limits.all.rate, limits.relayed.rate);
  }

  adjust(limits: BandwidthLimits): void {
    const now = this.clock.monotonic();
    this.all.adjust(limits.all.rate, limits.all.burst, now);
    this.relayed.adjust(limits.relayed.rate, limits.relayed.burst, now);
    this.rate = Math.min(limits.all.rate, limits.relayed.rate);
    if (this.timer) this.serve();
  }

  private level(traffic: Traffic, now: number): number {
    const all = this.all.available(now);
    return traffic === 'own' ? all : Math.min(all, this.relayed.available(now));
  }

  /** Takes `bytes` that were read or written; false when the bucket is empty now, and its owner has to wait. */
  spend(traffic: Traffic, bytes: number): boolean {
    const now = this.clock.monotonic();
    this.all.spend(bytes, now);
    if (traffic === 'relayed') this.relayed.spend(bytes, now);
    return this.level(traffic, now) > 0;
  }

  /** Whether nothing may go now. */
  isDry(traffic: Traffic): boolean {
    return this.level(traffic, this.clock.monotonic()) <= 0;
  }

  /** Calls `go` once when it is its turn. */
  wait(traffic: Traffic, go: () => void): void {
    this.lines[traffic].add(go);
    if (this.timer) return;
    this.exhausted++;
    this.arm();
  }

  /** Its owner is gone. */
  leave(traffic: Traffic, go: () => void): void {
    this.lines[traffic].delete(go);
  }

  private arm(): void {
    const now = this.clock.monotonic();
    const wanted = Math.max(1, Math.min(PORTION, this.rate * SHARE));
    const wait = (traffic: Traffic) => {
      if (this.lines[traffic].size === 0) return Number.POSITIVE_INFINITY;
      const all = this.all.wait(wanted, now);
      return traffic === 'own' ? all : Math.max(all, this.relayed.wait(wanted, now));
    };
    const delay = Math.min(wait('relayed'), wait('own'));
    this.timer?.cancel();
    this.timer = this.clock.setTimer(Math.max(LEAST_WAIT, delay), () => this.serve());
  }

  private serve(): void {
    this.timer?.cancel();
    this.timer = undefined;
    for (const traffic of ['relayed', 'own'] as const) this.serveLine(traffic);
    if (this.lines.relayed.size + this.lines.own.size > 0) this.arm();
  }

  private serveLine(traffic: Traffic): void {
    const line = this.lines[traffic];
    let room = Math.ceil(Math.max(0, this.level(traffic, this.clock.monotonic())) / PORTION);
    // Whoever meets an empty bucket again goes to the end of the line, and is met here again only if there is room.
    for (const go of line) {
      if (room-- <= 0 || this.isDry(traffic)) break;
      line.delete(go);
      go();
    }
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.lines.relayed.clear();
    this.lines.own.clear();
  }
}

/** Both directions. */
export class BandwidthLimiter {
  readonly reading: Flow;
  readonly writing: Flow;

  constructor(clock: Clock, limits: BandwidthLimits) {
    this.reading = new Flow(clock, limits);
    this.writing = new Flow(clock, limits);
  }

  /** New limits, from now on. */
  adjust(limits: BandwidthLimits): void {
    this.reading.adjust(limits);
    this.writing.adjust(limits);
  }

  /** Nobody waits any more. */
  stop(): void {
    this.reading.stop();
    this.writing.stop();
  }
}
