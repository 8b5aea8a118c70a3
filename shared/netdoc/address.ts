/**
 * IP addresses as the text of directory documents and as bytes (4 for IPv4, 16 for IPv6). Parsing is strict: no
 * leading zeros, no zone, no surrounding space. Formatting of IPv6 is that of C tor's `tor_inet_ntop`.
 *
 * @module
 */
import { decimalAt } from './numbers.js';
import type { OrAddress } from './types.js';

/** Dotted quad to a number in [0, 2^32); -1 if it is none. */
export function ipv4Number(text: string): number {
  let value = 0;
  let from = 0;
  for (let part = 0; part < 4; part++) {
    const to = part === 3 ? text.length : text.indexOf('.', from);
    const byte = to < 0 ? -1 : decimalAt(text, from, to, 3);
    if (byte < 0 || byte > 255) return -1;
    value = value * 256 + byte;
    from = to + 1;
  }
  return value;
}

/** A dotted quad to 4 bytes. */
export function parseIpv4(text: string): Uint8Array | undefined {
  const value = ipv4Number(text);
  if (value < 0) return undefined;
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

function hexGroup(text: string): number {
  if (text.length < 1 || text.length > 4 || !/^[0-9a-fA-F]+$/.test(text)) return -1;
  return Number.parseInt(text, 16);
}

/** Groups of one side of `::` to words; the last may be a dotted quad. Undefined when malformed. */
function wordsOf(side: string, quadAllowed: boolean): number[] | undefined {
  if (side === '') return [];
  const words: number[] = [];
  const groups = side.split(':');
  for (const [i, group] of groups.entries()) {
    if (quadAllowed && i === groups.length - 1 && group.includes('.')) {
      const quad = ipv4Number(group);
      if (quad < 0) return undefined;
      words.push(quad >>> 16, quad & 0xffff);
      continue;
    }
    const word = hexGroup(group);
    if (word < 0) return undefined;
    words.push(word);
  }
  return words;
}

/** An IPv6 literal without brackets to 16 bytes. */
export function parseIpv6(text: string): Uint8Array | undefined {
  if (text.length < 2 || text.length > 45) return undefined;
  const gap = text.indexOf('::');
  const head = wordsOf(gap < 0 ? text : text.slice(0, gap), gap < 0);
  const tail = gap < 0 ? [] : wordsOf(text.slice(gap + 2), true);
  if (head === undefined || tail === undefined) return undefined;
  const count = head.length + tail.length;
  if (gap < 0 ? count !== 8 : count > 7) return undefined;
  const words = [...head, ...new Array<number>(8 - count).fill(0), ...tail];
  const bytes = new Uint8Array(16);
  for (const [i, word] of words.entries()) {
    bytes[2 * i] = word >> 8;
    bytes[2 * i + 1] = word & 255;
  }
  return bytes;
}

/** An IP literal of either family, without brackets, to bytes. */
export const parseIp = (text: string): Uint8Array | undefined => parseIpv4(text) ?? parseIpv6(text);

/** Start and length of the longest run of zero words; the first of equals, none shorter than two. */
function longestGap(words: readonly number[]): [number, number] {
  let best: [number, number] = [-1, 1];
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && words[i + run] === 0) run++;
    if (run > best[1]) best = [i, run];
    i += run;
  }
  return best;
}

/** 4 or 16 bytes to text, IPv6 without brackets. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const quad = () => bytes.subarray(12).join('.');
  if (words.slice(0, 5).every((w) => w === 0)) {
    if (words[5] === 0xffff) return `::ffff:${quad()}`;
    if (words[5] === 0 && words[6] !== 0 && words[7] !== 0) return `::${quad()}`;
  }
  const hex = (part: readonly number[]) => part.map((w) => w.toString(16)).join(':');
  const [at, length] = longestGap(words);
  return at < 0 ? hex(words) : `${hex(words.slice(0, at))}::${hex(words.slice(at + length))}`;
}

/** The IPv4 address inside an IPv4-mapped IPv6 one (`::ffff:a.b.c.d`). */
export function mappedIpv4(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length !== 16 || bytes[10] !== 255 || bytes[11] !== 255) return undefined;
  return bytes.subarray(0, 10).every((b) => b === 0) ? bytes.subarray(12) : undefined;
}

/** Whether the first `bits` bits of two addresses of one family are the same. */
export function samePrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  if (a.length !== b.length) return false;
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (a[i] !== b[i]) return false;
  const rest = bits & 7;
  return rest === 0 || (((a[whole] ?? 0) ^ (b[whole] ?? 0)) & (0xff << (8 - rest)) & 0xff) === 0;
}

/** `a.b.c.d:port` or `[ipv6]:port` to an address in canonical text; undefined if malformed or port 0. */
export function parseAddressPort(text: string): OrAddress | undefined {
  const colon = text.lastIndexOf(':');
  if (colon < 0) return undefined;
  const port = decimalAt(text, colon + 1, text.length, 5);
  if (port < 1 || port > 65535) return undefined;
  const bracketed = text.charCodeAt(0) === 91 && text.charCodeAt(colon - 1) === 93;
  const bytes = bracketed ? parseIpv6(text.slice(1, colon - 1)) : parseIpv4(text.slice(0, colon));
  return bytes === undefined ? undefined : { host: formatIp(bytes), port };
}

/** Whether an IP literal is IPv6. */
export const isIpv6Text = (host: string): boolean => host.includes(':');

/** An address and port as documents write them, IPv6 in brackets. */
export const formatAddressPort = ({ host, port }: OrAddress): string =>
  isIpv6Text(host) ? `[${host}]:${port}` : `${host}:${port}`;
