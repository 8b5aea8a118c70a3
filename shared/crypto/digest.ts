/**
 * Digests, the HMAC and the extendable-output function that Tor's protocols use, over any number of parts.
 *
 * @module
 */
import { createHash, createHmac } from 'node:crypto';

/** Bytes of a SHA-1 digest. */
export const SHA1_SIZE = 20;
/** Bytes of a SHA-256 or SHA3-256 digest. */
export const SHA256_SIZE = 32;

function digest(algorithm: string, parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** SHA-1 of the parts in order: 20 bytes. */
export const sha1 = (...parts: Uint8Array[]): Uint8Array => digest('sha1', parts);

/** SHA-256 of the parts in order: 32 bytes. */
export const sha256 = (...parts: Uint8Array[]): Uint8Array => digest('sha256', parts);

/** SHA-512 of the parts in order: 64 bytes. */
export const sha512 = (...parts: Uint8Array[]): Uint8Array => digest('sha512', parts);

/** SHA3-256 of the parts in order: 32 bytes. */
export const sha3_256 = (...parts: Uint8Array[]): Uint8Array => digest('sha3-256', parts);

/** The first `outLength` bytes of SHAKE-256 of the parts in order. */
export function shake256(outLength: number, ...parts: Uint8Array[]): Uint8Array {
  const hash = createHash('shake256', { outputLength: outLength });
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** HMAC-SHA256 of the parts in order: 32 bytes. */
export function hmacSha256(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array {
  const hmac = createHmac('sha256', key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}
