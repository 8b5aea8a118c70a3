/**
 * Summaries of exit policies: `accept 80,443` or `reject 25,119` (dir-spec 3.4.1 item `p`, 2.1.1 `ipv6-policy`),
 * as votes, consensuses and microdescriptors carry them.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { decimalAt } from './numbers.js';

/** Longest summary in characters, as in C tor's `MAX_EXITPOLICY_SUMMARY_LEN`. */
export const MAX_SUMMARY_LENGTH = 1000;

/** Lowest and highest port of a range, both included. */
export type PortRange = readonly [low: number, high: number];

/** Which ports an exit probably serves, for addresses in general. */
export interface PortSummary {
  /** Whether the ports listed are the open ones, or the closed ones. */
  readonly accept: boolean;
  readonly ports: readonly PortRange[];
  allows(port: number): boolean;
  /** The summary as it came. */
  toString(): string;
}

class ParsedSummary implements PortSummary {
  readonly accept: boolean;
  readonly ports: readonly PortRange[];
  private readonly text: string;

  constructor(accept: boolean, ports: readonly PortRange[], text: string) {
    this.accept = accept;
    this.ports = ports;
    this.text = text;
  }

  allows(port: number): boolean {
    return this.ports.some(([low, high]) => port >= low && port <= high) === this.accept;
  }

  toString(): string {
    return this.text;
  }
}

/** `*`, `N` or `N-M` with 1 <= N <= M <= 65535; undefined when malformed. */
export function parsePortRange(text: string, starAllowed: boolean): PortRange | undefined {
  if (starAllowed && text === '*') return [1, 65535];
  const dash = text.indexOf('-');
  const low = decimalAt(text, 0, dash < 0 ? text.length : dash, 5);
  const high = dash < 0 ? low : decimalAt(text, dash + 1, text.length, 5);
  return low < 1 || high < low || high > 65535 ? undefined : [low, high];
}

/** A range as `N` or `N-M`. */
export const formatPortRange = ([low, high]: PortRange): string =>
  low === high ? `${low}` : `${low}-${high}`;

/**
 * Reads a summary.
 *
 * @throws DecodeError naming `field`.
 */
export function parsePortSummary(text: string, field = 'p'): PortSummary {
  const accept = text.startsWith('accept ');
  if (!accept && !text.startsWith('reject ')) throw new DecodeError(field, 'neither accept nor reject');
  if (text.length > MAX_SUMMARY_LENGTH) throw new DecodeError(field, `summary of ${text.length} characters`);
  const ports: PortRange[] = [];
  for (const part of text.slice(7).split(',')) {
    const range = parsePortRange(part, false);
    if (range === undefined) throw new DecodeError(field, `not a port range: ${JSON.stringify(part)}`);
    ports.push(range);
  }
  return new ParsedSummary(accept, ports, text);
}

/** A summary of given ranges, as they are. */
export const makePortSummary = (accept: boolean, ports: readonly PortRange[]): PortSummary =>
  new ParsedSummary(accept, ports, `${accept ? 'accept' : 'reject'} ${ports.map(formatPortRange).join(',')}`);

/** `reject 1-65535`: nothing is open. What documents leave out. */
export const REJECT_ALL: PortSummary = makePortSummary(false, [[1, 65535]]);
/** `accept 1-65535`: everything is open. */
export const ACCEPT_ALL: PortSummary = makePortSummary(true, [[1, 65535]]);
