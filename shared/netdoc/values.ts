/**
 * Codecs for the kinds of items that several documents share: times, numbers, words, digests, keys, objects.
 *
 * @module
 */
import { fromBase64, fromHex, toBase64Bare, toHex } from '../bytes/text.js';
import { RELAY_RSA_BITS, RSA_EXPONENT, rsaPublic } from '../crypto/rsa.js';
import { formatTime, parseInt32, parseTime, parseUnsigned } from './numbers.js';
import { type PortSummary, parsePortSummary } from './port-summary.js';
import { type ProtocolSet, parseProtocols } from './protover.js';
import type { ItemCodec } from './schema.js';
import type { Item } from './tokenizer.js';
import type { RelayId } from './types.js';

/** A codec of what stands in the line alone. */
export const lineOf = <T>(read: (item: Item) => T, write: (value: T) => string): ItemCodec<T> => ({
  read,
  write: (value) => ({ rest: write(value) }),
});

/** An item that is there or not. */
export const flag: ItemCodec<true> = { read: () => true, write: () => ({}) };

/** The line as it is. */
export const line: ItemCodec<string> = lineOf(
  (item) => item.rest,
  (text) => text,
);

/** Words with one blank between. */
export const words: ItemCodec<readonly string[]> = lineOf(
  (item) => item.args(0),
  (list) => list.join(' '),
);

/** A time, in milliseconds since 1970. */
export const time: ItemCodec<number> = lineOf((item) => {
  const value = parseTime(item.rest);
  return value < 0 ? item.fail(`not a time: ${JSON.stringify(item.rest.slice(0, 40))}`) : value;
}, formatTime);

/** One argument of an item as a whole number of at most `most`. */
export function unsignedArg(item: Item, text: string | undefined, most: number): number {
  const value = parseUnsigned(text ?? '', most);
  return value < 0 ? item.fail(`not a number up to ${most}: ${JSON.stringify(text?.slice(0, 40))}`) : value;
}

/** A whole number. */
export const unsigned = (most: number): ItemCodec<number> =>
  lineOf((item) => unsignedArg(item, item.args(1)[0], most), String);

/** A fingerprint or SHA-1 digest: 40 hex digits, upper case when written. */
export function hexIdArg(item: Item, text: string | undefined): RelayId {
  return toHex(fromHex(text ?? '', item.field, 20));
}

/** Bytes in base64 without padding, of a fixed size. */
export const base64Bytes = (size: number): ItemCodec<Uint8Array> =>
  lineOf((item) => fromBase64(item.args(1)[0] ?? '', item.field, size), toBase64Bare);

/** Subprotocol versions. */
export const protocols: ItemCodec<ProtocolSet> = lineOf(
  (item) => parseProtocols(item.rest, item.field),
  String,
);

/** A port summary. */
export const portSummary: ItemCodec<PortSummary> = lineOf(
  (item) => parsePortSummary(item.rest, item.field),
  String,
);

/** The object's bytes; `least` to `most` of them. */
export const object = (label: string, least = 1, most = 4096): ItemCodec<Uint8Array> => ({
  object: 'required',
  read: (item) => objectOf(item, label, least, most),
  write: (bytes) => ({ object: { label, bytes } }),
});

/** The object of an item, which must have this label and size. */
export function objectOf(item: Item, label: string, least: number, most: number): Uint8Array {
  const found = item.object;
  if (found === undefined) return item.fail('its object is missing');
  if (found.label !== label) item.fail(`object is ${JSON.stringify(found.label.slice(0, 40))}, not ${label}`);
  if (found.bytes.length < least || found.bytes.length > most)
    item.fail(`object of ${found.bytes.length} bytes`);
  return found.bytes;
}

/** An RSA signature: keys of 1024 to 4096 bits. */
export const rsaSignature = (label = 'SIGNATURE'): ItemCodec<Uint8Array> => object(label, 128, 512);

/** Longest DER of a public key: 8192 bits. */
const MAX_RSA_DER = 1100;

/** DER of a public RSA key with exponent 65537. */
function rsaKeyOf(item: Item, bits: number | undefined): Uint8Array {
  const der = objectOf(item, 'RSA PUBLIC KEY', 1, MAX_RSA_DER);
  const key = rsaPublic(der, item.field);
  if (key.exponent !== RSA_EXPONENT) item.fail('exponent is not 65537');
  if (bits !== undefined && key.bits !== bits) item.fail(`key of ${key.bits} bits, not ${bits}`);
  if (key.bits < RELAY_RSA_BITS) item.fail(`key of only ${key.bits} bits`);
  return der;
}

/** A public RSA key, as PKCS1 DER; of `bits` if given. */
export const rsaKey = (bits?: number): ItemCodec<Uint8Array> => ({
  object: 'required',
  read: (item) => rsaKeyOf(item, bits),
  write: (bytes) => ({ object: { label: 'RSA PUBLIC KEY', bytes } }),
});

/** The TAP onion key of a microdescriptor, or an empty line. Nobody uses it any more: it is not looked into. */
export const optionalRsaKey: ItemCodec<Uint8Array | null> = {
  object: 'optional',
  read: (item) => (item.object === undefined ? null : objectOf(item, 'RSA PUBLIC KEY', 1, MAX_RSA_DER)),
  write: (bytes) => (bytes === null ? {} : { object: { label: 'RSA PUBLIC KEY', bytes } }),
};

/** Most entries looked at in a `name=value` list. */
const MAX_PAIRS = 512;

/** Words of the form name=value. A word without `=` or a name that comes twice is an error. */
export function pairsOf(item: Item): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const word of item.args(0)) {
    const equals = word.indexOf('=');
    if (equals < 1) item.fail(`not name=value: ${JSON.stringify(word.slice(0, 40))}`);
    if (pairs.size >= MAX_PAIRS) item.fail(`more than ${MAX_PAIRS} values`);
    const name = word.slice(0, equals);
    if (pairs.has(name)) item.fail(`${name} comes twice`);
    pairs.set(name, word.slice(equals + 1));
  }
  return pairs;
}

const joinPairs = (pairs: ReadonlyMap<string, unknown>): string =>
  [...pairs].map(([name, value]) => `${name}=${value}`).join(' ');

/** name=value words whose values stay text. */
export const textPairs: ItemCodec<ReadonlyMap<string, string>> = lineOf(pairsOf, joinPairs);

/** name=value words with signed 32-bit values. */
export const int32Pairs: ItemCodec<ReadonlyMap<string, number>> = lineOf((item) => {
  const values = new Map<string, number>();
  for (const [name, text] of pairsOf(item)) {
    const value = parseInt32(text);
    if (value === undefined) item.fail(`${name} is not a 32-bit number`);
    else values.set(name, value);
  }
  return values;
}, joinPairs);

/** A nickname: 1 to 19 letters and digits. */
export const isNickname = (text: string): boolean => /^[A-Za-z0-9]{1,19}$/.test(text);

/** A nickname argument. */
export const nicknameArg = (item: Item, text = ''): string =>
  isNickname(text) ? text : item.fail(`not a nickname: ${JSON.stringify(text.slice(0, 40))}`);
