/**
 * Circuit ids of the circuits this side makes on a channel (tor-spec 5.1.1): 31 random bits below a top bit that the
 * side which dialled sets and the other clears.
 *
 * @module
 */
import type { Random } from '../runtime/types.js';
import { linkError } from './errors.js';

/** Ids that are not given out again: cells for the old circuit may still be under way. */
const RETIRED = 1024;
/** Tries before giving up; with half of all ids in use the chance is 2^-64. */
const TRIES = 64;

export class CircuitIds {
  private readonly high: boolean;
  private readonly random: Random;
  private readonly retired = new Set<number>();

  constructor(high: boolean, random: Random) {
    this.high = high;
    this.random = random;
  }

  /** A fresh id. */
  pick(inUse: (id: number) => boolean): number {
    for (let i = 0; i < TRIES; i++) {
      const low = 1 + this.random.below(0x7fff_ffff);
      const id = this.high ? low + 0x8000_0000 : low;
      if (!inUse(id) && !this.retired.has(id)) return id;
    }
    throw linkError('limit', 'no circuit id is free');
  }

  /** A circuit is over. */
  retire(id: number): void {
    if (id >= 0x8000_0000 !== this.high) return;
    this.retired.add(id);
    if (this.retired.size > RETIRED) this.retired.delete(this.retired.values().next().value!);
  }
}
