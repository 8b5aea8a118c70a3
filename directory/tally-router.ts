/**
 * What the consensus says about one router, from what the votes say (dir-spec 3.8; C tor
 * `compute_routerstatus_consensus` and the router loop of `networkstatus_compute_consensus`).
 *
 * @module
 */
import { sameBytes, toHex } from '../shared/bytes/text.js';
import { parseIp } from '../shared/netdoc/address.js';
import type { OrAddress, RouterStatus, Vote } from '../shared/netdoc/types.js';
import type { CollatedRouter } from './collate.js';
import type { Naming } from './naming.js';
import { type Compare, compareText, lowMedian, mostFrequent } from './order.js';
import { compareVersionStrings } from './versions.js';

/** What is the same for all routers of a tally. */
export interface RouterTally {
  readonly votes: readonly Vote[];
  /** Configured authorities. */
  readonly authorities: number;
  readonly method: number;
  /** All flags, sorted. */
  readonly knownFlags: readonly string[];
  /** By flag, how many votes know it. */
  readonly flagVoters: ReadonlyMap<string, number>;
  readonly naming: Naming;
  /** Whether enough authorities measure for unmeasured relays to be capped. */
  readonly capUnmeasured: boolean;
  /** `maxunmeasuredbw`, kilobytes per second. */
  readonly maxUnmeasured: number;
}

/** Votes that measure, or measurements of a router, above which measured values count (dir-spec 3.8). */
export const ENOUGH_MEASURERS = 2;

const compareBytes: Compare<Uint8Array> = (a, b) => Buffer.compare(a, b);

const addressBytes = (host: string): Uint8Array => parseIp(host) ?? new Uint8Array(0);

/**
 * Orders entries of one router, equal ones being those from the same descriptor with the same derived values: digest
 * ascending, then published, nickname, ports descending (C tor `compare_vote_rs`).
 */
const compareEntries: Compare<RouterStatus> = (a, b) =>
  compareBytes(a.digest ?? new Uint8Array(0), b.digest ?? new Uint8Array(0)) ||
  b.published - a.published ||
  compareText(b.nickname, a.nickname) ||
  compareBytes(addressBytes(a.address), addressBytes(b.address)) ||
  b.orPort - a.orPort ||
  b.dirPort - a.dirPort;

/** The entry most votes agree on; of several the latest published, then the one that sorts first. */
function winningEntry(entries: readonly RouterStatus[]): RouterStatus {
  const sorted = [...entries].sort(compareEntries);
  let best = sorted[0]!;
  let bestCount = 0;
  let bestPublished = 0;
  let start = 0;
  for (let i = 1; i <= sorted.length; i++) {
    if (i < sorted.length && compareEntries(sorted[start]!, sorted[i]!) === 0) continue;
    const count = i - start;
    const candidate = sorted[start]!;
    if (count > bestCount || (count === bestCount && candidate.published > bestPublished)) {
      best = candidate;
      bestCount = count;
      bestPublished = candidate.published;
    }
    start = i;
  }
  return best;
}

/** IPv6 addresses ascending, then ports descending (C tor `compare_orports_`). */
const compareOrAddresses: Compare<OrAddress> = (a, b) =>
  compareBytes(addressBytes(a.host), addressBytes(b.host)) || b.port - a.port;

const given = <T>(values: readonly (T | undefined)[]): T[] =>
  values.filter((value): value is T => value !== undefined);

const popularText = (values: readonly string[]): string | undefined =>
  mostFrequent(values, compareText)?.value;

/** The exit policy summary listed for the chosen descriptor, or else for any. */
function choosePolicy(winner: RouterStatus, entries: readonly RouterStatus[]): RouterStatus['policy'] {
  const ofWinner = entries.filter((e) => e.policy && sameBytes(e.digest!, winner.digest!));
  const candidates = ofWinner.length > 0 ? ofWinner : entries.filter((e) => e.policy);
  const text = popularText(candidates.map((e) => `${e.policy}`));
  return candidates.find((e) => `${e.policy}` === text)?.policy;
}

function chooseFlags(router: CollatedRouter, nickname: string, tally: RouterTally): Set<string> {
  const counts = new Map<string, number>();
  for (const entry of router.entries) {
    for (const flag of entry?.flags ?? []) counts.set(flag, (counts.get(flag) ?? 0) + 1);
  }
  const chosen = new Set<string>();
  const name = tally.naming.flagOf(nickname, router.id);
  for (const flag of tally.knownFlags) {
    if (flag === 'Named' || flag === 'Unnamed') {
      if (name === flag) chosen.add(flag);
    } else if (flag === 'NoEdConsensus') {
      if (router.edConsensus <= Math.floor(tally.authorities / 2)) chosen.add(flag);
    } else if ((counts.get(flag) ?? 0) > Math.floor((tally.flagVoters.get(flag) ?? 0) / 2)) {
      chosen.add(flag);
    }
  }
  return chosen;
}

/** MiddleOnly takes away what would bring a relay into another position (proposal 335, method 32). */
function applyMiddleOnly(flags: Set<string>, knownFlags: readonly string[]): Set<string> {
  if (!flags.has('MiddleOnly')) return flags;
  for (const flag of ['Exit', 'V2Dir', 'Guard', 'HSDir']) flags.delete(flag);
  if (knownFlags.includes('BadExit')) flags.add('BadExit');
  return new Set([...flags].sort(compareText));
}

/** The bandwidth clients weight by, in kilobytes per second, and whether it is only what the relay claims. */
function chooseBandwidth(
  entries: readonly RouterStatus[],
  tally: RouterTally,
): Pick<RouterStatus, 'bandwidth' | 'unmeasured'> {
  const measured = given(entries.map((e) => e.measured));
  if (measured.length > ENOUGH_MEASURERS) return { bandwidth: lowMedian(measured), unmeasured: false };
  const claimed = lowMedian(entries.map((e) => e.bandwidth));
  const bandwidth = tally.capUnmeasured ? Math.min(claimed, tally.maxUnmeasured) : claimed;
  return { bandwidth, unmeasured: true };
}

/** The nickname: the one under which authorities named it, where they agree, else that of the winning entry. */
function chooseNickname(winner: RouterStatus, entries: readonly RouterStatus[]): string {
  const named = new Set(entries.filter((e) => e.flags.has('Named')).map((e) => e.nickname));
  return named.size === 1 ? [...named][0]! : winner.nickname;
}

/**
 * One router's consensus entry, with the descriptor digest of the ns flavour and the microdescriptor digest of the
 * other; undefined when it is not Running and Valid, or not enough authorities list it.
 */
export function tallyRouter(router: CollatedRouter, tally: RouterTally): RouterStatus | undefined {
  const entries = given(router.entries);
  if (entries.length <= Math.floor(tally.authorities / 2)) return undefined;
  const winner = winningEntry(entries);
  const agreeing = entries.filter((entry) => compareEntries(entry, winner) === 0);
  const nickname = chooseNickname(winner, entries);
  const voted = chooseFlags(router, nickname, tally);
  if (!voted.has('Running') || !voted.has('Valid')) return undefined;

  const protocols = popularText(entries.map((e) => e.protocols.toString()));
  const microdescs = given(agreeing.map((e) => e.microdescDigests?.get(tally.method)));
  // Compared as bytes, since base64 orders otherwise.
  const microdesc = mostFrequent(microdescs, (a, b) =>
    compareBytes(Buffer.from(a, 'base64'), Buffer.from(b, 'base64')),
  );
  return {
    nickname,
    id: toHex(winner.rsaId),
    rsaId: winner.rsaId,
    digest: winner.digest,
    published: winner.published,
    address: winner.address,
    orPort: winner.orPort,
    dirPort: winner.dirPort,
    ipv6: mostFrequent(given(agreeing.map((e) => e.ipv6)), compareOrAddresses)?.value,
    flags: applyMiddleOnly(voted, tally.knownFlags),
    version: mostFrequent(given(entries.map((e) => e.version || undefined)), compareExactVersions)?.value,
    protocols: entries.find((e) => e.protocols.toString() === protocols)!.protocols,
    ...chooseBandwidth(entries, tally),
    measured: undefined,
    measuredButAuthority: undefined,
    policy: choosePolicy(winner, entries),
    microdescDigest: microdesc?.value,
    ed25519Id: undefined,
    microdescDigests: undefined,
    stats: undefined,
  };
}

/** By version, then by text: only equal text is the same version. */
const compareExactVersions: Compare<string> = (a, b) => compareVersionStrings(a, b) || compareText(a, b);
