/**
 * Numbers and times as documents write them, read strictly but for `parseInt32`: digits only, no sign, no leading
 * zeros, only times that exist.
 *
 * @module
 */

/** Value of the digits text[from, to); -1 when there is none, or something else among them. */
function digitsAt(text: string, from: number, to: number): number {
  if (from >= to) return -1;
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** Value of a number of at most `digits` digits in text[from, to); -1 if it is none. */
export function decimalAt(text: string, from: number, to: number, digits: number): number {
  if (to - from > digits || (to - from > 1 && text.charCodeAt(from) === 48)) return -1;
  return digitsAt(text, from, to);
}

/** A whole number from 0 to `most` (at most 2^53 - 1); -1 if it is none. */
export function parseUnsigned(text: string, most: number): number {
  const value = decimalAt(text, 0, text.length, 16);
  return value <= most ? value : -1;
}

const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;

/** A signed 32-bit number as C reads it, with a plus or zeros in front; undefined if it is none. */
export function parseInt32(text: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const value = Number(text);
  // A zero has no sign.
  return value >= INT32_MIN && value <= INT32_MAX ? value + 0 : undefined;
}

const SEPARATORS: readonly (readonly [number, string])[] = [
  [4, '-'],
  [7, '-'],
  [10, ' '],
  [13, ':'],
  [16, ':'],
];

/** `YYYY-MM-DD HH:MM:SS` (UTC) to milliseconds since 1970; -1 if it is no such time. */
export function parseTime(text: string): number {
  if (text.length !== 19 || SEPARATORS.some(([at, char]) => text[at] !== char)) return -1;
  const year = digitsAt(text, 0, 4);
  const month = digitsAt(text, 5, 7);
  const day = digitsAt(text, 8, 10);
  const hour = digitsAt(text, 11, 13);
  const minute = digitsAt(text, 14, 16);
  const second = digitsAt(text, 17, 19);
  if (Math.min(year, month, day, hour, minute, second) < 0 || year < 1970) return -1;
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return -1;
  const time = Date.UTC(year, month - 1, day, hour, minute, second);
  // Date.UTC carries 31 February over into March.
  return new Date(time).getUTCDate() === day ? time : -1;
}

/** Milliseconds since 1970 to `YYYY-MM-DD HH:MM:SS`, cut to the second. */
export function formatTime(time: number): string {
  const iso = new Date(time).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
}
