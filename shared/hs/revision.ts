/**
 * Revision counters (rend-spec-v3 F): they grow with time, through restarts and without a state on disk, and do not
 * tell an HSDir the service's clock: the time since the period's random value was made, under order-preserving
 * encryption with a key of the period.
 *
 * counter(n) = sum over the first n 16-bit little-endian words w of AES-256-CTR(key) of (w + 1)   [crypto_ope.c]
 *
 * @module
 */
import { createCipheriv } from 'node:crypto';
import { bytesOf } from '../bytes/text.js';
import { sha3_256 } from '../crypto/digest.js';
import type { Ed25519ExpandedKey } from '../crypto/ed25519.js';

/**
 * Seconds the scheme reaches [OPE_INPUT_MAX]: three days. A descriptor goes by a value for two, and a service whose
 * consensus is old for longer.
 */
const MAX_SECONDS = 1 << 18;
/** C tor hashes the string's NUL, too. */
const PREFIX = bytesOf('rev-counter-generation\0');

/** The key of a period: only who has its blinded secret key can make it. */
export const revisionKey = (blinded: Ed25519ExpandedKey): Uint8Array => sha3_256(PREFIX, blinded.expanded);

/** The counter so many seconds after the run of the shared-random protocol began whose value the descriptor goes by. */
export function revisionCounter(key: Uint8Array, seconds: number): bigint {
  const n = Math.min(Math.max(Math.floor(seconds) + 1, 1), MAX_SECONDS);
  const words = createCipheriv('aes-256-ctr', key, new Uint8Array(16)).update(Buffer.alloc(2 * n));
  let sum = n;
  for (let at = 0; at < words.length; at += 2) sum += words.readUInt16LE(at);
  return BigInt(sum);
}
