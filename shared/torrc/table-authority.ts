/**
 * Options of directory authorities.
 *
 * @module
 */
import { bool, fraction, integer, itemList, joined, lines, parameters, path, size, time } from './kinds.js';
import type { Options } from './options.js';
import type { Role, Rows } from './table-types.js';

type AuthorityOptions =
  | 'AuthoritativeDirectory'
  | 'V3AuthoritativeDirectory'
  | 'V3AuthVotingInterval'
  | 'V3AuthVoteDelay'
  | 'V3AuthDistDelay'
  | 'V3AuthNIntervalsValid'
  | 'V3BandwidthsFile'
  | 'TestingV3AuthInitialVotingInterval'
  | 'TestingV3AuthInitialVoteDelay'
  | 'TestingV3AuthInitialDistDelay'
  | 'TestingV3AuthVotingStartOffset'
  | 'TestingAuthDirTimeToLearnReachability'
  | 'TestingMinFastFlagThreshold'
  | 'TestingDirAuthVoteExit'
  | 'TestingDirAuthVoteGuard'
  | 'TestingDirAuthVoteHSDir'
  | 'AuthDirMaxServersPerAddr'
  | 'AuthDirBadExit'
  | 'AuthDirMiddleOnly'
  | 'AuthDirReject'
  | 'AuthDirInvalid'
  | 'AuthDirTestReachability'
  | 'AuthDirPinKeys'
  | 'AuthDirSharedRandomness'
  | 'AuthDirListBadExits'
  | 'AuthDirFastGuarantee'
  | 'AuthDirGuardBWGuarantee'
  | 'AuthDirVoteGuardBwThresholdFraction'
  | 'AuthDirVoteGuardGuaranteeTimeKnown'
  | 'AuthDirVoteGuardGuaranteeWFU'
  | 'AuthDirVoteStableGuaranteeMTBF'
  | 'AuthDirVoteStableGuaranteeMinUptime'
  | 'ConsensusParams'
  | 'RecommendedVersions'
  | 'VersioningAuthoritativeDirectory'
  | 'RecommendedClientVersions'
  | 'RecommendedServerVersions'
  | 'MinUptimeHidServDirectoryV2'
  | 'DirAllowPrivateAddresses'
  | 'MinMeasuredBWsForAuthToIgnoreAdvertised';

const roles: readonly Role[] = ['authority'];
const NODES = 'FINGERPRINT|nickname|ADDR[/MASK]|*,…';
const ADDRESSES = 'ADDR[/MASK][:PORT],…';

export const authorityRows: Rows<AuthorityOptions & keyof Options> = {
  AuthoritativeDirectory: {
    kind: bool,
    default: '0',
    roles,
    help: 'Be an authority. `cepa authority` implies it.',
  },
  V3AuthoritativeDirectory: {
    kind: bool,
    default: '0',
    roles,
    help: 'Vote on the consensus. `cepa authority` implies it.',
  },
  V3AuthVotingInterval: {
    kind: time,
    default: '1 hour',
    testing: '5 minutes',
    roles,
    help: 'Time from one consensus to the next, the same on every authority; should divide a day.',
  },
  V3AuthVoteDelay: {
    kind: time,
    default: '5 minutes',
    testing: '20 seconds',
    roles,
    help: 'Time for votes to arrive.',
  },
  V3AuthDistDelay: {
    kind: time,
    default: '5 minutes',
    testing: '20 seconds',
    roles,
    help: 'Time for signatures to arrive.',
  },
  V3AuthNIntervalsValid: {
    kind: integer(2, 1000),
    default: '3',
    roles,
    help: 'A consensus is valid for so many voting intervals.',
  },
  V3BandwidthsFile: {
    kind: path,
    roles,
    help: 'Measured bandwidths, read before each vote (bandwidth-file-spec).',
  },
  TestingV3AuthInitialVotingInterval: {
    kind: time,
    default: '30 minutes',
    testing: '150 seconds',
    roles,
    help: 'Voting interval until the first consensus. Testing networks only; must divide 30 minutes.',
  },
  TestingV3AuthInitialVoteDelay: {
    kind: time,
    default: '5 minutes',
    testing: '20 seconds',
    roles,
    help: 'V3AuthVoteDelay until the first consensus. Testing networks only.',
  },
  TestingV3AuthInitialDistDelay: {
    kind: time,
    default: '5 minutes',
    testing: '20 seconds',
    roles,
    help: 'V3AuthDistDelay until the first consensus. Testing networks only.',
  },
  TestingV3AuthVotingStartOffset: {
    kind: time,
    default: '0',
    roles,
    help: 'Shifts the voting schedule by so much. Testing networks only.',
  },
  TestingAuthDirTimeToLearnReachability: {
    kind: time,
    default: '30 minutes',
    testing: '0',
    roles,
    help: 'After a start, say nothing about Running for so long. Testing networks only.',
  },
  TestingMinFastFlagThreshold: {
    kind: size,
    default: '0',
    roles,
    help: 'Least bandwidth for the Fast flag. Testing networks only.',
  },
  TestingDirAuthVoteExit: {
    kind: itemList(NODES),
    roles,
    help: 'Relays that get the Exit flag whatever their policy. Testing networks only.',
  },
  TestingDirAuthVoteGuard: {
    kind: itemList(NODES),
    roles,
    help: 'Relays that get the Guard flag whatever their age and bandwidth. Testing networks only.',
  },
  TestingDirAuthVoteHSDir: {
    kind: itemList(NODES),
    roles,
    help: 'Relays that get the HSDir flag whatever their age. Testing networks only.',
  },
  AuthDirMaxServersPerAddr: {
    kind: integer(0, 65535),
    default: '2',
    testing: '0',
    roles,
    help: 'Relays accepted at one address. 0: any number.',
  },
  AuthDirBadExit: { kind: lines(ADDRESSES), roles, help: 'Exits at these addresses get the BadExit flag.' },
  AuthDirMiddleOnly: {
    kind: lines(ADDRESSES),
    roles,
    help: 'Relays at these addresses get the MiddleOnly flag.',
  },
  AuthDirReject: { kind: lines(ADDRESSES), roles, help: 'Relays at these addresses are not accepted.' },
  AuthDirInvalid: {
    kind: lines(ADDRESSES),
    roles,
    help: 'Relays at these addresses do not get the Valid flag.',
  },
  AuthDirTestReachability: {
    kind: bool,
    default: '1',
    roles,
    help: 'Connect to every relay before saying it is Running. 0: believe it.',
  },
  AuthDirPinKeys: {
    kind: bool,
    default: '1',
    roles,
    help: 'Refuse a relay whose RSA or Ed25519 identity was seen with another partner.',
  },
  AuthDirSharedRandomness: {
    kind: bool,
    default: '1',
    roles,
    help: 'Take part in making the shared random value.',
  },
  AuthDirListBadExits: { kind: bool, default: '0', roles, help: 'Have an opinion on BadExit in the vote.' },
  AuthDirFastGuarantee: {
    kind: size,
    default: '100 KB',
    roles,
    help: 'A relay this fast gets the Fast flag whatever others have. 0: none does for that.',
  },
  AuthDirGuardBWGuarantee: {
    kind: size,
    default: '2 MB',
    roles,
    help: 'A relay this fast is fast enough for the Guard flag whatever others have. 0: none is for that.',
  },
  AuthDirVoteGuardBwThresholdFraction: {
    kind: fraction,
    default: '0.75',
    roles,
    help: 'Share of the relays that are slower than one must be for the Guard flag.',
  },
  AuthDirVoteGuardGuaranteeTimeKnown: {
    kind: time,
    default: '8 days',
    roles,
    help: 'A relay known for so long is familiar enough for the Guard flag whatever others are.',
  },
  AuthDirVoteGuardGuaranteeWFU: {
    kind: fraction,
    default: '0.98',
    roles,
    help: 'A relay that was up for this share of the time is up enough for the Guard flag whatever others are.',
  },
  AuthDirVoteStableGuaranteeMTBF: {
    kind: time,
    default: '5 days',
    roles,
    help: 'A relay that fails no more often than this gets the Stable flag whatever others do.',
  },
  AuthDirVoteStableGuaranteeMinUptime: {
    kind: time,
    default: '30 days',
    roles,
    help: 'A relay that is up for so long gets the Stable flag whatever others are, while failures are too few to tell.',
  },
  ConsensusParams: {
    kind: parameters,
    roles,
    help: 'Network parameters to vote for; lines add up.',
  },
  RecommendedVersions: {
    kind: joined('VERSION,…', ','),
    roles,
    help: 'Versions to recommend to clients and relays, with VersioningAuthoritativeDirectory.',
  },
  VersioningAuthoritativeDirectory: {
    kind: bool,
    default: '0',
    roles,
    help: 'Vote on recommended versions.',
  },
  RecommendedClientVersions: {
    kind: joined('VERSION,…', ','),
    roles,
    help: 'As RecommendedVersions, for clients.',
  },
  RecommendedServerVersions: {
    kind: joined('VERSION,…', ','),
    roles,
    help: 'As RecommendedVersions, for relays.',
  },
  MinUptimeHidServDirectoryV2: {
    kind: time,
    default: '96 hours',
    testing: '0',
    roles,
    help: 'Uptime a relay needs for the HSDir flag.',
  },
  DirAllowPrivateAddresses: {
    kind: bool,
    default: '0',
    testing: '1',
    roles,
    help: 'Accept relays at private addresses.',
  },
  MinMeasuredBWsForAuthToIgnoreAdvertised: {
    kind: integer(),
    default: '500',
    roles,
    help: 'With so many measured relays, advertised bandwidths no longer count for flags.',
  },
};
