/**
 * Reproducible randomness for tests.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { Random } from '../runtime/types.js';

/** SHA-256 in counter mode over a label: the same label gives the same bytes. */
export function testRandom(label: string): Random {
  let counter = 0;
  const bytes = (n: number): Uint8Array => {
    const blocks: Buffer[] = [];
    for (let have = 0; have < n; have += 32) {
      blocks.push(createHash('sha256').update(`${label} ${counter++}`).digest());
    }
    return new Uint8Array(Buffer.concat(blocks).subarray(0, n));
  };
  const fraction = () => Buffer.from(bytes(6)).readUIntBE(0, 6) / 2 ** 48;
  return { bytes, fraction, below: (bound) => Math.floor(fraction() * bound) };
}
