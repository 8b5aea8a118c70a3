/**
 * Subprotocol versions (tor-spec 9): `Cons=1-2 Link=4-5` as in the `proto` line of descriptors, the `pr` line of
 * router entries and the recommended and required lines of consensuses.
 *
 * Versions are 0 to 63; each number is a capability of its own; a range is short for its members. A name may be
 * given no versions (`Foo=`). Exactly what C tor's `parse_protocol_list` takes is taken: a relay's own list stands in
 * the consensus as it wrote it, and one entry that is not read spoils the document.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { decimalAt } from './numbers.js';

/** Highest version there can be. */
export const MAX_PROTOCOL_VERSION = 63;
const MAX_NAME_LENGTH = 100;

/** Which versions of which subprotocols are supported. */
export interface ProtocolSet {
  has(protocol: string, version: number): boolean;
  /** Protocol names in the order of the list. */
  names(): readonly string[];
  /** The versions of one protocol, ascending. */
  versions(protocol: string): readonly number[];
  /** The list as it came, or as `formatProtocols` made it. */
  toString(): string;
}

/** Bit v of `low` is version v, bit v of `high` version 32 + v. */
interface VersionBits {
  low: number;
  high: number;
}

const isSet = (bits: VersionBits, version: number): boolean =>
  (((version < 32 ? bits.low : bits.high) >>> (version & 31)) & 1) === 1;

function setRange(bits: VersionBits, from: number, to: number): void {
  for (let version = from; version <= to; version++) {
    if (version < 32) bits.low |= 1 << version;
    else bits.high |= 1 << (version - 32);
  }
}

class ParsedProtocolSet implements ProtocolSet {
  private readonly text: string;
  private readonly sets: ReadonlyMap<string, VersionBits>;

  constructor(text: string, sets: ReadonlyMap<string, VersionBits>) {
    this.text = text;
    this.sets = sets;
  }

  has(protocol: string, version: number): boolean {
    const bits = this.sets.get(protocol);
    return bits !== undefined && version >= 0 && version <= MAX_PROTOCOL_VERSION && isSet(bits, version);
  }

  names(): readonly string[] {
    return [...this.sets.keys()];
  }

  versions(protocol: string): readonly number[] {
    const bits = this.sets.get(protocol);
    if (bits === undefined) return [];
    return Array.from({ length: MAX_PROTOCOL_VERSION + 1 }, (_, v) => v).filter((v) => isSet(bits, v));
  }

  toString(): string {
    return this.text;
  }
}

function versionAt(text: string, from: number, to: number, field: string): number {
  let at = from;
  // C tor reads past any number of zeros in front.
  while (at < to - 1 && text[at] === '0') at++;
  const version = decimalAt(text, at, to, 2);
  if (version < 0 || version > MAX_PROTOCOL_VERSION)
    throw new DecodeError(field, `not a version: ${JSON.stringify(text.slice(from, to))}`);
  return version;
}

function readRange(range: string, bits: VersionBits, field: string): void {
  const dash = range.indexOf('-');
  const low = versionAt(range, 0, dash < 0 ? range.length : dash, field);
  const high = dash < 0 ? low : versionAt(range, dash + 1, range.length, field);
  if (low > high) throw new DecodeError(field, `range ${range} runs backwards`);
  setRange(bits, low, high);
}

function readEntry(entry: string, sets: Map<string, VersionBits>, field: string): void {
  const equals = entry.indexOf('=');
  const name = entry.slice(0, Math.max(equals, 0));
  if (name.length < 1 || name.length > MAX_NAME_LENGTH || !/^[A-Za-z0-9-]+$/.test(name))
    throw new DecodeError(field, `not a protocol: ${JSON.stringify(entry.slice(0, MAX_NAME_LENGTH))}`);
  const bits = sets.get(name) ?? { low: 0, high: 0 };
  sets.set(name, bits);
  if (equals + 1 === entry.length) return;
  for (const range of entry.slice(equals + 1).split(',')) readRange(range, bits, field);
}

/**
 * Reads a protocol list; names that come twice are merged.
 *
 * @throws DecodeError naming `field`.
 */
export function parseProtocols(text: string, field = 'proto'): ProtocolSet {
  const sets = new Map<string, VersionBits>();
  for (const entry of text.split(' ')) if (entry !== '') readEntry(entry, sets, field);
  return new ParsedProtocolSet(text, sets);
}

/** `1,2,3,5` to `1-3,5`. */
function formatVersions(versions: readonly number[]): string {
  const sorted = [...new Set(versions)].sort((a, b) => a - b);
  const ranges: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    let last = i;
    while (sorted[last + 1] === (sorted[last] ?? 0) + 1) last++;
    ranges.push(last === i ? `${sorted[i]}` : `${sorted[i]}-${sorted[last]}`);
    i = last + 1;
  }
  return ranges.join(',');
}

/** Writes a protocol list in canonical form: names sorted bytewise, versions as ranges. */
export function formatProtocols(entries: Iterable<readonly [string, readonly number[]]>): string {
  return [...entries]
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([name, versions]) => `${name}=${formatVersions(versions)}`)
    .join(' ');
}

/** A set that supports nothing. */
export const NO_PROTOCOLS: ProtocolSet = parseProtocols('');
