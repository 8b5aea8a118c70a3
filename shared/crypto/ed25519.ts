/**
 * Ed25519 signatures (RFC 8032). A key we have the seed of signs by node:crypto (some 25 us); a key of which only the
 * expanded form is left, as in Tor's key files and after blinding, signs with @noble/curves (some 400 us).
 *
 * The expanded form is SHA-512 of the seed with its first half clamped: scalar(32, little endian) | prefix(32).
 *
 * @module
 */
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { concat } from '../bytes/text.js';
import type { Random } from '../runtime/types.js';
import { sha512 } from './digest.js';
import { clampX25519 } from './x25519.js';

/** Bytes of a public key and of a seed. */
export const ED25519_SIZE = 32;
/** Bytes of an expanded secret key. */
export const ED25519_EXPANDED_SIZE = 64;
/** Bytes of a signature. */
export const ED25519_SIGNATURE_SIZE = 64;

/** Whoever can sign with one key. */
export interface Ed25519Signer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** A signature of 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

/** A key in the form Tor stores it. */
export interface Ed25519ExpandedKey extends Ed25519Signer {
  /** 64 bytes. */
  readonly expanded: Uint8Array;
}

/** A key with its seed. */
export interface Ed25519KeyPair extends Ed25519ExpandedKey {
  /** 32 bytes. */
  readonly seed: Uint8Array;
}

/** RFC 8410 PKCS8 before the 32 bytes of an Ed25519 seed. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

const base64url = (b: Uint8Array) => Buffer.from(b.buffer, b.byteOffset, b.byteLength).toString('base64url');

function wantSize(bytes: Uint8Array, size: number, what: string): void {
  if (bytes.length !== size) throw new RangeError(`${what}: wanted ${size} bytes, got ${bytes.length}`);
}

/** SHA-512 of the seed, clamped: 64 bytes. */
export function expandEd25519Seed(seed: Uint8Array): Uint8Array {
  const expanded = sha512(seed);
  clampX25519(expanded.subarray(0, 32));
  return expanded;
}

/** A new key. */
export const generateEd25519 = (random: Random): Ed25519KeyPair =>
  ed25519FromSeed(random.bytes(ED25519_SIZE));

/** The key of a seed of 32 bytes. */
export function ed25519FromSeed(seed: Uint8Array): Ed25519KeyPair {
  wantSize(seed, ED25519_SIZE, 'Ed25519 seed');
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_HEAD, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  // DER, not JWK: see x25519.ts.
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return {
    seed: Uint8Array.from(seed),
    expanded: expandEd25519Seed(seed),
    publicKey: Uint8Array.from(spki.subarray(-ED25519_SIZE)),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  };
}

const { Point } = ed25519;
// The table of multiples is made at the first use, and a relay uses it a few times a day: one for four bits takes half
// the time of that for six to make, and adds a sixth to each use.
Point.BASE.precompute(4);
const ORDER = Point.Fn.ORDER;

const scalarOf = (littleEndian: Uint8Array): bigint =>
  BigInt(`0x${Buffer.from(littleEndian).reverse().toString('hex')}`) % ORDER;

const bytesOfScalar = (scalar: bigint): Uint8Array =>
  Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex').reverse();

/** The public key of an expanded secret key of 64 bytes. */
export function publicOfExpanded(expanded: Uint8Array): Uint8Array {
  wantSize(expanded, ED25519_EXPANDED_SIZE, 'expanded Ed25519 key');
  const scalar = scalarOf(expanded.subarray(0, 32));
  if (scalar === 0n) throw new RangeError('expanded Ed25519 key: the scalar is zero');
  return Point.BASE.multiply(scalar).toBytes();
}

/** A signer for an expanded secret key of 64 bytes, whose scalar is taken as it is (a blinded one has other bits). */
export function ed25519FromExpanded(expanded: Uint8Array): Ed25519ExpandedKey {
  const publicKey = publicOfExpanded(expanded);
  const own = Uint8Array.from(expanded);
  return { expanded: own, publicKey, sign: (message) => signExpanded(own, publicKey, message) };
}

/** RFC 8032 5.1.6 from step 2 on: r = H(prefix | M), R = rB, S = r + H(R | A | M) s. */
function signExpanded(expanded: Uint8Array, publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  const s = scalarOf(expanded.subarray(0, 32));
  const r = scalarOf(sha512(expanded.subarray(32), message));
  const R = Point.BASE.multiply(r).toBytes();
  const k = scalarOf(sha512(R, publicKey, message));
  return Uint8Array.from(concat(R, bytesOfScalar((r + k * s) % ORDER)));
}

/** Whether the signature is the key's over the message; false as well for keys and signatures of a wrong size. */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== ED25519_SIZE || signature.length !== ED25519_SIGNATURE_SIZE) return false;
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: base64url(publicKey) },
    format: 'jwk',
  });
  return verify(null, message, key, signature);
}
