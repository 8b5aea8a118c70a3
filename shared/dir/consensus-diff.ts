/**
 * Consensus diffs (dir-spec appendix E, prop140): an ed script that turns an older consensus into the current one.
 *
 * ```
 * network-status-diff-version 1
 * hash <SHA3-256 of the base as signed> <SHA3-256 of the whole result>
 * <commands from the end of the file backwards: N,Md  Nd  N,$d  Na  N,Mc, texts ended by ".">
 * ```
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { toHex } from '../bytes/text.js';
import { sha3_256 } from '../crypto/digest.js';

const SIGNATURE = 'directory-signature ';
const VERSION_LINE = 'network-status-diff-version 1';
/** Lines of a document a diff may make. */
const MAX_LINES = 2_000_000;

/** SHA3-256 of a whole consensus, upper-case hex. */
export const sha3Of = (text: string): string => toHex(sha3_256(Buffer.from(text, 'utf8')));

/** SHA3-256 of a consensus from its start through "directory-signature ", upper-case hex: how a base is named. */
export function sha3AsSigned(text: string): string {
  const at = text.indexOf(`\n${SIGNATURE}`);
  if (at < 0) throw new DecodeError('consensus.directory-signature', 'missing');
  return sha3Of(text.slice(0, at + 1 + SIGNATURE.length));
}

/** Replaces base lines [from, to), counted from 0, by `lines`. */
interface Hunk {
  readonly from: number;
  readonly to: number;
  readonly lines: readonly string[];
}

const linesOf = (text: string): string[] => {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
};

/** Splits lines into a head, one block a router (from its `r ` line) and a foot, as [start, end) pairs. */
function blocksOf(lines: readonly string[], end: number): { key: string; start: number; end: number }[] {
  const blocks: { key: string; start: number; end: number }[] = [];
  let open = { key: 'head', start: 0, end: 0 };
  const next = (key: string, start: number) => {
    blocks.push({ ...open, end: start });
    open = { key, start, end: start };
  };
  for (let at = 0; at < end; at++) {
    const line = lines[at]!;
    if (line.startsWith('r ')) next(`r ${line.split(' ', 3)[2]}`, at);
    else if (line === 'directory-footer') next('foot', at);
  }
  next('end', end);
  return blocks;
}

/** One hunk for what differs between two line ranges, trimmed at both ends; nothing when they are the same. */
function trimmedHunk(
  base: readonly string[],
  from: number,
  to: number,
  target: readonly string[],
  start: number,
  end: number,
): Hunk | undefined {
  while (from < to && start < end && base[from] === target[start]) {
    from++;
    start++;
  }
  while (from < to && start < end && base[to - 1] === target[end - 1]) {
    to--;
    end--;
  }
  return from === to && start === end ? undefined : { from, to, lines: target.slice(start, end) };
}

function hunksOf(
  base: readonly string[],
  baseEnd: number,
  target: readonly string[],
  targetEnd: number,
): Hunk[] {
  const hunks: Hunk[] = [];
  const add = (hunk: Hunk | undefined) => {
    if (hunk) hunks.push(hunk);
  };
  const old = blocksOf(base, baseEnd);
  const known = new Set(old.map((block) => block.key));
  const fresh = blocksOf(target, targetEnd);
  const wanted = new Set(fresh.map((block) => block.key));
  let at = 0;
  for (const block of fresh) {
    // Both lists are in the same order (by identity), so what comes before the next common block is only in one.
    while (at < old.length && !wanted.has(old[at]!.key)) {
      add({ from: old[at]!.start, to: old[at]!.end, lines: [] });
      at++;
    }
    if (known.has(block.key) && old[at]?.key === block.key) {
      add(trimmedHunk(base, old[at]!.start, old[at]!.end, target, block.start, block.end));
      at++;
    } else {
      const here = at < old.length ? old[at]!.start : baseEnd;
      add({ from: here, to: here, lines: target.slice(block.start, block.end) });
    }
  }
  for (; at < old.length; at++) add({ from: old[at]!.start, to: old[at]!.end, lines: [] });
  return merged(hunks);
}

/** Joins hunks that touch, since an ed script edits every line once. */
function merged(hunks: readonly Hunk[]): Hunk[] {
  const out: Hunk[] = [];
  for (const hunk of hunks) {
    const last = out.at(-1);
    if (last && last.to === hunk.from)
      out[out.length - 1] = { from: last.from, to: hunk.to, lines: [...last.lines, ...hunk.lines] };
    else out.push(hunk);
  }
  return out;
}

function command({ from, to, lines }: Hunk): string {
  const range = to - from === 1 ? `${to}` : `${from + 1},${to}`;
  if (lines.length === 0) return `${range}d\n`;
  const text = `${lines.join('\n')}\n.\n`;
  return from === to ? `${from}a\n${text}` : `${range}c\n${text}`;
}

const signatureStart = (lines: readonly string[]): number => {
  const at = lines.findIndex((line) => line.startsWith(SIGNATURE));
  if (at < 0) throw new DecodeError('consensus.directory-signature', 'missing');
  return at;
};

/** The diff from one consensus to another, whole. Signatures are always replaced: holders of a base may have others. */
export function makeConsensusDiff(base: string, target: string): string {
  const old = linesOf(base);
  const fresh = linesOf(target);
  const oldEnd = signatureStart(old);
  const freshEnd = signatureStart(fresh);
  const signatures = fresh.slice(freshEnd);
  let diff = `${VERSION_LINE}\nhash ${sha3AsSigned(base)} ${sha3Of(target)}\n`;
  diff += `${oldEnd + 1},$d\n${oldEnd}a\n${signatures.join('\n')}\n.\n`;
  const hunks = hunksOf(old, oldEnd, fresh, freshEnd);
  for (let at = hunks.length - 1; at >= 0; at--) diff += command(hunks[at]!);
  return diff;
}

interface Command {
  readonly from: number;
  /** Infinity for `$`. */
  readonly to: number;
  readonly action: string;
}

function parseCommand(line: string): Command {
  const match = /^(\d{1,7})(?:,(\d{1,7}|\$))?([acd])$/.exec(line);
  if (!match) throw new DecodeError('diff.command', `not an ed command: ${line.slice(0, 40)}`);
  const from = Number(match[1]);
  const to = match[2] === undefined ? from : match[2] === '$' ? Number.POSITIVE_INFINITY : Number(match[2]);
  const action = match[3]!;
  if (action === 'a' ? match[2] !== undefined : from < 1 || to < from)
    throw new DecodeError('diff.command', `bad line range: ${line}`);
  if (to === Number.POSITIVE_INFINITY && action !== 'd')
    throw new DecodeError('diff.command', '$ outside a deletion');
  return { from, to, action };
}

/**
 * The consensus that a diff makes of a base. Throws DecodeError when it is malformed, meant for another base, or
 * does not give what it promises.
 */
export function applyConsensusDiff(base: string, diff: string): string {
  const script = linesOf(diff);
  if (script[0] !== VERSION_LINE) throw new DecodeError('diff.version', 'not a consensus diff');
  const hashes = /^hash ([0-9A-Fa-f]{64}) ([0-9A-Fa-f]{64})$/.exec(script[1] ?? '');
  if (!hashes) throw new DecodeError('diff.hash', 'malformed');
  if (hashes[1]!.toUpperCase() !== sha3AsSigned(base))
    throw new DecodeError('diff.hash', 'made for another base');
  const lines = linesOf(base);
  // Built backwards, as the script runs: every kept or new line is pushed once.
  const reversed: string[] = [];
  let rest = lines.length;
  const keepDownTo = (line: number) => {
    if (line > rest) throw new DecodeError('diff.command', 'commands do not run from the end backwards');
    for (; rest > line; rest--) reversed.push(lines[rest - 1]!);
  };
  for (let at = 2; at < script.length; ) {
    const { from, to, action } = parseCommand(script[at++]!);
    keepDownTo(action === 'a' ? from : Math.min(to, lines.length));
    if (action !== 'a') rest = from - 1;
    if (rest < 0 || rest > lines.length) throw new DecodeError('diff.command', 'a line beyond the file');
    if (action === 'd') continue;
    const end = script.indexOf('.', at);
    if (end < 0) throw new DecodeError('diff.text', 'no terminating "."');
    for (let line = end - 1; line >= at; line--) reversed.push(script[line]!);
    if (reversed.length > MAX_LINES) throw new DecodeError('diff.text', 'too many lines');
    at = end + 1;
  }
  keepDownTo(0);
  const result = `${reversed.reverse().join('\n')}\n`;
  if (sha3Of(result) !== hashes[2]!.toUpperCase())
    throw new DecodeError('diff.hash', 'the result is not what was promised');
  return result;
}
