/**
 * Sizes and times as torrc writes them: a number, perhaps with a fraction, and a unit (C tor: unitparse.c).
 *
 * @module
 */
import { ValueError } from './errors.js';

const KIB = 1024;
const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** C tor's month: 30.437 days. */
const month = 2_629_728 * second;

function sizeUnits(): Map<string, number> {
  const units = new Map([
    ['', 1],
    ['b', 1],
    ['byte', 1],
    ['bytes', 1],
  ]);
  const prefixes: [short: string, long: string, factor: number][] = [
    ['k', 'kilo', KIB],
    ['m', 'mega', KIB ** 2],
    ['g', 'giga', KIB ** 3],
    ['t', 'tera', KIB ** 4],
  ];
  for (const [short, long, factor] of prefixes) {
    for (const name of ['b', 'byte', 'bytes']) units.set(short + name, factor);
    for (const name of ['byte', 'bytes']) units.set(long + name, factor);
    for (const name of ['bit', 'bits']) {
      units.set(short + name, factor / 8);
      units.set(long + name, factor / 8);
    }
  }
  units.set('m', KIB ** 2);
  return units;
}

const SIZES = sizeUnits();

const TIMES = new Map([
  ['', second],
  ['second', second],
  ['seconds', second],
  ['minute', minute],
  ['minutes', minute],
  ['hour', hour],
  ['hours', hour],
  ['day', day],
  ['days', day],
  ['week', 7 * day],
  ['weeks', 7 * day],
  ['month', month],
  ['months', month],
]);

const BRIEF_TIMES = new Map([
  ...TIMES,
  ...['', 'msec', 'millisecond', 'milliseconds'].map((unit) => [unit, 1] as const),
]);

/** C tor keeps intervals in an int of seconds, and short ones in one of milliseconds. */
const MAX_TIME = (2 ** 31 - 1) * second;
const MAX_BRIEF_TIME = 2 ** 31 - 1;

function measured(text: string, units: Map<string, number>, what: string): number {
  const found = /^(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)$/.exec(text.trim());
  if (!found) throw new ValueError(`"${text}" is not a ${what}`);
  const factor = units.get((found[2] as string).toLowerCase());
  if (factor === undefined) throw new ValueError(`"${found[2]}" is not a unit of ${what}`);
  const value = Math.floor(Number(found[1]) * factor);
  if (!Number.isSafeInteger(value)) throw new ValueError(`"${text}" is too large`);
  return value;
}

/** `100 KB`, `1.5 GBytes`, `8 MBits`: bytes. Units count in 1024s. */
export const parseSize = (text: string): number => measured(text, SIZES, 'size');

/** `1750`, `200 msec`, `2 seconds`: milliseconds; a bare number is of milliseconds. */
export function parseBriefTime(text: string): number {
  const value = measured(text, BRIEF_TIMES, 'time');
  if (value > MAX_BRIEF_TIME) throw new ValueError(`"${text}" is too long`);
  return value;
}

/** `90`, `10 minutes`, `2 weeks`: milliseconds. */
export function parseTime(text: string): number {
  const value = measured(text, TIMES, 'time');
  if (value > MAX_TIME) throw new ValueError(`"${text}" is too long`);
  return value;
}
