/**
 * The line syntax of torrc (C tor: parse_config_line_from_str_verbose, config_get_lines_aux).
 *
 * ```
 * # comment
 * Name value             # comment
 * Name "value with # and \n escapes"
 * Name a long \
 *      value             continued
 * +Name value            adds to what an earlier file said
 * /Name                  forgets what an earlier file said
 * %include PATTERN       files, in order of their names
 * ```
 *
 * @module
 */
import { CepaError } from '../bytes/errors.js';
import type { Place, TorrcProblem } from './errors.js';

/** How a line deals with what lower layers (defaults, files before, torrc under the command line) said. */
export type LineMode = 'set' | 'append' | 'clear';

/** One option as written. */
export interface TorrcLine {
  readonly name: string;
  readonly value: string;
  readonly mode: LineMode;
  readonly at: Place;
}

/** A torrc file. */
export interface TorrcFile {
  readonly name: string;
  readonly text: string;
}

/**
 * Finds the files of an `%include`, sorted; undefined when the pattern (without wildcards) matches nothing. Throws a
 * CepaError where it may not look.
 */
export type Includer = (pattern: string, from: string) => TorrcFile[] | undefined;

/** C tor's MAX_INCLUDE_RECURSION_LEVEL. */
const MAX_DEPTH = 31;

/** Bounds what a mistaken include (of a log, say) costs. */
const MAX_LINES = 200_000;

/** Reads the files in turn, with what they include. Problems go to `problems`, and reading goes on. */
export function readLines(file: TorrcFile, problems: TorrcProblem[], include?: Includer): TorrcLine[] {
  const lines: TorrcLine[] = [];
  readInto(file, lines, problems, include, 1);
  return lines;
}

function readInto(
  file: TorrcFile,
  lines: TorrcLine[],
  problems: TorrcProblem[],
  include: Includer | undefined,
  depth: number,
): void {
  const cursor = new LineCursor(file);
  for (let raw = cursor.next(); raw; raw = cursor.next()) {
    if (raw.problem !== undefined) {
      problems.push({ at: raw.at, message: raw.problem });
      continue;
    }
    if (lines.length >= MAX_LINES) {
      problems.push({ at: raw.at, message: `more than ${MAX_LINES} lines` });
      return;
    }
    if (raw.name.toLowerCase() !== '%include') {
      lines.push(moded(raw.name, raw.value, raw.at));
      continue;
    }
    const problem = includeInto(raw.value, file.name, lines, problems, include, depth);
    if (problem) problems.push({ at: raw.at, message: problem });
  }
}

function includeInto(
  pattern: string,
  from: string,
  lines: TorrcLine[],
  problems: TorrcProblem[],
  include: Includer | undefined,
  depth: number,
): string | undefined {
  if (!include) return '%include cannot be used here';
  if (depth >= MAX_DEPTH) return `more than ${MAX_DEPTH} files include each other; is it a circle?`;
  if (pattern === '') return '%include needs the name of a file or directory';
  let files: TorrcFile[] | undefined;
  try {
    files = include(pattern, from);
  } catch (error) {
    if (error instanceof CepaError) return `%include: ${error.message}`;
    throw error;
  }
  if (!files) return `%include: no file or directory "${pattern}"`;
  for (const found of files) readInto(found, lines, problems, include, depth + 1);
  return undefined;
}

/** Splits a `+` or `/` off the name. */
export function moded(name: string, value: string, at: Place): TorrcLine {
  if (name.startsWith('+')) return { name: name.slice(1), value, mode: 'append', at };
  if (name.startsWith('/')) return { name: name.slice(1), value: '', mode: 'clear', at };
  return { name, value, mode: 'set', at };
}

interface RawLine {
  name: string;
  value: string;
  at: Place;
  problem?: string;
}

/** Walks a file's text line by line. */
class LineCursor {
  private readonly file: string;
  private readonly rows: string[];
  private row = 0;

  constructor(file: TorrcFile) {
    this.file = file.name;
    this.rows = file.text.replace(/^\ufeff/, '').split('\n');
  }

  next(): RawLine | undefined {
    while (this.row < this.rows.length) {
      const at = { file: this.file, line: this.row + 1 };
      const text = (this.rows[this.row++] as string).trim();
      if (text === '' || text.startsWith('#')) continue;
      return this.line(text, at);
    }
    return undefined;
  }

  private line(text: string, at: Place): RawLine {
    // A comment may follow the name at once.
    const [, word = '', after = ''] = /^([^\s#]+)(.*)$/.exec(text) ?? [];
    const broken = after === '' && word.endsWith('\\');
    const name = broken ? word.slice(0, -1) : word;
    const rest = broken ? '\\' : after.trim();
    if (!rest.startsWith('"')) return { name, value: this.continued(rest), at };
    const quoted = unquote(rest);
    return typeof quoted === 'string' ? { name, value: quoted, at } : { name, value: '', at, ...quoted };
  }

  /** The value of an unquoted line, with the lines that continue it; comment lines in between are skipped. */
  private continued(first: string): string {
    let value = '';
    let part = uncommented(first);
    while (part.endsWith('\\')) {
      value += part.slice(0, -1);
      let following = this.rows[this.row++];
      while (following?.trimStart().startsWith('#')) following = this.rows[this.row++];
      part = uncommented(following ?? '');
    }
    return (value + part).trim();
  }
}

/** Without the comment, if any. */
function uncommented(text: string): string {
  const hash = text.indexOf('#');
  return (hash < 0 ? text : text.slice(0, hash)).trimEnd();
}

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', '"': '"', "'": "'", '\\': '\\' };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A C string: `\n`, `\t`, `\r`, `\"`, `\\`, and bytes of UTF-8 as `\xFF` or in octal (C tor: unescape_string). */
function unquote(written: string): string | { problem: string } {
  // One character a byte, so that escapes can tell the bytes of one character.
  const text = Buffer.from(written, 'utf8').toString('latin1');
  const readable = (part: string) => Buffer.from(part, 'latin1').toString('utf8');
  let value = '';
  let at = 1;
  for (;;) {
    const char = text[at++];
    if (char === undefined) return { problem: 'a quoted value that never ends' };
    if (char === '"') break;
    if (char !== '\\') {
      value += char;
      continue;
    }
    const number = /^(?:[xX]([0-9a-fA-F]{2})|([0-3]?[0-7]{1,2}))/.exec(text.slice(at, at + 3));
    if (number) {
      value += String.fromCharCode(
        number[1] ? Number.parseInt(number[1], 16) : Number.parseInt(number[2] ?? '', 8),
      );
      at += number[0].length;
      continue;
    }
    const plain = ESCAPES[text[at] ?? ''];
    if (plain === undefined)
      return { problem: `"\\${[...readable(text.slice(at))][0] ?? ''}" in a quoted value means nothing` };
    value += plain;
    at++;
  }
  const rest = text.slice(at).trim();
  if (rest !== '' && !rest.startsWith('#')) return { problem: `"${readable(rest)}" after a quoted value` };
  if (value.includes('\0')) return { problem: 'a zero byte in a quoted value' };
  try {
    return utf8.decode(Buffer.from(value, 'latin1'));
  } catch {
    return { problem: 'a quoted value that is not UTF-8' };
  }
}
