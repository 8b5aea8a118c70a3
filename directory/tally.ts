/**
 * The consensus: a pure function of the votes (dir-spec 3.8, methods 32 to 35; C tor
 * `networkstatus_compute_consensus`). The same votes give the same bytes on every authority, ours or C tor's.
 *
 * Not done here because no authority votes with it any more: GuardFraction and package lines.
 *
 * @module
 */
import type { ConsensusBody } from '../shared/netdoc/consensus.js';
import { parseProtocols } from '../shared/netdoc/protover.js';
import type { AuthorityEntry, NetworkStatusHead, RouterStatus, Vote } from '../shared/netdoc/types.js';
import { addToTotals, bandwidthWeights, emptyTotals } from './bandwidth-weights.js';
import { collate } from './collate.js';
import { Naming } from './naming.js';
import { compareNumbers, compareText, frequentMembers, lowMedian } from './order.js';
import { voteOnProtocols } from './protocol-vote.js';
import { majorityValue } from './shared-random-values.js';
import { ENOUGH_MEASURERS, tallyRouter } from './tally-router.js';
import { compareVersionStrings, sortVersions } from './versions.js';

/** Consensus methods this code computes. */
export const CONSENSUS_METHODS: readonly number[] = [32, 33, 34, 35];
const HIGHEST_METHOD = 35;
/** From here on microdesc consensuses do not tell when descriptors were published. */
const METHOD_HIDES_PUBLISHED = 33;
/** What they say instead: 2038-01-01 00:00:00. */
const NO_PUBLISHED = Date.UTC(2038, 0, 1);

/** Voters above which a parameter is taken even without a majority (proposal 178). */
const ENOUGH_PARAM_VOTES = 3;
const DEFAULT_MAX_UNMEASURED = 20;
const DEFAULT_WEIGHT_SCALE = 10000;

/** What goes into a tally. */
export interface TallyInput {
  /** One vote per authority, signatures checked. */
  readonly votes: readonly Vote[];
  /** How many authorities are configured, whether they voted or not. */
  readonly authorities: number;
  /** Whether this authority takes part in shared randomness, and whether it has just made a new value. */
  readonly sharedRandomness: { readonly participate: boolean; readonly fresh: boolean };
}

/** Both flavours of one consensus. */
export interface TallyResult {
  readonly method: number;
  /** Whether `method` is what the votes call for; if not, others will compute something else. */
  readonly methodKnown: boolean;
  readonly ns: ConsensusBody;
  readonly microdesc: ConsensusBody;
}

/** The highest method that more than two thirds of the votes support; 1 when there is none. */
export function consensusMethod(votes: readonly Vote[]): number {
  const all = votes.flatMap((vote) => [...new Set(vote.consensusMethods)]);
  return frequentMembers(all, compareNumbers, Math.floor((votes.length * 2) / 3)).at(-1) ?? 1;
}

/**
 * Parameters by name, in the order of the `params` line: each is the low median of its votes, and there if more than
 * half of all authorities or at least three voted on it.
 */
export function tallyParams(votes: readonly Vote[], authorities: number): Map<string, number> {
  const values = new Map<string, number[]>();
  for (const vote of votes) {
    for (const [name, value] of vote.params) {
      const list = values.get(name);
      if (list) list.push(value);
      else values.set(name, [value]);
    }
  }
  const out = new Map<string, number>();
  // C tor sorts the texts "name=value", so that "=" decides between a name and one it is the beginning of.
  for (const name of [...values.keys()].sort((a, b) => compareText(`${a}=`, `${b}=`))) {
    const voted = values.get(name)!;
    if (voted.length > Math.floor(authorities / 2) || voted.length >= ENOUGH_PARAM_VOTES)
      out.set(name, lowMedian(voted));
  }
  return out;
}

/** The versions a vote recommends: undefined without the line, which an empty line is not. */
const versionsOf = (vote: Vote, keyword: 'client-versions' | 'server-versions') =>
  vote.text.includes(`\n${keyword}`)
    ? vote[keyword === 'client-versions' ? 'clientVersions' : 'serverVersions']
    : undefined;

/** Versions that more than half of the votes which list any recommend. */
function tallyVersions(lists: readonly (readonly string[] | undefined)[]): string[] {
  const given = lists.filter((list) => list !== undefined);
  const all = given.flatMap((list) => sortVersions(list));
  return frequentMembers(all, compareVersionStrings, Math.floor(given.length / 2));
}

const protocolLine = (
  lists: readonly (NetworkStatusHead['requiredRelayProtocols'] | undefined)[],
  threshold: number,
) =>
  parseProtocols(
    voteOnProtocols(
      lists.filter((list) => list !== undefined),
      threshold,
    ),
  );

/** An authority's entry and, when it still goes by an older key too, the short one of that. */
function authorityEntries({ authority, digest, legacyDirKey }: Vote): AuthorityEntry[] {
  const entry = { ...authority, voteDigest: digest };
  if (legacyDirKey === undefined) return [entry];
  const nickname = `${authority.nickname}-legacy`;
  return [entry, { ...authority, nickname, identity: legacyDirKey, contact: '', voteDigest: undefined }];
}

function tallyHead(
  { votes, authorities, sharedRandomness }: TallyInput,
  knownFlags: readonly string[],
  params: ReadonlyMap<string, number>,
): NetworkStatusHead {
  const median = (of: (vote: Vote) => number): number => lowMedian(votes.map(of));
  const half = Math.ceil(authorities / 2);
  const twoThirds = Math.ceil((authorities * 2) / 3);
  const rules = {
    authorities,
    fresh: sharedRandomness.fresh,
    agreements: params.get('AuthDirNumSRVAgreements') ?? Math.floor((authorities * 2) / 3),
  };
  const shared = (which: 'sharedRandPrevious' | 'sharedRandCurrent') =>
    sharedRandomness.participate ? majorityValue(votes, which, rules) : undefined;
  return {
    published: undefined,
    validAfter: median((vote) => vote.validAfter),
    freshUntil: median((vote) => vote.freshUntil),
    validUntil: median((vote) => vote.validUntil),
    votingDelay: { vote: median((v) => v.votingDelay.vote), dist: median((v) => v.votingDelay.dist) },
    clientVersions: tallyVersions(votes.map((vote) => versionsOf(vote, 'client-versions'))),
    serverVersions: tallyVersions(votes.map((vote) => versionsOf(vote, 'server-versions'))),
    knownFlags,
    recommendedClientProtocols: protocolLine(
      votes.map((v) => v.recommendedClientProtocols),
      half,
    ),
    recommendedRelayProtocols: protocolLine(
      votes.map((v) => v.recommendedRelayProtocols),
      half,
    ),
    requiredClientProtocols: protocolLine(
      votes.map((v) => v.requiredClientProtocols),
      twoThirds,
    ),
    requiredRelayProtocols: protocolLine(
      votes.map((v) => v.requiredRelayProtocols),
      twoThirds,
    ),
    params,
    sharedRandPrevious: shared('sharedRandPrevious'),
    sharedRandCurrent: shared('sharedRandCurrent'),
  };
}

function tallyRouters(
  { votes, authorities }: TallyInput,
  method: number,
  knownFlags: readonly string[],
  params: ReadonlyMap<string, number>,
): RouterStatus[] {
  const flagVoters = new Map<string, number>();
  for (const vote of votes) {
    for (const flag of vote.knownFlags) flagVoters.set(flag, (flagVoters.get(flag) ?? 0) + 1);
  }
  const measuring = votes.filter((vote) => vote.routers.some((r) => r.measured !== undefined)).length;
  const tally = {
    votes,
    authorities,
    method,
    knownFlags,
    flagVoters,
    naming: new Naming(votes),
    capUnmeasured: measuring > ENOUGH_MEASURERS,
    maxUnmeasured: Math.max(1, params.get('maxunmeasuredbw') ?? DEFAULT_MAX_UNMEASURED),
  };
  return collate(votes, authorities)
    .map((router) => tallyRouter(router, tally))
    .filter((router) => router !== undefined);
}

function weights(routers: readonly RouterStatus[], params: ReadonlyMap<string, number>) {
  const totals = emptyTotals();
  for (const { bandwidth, flags } of routers) {
    const exit = flags.has('Exit') && !flags.has('BadExit');
    addToTotals(totals, bandwidth, { guard: flags.has('Guard'), exit });
  }
  const scale = Math.max(1, params.get('bwweightscale') ?? DEFAULT_WEIGHT_SCALE);
  return bandwidthWeights(totals, scale) ?? new Map<string, number>();
}

/** Computes both flavours. `votes` must not be empty. */
export function tally(input: TallyInput): TallyResult {
  const votes = [...input.votes].sort((a, b) => compareText(a.authority.identity, b.authority.identity));
  const sorted = { ...input, votes };
  const wanted = consensusMethod(votes);
  const methodKnown = CONSENSUS_METHODS.includes(wanted);
  const method = methodKnown ? wanted : HIGHEST_METHOD;

  const flags = new Set(votes.flatMap((vote) => vote.knownFlags)).add('NoEdConsensus');
  const knownFlags = [...flags].sort(compareText);
  const params = tallyParams(votes, input.authorities);
  const routers = tallyRouters(sorted, method, knownFlags, params);
  const common = {
    ...tallyHead(sorted, knownFlags, params),
    consensusMethod: method,
    authorities: votes.flatMap(authorityEntries).sort((a, b) => compareText(a.identity, b.identity)),
    bandwidthWeights: weights(routers, params),
  };
  const published = (router: RouterStatus): number =>
    method >= METHOD_HIDES_PUBLISHED ? NO_PUBLISHED : router.published;
  return {
    method,
    methodKnown,
    ns: {
      ...common,
      flavor: 'ns',
      routers: routers.map((router) => ({ ...router, microdescDigest: undefined })),
    },
    microdesc: {
      ...common,
      flavor: 'microdesc',
      routers: routers
        .filter((router) => router.microdescDigest !== undefined)
        .map((router) => ({ ...router, digest: undefined, policy: undefined, published: published(router) })),
    },
  };
}
