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

/** What `ReducedExitPolicy` puts in its place: ports of services, without those that file sharing goes to. */
export const REDUCED_EXIT_POLICY = `\
20-23 43 53 79-81 88 110 143 194 220 389 443 464 465 531 543-544 554 563 587 636 706 749 873 902-904 981 989-995 1194 \
1220 1293 1500 1533 1677 1723 1755 1863 2082-2083 2086-2087 2095-2096 2102-2104 3128 3389 3690 4321 4643 5050 5190 \
5222-5223 5228 5900 6660-6669 6679 6697 8000 8008 8074 8080 8082 8087-8088 8232-8233 8332-8333 8443 8888 9418 9999 \
10000 11371 18080-18081 18089 19294 19638 50002 64738`
  .split(' ')
  .map((ports) => `accept *:${ports}`)
  .concat('reject *:*')
  .join(',');

/** What the torrc says. */
export interface ExitPolicyOptions {
  /** ExitPolicy lines. */
  readonly lines: readonly string[];
  /** Whether to serve as an exit at all; otherwise everything is refused. */
  readonly exit: boolean;
  /** ReducedExitPolicy: another default behind the operator's lines. */
  readonly reduced?: boolean;
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
    options.reduced ? REDUCED_EXIT_POLICY : DEFAULT_EXIT_POLICY,
  ];
  return makePolicy(withoutRedundant(parsePolicyLines(lines).entries));
}
