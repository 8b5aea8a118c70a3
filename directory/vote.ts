/**
 * Our own vote, from what this authority knows (dir-spec 3.4.1; C tor `dirserv_generate_networkstatus_vote_obj`).
 *
 * @module
 */
import { makeMicrodescriptor, microdescDigest } from '../shared/netdoc/microdesc.js';
import { parseProtocols } from '../shared/netdoc/protover.js';
import type {
  AuthorityCertificate,
  AuthorityEntry,
  RelayId,
  RouterStatus,
  ServerDescriptor,
} from '../shared/netdoc/types.js';
import type { VoteBody } from '../shared/netdoc/vote.js';
import type { Options } from '../shared/torrc/options.js';
import type { BandwidthFile } from './bandwidth-file.js';
import { type FlagInput, flagsOf, knownFlags } from './flags.js';
import { compareText } from './order.js';
import { claimedBandwidth, MAX_DESCRIPTOR_AGE, type RelayView } from './relay-view.js';
import type { SharedRandomVote } from './shared-random.js';
import { CONSENSUS_METHODS } from './tally.js';
import { thresholdsLine } from './thresholds.js';
import { sortVersions, versionOfPlatform } from './versions.js';

/** What C tor 0.4.9 votes for; other values here would only split the vote. */
const RECOMMENDED_RELAY =
  'Cons=2 Desc=2 DirCache=2 FlowCtrl=1-2 HSDir=2 HSIntro=4-5 HSRend=2 Link=4-5 LinkAuth=3 Microdesc=2 Relay=2-4';
const RECOMMENDED_CLIENT =
  'Cons=2 Desc=2 DirCache=2 FlowCtrl=1-2 HSDir=2 HSIntro=4 HSRend=2 Link=4-5 Microdesc=2 Relay=2-4';
const REQUIRED_CLIENT = 'Cons=2 Desc=2 FlowCtrl=1 Link=4 Microdesc=2 Relay=2';

/** The options a vote depends on. */
export type VoteOptions = Pick<
  Options,
  | 'V3AuthVotingInterval'
  | 'V3AuthVoteDelay'
  | 'V3AuthDistDelay'
  | 'V3AuthNIntervalsValid'
  | 'ConsensusParams'
  | 'AuthDirMaxServersPerAddr'
  | 'AuthDirSharedRandomness'
  | 'VersioningAuthoritativeDirectory'
  | 'RecommendedVersions'
  | 'RecommendedClientVersions'
  | 'RecommendedServerVersions'
>;

/** What goes into a vote. */
export interface VoteInput {
  readonly options: VoteOptions;
  readonly now: number;
  /** Of the round that is voted on. */
  readonly validAfter: number;
  readonly authority: AuthorityEntry;
  readonly certificate: AuthorityCertificate;
  readonly relays: readonly RelayView[];
  readonly sybils: ReadonlySet<RelayId>;
  readonly flags: FlagInput;
  readonly sharedRandom: SharedRandomVote;
  /** With a bandwidth file configured. */
  readonly bandwidthFile: BandwidthFile | undefined;
}

/** A vote, and the microdescriptors it names. */
export interface MadeVote {
  readonly vote: VoteBody;
  /** Texts by digest. */
  readonly microdescriptors: ReadonlyMap<string, string>;
}

const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000;

/** `name=value` words of ConsensusParams; a word that is not one is dropped, having been refused in the torrc. */
export function paramsOf(options: Pick<VoteOptions, 'ConsensusParams' | 'AuthDirMaxServersPerAddr'>) {
  const params = new Map<string, number>();
  if (options.ConsensusParams === undefined) return params;
  for (const word of options.ConsensusParams.split(/\s+/)) {
    const match = /^([^=\s]+)=(-?\d{1,10})$/.exec(word);
    if (match) params.set(match[1]!, Number(match[2]));
  }
  // C tor tells it with its params, so that it can be seen which relays are let in.
  params.set('AuthDirMaxServersPerAddr', options.AuthDirMaxServersPerAddr);
  return new Map([...params].sort(([a], [b]) => compareText(`${a}=`, `${b}=`)));
}

const versionList = (options: VoteOptions, own: string | undefined): string[] =>
  options.VersioningAuthoritativeDirectory
    ? sortVersions(
        (own ?? options.RecommendedVersions ?? '')
          .split(',')
          .map((version) => version.trim())
          .filter((version) => version !== ''),
      )
    : [];

/** A descriptor's microdescriptors: by consensus method their digests, by digest their texts. */
interface MadeMicrodescriptors {
  readonly digests: ReadonlyMap<number, string>;
  readonly texts: ReadonlyMap<string, string>;
}

/** A descriptor is voted on many times and does not change. */
const made = new WeakMap<ServerDescriptor, MadeMicrodescriptors>();

function microdescriptorsOf(descriptor: ServerDescriptor): MadeMicrodescriptors {
  const known = made.get(descriptor);
  if (known) return known;
  const digests = new Map<number, string>();
  const texts = new Map<string, string>();
  for (const method of CONSENSUS_METHODS) {
    const text = makeMicrodescriptor(descriptor, method);
    const digest = microdescDigest(text);
    digests.set(method, digest);
    texts.set(digest, text);
  }
  const result = { digests, texts };
  made.set(descriptor, result);
  return result;
}

function entryOf(relay: RelayView, input: VoteInput, microdescs: Map<string, string>): RouterStatus {
  const { descriptor } = relay;
  const { digests, texts } = microdescriptorsOf(descriptor);
  for (const [digest, text] of texts) microdescs.set(digest, text);
  // Not what older files said, by which flags go on.
  const measured = input.bandwidthFile?.measured.get(descriptor.id);
  return {
    nickname: descriptor.nickname,
    id: descriptor.id,
    rsaId: descriptor.rsaId,
    digest: descriptor.digest,
    published: descriptor.published,
    address: descriptor.address,
    orPort: descriptor.orPort,
    dirPort: descriptor.dirPort,
    // Listed only by authorities that test IPv6 (AuthDirHasIPv6Connectivity), which this one does not.
    ipv6: undefined,
    flags: flagsOf(relay, input.sybils.has(descriptor.id), input.flags),
    version: versionOfPlatform(descriptor.platform),
    protocols: descriptor.protocols,
    bandwidth: claimedBandwidth(descriptor),
    unmeasured: false,
    measured: relay.authority ? undefined : measured,
    // Clients should leave authorities to their own work, so their measurement is told but does not count.
    measuredButAuthority: relay.authority ? measured : undefined,
    policy: descriptor.exitPolicy.summary(),
    microdescDigest: undefined,
    ed25519Id: descriptor.ed25519Id,
    microdescDigests: digests,
    stats: new Map([
      ['wfu', relay.wfu],
      ['tk', Math.floor(relay.timeKnown)],
      ['mtbf', Math.round(relay.mtbf)],
    ]),
  };
}

/** Makes the vote. `relays` have been made unique by ed25519 identity. */
export function makeVote(input: VoteInput): MadeVote {
  const { options, validAfter } = input;
  const interval = options.V3AuthVotingInterval;
  const microdescs = new Map<string, string>();
  const cutoff = input.now - MAX_DESCRIPTOR_AGE;
  const routers = input.relays
    .filter((relay) => relay.descriptor.published >= cutoff)
    .sort((a, b) => compareText(a.descriptor.id, b.descriptor.id))
    .map((relay) => entryOf(relay, input, microdescs));
  const participate = options.AuthDirSharedRandomness;
  const vote: VoteBody = {
    consensusMethods: CONSENSUS_METHODS,
    published: wholeSeconds(input.now),
    validAfter,
    freshUntil: validAfter + interval,
    validUntil: validAfter + interval * options.V3AuthNIntervalsValid,
    votingDelay: {
      vote: Math.floor(options.V3AuthVoteDelay / 1000),
      dist: Math.floor(options.V3AuthDistDelay / 1000),
    },
    clientVersions: versionList(options, options.RecommendedClientVersions),
    serverVersions: versionList(options, options.RecommendedServerVersions),
    knownFlags: knownFlags(input.flags.choice),
    flagThresholds: thresholdsLine(input.flags.thresholds),
    recommendedRelayProtocols: parseProtocols(RECOMMENDED_RELAY),
    recommendedClientProtocols: parseProtocols(RECOMMENDED_CLIENT),
    requiredRelayProtocols: parseProtocols(RECOMMENDED_RELAY),
    requiredClientProtocols: parseProtocols(REQUIRED_CLIENT),
    params: paramsOf(options),
    authority: input.authority,
    legacyDirKey: undefined,
    certificate: input.certificate,
    sharedRandParticipate: participate,
    sharedRandCommits: participate ? input.sharedRandom.commits : [],
    sharedRandPrevious: participate ? input.sharedRandom.previous : undefined,
    sharedRandCurrent: participate ? input.sharedRandom.current : undefined,
    bandwidthFileHeaders: input.bandwidthFile?.headers,
    bandwidthFileDigest: input.bandwidthFile?.digest,
    routers,
  };
  return { vote, microdescriptors: microdescs };
}
