/**
 * The `Log` option of torrc: which lines go where.
 *
 * ```
 * Log [domain,…]minSeverity[-maxSeverity] … [json] stdout | stderr | file FILENAME
 * ```
 *
 * Severities are `debug`, `info`, `notice`, `warn`, `err`. `json` is Cepa's own: one JSON object a line. Domains are
 * the first part of Cepa's log domains; `*` is all of them and `~name` is all but that one (C tor:
 * parse_log_severity_config).
 *
 * @module
 */
import { CepaError } from '../bytes/errors.js';

/** Tor's severities, least first. */
export const LEVELS = ['debug', 'info', 'notice', 'warn', 'err'] as const;
export type LevelName = (typeof LEVELS)[number];

/** A range of severities for some domains. */
export interface LogRange {
  readonly from: LevelName;
  readonly to: LevelName;
  /** Undefined: every domain. */
  readonly domains: ReadonlySet<string> | undefined;
  /** Domains left out. */
  readonly except: ReadonlySet<string>;
}

/** One `Log` line. */
export interface LogTarget {
  readonly ranges: readonly LogRange[];
  readonly json: boolean;
  readonly to: 'stdout' | 'stderr' | { readonly file: string };
}

/** A `Log` line that means nothing. */
export class LogLineError extends CepaError {
  constructor(message: string) {
    super('log-line', message);
  }
}

const isLevel = (word: string): word is LevelName => (LEVELS as readonly string[]).includes(word);

function level(word: string): LevelName {
  const name = word.toLowerCase() === 'error' ? 'err' : word.toLowerCase();
  if (isLevel(name)) return name;
  throw new LogLineError(`"${word}" is not a severity; they are ${LEVELS.join(', ')}`);
}

function parseRange(word: string): LogRange {
  const domains = new Set<string>();
  const except = new Set<string>();
  let severities = word;
  const bracket = /^\[([^\]]*)\](.+)$/.exec(word);
  if (bracket) {
    severities = bracket[2] as string;
    for (const name of (bracket[1] as string).toLowerCase().split(',')) {
      const domain = name.trim();
      if (domain === '') throw new LogLineError(`an empty domain in "${word}"`);
      if (domain.startsWith('~')) except.add(domain.slice(1));
      else if (domain !== '*') domains.add(domain);
    }
  }
  const dash = severities.indexOf('-');
  const from = level(dash < 0 ? severities : severities.slice(0, dash));
  const to = dash < 0 || dash === severities.length - 1 ? 'err' : level(severities.slice(dash + 1));
  if (LEVELS.indexOf(from) > LEVELS.indexOf(to))
    throw new LogLineError(`"${word}" asks for nothing: ${from} is more severe than ${to}`);
  return { from, to, domains: domains.size > 0 ? domains : undefined, except };
}

const DESTINATION = /(?:^|\s)(json\s+)?(stdout|stderr|syslog|android|file(?:\s+(.*))?)$/i;

/** Reads a `Log` line. Without a destination it is stdout, as in C tor. */
export function parseLogLine(line: string): LogTarget {
  const text = line.trim();
  const found = DESTINATION.exec(text);
  const words = (found ? text.slice(0, found.index) : text).split(/\s+/).filter((word) => word !== '');
  const json = found?.[1] !== undefined || words.at(-1)?.toLowerCase() === 'json';
  if (!found && json) words.pop();
  const ranges = words.map(parseRange);
  if (ranges.length === 0) ranges.push(parseRange('notice'));
  return { ranges, json, to: destination(found?.[2], found?.[3]) };
}

function destination(word: string | undefined, file: string | undefined): LogTarget['to'] {
  const name = word?.toLowerCase() ?? 'stdout';
  if (name === 'stdout' || name === 'stderr') return name;
  if (name.startsWith('file')) {
    if (!file) throw new LogLineError('"file" needs the name of a file');
    return { file };
  }
  throw new LogLineError(`"${word}" is not served; log to stdout, which systemd and containers collect`);
}

/** Whether a line of this level and domain goes to the target. */
export function wants(target: LogTarget, name: LevelName, domain: string): boolean {
  const at = LEVELS.indexOf(name);
  const top = domain.split('.', 1)[0] as string;
  return target.ranges.some(
    (range) =>
      at >= LEVELS.indexOf(range.from) &&
      at <= LEVELS.indexOf(range.to) &&
      (range.domains === undefined || range.domains.has(top)) &&
      !range.except.has(top),
  );
}
