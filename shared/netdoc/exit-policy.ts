/**
 * The policy a relay really applies, made of its torrc (`policies_parse_exit_policy_internal`): IPv6 and private
 * addresses refused unless allowed, its own addresses refused, then the operator's lines, then a default.
 *
 * @module
 */
import { samePrefix } from './address.js';
import { type ExitPolicy, makePolicy, type PolicyEntry, parsePolicyLines } from './policy.js';

/** C tor's default for an exit that names no policy. */
export const DEFAULT_EXIT_POLICY =
  'reject *:25,reject *:119,reject *:135-139,reject *:445,reject *:563,reject *:1214,reject *:4661-4666,' +
  'reject *:6346-6429,reject *:6699,reject *:6881-6999,accept *:*';

/** What the torrc says. */
export interface ExitPolicyOptions {
  /** ExitPolicy lines. */
  readonly lines: readonly string[];
  /** Whether to serve as an exit at all; otherwise everything is refused. */
  readonly exit: boolean;
  /** IPv6Exit. */
  readonly ipv6: boolean;
  /** ExitPolicyRejectPrivate; also refuses `ownAddresses`. */
  readonly rejectPrivate: boolean;
  /** IP literals that are this relay's. */
  readonly ownAddresses?: readonly string[];
}

const sameFamily = (a: PolicyEntry, b: PolicyEntry): boolean => a.address.length === b.address.length;
const covers = (a: PolicyEntry, b: PolicyEntry): boolean =>
  a.bits <= b.bits && samePrefix(a.address, b.address, a.bits) && a.low <= b.low && a.high >= b.high;
const intersects = (a: PolicyEntry, b: PolicyEntry): boolean =>
  sameFamily(a, b) &&
  samePrefix(a.address, b.address, Math.min(a.bits, b.bits)) &&
  a.high >= b.low &&
  b.high >= a.low;

/** Whether a later rule of the same kind says all that rule `at` says, with nothing contrary between. */
function coveredLater(entries: readonly PolicyEntry[], at: number): boolean {
  const entry = entries[at];
  for (const later of entries.slice(at + 1)) {
    if (entry === undefined) return false;
    if (later.accept === entry.accept && covers(later, entry)) return true;
    if (later.accept !== entry.accept && intersects(entry, later)) return false;
  }
  return false;
}

/** Drops rules that can never decide, as `exit_policy_remove_redundancies`: descriptors stay short. */
export function withoutRedundant(entries: readonly PolicyEntry[]): PolicyEntry[] {
  const reachable: PolicyEntry[] = [];
  for (const entry of entries)
    if (!reachable.some((earlier) => covers(earlier, entry))) reachable.push(entry);
  return reachable.filter((_, at) => !coveredLater(reachable, at));
}

/**
 * The effective policy of a relay.
 *
 * @throws DecodeError for a line that is wrong.
 */
export function effectiveExitPolicy(options: ExitPolicyOptions): ExitPolicy {
  if (!options.exit) return parsePolicyLines(['reject *:*']);
  const own = (options.ownAddresses ?? []).map((host) => (host.includes(':') ? `[${host}]` : host));
  const lines = [
    ...(options.ipv6 ? [] : ['reject *6:*']),
    ...(options.rejectPrivate ? ['reject private:*', ...own.map((host) => `reject ${host}:*`)] : []),
    ...options.lines,
    DEFAULT_EXIT_POLICY,
  ];
  return makePolicy(withoutRedundant(parsePolicyLines(lines).entries));
}
