/**
 * A log kept in memory, for tests and simulations.
 *
 * @module
 */
import { fieldsText, plainFields } from './fields.js';
import type { LevelName } from './lines.js';
import type { Log, LogFields } from './types.js';

/** One line, already scrubbed. */
export interface MemoryLine {
  readonly level: LevelName;
  /** Names of the nested children joined with `.`; empty at the root. */
  readonly domain: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** A log whose lines can be looked at. */
export interface MemoryLog extends Log {
  readonly lines: readonly MemoryLine[];
  /** All lines as text, `[level] domain: message name=value`; for `includes` and for a failed test's output. */
  text(): string;
  /** Whether a line of that level has this in its message. */
  has(level: LevelName, part: string): boolean;
}

/** Keeps the last `keep` lines. `safe: false` shows sensitive values. */
export function memoryLog(options: { safe?: boolean; keep?: number } = {}): MemoryLog {
  const { safe = true, keep = 10_000 } = options;
  const lines: MemoryLine[] = [];

  const add = (level: LevelName, domain: string, fixed: LogFields, message: string, fields?: LogFields) => {
    if (lines.length >= keep) lines.splice(0, Math.ceil(keep / 10));
    lines.push({ level, domain, message, fields: { ...fixed, ...plainFields(fields ?? {}, safe) } });
  };

  const make = (domain: string, fixed: LogFields): Log => ({
    error: (message, fields) => add('err', domain, fixed, message, fields),
    warn: (message, fields) => add('warn', domain, fixed, message, fields),
    notice: (message, fields) => add('notice', domain, fixed, message, fields),
    info: (message, fields) => add('info', domain, fixed, message, fields),
    debug: (message, fields) => add('debug', domain, fixed, message, fields),
    child: (name, fields) =>
      make(domain === '' ? name : `${domain}.${name}`, { ...fixed, ...plainFields(fields ?? {}, safe) }),
  });

  return {
    ...make('', {}),
    lines,
    text: () =>
      lines
        .map((line) => {
          const domain = line.domain === '' ? '' : `${line.domain}: `;
          return `[${line.level}] ${domain}${line.message}${fieldsText(line.fields)}\n`;
        })
        .join(''),
    has: (level, part) => lines.some((line) => line.level === level && line.message.includes(part)),
  };
}
