/**
 * The `bandwidth-weights` line of a consensus: how clients weight guards, middles, exits and guard-exits so that no
 * position is starved (dir-spec 3.8.3; C tor `networkstatus_compute_bw_weights_v10`).
 *
 * Arithmetic is that of 64-bit integers, division truncating towards zero; BigInt because sums of bandwidths times the
 * scale leave the range in which a double is exact.
 *
 * @module
 */

/** Sums of consensus bandwidths (kilobytes/s) by class; all begin at 1, `total` at 4. */
export interface BandwidthTotals {
  guard: number;
  middle: number;
  exit: number;
  /** Relays that are Guard and Exit. */
  both: number;
  total: number;
}

/** Totals before any relay is counted: 1 each, so that nothing is ever divided by zero. */
export const emptyTotals = (): BandwidthTotals => ({ guard: 1, middle: 1, exit: 1, both: 1, total: 4 });

/** Adds a relay. `exit` is false for a BadExit. */
export function addToTotals(
  totals: BandwidthTotals,
  bandwidth: number,
  is: { readonly guard: boolean; readonly exit: boolean },
): void {
  totals.total += bandwidth;
  if (is.guard && is.exit) totals.both += bandwidth;
  else if (is.exit) totals.exit += bandwidth;
  else if (is.guard) totals.guard += bandwidth;
  else totals.middle += bandwidth;
}

/** W + position + class, lower case as in the line: `wgd` is the weight of a guard-exit as guard. */
interface Weights {
  wgg: bigint;
  wgd: bigint;
  wmg: bigint;
  wme: bigint;
  wmd: bigint;
  wee: bigint;
  wed: bigint;
}

interface Sums {
  readonly g: bigint;
  readonly m: bigint;
  readonly e: bigint;
  readonly d: bigint;
  readonly t: bigint;
  readonly scale: bigint;
}

type Check = 'ok' | 'sum' | 'range' | 'guard-exit balance' | 'middle balance';

/** What the checks tolerate, in units of the scale. */
const MARGIN = 10n;

const near = (a: bigint, b: bigint, margin: bigint): boolean => (a >= b ? a - b <= margin : b - a <= margin);

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** Whether weights add up, lie within the scale and balance the positions (`networkstatus_check_weights`). */
function check(w: Weights, { g, m, e, d, t, scale }: Sums): Check {
  if (!near(w.wed + w.wmd + w.wgd, scale, MARGIN)) return 'sum';
  if (!near(w.wmg + w.wgg, scale, MARGIN)) return 'sum';
  if (!near(w.wme + w.wee, scale, MARGIN)) return 'sum';
  if (Object.values(w).some((weight: bigint) => weight < 0n || weight > scale)) return 'range';
  const guards = w.wgg * g + w.wgd * d;
  const slack = (MARGIN * t) / 3n;
  if (!near(guards, w.wee * e + w.wed * d, slack)) return 'guard-exit balance';
  if (!near(guards, m * scale + w.wmd * d + w.wme * e + w.wmg * g, slack)) return 'middle balance';
  return 'ok';
}

/** Case 1: neither guards nor exits are scarce. */
function neitherScarce(sums: Sums): Weights | undefined {
  const { g, m, e, scale } = sums;
  const third = scale / 3n;
  const wee = (scale * (e + g + m)) / (3n * e);
  const wmg = (scale * (2n * g - e - m)) / (3n * g);
  const weights = { wgd: third, wed: third, wmd: third, wee, wme: scale - wee, wmg, wgg: scale - wmg };
  return check(weights, sums) === 'ok' ? weights : undefined;
}

/** Case 2: guards and exits are both scarce; guard-exits are shared out. */
function bothScarce(sums: Sums): Weights | undefined {
  const { g, m, e, d, scale } = sums;
  const scarcer = smaller(e, g);
  const other = e + g - scarcer;
  if (scarcer + d < other) {
    const toExit = e < g;
    const rest = { wgg: scale, wee: scale, wmg: 0n, wme: 0n, wmd: 0n };
    return { ...rest, wed: toExit ? scale : 0n, wgd: toExit ? 0n : scale };
  }
  let wed = (scale * (d - 2n * e + 4n * g - 2n * m)) / (3n * d);
  let half = (scale - wed) / 2n;
  const first: Weights = {
    wee: (scale * (e - g + m)) / e,
    wed,
    wme: (scale * (g - m)) / e,
    wmg: 0n,
    wgg: scale,
    wmd: half,
    wgd: half,
  };
  if (check(first, sums) === 'ok') return first;

  wed = (scale * (d - 2n * e + g + m)) / (3n * d);
  half = (scale * (d - 2n * m + g + e)) / (3n * d);
  // Negative when more than a third of the bandwidth is middle: balance is then out of reach.
  const wmd = half < 0n ? 0n : half;
  const second = { wgg: scale, wee: scale, wed, wmd, wme: 0n, wmg: 0n, wgd: scale - wed - wmd };
  const result = check(second, sums);
  return result === 'ok' || result === 'middle balance' ? second : undefined;
}

/** Case 3: exactly one of guards and exits is scarce. */
function oneScarce(sums: Sums): Weights | undefined {
  const { g, m, e, d, t, scale } = sums;
  const scarcer = smaller(e, g);
  if (3n * (scarcer + d) < t) {
    if (g < e) {
      const wme = e < m ? 0n : (scale * (e - m)) / (2n * e);
      return { wgg: scale, wgd: scale, wmd: 0n, wed: 0n, wmg: 0n, wme, wee: scale - wme };
    }
    const wmg = g < m ? 0n : (scale * (g - m)) / (2n * g);
    return { wee: scale, wed: scale, wmd: 0n, wgd: 0n, wme: 0n, wmg, wgg: scale - wmg };
  }
  let weights: Weights;
  if (g < e) {
    const wgd = (scale * (d - 2n * g + e + m)) / (3n * d);
    const wee = (scale * (e + m)) / (2n * e);
    const half = (scale - wgd) / 2n;
    weights = { wgg: scale, wgd, wmg: 0n, wee, wme: scale - wee, wmd: half, wed: half };
  } else {
    const wed = (scale * (d - 2n * e + g + m)) / (3n * d);
    const wgg = (scale * (g + m)) / (2n * g);
    const half = (scale - wed) / 2n;
    weights = { wee: scale, wed, wme: 0n, wgg, wmg: scale - wgg, wmd: half, wgd: half };
  }
  return check(weights, sums) === 'ok' ? weights : undefined;
}

/**
 * The weights by name, in the order of the line; undefined when there is no bandwidth or no assignment passes the
 * checks, and the consensus then has no such line.
 */
export function bandwidthWeights(
  totals: BandwidthTotals,
  scale: number,
): ReadonlyMap<string, number> | undefined {
  const { guard, middle, exit, both, total } = totals;
  if (guard <= 0 || middle <= 0 || exit <= 0 || both <= 0) return undefined;
  const sums: Sums = {
    g: BigInt(guard),
    m: BigInt(middle),
    e: BigInt(exit),
    d: BigInt(both),
    t: BigInt(total),
    scale: BigInt(scale),
  };
  const exitsSuffice = 3n * sums.e >= sums.t;
  const guardsSuffice = 3n * sums.g >= sums.t;
  const w =
    exitsSuffice && guardsSuffice
      ? neitherScarce(sums)
      : !exitsSuffice && !guardsSuffice
        ? bothScarce(sums)
        : oneScarce(sums);
  if (!w) return undefined;
  const all = sums.scale;
  const line: [string, bigint][] = [
    ['Wbd', w.wmd],
    ['Wbe', w.wme],
    ['Wbg', w.wmg],
    ['Wbm', all],
    ['Wdb', all],
    ['Web', all],
    ['Wed', w.wed],
    ['Wee', w.wee],
    ['Weg', w.wed],
    ['Wem', w.wee],
    ['Wgb', all],
    ['Wgd', w.wgd],
    ['Wgg', w.wgg],
    ['Wgm', w.wgg],
    ['Wmb', all],
    ['Wmd', w.wmd],
    ['Wme', w.wme],
    ['Wmg', w.wmg],
    ['Wmm', all],
  ];
  return new Map(line.map(([name, value]) => [name, Number(value)]));
}
