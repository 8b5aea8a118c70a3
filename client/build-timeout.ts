/**
 * How long to wait for a circuit (path-spec 2.4; C tor: circuitstats.c): learned from the build times of three-hop
 * circuits, as the quantile of a Pareto distribution fitted to them. Pure: times come in, timeouts come out.
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import type { Random } from '../shared/runtime/types.js';
import type { StateKind } from '../shared/store/state.js';
import type { Options } from '../shared/torrc/options.js';

/** Build times kept. */
export const TIMES_KEPT = 1000;
/** Width of a histogram bin, milliseconds. */
export const BIN_WIDTH = 10;
/** No circuit build is believed to have taken longer, milliseconds. */
const MAX_TIME = 10 * 60_000;

/** Consensus parameters (path-spec 2.4.6); times in milliseconds. */
export interface BuildTimeoutParams {
  readonly disabled: boolean;
  readonly modes: number;
  readonly recentCount: number;
  readonly maxTimeouts: number;
  readonly minCircuits: number;
  /** As fractions. */
  readonly quantile: number;
  readonly closeQuantile: number;
  readonly testInterval: number;
  readonly minTimeout: number;
  readonly initialTimeout: number;
  /** A learned timeout closes circuits no sooner than this. */
  readonly leastClose: number;
  readonly maxOpenCircuits: number;
  /** How long idle circuits are kept while learning. */
  readonly learnTimeout: number;
}

/**
 * Reads the parameters with their bounds; `param` is `Network.param` or its stand-in before a consensus.
 * CircuitBuildTimeout is the timeout before one is learned, and the only one where none is
 * [circuit_build_times_get_initial_timeout].
 */
export function buildTimeoutParams(
  param: (name: string, fallback: number, min: number, max?: number) => number,
  options: Pick<Options, 'CircuitBuildTimeout' | 'LearnCircuitBuildTimeout'>,
): BuildTimeoutParams {
  const quantile = param('cbtquantile', 80, 10, 99);
  const minTimeout = param('cbtmintimeout', 10, 10);
  const disabled = param('cbtdisabled', 0, 0, 1) === 1 || !options.LearnCircuitBuildTimeout;
  const leastClose = param('cbtinitialtimeout', 60_000, minTimeout);
  const given = options.CircuitBuildTimeout;
  return {
    disabled,
    modes: param('cbtnummodes', 10, 1, 20),
    recentCount: param('cbtrecentcount', 20, 3, 1000),
    maxTimeouts: param('cbtmaxtimeouts', 18, 3, 10_000),
    minCircuits: param('cbtmincircs', 100, 1, 10_000),
    quantile: quantile / 100,
    closeQuantile: param('cbtclosequantile', 99, quantile, 99) / 100,
    testInterval: param('cbttestfreq', 10, 1) * 1000,
    minTimeout,
    initialTimeout: given === 0 ? leastClose : disabled ? given : Math.max(given, minTimeout),
    leastClose,
    maxOpenCircuits: param('cbtmaxopencircs', 10, 0, 14),
    learnTimeout: param('cbtlearntimeout', 180, 10, 60_000) * 1000,
  };
}

/** When a circuit is given up for use, and when it is closed, milliseconds after it began. */
export interface Timeouts {
  readonly use: number;
  readonly close: number;
}

/** Histogram of build times: pairs of bin midpoint (ms) and count, as in C tor's state file. */
export type SavedBuildTimes = readonly (readonly [midpoint: number, count: number])[];

/** How the histogram lies on disk. */
export const buildTimesKind: StateKind<SavedBuildTimes> = {
  version: 1,
  check(value) {
    if (!Array.isArray(value) || value.length > MAX_TIME / BIN_WIDTH)
      throw new DecodeError('build-times', 'not a histogram');
    value.forEach((bin, i) => {
      const [midpoint, count] = Array.isArray(bin) ? bin : [];
      const whole = Number.isSafeInteger(midpoint) && Number.isSafeInteger(count);
      if (!whole || midpoint < 0 || midpoint > MAX_TIME || count < 1 || count > TIMES_KEPT)
        throw new DecodeError(`build-times[${i}]`, 'not a bin');
    });
    return value as unknown as SavedBuildTimes;
  },
};

/** Extends and their answers a circuit of n hops takes, as a share of those for three (path-spec 2.4.3). */
const actions = (hops: number): number => (hops * (hops + 1)) / 2 / 6;

/** Scales timeouts of three-hop circuits to another length. */
export const forHops = (timeouts: Timeouts, hops: number): Timeouts => ({
  use: timeouts.use * actions(hops),
  close: timeouts.close * actions(hops),
});

/** Xm: the mean of the midpoints of the most frequent bins, by count; ties go to the shorter times. Undefined without times. */
export function modeOf(times: readonly number[], modes: number): number | undefined {
  const bins = new Map<number, number>();
  for (const time of times) {
    const bin = Math.floor(time / BIN_WIDTH);
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
  }
  const top = [...bins].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, modes);
  const count = top.reduce((sum, [, n]) => sum + n, 0);
  if (count === 0) return undefined;
  return top.reduce((sum, [bin, n]) => sum + (bin * BIN_WIDTH + BIN_WIDTH / 2) * n, 0) / count;
}

/** Maximum-likelihood alpha of a Pareto distribution that begins at `xm` (path-spec 2.4.3). */
export function alphaOf(times: readonly number[], xm: number): number {
  const logs = times.reduce((sum, time) => sum + Math.log(Math.max(xm, time)), 0);
  return times.length / (logs - times.length * Math.log(xm));
}

/** The quantile function of that distribution. */
export const paretoQuantile = (xm: number, alpha: number, q: number): number => xm / (1 - q) ** (1 / alpha);

/** What is learned. */
export class BuildTimes {
  private times: number[] = [];
  /** Where the next time goes once the list is full. */
  private next = 0;
  /** Outcomes of the last circuits that made a first hop: true is a timeout. */
  private recent: boolean[] = [];
  private params: BuildTimeoutParams;
  private current: Timeouts;
  /** Set when what is saved changed. */
  changed = false;

  constructor(params: BuildTimeoutParams, saved: SavedBuildTimes = [], random?: Random) {
    this.params = params;
    this.current = { use: params.initialTimeout, close: params.initialTimeout };
    const times = saved.flatMap(([midpoint, count]) => new Array<number>(count).fill(midpoint));
    // A histogram has no order: shuffled, old and new times will be forgotten evenly (path-spec 2.4.2).
    if (random) shuffle(times, random);
    this.times = params.disabled ? [] : times.slice(0, TIMES_KEPT);
    this.learn();
  }

  /** Another consensus. */
  setParams(params: BuildTimeoutParams): void {
    const before = this.params;
    this.params = params;
    if (params.disabled) this.forget();
    else if (before.initialTimeout !== params.initialTimeout && !this.enough) this.reset();
    this.learn();
  }

  /** For a circuit of three hops, unless told otherwise. */
  timeouts(hops = 3): Timeouts {
    return forHops(this.current, hops);
  }

  /** The parameters in force. */
  get parameters(): BuildTimeoutParams {
    return this.params;
  }

  get count(): number {
    return this.times.length;
  }

  /** Whether there are enough times to go by. */
  get enough(): boolean {
    return this.times.length >= this.params.minCircuits;
  }

  /** Whether there will be, but are not yet. */
  get learning(): boolean {
    return !this.enough && !this.params.disabled;
  }

  /** A three-hop circuit (or the first three hops of a longer one) was built in so many milliseconds. */
  built(time: number): void {
    if (this.params.disabled) return;
    this.note(time > this.current.use);
    if (time > MAX_TIME || time < 0) return;
    if (this.times.length < TIMES_KEPT) this.times.push(time);
    else this.times[this.next] = time;
    this.next = (this.next + 1) % TIMES_KEPT;
    this.changed = true;
    this.learn();
  }

  /** A circuit that had made its first hop was not built in time; call `built` as well if it is finished later. */
  timedOut(): void {
    if (!this.params.disabled) this.note(true);
  }

  /** Keeps the last outcomes; begins anew when nearly all of them were timeouts (path-spec 2.4.5). */
  private note(timeout: boolean): void {
    this.recent.push(timeout);
    if (this.recent.length > this.params.recentCount) this.recent.shift();
    if (this.recent.filter(Boolean).length < this.params.maxTimeouts) return;
    const before = this.current;
    this.forget();
    // Already at the start: the network is slower than that.
    if (before.use >= this.params.initialTimeout)
      this.current = { use: before.use * 2, close: Math.max(before.close, before.use) * 2 };
  }

  private forget(): void {
    this.times = [];
    this.next = 0;
    this.recent = [];
    this.changed = true;
    this.reset();
  }

  private reset(): void {
    this.current = { use: this.params.initialTimeout, close: this.params.initialTimeout };
  }

  private learn(): void {
    if (!this.enough || this.params.disabled) return;
    const xm = modeOf(this.times, this.params.modes);
    if (xm === undefined) return;
    const alpha = alphaOf(this.times, xm);
    const longest = this.times.reduce((most, time) => Math.max(most, time), 0);
    const quantile = (q: number): number =>
      Number.isFinite(alpha) && alpha > 0 ? paretoQuantile(xm, alpha, q) : longest;
    const use = Math.max(Math.min(quantile(this.params.quantile), longest), this.params.minTimeout);
    const close = Math.min(quantile(this.params.closeQuantile), 2 * longest);
    this.current = { use, close: Math.max(close, this.params.leastClose) };
  }

  save(): SavedBuildTimes {
    const bins = new Map<number, number>();
    for (const time of this.times) {
      const midpoint = Math.floor(time / BIN_WIDTH) * BIN_WIDTH + BIN_WIDTH / 2;
      bins.set(midpoint, (bins.get(midpoint) ?? 0) + 1);
    }
    return [...bins].sort((a, b) => a[0] - b[0]);
  }
}

function shuffle(list: number[], random: Random): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const held = list[i]!;
    list[i] = list[j]!;
    list[j] = held;
  }
}
