/**
 * Tor version strings: parsing, order, and the version in a platform line (version-spec; C tor `tor_version_parse`,
 * `tor_version_compare`, `version_from_platform`).
 *
 * @module
 */
import { type Compare, compareText } from './order.js';

/** A parsed version. */
export interface TorVersion {
  /** major, minor, micro, status (pre 0, rc 1, release 2), patch level. */
  readonly numbers: readonly [number, number, number, number, number];
  /** e.g. `alpha-dev`; empty for none. */
  readonly tag: string;
  readonly revision: number;
  readonly git: string;
}

const RELEASE = 2;
const STATUS: Readonly<Record<string, number>> = { pre: 0, rc: 1, '.': RELEASE };
/** MAX_STATUS_TAG_LEN, less the terminating NUL. */
const MAX_TAG = 31;
const MAX_NUMBER = 2 ** 31 - 1;

const VERSION = /^(?:tor )?(\d{1,10})\.(\d{1,10})(?:$|(?=-)|\.(\d{1,10})(?:$|(?=-)|(\.|pre|rc)(\d{1,10})))/i;

/** Parses `[Tor ]0.4.9.11[-tag][ (rNNN)|(git-HEX)]`; undefined when it is not a version. */
export function parseTorVersion(text: string): TorVersion | undefined {
  const match = VERSION.exec(text);
  if (!match) return undefined;
  const number = (part: string | undefined): number => (part === undefined ? 0 : Number(part));
  const status = match[4] === undefined ? RELEASE : STATUS[match[4]];
  if (status === undefined) return undefined;
  const numbers = [number(match[1]), number(match[2]), number(match[3]), status, number(match[5])] as const;
  if (numbers.some((n) => n > MAX_NUMBER)) return undefined;

  const rest = text.slice(match[0].length).replace(/^[-.]/, '');
  const space = rest.search(/\s/);
  const tag = (space < 0 ? rest : rest.slice(0, space)).slice(0, MAX_TAG);
  const suffix = space < 0 ? '' : rest.slice(space).trimStart();
  if (suffix.startsWith('(git-')) {
    const git = /^\(git-((?:[0-9a-fA-F]{2}){1,20})\)/.exec(suffix);
    return git ? { numbers, tag, revision: 0, git: git[1]!.toLowerCase() } : undefined;
  }
  const revision = /^\(r(\d{1,9})/.exec(suffix);
  return { numbers, tag, revision: revision ? Number(revision[1]) : 0, git: '' };
}

/** Orders parsed versions. */
export const compareTorVersions: Compare<TorVersion> = (a, b) => {
  for (let i = 0; i < a.numbers.length; i++) {
    const difference = a.numbers[i]! - b.numbers[i]!;
    if (difference !== 0) return difference;
  }
  return (
    compareText(a.tag, b.tag) ||
    a.revision - b.revision ||
    a.git.length - b.git.length ||
    compareText(a.git, b.git)
  );
};

/** Orders version strings: those that parse before those that do not. */
export const compareVersionStrings: Compare<string> = (a, b) => {
  const parsedA = parseTorVersion(a);
  const parsedB = parseTorVersion(b);
  if (parsedA && parsedB) return compareTorVersions(parsedA, parsedB);
  if (parsedA) return -1;
  if (parsedB) return 1;
  return compareText(a, b);
};

/** Sorts and drops versions that compare as equal. */
export const sortVersions = (versions: readonly string[]): string[] =>
  [...versions]
    .sort(compareVersionStrings)
    .filter((version, i, all) => i === 0 || compareVersionStrings(all[i - 1]!, version) !== 0);

/** The `v` line for a platform: `Tor 0.4.9.11` of `Tor 0.4.9.11 on Linux`; undefined for software not called Tor. */
export function versionOfPlatform(platform: string | undefined): string | undefined {
  if (!platform?.startsWith('Tor ')) return undefined;
  return /^Tor \S*(?: \(r\S*)?/.exec(platform)![0];
}

/**
 * What the platform line says about its version: not Tor's own software, a version, or something malformed
 * (C tor `tor_version_parse_platform`).
 */
export function platformVersion(platform: string): TorVersion | 'other' | 'malformed' {
  if (!platform.startsWith('Tor ')) return 'other';
  const match = /^Tor\s+(\S+(?:\s+\((?:r|git-)\S*)?)/.exec(platform);
  if (!match || match[1]!.length > 126) return 'malformed';
  return parseTorVersion(match[1]!) ?? 'malformed';
}
