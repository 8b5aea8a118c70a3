/**
 * Repeatable randomness for simulations: AES-128-CTR keyed by a seed and a label. Never for production.
 *
 * @module
 */
import { createCipheriv, createHash } from 'node:crypto';
import type { Random } from '../types.js';

const BLOCK = 4096;

/** The same seed and label give the same stream, on every machine. */
export function seededRandom(seed: number | string, label: string): Random {
  const key = createHash('sha256').update(`${seed}\0${label}`).digest();
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16));
  const zeros = Buffer.alloc(BLOCK);
  let block = Buffer.alloc(0);
  const bytes = (n: number): Uint8Array => {
    const out = new Uint8Array(n);
    for (let at = 0; at < n; ) {
      if (block.length === 0) block = cipher.update(zeros);
      const part = block.subarray(0, n - at);
      out.set(part, at);
      at += part.length;
      block = block.subarray(part.length);
    }
    return out;
  };
  const fraction = () => Buffer.from(bytes(6)).readUIntBE(0, 6) / 2 ** 48;
  return { bytes, fraction, below: (bound) => Math.floor(fraction() * bound) };
}
