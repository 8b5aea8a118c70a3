/**
 * Key blinding for onion services (rend-spec-v3 A): each time period has its own key pair, which nobody who does not
 * know the identity key can tie to it.
 *
 * @module
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { DecodeError } from '../bytes/errors.js';
import { bytesOf, concat } from '../bytes/text.js';
import { sha3_256, sha512 } from './digest.js';
import {
  ED25519_EXPANDED_SIZE,
  ED25519_SIZE,
  type Ed25519ExpandedKey,
  ed25519FromExpanded,
} from './ed25519.js';
import { type EdwardsPoint, inMainGroup, multiplyClamped } from './edwards.js';
import { clampX25519 } from './x25519.js';

const { Point } = ed25519;
const { Fn } = Point;

/** C tor hashes this one with its final NUL [build_blinded_key_param] and the prefix's string without. */
const BLIND_STRING = bytesOf('Derive temporary signing key\0');
const PREFIX_STRING = bytesOf('Derive temporary signing key hash input');
const BASE_POINT = bytesOf(
  '(15112221349535400772501151409588531511454012693041857206046113283949847762202, ' +
    '46316835694926478169428394003475163141307993866256225615783033603165251855960)',
);
const NONCE_PREFIX = bytesOf('key-blind');

/** A time period (rend-spec-v3 2.2.1). */
export interface TimePeriod {
  /** Counted from 1970, less the rotation offset. */
  readonly number: number;
  /** Minutes; 1440 on the public network. */
  readonly length: number;
}

/** Both numbers as 8 bytes. */
export function encodeTimePeriod({ number, length }: TimePeriod): Uint8Array {
  const out = Buffer.alloc(16);
  out.writeBigUInt64BE(BigInt(number), 0);
  out.writeBigUInt64BE(BigInt(length), 8);
  return new Uint8Array(out);
}

/** The blinding parameter h before clamping, 32 bytes. `secret` is an optional shared secret nobody uses yet. */
export const blindingParam = (
  identity: Uint8Array,
  period: TimePeriod,
  secret: Uint8Array = new Uint8Array(0),
): Uint8Array => sha3_256(BLIND_STRING, identity, secret, BASE_POINT, NONCE_PREFIX, encodeTimePeriod(period));

const scalarOf = (littleEndian: Uint8Array): bigint =>
  Fn.create(BigInt(`0x${Buffer.from(littleEndian).reverse().toString('hex')}`));

const clampedScalar = (param: Uint8Array): bigint => scalarOf(clampX25519(Uint8Array.from(param)));

/** The blinded public key A' = h A. Throws DecodeError when `publicKey` is no point of the curve's main group. */
export function blindPublicKey(publicKey: Uint8Array, param: Uint8Array): Uint8Array {
  // Nothing here is secret from whoever knows the address, so time may depend on it.
  return multiplyClamped(
    mainGroupPoint(publicKey, 'ed25519 public key'),
    clampX25519(Uint8Array.from(param)),
  );
}

/** The blinded key: scalar h a, prefix from the old prefix. */
export function blindKey(key: Ed25519ExpandedKey, param: Uint8Array): Ed25519ExpandedKey {
  if (key.expanded.length !== ED25519_EXPANDED_SIZE)
    throw new RangeError(`expanded Ed25519 key: wanted 64 bytes, got ${key.expanded.length}`);
  const scalar = Fn.mul(scalarOf(key.expanded.subarray(0, 32)), clampedScalar(param));
  const littleEndian = Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex').reverse();
  const prefix = sha512(PREFIX_STRING, key.expanded.subarray(32)).subarray(0, 32);
  return ed25519FromExpanded(concat(littleEndian, prefix));
}

/** A point without a torsion component and not the identity; an equivalent form of a key would be another address. */
function mainGroupPoint(publicKey: Uint8Array, field: string) {
  if (publicKey.length !== ED25519_SIZE)
    throw new DecodeError(field, `wanted ${ED25519_SIZE} bytes, got ${publicKey.length}`);
  let point: EdwardsPoint;
  try {
    point = Point.fromBytes(Uint8Array.from(publicKey));
  } catch (cause) {
    throw new DecodeError(field, 'not a point of the curve', { cause });
  }
  if (!inMainGroup(point)) throw new DecodeError(field, 'has a torsion component');
  return point;
}

/** Throws DecodeError unless the key is a point of the curve's main group [ed25519_validate_pubkey]; some 0.4 ms. */
export function checkEd25519Point(publicKey: Uint8Array, field: string): void {
  mainGroupPoint(publicKey, field);
}

/** H("credential" | identity): who knows the address knows it (rend-spec-v3 2.1). */
export const credential = (identity: Uint8Array): Uint8Array => sha3_256(bytesOf('credential'), identity);

/** H("subcredential" | credential | blinded key): the credential of one time period. */
export const subcredential = (identity: Uint8Array, blinded: Uint8Array): Uint8Array =>
  sha3_256(bytesOf('subcredential'), credential(identity), blinded);
