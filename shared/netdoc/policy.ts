/**
 * Exit policies: lists of `accept` and `reject` lines of which the first that matches an address and port decides,
 * and where nothing matches the connection is accepted (dir-spec 2.1.1, tor(1) ExitPolicy).
 *
 *     line    = ("accept" | "reject" | "accept6" | "reject6") SP pattern
 *     pattern = address [ "/" mask ] [ ":" ports ]
 *     address = "*" | "*4" | "*6" | "private" | IPv4 | "[" IPv6 "]"
 *     mask    = prefix length | dotted quad (IPv4)
 *     ports   = "*" | N | N "-" M
 *
 * In a torrc `*` means both families (`accept6 *`: IPv6 only) and `accept6` wants an IPv6 address. In a server
 * descriptor `*` is IPv4, `*4` and `*6` are unknown, and `accept`/`reject` take IPv4 only, `accept6`/`reject6` IPv6
 * only [router_add_exit_policy]: a mismatch spoils the descriptor, and so does any `accept6` or `reject6` in it, which
 * descriptor-table.ts sees to.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { formatIp, mappedIpv4, parseIp, parseIpv4, parseIpv6, samePrefix } from './address.js';
import { decimalAt } from './numbers.js';
import { summarize } from './policy-summary.js';
import { formatPortRange, type PortRange, type PortSummary, parsePortRange } from './port-summary.js';
import { type Network, PRIVATE_NETS } from './private-nets.js';

export { type PortSummary, parsePortSummary } from './port-summary.js';

/** One rule: addresses that share `bits` bits with `address` (4 or 16 bytes), ports `low` to `high`. */
export interface PolicyEntry {
  readonly accept: boolean;
  readonly address: Uint8Array;
  readonly bits: number;
  readonly low: number;
  readonly high: number;
}

/** A policy. */
export interface ExitPolicy {
  readonly entries: readonly PolicyEntry[];
  /** Whether a connection to an IP literal (no brackets) and port is allowed. What is no IP literal is not. */
  allows(host: string, port: number): boolean;
  /** The rules as descriptor lines; IPv4 only unless told, since IPv6 goes into `ipv6-policy`. */
  toLines(family?: 4 | 6 | 'both'): string[];
  /** For IPv4: the `p` line. */
  summary(): PortSummary;
  /** For IPv6: the `p6` line and `ipv6-policy`. */
  ipv6Summary(): PortSummary;
  /** Whether nothing at all is accepted in a family. */
  rejectsAll(family: 4 | 6): boolean;
  /**
   * Whether it deserves the Exit flag: port 80 and port 443 each open to some IPv4 /8 (`exit_policy_is_general_exit`).
   * Private /8s count only if told (DirAllowPrivateAddresses).
   */
  isGeneralExit(allowPrivate?: boolean): boolean;
}

/** Whose syntax a line follows. */
export type PolicySyntax = 'torrc' | 'descriptor';

const familyOf = (entry: PolicyEntry): 4 | 6 => (entry.address.length === 4 ? 4 : 6);
const isWide = (entry: PolicyEntry): boolean => entry.bits === 0 && entry.low === 1 && entry.high === 65535;
const matches = (entry: PolicyEntry, address: Uint8Array, port: number): boolean =>
  port >= entry.low && port <= entry.high && samePrefix(entry.address, address, entry.bits);

function formatEntry(entry: PolicyEntry): string {
  const family = familyOf(entry);
  const action = `${entry.accept ? 'accept' : 'reject'}${family === 6 ? '6' : ''}`;
  const text = family === 6 ? `[${formatIp(entry.address)}]` : formatIp(entry.address);
  const mask = entry.bits < entry.address.length * 8 ? `/${entry.bits}` : '';
  // A descriptor's `*` is IPv4, so that IPv6 has to be spelt out.
  const address = entry.bits > 0 ? `${text}${mask}` : family === 4 ? '*' : '[::]/0';
  const ports = entry.low === 1 && entry.high === 65535 ? '*' : formatPortRange([entry.low, entry.high]);
  return `${action} ${address}:${ports}`;
}

/** Whether `port` is open to a whole /8 that no earlier rule touches. */
function opensSomeEighth(entries: readonly PolicyEntry[], port: number, allowPrivate: boolean): boolean {
  const rejected = new Uint8Array(256);
  for (const entry of entries) {
    if (familyOf(entry) !== 4 || port < entry.low || port > entry.high) continue;
    const fixed = Math.min(entry.bits, 8);
    const first = (entry.address[0] ?? 0) & (0xff << (8 - fixed));
    for (let net = first; net < first + 2 ** (8 - fixed); net++) {
      if (rejected[net] === 1) continue;
      if (!allowPrivate && (net === 0 || net === 10 || net === 127)) continue;
      if (!entry.accept) rejected[net] = 1;
      else if (entry.bits <= 8) return true;
    }
  }
  return false;
}

class EntryPolicy implements ExitPolicy {
  readonly entries: readonly PolicyEntry[];

  constructor(entries: readonly PolicyEntry[]) {
    this.entries = entries;
  }

  allows(host: string, port: number): boolean {
    const address = parseIp(host);
    if (address === undefined || port < 1 || port > 65535) return false;
    // An IPv4-mapped address reaches an IPv4 host: rules for either form decide.
    const mapped = mappedIpv4(address);
    for (const entry of this.entries) {
      if (matches(entry, address, port) || (mapped !== undefined && matches(entry, mapped, port)))
        return entry.accept;
    }
    return true;
  }

  toLines(family: 4 | 6 | 'both' = 4): string[] {
    return this.entries.filter((e) => family === 'both' || familyOf(e) === family).map(formatEntry);
  }

  summary(): PortSummary {
    return summarize(this.entries, 4);
  }

  ipv6Summary(): PortSummary {
    return summarize(this.entries, 6);
  }

  rejectsAll(family: 4 | 6): boolean {
    const first = this.entries.find((e) => familyOf(e) === family && (e.accept || isWide(e)));
    return first !== undefined && !first.accept;
  }

  isGeneralExit(allowPrivate = false): boolean {
    return [80, 443].every((port) => opensSomeEighth(this.entries, port, allowPrivate));
  }
}

/** A policy of given rules. */
export const makePolicy = (entries: readonly PolicyEntry[]): ExitPolicy => new EntryPolicy(entries);

const WIDE_4: Network = { address: new Uint8Array(4), bits: 0 };
const WIDE_6: Network = { address: new Uint8Array(16), bits: 0 };
const ACTIONS = new Map([
  ['accept', { accept: true, six: false }],
  ['reject', { accept: false, six: false }],
  ['accept6', { accept: true, six: true }],
  ['reject6', { accept: false, six: true }],
]);

/** Prefix length that a dotted quad stands for; -1 if its ones are not all in front. */
function quadBits(mask: Uint8Array): number {
  const bits = [...mask].map((b) => b.toString(2).padStart(8, '0')).join('');
  const ones = bits.indexOf('0');
  if (ones < 0) return 32;
  return bits.includes('1', ones) ? -1 : ones;
}

function parseMask(mask: string, address: Uint8Array, field: string): number {
  const most = address.length * 8;
  const quad = address.length === 4 ? parseIpv4(mask) : undefined;
  const bits = quad === undefined ? decimalAt(mask, 0, mask.length, 3) : quadBits(quad);
  if (bits < 0 || bits > most) throw new DecodeError(field, `bad mask ${JSON.stringify(mask)}`);
  return bits;
}

/** The parts of a pattern: what stands before, between and after `/` and `:`, brackets taken off. */
function splitPattern(pattern: string): { host: string; six: boolean; mask?: string; ports?: string } {
  const close = pattern.startsWith('[') ? pattern.indexOf(']') : -1;
  const rest = close < 0 ? pattern : pattern.slice(close + 1);
  const colon = rest.indexOf(':');
  const network = colon < 0 ? rest : rest.slice(0, colon);
  const slash = network.indexOf('/');
  const before = slash < 0 ? network : network.slice(0, slash);
  return {
    host: close < 0 ? before : before === '' ? pattern.slice(1, close) : '',
    six: close >= 0,
    ...(slash < 0 ? {} : { mask: network.slice(slash + 1) }),
    ...(colon < 0 ? {} : { ports: rest.slice(colon + 1) }),
  };
}

function wildcard(host: string, action6: boolean, syntax: PolicySyntax): readonly Network[] | undefined {
  if (host === 'private') return PRIVATE_NETS;
  if (syntax === 'descriptor') return host === '*' ? [WIDE_4] : undefined;
  if (host === '*') return action6 ? [WIDE_6] : [WIDE_4, WIDE_6];
  if (host === '*4') return [WIDE_4];
  return host === '*6' ? [WIDE_6] : undefined;
}

function parseNetworks(
  pattern: string,
  action6: boolean,
  syntax: PolicySyntax,
  field: string,
): { networks: readonly Network[]; ports: PortRange } {
  const { host, six, mask, ports } = splitPattern(pattern);
  const range = ports === undefined ? ([1, 65535] as const) : parsePortRange(ports, true);
  if (range === undefined) throw new DecodeError(field, `bad ports ${JSON.stringify(ports)}`);
  const wild = six ? undefined : wildcard(host, action6, syntax);
  if (wild !== undefined) {
    if (mask !== undefined) throw new DecodeError(field, `a mask after ${host}`);
    return { networks: wild, ports: range };
  }
  const address = six ? parseIpv6(host) : parseIpv4(host);
  if (address === undefined) throw new DecodeError(field, `bad address ${JSON.stringify(pattern)}`);
  const bits = mask === undefined ? address.length * 8 : parseMask(mask, address, field);
  return { networks: [{ address, bits }], ports: range };
}

/** Whether the families of the pattern suit the keyword. */
function checkFamilies(
  networks: readonly Network[],
  six: boolean,
  syntax: PolicySyntax,
  field: string,
): void {
  if (networks === PRIVATE_NETS) return;
  for (const { address } of networks) {
    if (six && address.length === 4) throw new DecodeError(field, 'IPv4 after accept6 or reject6');
    if (!six && syntax === 'descriptor' && address.length === 16)
      throw new DecodeError(field, 'IPv6 after accept or reject');
  }
}

/** The rules of one line that is already split into keyword and pattern. */
export function parsePolicyRule(keyword: string, pattern: string, syntax: PolicySyntax): PolicyEntry[] {
  const action = ACTIONS.get(keyword);
  if (action === undefined) throw new DecodeError('policy', `neither accept nor reject: ${keyword}`);
  if (pattern.length > 100) throw new DecodeError(keyword, 'pattern too long');
  const { networks, ports } = parseNetworks(pattern, action.six, syntax, keyword);
  checkFamilies(networks, action.six, syntax, keyword);
  const [low, high] = ports;
  return networks.map(({ address, bits }) => ({ accept: action.accept, address, bits, low, high }));
}

/** What `parsePolicyLines` should know. */
export interface PolicyOptions {
  /** `torrc` when absent. */
  readonly syntax?: PolicySyntax;
  /** Adds what a pattern without `accept` or `reject` means; without it such a line is an error. */
  readonly assume?: 'accept' | 'reject';
}

/**
 * Reads policy lines; each may hold several rules with commas between.
 *
 * @throws DecodeError naming the keyword of the rule that is wrong.
 */
export function parsePolicyLines(lines: readonly string[], options: PolicyOptions = {}): ExitPolicy {
  const { syntax = 'torrc', assume } = options;
  const entries: PolicyEntry[] = [];
  for (const rule of lines.flatMap((line) => line.split(','))) {
    const words = rule.trim().split(/[ \t]+/);
    if (words.length === 1 && words[0] === '') continue;
    if (words.length === 1 && assume !== undefined) words.unshift(assume);
    const [keyword = '', pattern, ...more] = words;
    if (pattern === undefined || more.length > 0)
      throw new DecodeError('policy', `not a rule: ${JSON.stringify(rule.trim())}`);
    entries.push(...parsePolicyRule(keyword.toLowerCase(), pattern.toLowerCase(), syntax));
  }
  return new EntryPolicy(entries);
}
