/**
 * Addresses of version 3 onion services (rend-spec-v3 6).
 *
 * base32(PUBKEY(32) | CHECKSUM(2) | VERSION(1)) + ".onion", with CHECKSUM the first bytes of
 * SHA3-256(".onion checksum" | PUBKEY | VERSION): 56 letters and digits.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { bytesOf, concat, fromBase32, sameBytes, toBase32 } from '../bytes/text.js';
import { checkEd25519Point } from './blinding.js';
import { sha3_256 } from './digest.js';
import { ED25519_SIZE } from './ed25519.js';

const VERSION = Uint8Array.of(3);
const CHECKSUM_SIZE = 2;
const ADDRESS_LENGTH = 56;
const FIELD = 'onion address';

const checksum = (identity: Uint8Array) =>
  sha3_256(bytesOf('.onion checksum'), identity, VERSION).subarray(0, CHECKSUM_SIZE);

/** The address of an identity key, with `.onion`. */
export const onionAddress = (identity: Uint8Array): string =>
  `${toBase32(concat(identity, checksum(identity), VERSION))}.onion`;

/** Whether a host name is for an onion service, be its address well-formed or not. */
export const isOnionName = (host: string): boolean => /(^|\.)onion$/i.test(host);

/**
 * The identity key in `[label.]*address.onion`, of either case. Throws DecodeError: a wrong length, character,
 * version or checksum, or a key that is another form of somebody's key [hs_address_is_valid].
 */
export function parseOnionAddress(host: string): Uint8Array {
  if (!isOnionName(host)) throw new DecodeError(FIELD, 'does not end in .onion');
  const address = host.slice(0, -'.onion'.length).split('.').at(-1)!;
  if (address.length !== ADDRESS_LENGTH)
    throw new DecodeError(FIELD, `has ${address.length} characters, not ${ADDRESS_LENGTH}`);
  const bytes = fromBase32(address, FIELD);
  const identity = bytes.subarray(0, ED25519_SIZE);
  if (bytes.at(-1) !== VERSION[0]) throw new DecodeError(FIELD, `version ${bytes.at(-1)} is not known`);
  if (!sameBytes(bytes.subarray(ED25519_SIZE, -1), checksum(identity)))
    throw new DecodeError(FIELD, 'the checksum does not fit: it was mistyped');
  checkEd25519Point(identity, FIELD);
  return Uint8Array.from(identity);
}
