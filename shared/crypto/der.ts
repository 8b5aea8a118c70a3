/**
 * The little of DER (X.690) that writing a certificate takes.
 *
 * @module
 */

/** A tag, a definite length, the content. */
function tlv(tag: number, ...content: Uint8Array[]): Uint8Array {
  const body = Buffer.concat(content);
  if (body.length < 128) return Buffer.concat([Buffer.of(tag, body.length), body]);
  const length = Buffer.from(evenHex(body.length.toString(16)), 'hex');
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length), length, body]);
}

const evenHex = (hex: string) => (hex.length % 2 === 0 ? hex : `0${hex}`);

export const derSequence = (...items: Uint8Array[]): Uint8Array => tlv(0x30, ...items);
export const derSet = (...items: Uint8Array[]): Uint8Array => tlv(0x31, ...items);
export const derNull = (): Uint8Array => tlv(0x05);
export const derUtf8 = (text: string): Uint8Array => tlv(0x0c, Buffer.from(text));
/** Context-specific, constructed. */
export const derExplicit = (tag: number, item: Uint8Array): Uint8Array => tlv(0xa0 | tag, item);
/** Whole bytes, no unused bits. */
export const derBits = (bytes: Uint8Array): Uint8Array => tlv(0x03, Buffer.of(0), bytes);

/** A non-negative integer from its big-endian bytes. */
export function derInteger(bigEndian: Uint8Array): Uint8Array {
  let from = 0;
  while (from < bigEndian.length - 1 && bigEndian[from] === 0) from++;
  const minimal = bigEndian.subarray(from);
  return minimal[0]! >= 0x80 ? tlv(0x02, Buffer.of(0), minimal) : tlv(0x02, minimal);
}

/** An object identifier in dotted form. */
export function derOid(dotted: string): Uint8Array {
  const [first, second, ...rest] = dotted.split('.').map(Number) as [number, number, ...number[]];
  const bytes: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tlv(0x06, Uint8Array.from(bytes));
}

/** UTCTime up to 2049, GeneralizedTime after (RFC 5280 4.1.2.5); milliseconds since 1970. */
export function derTime(ms: number): Uint8Array {
  const text = `${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  return text < '2050' ? tlv(0x17, Buffer.from(text.slice(2))) : tlv(0x18, Buffer.from(text));
}
