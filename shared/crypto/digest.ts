/**
 * Digests, the HMAC and the extendable-output function that Tor's protocols use, over any number of parts.
 *
 * @module
 */
import { createHash, type Hash, hash } from 'node:crypto';

/** Bytes of a SHA-1 digest. */
export const SHA1_SIZE = 20;
/** Bytes of a SHA-256 or SHA3-256 digest. */
export const SHA256_SIZE = 32;
/** Bytes of a block of SHA-256, which HMAC pads its key to. */
const SHA256_BLOCK = 64;

/**
 * Where short inputs are put together, for one native call each: an object for the digest costs more than the digest,
 * and handshakes take a dozen of them. Never in use past one call.
 */
const together = new Uint8Array(1024);

/** Copies the parts behind `at`; returns where they end, or -1 when they do not fit. */
function gather(parts: readonly Uint8Array[], at: number): number {
  let end = at;
  for (const part of parts) {
    if (part.length > together.length - end) return -1;
    together.set(part, end);
    end += part.length;
  }
  return end;
}

function fromBinary(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

/** The digest of the first `length` bytes of `together`; as text, since that is the cheapest to hand over. */
const digestGathered = (algorithm: string, length: number): Uint8Array =>
  fromBinary(hash(algorithm, together.subarray(0, length), 'binary'));

function finish(state: Hash, parts: readonly Uint8Array[]): Uint8Array {
  for (const part of parts) state.update(part);
  const { buffer, byteOffset, length } = state.digest();
  // Not a Buffer: `slice` of one does not copy.
  return new Uint8Array(buffer, byteOffset, length);
}

function digest(algorithm: string, parts: readonly Uint8Array[]): Uint8Array {
  const length = gather(parts, 0);
  return length < 0 ? finish(createHash(algorithm), parts) : digestGathered(algorithm, length);
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
export const shake256 = (outLength: number, ...parts: Uint8Array[]): Uint8Array =>
  finish(createHash('shake256', { outputLength: outLength }), parts);

/** Puts a key, XORed with `pad`, where the block before a message is (RFC 2104). */
function padKey(key: Uint8Array, pad: number): void {
  together.fill(pad, 0, SHA256_BLOCK);
  for (let i = 0; i < key.length; i++) together[i]! ^= key[i]!;
}

/** HMAC-SHA256 of the parts in order: 32 bytes. */
export function hmacSha256(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array {
  const short = key.length > SHA256_BLOCK ? sha256(key) : key;
  const end = gather(parts, SHA256_BLOCK);
  padKey(short, 0x36);
  const inner =
    end < 0
      ? finish(createHash('sha256'), [together.slice(0, SHA256_BLOCK), ...parts])
      : digestGathered('sha256', end);
  padKey(short, 0x5c);
  together.set(inner, SHA256_BLOCK);
  return digestGathered('sha256', SHA256_BLOCK + SHA256_SIZE);
}
