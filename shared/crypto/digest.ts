/**
 * Digests, the HMAC and the extendable-output function that Tor's protocols use, over any number of parts.
 *
 * @module
 */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';

/** Bytes of a SHA-1 digest. */
export const SHA1_SIZE = 20;
/** Bytes of a SHA-256 or SHA3-256 digest. */
export const SHA256_SIZE = 32;

function finish(hash: Hash | Hmac, parts: readonly Uint8Array[]): Uint8Array {
  for (const part of parts) hash.update(part);
  const { buffer, byteOffset, length } = hash.digest();
  // Not a Buffer: `slice` of one does not copy.
  return new Uint8Array(buffer, byteOffset, length);
}

const digest = (algorithm: string, parts: readonly Uint8Array[]) => finish(createHash(algorithm), parts);

/** SHA-1 of the parts in order: 20 bytes. */
export const sha1 = (...parts: Uint8Array[]): Uint8Array => digest('sha1', parts);

/** SHA-256 of the parts in order: 32 bytes. */
export const sha256 = (...parts: Uint8Array[]): Uint8Array => digest('sha256', parts);

/** SHA-512 of the parts in order: 64 bytes. */
export const sha512 = (...parts: Uint8Array[]): Uint8Array => digest('sha512', parts);

/** SHA3-256 of the parts in order: 32 bytes. */
export const sha3_256 = (...parts: Uint8Array[]): Uint8Array => digest('sha3-256', parts);

/** The first `outLength` bytes of SHAKE-256 of the parts in order. */
export const shake256 = (outLength: number, ...parts: Uint8Array[]): Uint8Array =>
  finish(createHash('shake256', { outputLength: outLength }), parts);

/** HMAC-SHA256 of the parts in order: 32 bytes. */
export const hmacSha256 = (key: Uint8Array, ...parts: Uint8Array[]): Uint8Array =>
  finish(createHmac('sha256', key), parts);
