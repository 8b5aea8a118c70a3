/**
 * What follows the data of a relay cell: four zero bytes, then random ones, so that whoever sees a stream's bytes
 * cannot foretell the digest a SENDME must carry (tor-spec 6.1, prop289 3.3).
 *
 * @module
 */
import type { Random } from '../runtime/types.js';

/** Zero bytes between data and random padding. */
const GAP = 4;
/** A cell with at most 498 - 4 - 16 bytes of data has 16 random ones: enough. */
export const MAX_DATA_WITH_RANDOM = 478;
const POOL = 16 * 1024;

/** Random bytes taken from the source in large pieces; each is used once. */
class RandomPool {
  private readonly random: Random;
  private pool: Buffer = Buffer.alloc(0);
  private used = 0;

  constructor(random: Random) {
    this.random = random;
  }

  fill(buf: Buffer, from: number, to: number): void {
    const size = to - from;
    if (this.used + size > this.pool.length) {
      const bytes = this.random.bytes(POOL);
      this.pool = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      this.used = 0;
    }
    this.pool.copy(buf, from, this.used, this.used + size);
    this.used += size;
  }
}

// One pool for each source: a node's circuits share it.
const pools = new WeakMap<Random, RandomPool>();

/** Fills the rest of a cell's body, behind its data. */
export type PadCell = (buf: Buffer, from: number, to: number) => void;

/** Padding out of a source of randomness. */
export function padding(random: Random): PadCell {
  let pool = pools.get(random);
  if (!pool) {
    pool = new RandomPool(random);
    pools.set(random, pool);
  }
  const source = pool;
  return (buf, from, to) => {
    const gap = Math.min(from + GAP, to);
    for (let at = from; at < gap; at++) buf[at] = 0;
    if (gap < to) source.fill(buf, gap, to);
  };
}
