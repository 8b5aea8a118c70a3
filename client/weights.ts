/**
 * Bandwidth-weighted choice of relays (path-spec 2.2, dir-spec 3.8.3; C tor: `compute_weighted_bandwidths`). Weights
 * are worked out once per consensus and position; a choice is then a binary search, and a choice under constraints
 * draws again until one fits, which gives the same distribution as a search through those that fit.
 *
 * @module
 */
import type { Consensus, RouterStatus } from '../shared/netdoc/types.js';
import type { Random } from '../shared/runtime/types.js';

/** Where in a path, or for what. */
export type Position = 'guard' | 'middle' | 'exit' | 'dir';

/** Consensus names of the weights: of a Guard, a plain relay, an Exit, and one that is both. */
const NAMES: Readonly<Record<Position, readonly (string | undefined)[]>> = {
  guard: ['Wgg', 'Wgm', undefined, 'Wgd'],
  middle: ['Wmg', 'Wmm', 'Wme', 'Wmd'],
  exit: ['Weg', 'Wem', 'Wee', 'Wed'],
  dir: ['Wbg', 'Wbm', 'Wbe', 'Wbd'],
};
/** The further factor of relays that answer directory requests, by the same kinds. */
const DIR_NAMES = ['Wgb', 'Wmb', 'Web', 'Wdb'] as const;

/** dir-spec 3.8.3: weights are out of this many parts unless `bwweightscale` says otherwise. */
const DEFAULT_SCALE = 10000;

type Kinds = readonly [guard: number, plain: number, exit: number, both: number];
const EVEN: Kinds = [1, 1, 1, 1];

/** The factors of a position, first without and then with a directory port; all 1 when any is missing (path-spec 2.2). */
export function factorsOf(
  consensus: Pick<Consensus, 'bandwidthWeights' | 'params'>,
  position: Position,
): { plain: Kinds; dir: Kinds } {
  const scale = Math.max(1, consensus.params.get('bwweightscale') ?? DEFAULT_SCALE);
  const get = (name: string | undefined): number =>
    name === undefined ? 0 : (consensus.bandwidthWeights.get(name) ?? -1) / scale;
  const plain = NAMES[position].map(get);
  const extra = position === 'dir' ? [1, 1, 1, 1] : DIR_NAMES.map(get);
  if ([...plain, ...extra].some((weight) => weight < 0)) return { plain: EVEN, dir: EVEN };
  return { plain: plain as unknown as Kinds, dir: plain.map((w, i) => w * extra[i]!) as unknown as Kinds };
}

/** The kind of a relay: index into `Kinds`. A bad exit counts as no exit. */
export function kindOf(flags: ReadonlySet<string>): 0 | 1 | 2 | 3 {
  const exit = flags.has('Exit') && !flags.has('BadExit');
  if (flags.has('Guard')) return exit ? 3 : 0;
  return exit ? 2 : 1;
}

/** Weights of relays for a position, in their order. */
export function weightsFor(
  consensus: Pick<Consensus, 'bandwidthWeights' | 'params'>,
  routers: readonly Pick<RouterStatus, 'flags' | 'bandwidth'>[],
  position: Position,
): Float64Array {
  const factors = factorsOf(consensus, position);
  const weights = new Float64Array(routers.length);
  for (let i = 0; i < routers.length; i++) {
    const { flags, bandwidth } = routers[i]!;
    weights[i] = bandwidth * (flags.has('V2Dir') ? factors.dir : factors.plain)[kindOf(flags)];
  }
  return weights;
}

/** Draws that may fail before the rest is searched one by one. */
const DRAWS = 24;

/** A fixed list to draw from, by weight; evenly when all weights are zero (C tor: `choose_array_element_by_weight`). */
export class WeightedList<T> {
  readonly items: readonly T[];
  private readonly weights: Float64Array;
  /** sums[i] = weights[0] + … + weights[i]. */
  private readonly sums: Float64Array;

  constructor(items: readonly T[], weights: Float64Array) {
    this.items = items;
    this.weights = weights;
    this.sums = new Float64Array(items.length);
    let sum = 0;
    for (let i = 0; i < items.length; i++) {
      sum += weights[i]!;
      this.sums[i] = sum;
    }
  }

  get total(): number {
    return this.sums.at(-1) ?? 0;
  }

  /** One item that fits, or undefined when none does. */
  choose(random: Random, fits: (item: T) => boolean): T | undefined {
    if (this.total > 0) {
      for (let i = 0; i < DRAWS; i++) {
        const item = this.items[this.draw(random)]!;
        if (fits(item)) return item;
      }
    }
    return this.search(random, fits);
  }

  /** Index of the first sum above a uniform point; never an item of weight zero. */
  private draw(random: Random): number {
    const point = random.fraction() * this.total;
    let low = 0;
    let high = this.sums.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.sums[middle]! > point) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  private search(random: Random, fits: (item: T) => boolean): T | undefined {
    const fitting: number[] = [];
    let total = 0;
    for (let i = 0; i < this.items.length; i++) {
      if (!fits(this.items[i]!)) continue;
      fitting.push(i);
      total += this.weights[i]!;
    }
    if (fitting.length === 0) return undefined;
    if (total === 0) return this.items[fitting[random.below(fitting.length)]!];
    let point = random.fraction() * total;
    let last = fitting[0]!;
    for (const i of fitting) {
      if (this.weights[i]! === 0) continue;
      last = i;
      point -= this.weights[i]!;
      if (point < 0) break;
    }
    return this.items[last];
  }
}
