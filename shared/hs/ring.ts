/**
 * The ring of HSDirs: which relays keep a descriptor (rend-spec-v3 2.2.3).
 *
 * @module
 */
import type { TimePeriod } from '../crypto/blinding.js';
import { hsdirIndex, hsIndex } from './indexes.js';
import type { RingKey } from './periods.js';

/** A relay that may be asked. */
export interface RingNode {
  readonly ed25519Id: Uint8Array;
}

/** How many copies there are, and how many relays a copy goes to or is looked for at. */
export interface RingParams {
  readonly replicas: number;
  readonly spreadFetch: number;
  readonly spreadStore: number;
}

type Param = (name: string, fallback: number, min: number, max: number) => number;

/** The consensus parameters. */
export const ringParams = (param: Param): RingParams => ({
  replicas: param('hsdir_n_replicas', 2, 1, 16),
  spreadFetch: param('hsdir_spread_fetch', 3, 1, 128),
  spreadStore: param('hsdir_spread_store', 4, 1, 128),
});

/** The HSDirs of one consensus, ordered for one period. */
export class HsDirRing<N extends RingNode> {
  readonly period: TimePeriod;
  private readonly places: readonly { readonly index: Buffer; readonly node: N }[];

  constructor(nodes: Iterable<N>, { period, srv }: RingKey) {
    this.period = period;
    this.places = [...nodes]
      .map((node) => ({ index: Buffer.from(hsdirIndex(node.ed25519Id, srv, period)), node }))
      .sort((a, b) => Buffer.compare(a.index, b.index));
  }

  get size(): number {
    return this.places.length;
  }

  /**
   * The relays for a blinded key: for each replica the next `spread` after its place, those already chosen left out;
   * fewer when the ring is small [hs_get_responsible_hsdirs].
   */
  responsible(blindedKey: Uint8Array, replicas: number, spread: number): N[] {
    const chosen = new Set<N>();
    for (let replica = 1; replica <= replicas; replica++) {
      let left = spread;
      const start = this.at(hsIndex(blindedKey, replica, this.period));
      for (let i = 0; i < this.places.length && left > 0; i++) {
        const { node } = this.places[(start + i) % this.places.length]!;
        if (chosen.has(node)) continue;
        chosen.add(node);
        left--;
      }
    }
    return [...chosen];
  }

  /** The first place not before an index. */
  private at(index: Uint8Array): number {
    let [low, high] = [0, this.places.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (Buffer.compare(this.places[middle]!.index, index) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
