/**
 * The text forms of bytes that Tor's formats use: hex, base64 with and without padding, base32.
 * Decoders are strict: a character that does not belong, or a wrong length, is a DecodeError.
 *
 * @module
 */
import { DecodeError } from './errors.js';

const asBuffer = (b: Uint8Array) => Buffer.from(b.buffer, b.byteOffset, b.byteLength);

/** Upper-case hex, as fingerprints are written. */
export const toHex = (b: Uint8Array): string => asBuffer(b).toString('hex').toUpperCase();

/** Hex of either case, to bytes; `size` in bytes when it is fixed. */
export function fromHex(text: string, field: string, size?: number): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) throw new DecodeError(field, 'not hexadecimal');
  if (size !== undefined && text.length !== size * 2)
    throw new DecodeError(field, `wanted ${size * 2} hex digits, got ${text.length}`);
  return Buffer.from(text, 'hex');
}

/** Base64 with `=` padding. */
export const toBase64 = (b: Uint8Array): string => asBuffer(b).toString('base64');

/** Base64 without padding, as in `r`, `m` and `id` lines. */
export const toBase64Bare = (b: Uint8Array): string => toBase64(b).replace(/=+$/, '');

/** Base64 with or without padding, to bytes; `size` in bytes when it is fixed. */
export function fromBase64(text: string, field: string, size?: number): Uint8Array {
  const bare = text.replace(/={1,2}$/, '');
  if (!/^[A-Za-z0-9+/]*$/.test(bare) || bare.length % 4 === 1) throw new DecodeError(field, 'not base64');
  if (bare.length !== text.length && text.length % 4 !== 0)
    throw new DecodeError(field, 'bad base64 padding');
  const out = Buffer.from(bare, 'base64');
  if (size !== undefined && out.length !== size)
    throw new DecodeError(field, `wanted ${size} bytes, got ${out.length}`);
  return out;
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** Lower-case base32 without padding (RFC 4648 alphabet), as in onion addresses. */
export function toBase32(b: Uint8Array): string {
  let text = '';
  let acc = 0;
  let bits = 0;
  for (const byte of b) {
    acc = ((acc << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += BASE32[(acc >> bits) & 31];
    }
  }
  if (bits > 0) text += BASE32[(acc << (5 - bits)) & 31];
  return text;
}

/** Base32 of either case without padding, to bytes. */
export function fromBase32(text: string, field: string): Uint8Array {
  const out = new Uint8Array(Math.floor((text.length * 5) / 8));
  let acc = 0;
  let bits = 0;
  let at = 0;
  for (const char of text.toLowerCase()) {
    const value = BASE32.indexOf(char);
    if (value < 0) throw new DecodeError(field, 'not base32');
    acc = ((acc << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (acc >> bits) & 0xff;
    }
  }
  return out;
}

/** Byte-wise equality; not for secrets (`crypto/` has the constant-time one). */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && asBuffer(a).equals(asBuffer(b));

const utf8 = new TextEncoder();
/** UTF-8 bytes of a string. */
export const bytesOf = (text: string): Uint8Array => utf8.encode(text);

/** Concatenates byte strings. */
export const concat = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts);
