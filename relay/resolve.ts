/**
 * Names at the exit: what a client may ask to have resolved, and the answers to RESOLVE (tor-spec 6.4, C tor: dns.c).
 *
 * @module
 */
import { RESOLVED, type ResolvedAnswer } from '../shared/cell/relay-cells.js';
import { ResolveError } from '../shared/runtime/resolve-error.js';
import type { Random, ResolvedAddress, Resolver } from '../shared/runtime/types.js';
import { addressOfReverseName, familyOf, isPrivate } from './addresses.js';

/** Seconds given in RESOLVED, whatever the record's own (C tor: RESOLVED_CLIPPED_TTL). */
const RESOLVED_TTL = 60;
/** Seconds: an answer's TTL is told as one of two values, blurred, so that it does not tell who else asked for it. */
const LOW_TTL = 300;
const HIGH_TTL = 3600;
const BLUR = 240;
/** Seconds for addresses that needed no lookup (C tor: DEFAULT_DNS_TTL). */
export const DEFAULT_TTL = 1800;
/** Longest name asked for, bytes. */
const MAX_NAME = 255;

/** The TTL to tell a client for a record's TTL, seconds (C tor: `clip_dns_fuzzy_ttl`). */
export const blurTtl = (ttl: number, random: Random): number =>
  (ttl < LOW_TTL ? LOW_TTL : HIGH_TTL) + random.below(1 + 2 * BLUR) - BLUR;

/** Whether a name is one to look up: letters, digits, `-`, `.` and `_` (C tor: `address_is_invalid_destination`). */
export const isPlainName = (name: string): boolean =>
  name.length > 0 && name.length <= MAX_NAME && /^[A-Za-z0-9._-]+$/.test(name);

/** How names are looked up here. */
export interface NameRules {
  /** Only exits look names up; others answer that there is none. */
  readonly isExit: boolean;
  /** `IPv6Exit`: without it AAAA records are of no use and not told. */
  readonly ipv6: boolean;
  /** `ServerDNSAllowNonRFC953Hostnames`. */
  readonly anyName: boolean;
}

const failure = (transient: boolean): ResolvedAnswer[] => [{ type: 'error', transient, ttl: RESOLVED_TTL }];

/** Whether asking again may help. */
export const isTransient = (error: unknown): boolean =>
  !(error instanceof ResolveError && error.kind === 'notfound');

const addressAnswer = (address: string): ResolvedAnswer => ({ type: 'address', address, ttl: RESOLVED_TTL });

/** The first record of each family, IPv4 first. */
function pick(records: readonly ResolvedAddress[], rules: NameRules): ResolvedAnswer[] {
  const v4 = records.find((record) => record.family === 4);
  const v6 = rules.ipv6 ? records.find((record) => record.family === 6) : undefined;
  const found = [v4, v6].filter((record) => record !== undefined);
  return found.length > 0 ? found.map((record) => addressAnswer(record.address)) : failure(false);
}

async function reverse(address: string, resolver: Resolver): Promise<ResolvedAnswer[]> {
  if (isPrivate(address)) return failure(false);
  const [first] = await resolver.reverse(address);
  if (!first || first.name.length === 0 || first.name.length > MAX_NAME) return failure(false);
  return [{ type: 'name', name: first.name, ttl: RESOLVED_TTL }];
}

async function lookUp(name: string, rules: NameRules, resolver: Resolver): Promise<ResolvedAnswer[]> {
  if (familyOf(name)) return [addressAnswer(name)];
  if (!rules.isExit || !(rules.anyName || isPlainName(name))) return failure(false);
  const reversed = addressOfReverseName(name);
  if (reversed === 'bad') return failure(false);
  if (reversed !== undefined) return reverse(reversed, resolver);
  return pick(await resolver.resolve(name.toLowerCase()), rules);
}

/** The body of RESOLVED that answers the body of RESOLVE: a name with or without a NUL behind it. Never rejects. */
export async function answerResolve(
  request: Uint8Array,
  rules: NameRules,
  resolver: Resolver,
): Promise<Uint8Array> {
  const nul = request.indexOf(0);
  const name = Buffer.from(nul < 0 ? request : request.subarray(0, nul)).toString('latin1');
  try {
    return RESOLVED.encode({ answers: await lookUp(name, rules, resolver) });
  } catch (error) {
    return RESOLVED.encode({ answers: failure(isTransient(error)) });
  }
}
