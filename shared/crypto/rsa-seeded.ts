/**
 * RSA keys from a given source of randomness, so that a simulation's seed decides its relays' identities. Not for real
 * keys: slower than OpenSSL's and not made in constant time.
 *
 * @module
 */
import { checkPrimeSync, createPrivateKey } from 'node:crypto';
import { toHex } from '../bytes/text.js';
import type { Random } from '../runtime/types.js';
import { derInteger, derSequence } from './der.js';
import { RSA_EXPONENT, type RsaKey, rsaFromKeyObject } from './rsa.js';

const toBigInt = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);

function toBytes(value: bigint): Uint8Array {
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
  // RFC 8017 A.1.2, RSAPrivateKey.
  const numbers = [0n, p * q, RSA_EXPONENT, d, p, q, d % (p - 1n), d % (q - 1n), inverse(q, p)];
  const der = derSequence(...numbers.map((n) => derInteger(toBytes(n))));
  return rsaFromKeyObject(createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs1' }));
}
