/**
 * RSA keys from a given source of randomness, so that a simulation's seed decides its relays' identities. Not for real
 * keys: slower than OpenSSL's and not made in constant time.
 *
 * @module
 */
import { checkPrimeSync, createPrivateKey, type JsonWebKey } from 'node:crypto';
import { toHex } from '../bytes/text.js';
import type { Random } from '../runtime/types.js';
import { RSA_EXPONENT, type RsaKey, rsaFromKeyObject } from './rsa.js';

const toBigInt = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);

function toBytes(value: bigint): Buffer {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

/** A prime of `bits` bits (a multiple of 8) whose two highest bits are set, so that two make a full-length modulus. */
function primeFrom(random: Random, bits: number): bigint {
  for (;;) {
    const bytes = random.bytes(bits / 8);
    bytes[0]! |= 0xc0;
    bytes[bytes.length - 1]! |= 1;
    const candidate = toBigInt(bytes);
    if ((candidate - 1n) % RSA_EXPONENT !== 0n && checkPrimeSync(candidate)) return candidate;
  }
}

/** The inverse of `a` modulo `m`, which have no common divisor. */
function inverse(a: bigint, m: bigint): bigint {
  let [r0, r1] = [m, a % m];
  let [t0, t1] = [0n, 1n];
  while (r1 !== 0n) {
    const q = r0 / r1;
    [r0, r1] = [r1, r0 - q * r1];
    [t0, t1] = [t1, t0 - q * t1];
  }
  return ((t0 % m) + m) % m;
}

/** The key that this randomness gives; `bits` a multiple of 16. Some 20 ms for 1024 bits. */
export function seededRsa(bits: number, random: Random): RsaKey {
  const p = primeFrom(random, bits / 2);
  const q = primeFrom(random, bits / 2);
  if (p === q) return seededRsa(bits, random);
  const d = inverse(RSA_EXPONENT, (p - 1n) * (q - 1n));
  // RFC 7518 6.3: the numbers of RFC 8017 A.1.2 by their JWK names.
  const numbers = {
    n: p * q,
    e: RSA_EXPONENT,
    d,
    p,
    q,
    dp: d % (p - 1n),
    dq: d % (q - 1n),
    qi: inverse(q, p),
  };
  const jwk: JsonWebKey = { kty: 'RSA' };
  for (const [name, value] of Object.entries(numbers))
    jwk[name as keyof typeof numbers] = toBytes(value).toString('base64url');
  return rsaFromKeyObject(createPrivateKey({ key: jwk, format: 'jwk' }));
}
