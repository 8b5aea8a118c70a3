/**
 * Key derivation from a handshake's shared secret, and how the result is split into one hop's keys.
 *
 * @module
 */
import { concat } from '../bytes/text.js';
import type { HopKeys } from '../onion/types.js';
import { hmacSha256, SHA1_SIZE, SHA256_SIZE, sha1 } from './digest.js';

/** Bytes of key material a tor1 hop takes: Df 20, Db 20, Kf 16, Kb 16, KH 20 (tor-spec 5.2.2). */
export const TOR1_KEY_BYTES = 92;

/**
 * KDF-RFC5869 (tor-spec 5.2.2), that is HKDF-SHA256: `length` bytes of K(1) | K(2) | …, at most 255 blocks of 32.
 * Made from plain HMACs: a third faster than `hkdfSync` for outputs this short.
 */
export function hkdfSha256(
  secret: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const blocks = Math.ceil(length / SHA256_SIZE);
  if (blocks > 255) throw new RangeError(`HKDF-SHA256 gives at most 8160 bytes, not ${length}`);
  const seed = hmacSha256(salt, secret);
  const out = new Uint8Array(blocks * SHA256_SIZE);
  const counter = new Uint8Array(1);
  let previous = new Uint8Array(0) as Uint8Array;
  for (let i = 0; i < blocks; i++) {
    counter[0] = i + 1;
    previous = hmacSha256(seed, previous, info, counter);
    out.set(previous, i * SHA256_SIZE);
  }
  return out.subarray(0, length);
}

/** KDF-TOR (tor-spec 5.2.1): SHA1(K0 | 0) | SHA1(K0 | 1) | …; at most 256 blocks of 20. */
export function kdfTor(k0: Uint8Array, length: number): Uint8Array {
  const blocks = Math.ceil(length / SHA1_SIZE);
  if (blocks > 256) throw new RangeError(`KDF-TOR gives at most 5120 bytes, not ${length}`);
  const out: Uint8Array[] = [];
  for (let i = 0; i < blocks; i++) out.push(sha1(k0, Uint8Array.of(i)));
  return concat(...out).subarray(0, length);
}

/** Keys that are worked out when the first of them is wanted: a server's answer needs none. */
class LaterKeys implements HopKeys {
  /** Gone once it was called, with the secrets it holds. */
  private derive: (() => HopKeys) | undefined;
  private derived: HopKeys | undefined;

  constructor(derive: () => HopKeys) {
    this.derive = derive;
  }

  private get all(): HopKeys {
    this.derived ??= this.derive!();
    this.derive = undefined;
    return this.derived;
  }

  get df(): Uint8Array {
    return this.all.df;
  }
  get db(): Uint8Array {
    return this.all.db;
  }
  get kf(): Uint8Array {
    return this.all.kf;
  }
  get kb(): Uint8Array {
    return this.all.kb;
  }
  get kh(): Uint8Array {
    return this.all.kh;
  }
}

/** The keys of a hop, split from material that `expand` gives when the first of them is wanted. */
export const tor1KeysLater = (expand: () => Uint8Array): HopKeys =>
  new LaterKeys(() => splitTor1Keys(expand()));

/**
 * Splits ntor's or ntor-v3's key material of 92 bytes: Df(20) Db(20) Kf(16) Kb(16) KH(20) (tor-spec 5.2.2; KH comes
 * last, unlike in KDF-TOR).
 */
export function splitTor1Keys(material: Uint8Array): HopKeys {
  if (material.length !== TOR1_KEY_BYTES)
    throw new RangeError(`tor1 keys: wanted ${TOR1_KEY_BYTES} bytes, got ${material.length}`);
  return {
    df: material.subarray(0, 20),
    db: material.subarray(20, 40),
    kf: material.subarray(40, 56),
    kb: material.subarray(56, 72),
    kh: material.subarray(72, 92),
  };
}
