/**
 * The kinds of value an option takes: how each is written, and read.
 *
 * @module
 */
import { parseLogLine } from '../log/lines.js';
import { parseDirAuthority, parseFallbackDir, parsePort } from './addresses.js';
import { ValueError } from './errors.js';
import type { DirAuthorityOption, FallbackDirOption, PortOption } from './options.js';
import { parseBriefTime, parseSize, parseTime } from './units.js';

/** One kind of value. */
export interface Kind<T> {
  /** As in a manual: `0|1`, `N minutes|hours|…`. */
  readonly syntax: string;
  /** The value while neither a line nor a default gives one. */
  readonly unset: T;
  /** Reads one line's value; throws a ValueError. */
  read(text: string): T;
  /** For options whose lines add up; without it a later line replaces an earlier one. */
  join?(before: T, more: T): T;
}

type Strings = readonly string[];

const concat = <T>(before: readonly T[], more: readonly T[]): readonly T[] => [...before, ...more];

/** `0` or `1`. */
export const bool: Kind<boolean> = {
  syntax: '0|1',
  unset: false,
  read(text) {
    if (text === '0' || text === '1') return text === '1';
    throw new ValueError(`"${text}" is neither 0 nor 1`);
  },
};

/** `0`, `1` or `auto`. */
export const autoBool: Kind<boolean | 'auto'> = {
  syntax: '0|1|auto',
  unset: 'auto',
  read: (text) => (text.toLowerCase() === 'auto' ? 'auto' : bool.read(text)),
};

/** A switch with words of its own. */
export const words = (
  values: Record<string, boolean>,
  refused: Record<string, string> = {},
): Kind<boolean> => ({
  syntax: Object.keys(values).join('|'),
  unset: false,
  read(text) {
    const word = text.toLowerCase();
    if (Object.hasOwn(values, word)) return values[word] as boolean;
    if (Object.hasOwn(refused, word)) throw new ValueError(`"${text}" ${refused[word]}`);
    throw new ValueError(`"${text}" is none of ${Object.keys(values).join(', ')}`);
  },
});

/** A whole number. */
export const integer = (min = 0, max = 2 ** 31 - 1): Kind<number> => ({
  syntax: 'NUM',
  unset: 0,
  read(text) {
    const value = /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new ValueError(`"${text}" is not a whole number from ${min} to ${max}`);
  },
});

/** A number from 0 to 1. */
export const fraction: Kind<number> = {
  syntax: 'NUM',
  unset: 0,
  read(text) {
    const value = /^(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
    if (value <= 1) return value;
    throw new ValueError(`"${text}" is not a number from 0 to 1`);
  },
};

/** Bytes. */
export const size: Kind<number> = {
  syntax: 'N bytes|KBytes|MBytes|GBytes|TBytes|KBits|MBits|GBits|TBits',
  unset: 0,
  read: parseSize,
};

/** Milliseconds. */
export const time: Kind<number> = {
  syntax: 'N seconds|minutes|hours|days|weeks|months',
  unset: 0,
  read: parseTime,
};

/** Milliseconds, also where no unit is given. */
export const briefTime: Kind<number> = {
  syntax: 'N msec|seconds|minutes|hours|days|weeks|months',
  unset: 0,
  read: parseBriefTime,
};

/** Any text. */
export const text: Kind<string | undefined> = { syntax: 'STRING', unset: undefined, read: (value) => value };

/** A path; `~/` is expanded by `loadOptions`. */
export const path: Kind<string | undefined> = { syntax: 'PATH', unset: undefined, read: (value) => value };

/** A path that is never missing. */
export const directory: Kind<string> = { syntax: 'DIR', unset: '', read: (value) => value };

/** 1 to 19 letters and digits. */
export const nickname: Kind<string> = {
  syntax: 'NAME',
  unset: '',
  read(value) {
    if (/^[A-Za-z0-9]{1,19}$/.test(value)) return value;
    throw new ValueError(`"${value}" is not a nickname: 1 to 19 letters and digits`);
  },
};

/** One line of the network documents, so nothing that ends it. */
export const oneLine: Kind<string | undefined> = {
  syntax: 'STRING',
  unset: undefined,
  read(value) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
    if (/[\u0000-\u001f\u007f]/.test(value)) throw new ValueError('control characters cannot be published');
    return value;
  },
};

/** Lines in order, as written. */
export const lines = (syntax: string, check?: (value: string) => void): Kind<Strings> => ({
  syntax,
  unset: [],
  join: concat,
  read(value) {
    check?.(value);
    return [value];
  },
});

/** Items between commas; lines add up. */
export const itemLines = (syntax: string): Kind<Strings> => ({
  syntax,
  unset: [],
  join: concat,
  read: items,
});

/** Items between commas; a later line replaces an earlier one. */
export const itemList = (syntax: string): Kind<Strings> => ({ syntax, unset: [], read: items });

function items(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** Lines that make one text. */
export const joined = (syntax: string, separator: string): Kind<string | undefined> => ({
  syntax,
  unset: undefined,
  read: (value) => value,
  join: (before, more) => (before === undefined ? more : `${before}${separator}${more}`),
});

const isParameter = (word: string): boolean => {
  const value = /^[^=]+=(-?\d{1,10})$/.exec(word)?.[1];
  return value !== undefined && Number(value) === (Number(value) | 0);
};

/** Words as in the `params` of a vote; lines add up. */
export const parameters: Kind<string | undefined> = {
  ...joined('NAME=VALUE …', ' '),
  read(value) {
    const bad = value.split(/\s+/).find((word) => word !== '' && !isParameter(word));
    if (bad !== undefined) throw new ValueError(`${bad} is not a name, = and a whole number of 32 bits`);
    return value;
  },
};

/** TCP ports between commas. */
export const portList: Kind<readonly number[]> = {
  syntax: 'PORT,PORT,…',
  unset: [],
  read: (value) => items(value).map((item) => integer(1, 65535).read(item)),
};

/** `[address:]port|auto [flags]`. Port 0 switches the port off: nothing is listed. */
export const ports = (flags: Strings): Kind<readonly PortOption[]> => ({
  syntax: '[address:]port|auto|0 [flags]',
  unset: [],
  join: concat,
  read(value) {
    const port = parsePort(value, flags);
    return port.port === 0 ? [] : [port];
  },
});

/** Directory authorities. */
export const authorities: Kind<readonly DirAuthorityOption[]> = {
  syntax: '[nickname] orport=PORT v3ident=HEX [ipv6=[ADDR]:PORT] address:dirport FINGERPRINT',
  unset: [],
  join: concat,
  read: (value) => [parseDirAuthority(value)],
};

/** Caches known beforehand. */
export const fallbacks: Kind<readonly FallbackDirOption[]> = {
  syntax: 'address:dirport orport=PORT id=FINGERPRINT',
  unset: [],
  join: concat,
  read: (value) => [parseFallbackDir(value)],
};

/** `Log` lines, checked. */
export const logs: Kind<Strings> = lines('SEVERITY[-SEVERITY] [json] stdout|stderr|file PATH', (value) => {
  try {
    parseLogLine(value);
  } catch (error) {
    throw new ValueError(error instanceof Error ? error.message : String(error));
  }
});
