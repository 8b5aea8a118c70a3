/**
 * How the two layers of an onion service's descriptor are encrypted (rend-spec-v3 2.5.1, 2.5.3), and the cookie by
 * which authorized clients read the inner one.
 *
 *     layer = salt(16) | AES-256-CTR(key, iv, plaintext) | mac(32)
 *     key(32) iv(16) mac_key(32) = SHAKE-256(secret_data | subcredential | revision(8) | salt | string)
 *     mac = SHA3-256(32 as 8 bytes | mac_key | 16 as 8 bytes | salt | ciphertext)
 *
 * secret_data is the blinded key, and for the inner layer with client authorization the cookie after it.
 *
 * @module
 */
import { createCipheriv } from 'node:crypto';
import { DecodeError } from '../bytes/errors.js';
import { bytesOf, concat } from '../bytes/text.js';
import { sha3_256, shake256 } from '../crypto/digest.js';
import { constantTimeEqual } from '../crypto/equal.js';
import type { X25519KeyPair } from '../crypto/x25519.js';

/** Bytes of the salt of a layer. */
export const SALT_SIZE = 16;
const KEY_SIZE = 32;
const IV_SIZE = 16;
const MAC_SIZE = 32;
/** Bytes of a descriptor cookie: 16 in C tor and everywhere, whatever rend-spec says. */
export const COOKIE_SIZE = 16;
const CLIENT_ID_SIZE = 8;

/** What all keys of one descriptor depend on. */
export interface DescriptorSecrets {
  /** The blinded public key. */
  readonly blindedKey: Uint8Array;
  readonly subcredential: Uint8Array;
  readonly revision: bigint;
}

/** Which layer. */
export type Layer = 'outer' | 'inner';

const STRINGS: Readonly<Record<Layer, Uint8Array>> = {
  outer: bytesOf('hsdir-superencrypted-data'),
  inner: bytesOf('hsdir-encrypted-data'),
};
const NO_COOKIE = new Uint8Array(0);

function u64(value: bigint): Uint8Array {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(value);
  return out;
}

const MAC_KEY_LENGTH = u64(32n);
const SALT_LENGTH = u64(16n);

function layerKeys(secrets: DescriptorSecrets, layer: Layer, cookie: Uint8Array, salt: Uint8Array) {
  const { blindedKey, subcredential, revision } = secrets;
  const size = KEY_SIZE + IV_SIZE + MAC_SIZE;
  const keys = shake256(size, blindedKey, cookie, subcredential, u64(revision), salt, STRINGS[layer]);
  return {
    key: keys.subarray(0, KEY_SIZE),
    iv: keys.subarray(KEY_SIZE, KEY_SIZE + IV_SIZE),
    macKey: keys.subarray(KEY_SIZE + IV_SIZE),
  };
}

const aes256Ctr = (key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array =>
  createCipheriv('aes-256-ctr', key, iv).update(data);

const macOf = (macKey: Uint8Array, salt: Uint8Array, ciphertext: Uint8Array): Uint8Array =>
  sha3_256(MAC_KEY_LENGTH, macKey, SALT_LENGTH, salt, ciphertext);

/** Encrypts a layer with a salt of 16 random bytes. */
export function encryptLayer(
  secrets: DescriptorSecrets,
  layer: Layer,
  plaintext: Uint8Array,
  salt: Uint8Array,
  cookie: Uint8Array = NO_COOKIE,
): Uint8Array {
  const { key, iv, macKey } = layerKeys(secrets, layer, cookie, salt);
  const ciphertext = aes256Ctr(key, iv, plaintext);
  return concat(salt, ciphertext, macOf(macKey, salt, ciphertext));
}

/**
 * Decrypts a layer; undefined when its MAC is wrong, that is when the secrets are.
 *
 * @throws DecodeError naming `field` when it is too short to be a layer.
 */
export function decryptLayer(
  secrets: DescriptorSecrets,
  layer: Layer,
  bytes: Uint8Array,
  field: string,
  cookie: Uint8Array = NO_COOKIE,
): Uint8Array | undefined {
  if (bytes.length <= SALT_SIZE + MAC_SIZE) throw new DecodeError(field, `${bytes.length} bytes are too few`);
  const salt = bytes.subarray(0, SALT_SIZE);
  const ciphertext = bytes.subarray(SALT_SIZE, bytes.length - MAC_SIZE);
  const { key, iv, macKey } = layerKeys(secrets, layer, cookie, salt);
  if (!constantTimeEqual(macOf(macKey, salt, ciphertext), bytes.subarray(bytes.length - MAC_SIZE)))
    return undefined;
  return aes256Ctr(key, iv, ciphertext);
}

/** `auth-client`: the cookie for one client. */
export interface AuthClient {
  /** 8 bytes. */
  readonly id: Uint8Array;
  /** 16 bytes. */
  readonly iv: Uint8Array;
  /** 16 bytes. */
  readonly encryptedCookie: Uint8Array;
}

/** The client's id and the key of its cookie: SHAKE-256(subcredential | x25519). */
function clientKeys(pair: X25519KeyPair, peer: Uint8Array, subcredential: Uint8Array) {
  const keys = shake256(CLIENT_ID_SIZE + KEY_SIZE, subcredential, pair.agree(peer));
  return { id: keys.subarray(0, CLIENT_ID_SIZE), key: keys.subarray(CLIENT_ID_SIZE) };
}

/** The line for a client: `ephemeral` is the descriptor's key pair, `iv` 16 random bytes. */
export function authorizeClient(
  ephemeral: X25519KeyPair,
  client: Uint8Array,
  subcredential: Uint8Array,
  cookie: Uint8Array,
  iv: Uint8Array,
): AuthClient {
  const { id, key } = clientKeys(ephemeral, client, subcredential);
  return { id, iv, encryptedCookie: aes256Ctr(key, iv, cookie) };
}

/** A client's cookie; undefined when no line is for it. */
export function cookieFor(
  client: X25519KeyPair,
  ephemeralKey: Uint8Array,
  subcredential: Uint8Array,
  lines: readonly AuthClient[],
): Uint8Array | undefined {
  const { id, key } = clientKeys(client, ephemeralKey, subcredential);
  const line = lines.find((each) => constantTimeEqual(each.id, id));
  return line === undefined ? undefined : aes256Ctr(key, line.iv, line.encryptedCookie);
}
