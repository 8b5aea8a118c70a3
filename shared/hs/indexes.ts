/**
 * Places on the ring of HSDirs (rend-spec-v3 2.2.3): where a descriptor belongs, where a relay stands, and the value
 * that stands in for a shared random value when there is none.
 *
 * Mind the order: hs_index has the period's length before its number, hsdir_index the number before the length.
 *
 * @module
 */
import { bytesOf } from '../bytes/text.js';
import type { TimePeriod } from '../crypto/blinding.js';
import { sha3_256 } from '../crypto/digest.js';

function u64s(...numbers: number[]): Uint8Array {
  const out = Buffer.alloc(8 * numbers.length);
  numbers.forEach((number, i) => {
    out.writeBigUInt64BE(BigInt(number), 8 * i);
  });
  return out;
}

/** Where replica `replica` (from 1) of a descriptor belongs. */
export const hsIndex = (
  blindedKey: Uint8Array,
  replica: number,
  { number, length }: TimePeriod,
): Uint8Array => sha3_256(bytesOf('store-at-idx'), blindedKey, u64s(replica, length, number));

/** Where a relay stands in a period. */
export const hsdirIndex = (
  ed25519Id: Uint8Array,
  srv: Uint8Array,
  { number, length }: TimePeriod,
): Uint8Array => sha3_256(bytesOf('node-idx'), ed25519Id, srv, u64s(number, length));

/** In place of a shared random value that the consensus does not have. */
export const disasterSrv = ({ number, length }: TimePeriod): Uint8Array =>
  sha3_256(bytesOf('shared-random-disaster'), u64s(length, number));
