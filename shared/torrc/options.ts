/**
 * The options Cepa reads from a torrc, by C tor's names, as values. `parse.ts` fills them from text; `table.ts` has
 * the syntax and default of each.
 *
 * @module
 */

/** A listening port: `[host:]port [flags]`. Port 0 is off; `auto` is any. */
export interface PortOption {
  readonly host: string | undefined;
  readonly port: number | 'auto' | 0;
  /** Flags as written, lower case, e.g. `isolatedestaddr`, `noadvertise`, `ipv4only`. */
  readonly flags: ReadonlySet<string>;
}

/** `DirAuthority nick orport=P v3ident=HEX … host:dirport FINGERPRINT`. */
export interface DirAuthorityOption {
  readonly nickname: string;
  /** May be a name that the resolver knows (containers). */
  readonly address: string;
  readonly dirPort: number;
  readonly orPort: number;
  readonly v3Ident: string | undefined;
  /** RSA relay fingerprint, upper-case hex. */
  readonly fingerprint: string;
  readonly ipv6: { readonly host: string; readonly port: number } | undefined;
}

/** `FallbackDir host:dirport orport=P id=FINGERPRINT`. */
export interface FallbackDirOption {
  readonly address: string;
  readonly orPort: number;
  readonly fingerprint: string;
}

/** When an accounting period begins: `month DAY HH:MM`, `week DAY HH:MM` (1 is Monday) or `day HH:MM`, in UTC. */
export interface AccountingStartOption {
  readonly unit: 'month' | 'week' | 'day';
  /** 1 to 28 of the month, 1 to 7 of the week; 0 for `day`. */
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
}

/** What counts towards AccountingMax. */
export type AccountingRuleOption = 'max' | 'sum' | 'in' | 'out';

/** A port of an onion service, and where its streams go. */
export interface HiddenServicePortOption {
  readonly virtualPort: number;
  readonly target: { readonly host: string; readonly port: number } | { readonly unix: string };
}

/** An onion service: `HiddenServiceDir` and the lines behind it. What is not given is undefined. */
export interface HiddenServiceOption {
  readonly directory: string;
  readonly ports: readonly HiddenServicePortOption[];
  readonly maxStreams?: number;
  readonly maxStreamsCloseCircuit?: boolean;
  readonly introPoints?: number;
  readonly introDos?: boolean;
  readonly introDosRate?: number;
  readonly introDosBurst?: number;
  readonly allowUnknownPorts?: boolean;
}

/** Every option, with C tor's names, in one flat record; durations in milliseconds, sizes in bytes. */
export interface Options {
  // every role
  DataDirectory: string;
  Nickname: string;
  ContactInfo: string | undefined;
  DirAuthority: readonly DirAuthorityOption[];
  FallbackDir: readonly FallbackDirOption[];
  TestingTorNetwork: boolean;
  EnforceDistinctSubnets: boolean;
  SafeLogging: boolean;
  Log: readonly string[];
  PidFile: string | undefined;
  MetricsPort: readonly PortOption[];
  /** Rules as in ExitPolicy, without ports. */
  MetricsPortPolicy: readonly string[];
  HeartbeatPeriod: number;
  DisableNetwork: boolean;
  ClientUseIPv6: boolean;
  // relay
  ORPort: readonly PortOption[];
  DirPort: readonly PortOption[];
  Address: readonly string[];
  /** Source address of every outgoing connection. */
  OutboundBindAddress: readonly string[];
  OutboundBindAddressOR: readonly string[];
  OutboundBindAddressExit: readonly string[];
  ExitRelay: boolean | 'auto';
  /** Lines in order, each possibly with commas, as written. */
  ExitPolicy: readonly string[];
  ReducedExitPolicy: boolean;
  ExitPolicyRejectPrivate: boolean;
  IPv6Exit: boolean;
  MyFamily: readonly string[];
  /** Base64 of a family key, perhaps behind `ed25519:`, or `*`. */
  FamilyId: readonly string[];
  FamilyKeyDirectory: string | undefined;
  OfflineMasterKey: boolean;
  SigningKeyLifetime: number;
  BandwidthRate: number;
  BandwidthBurst: number;
  RelayBandwidthRate: number;
  RelayBandwidthBurst: number;
  MaxAdvertisedBandwidth: number;
  AccountingMax: number;
  AccountingStart: AccountingStartOption;
  AccountingRule: AccountingRuleOption;
  DirCache: boolean;
  AssumeReachable: boolean;
  AssumeReachableIPv6: boolean | 'auto';
  PublishServerDescriptor: boolean;
  ServerDNSResolvConfFile: string | undefined;
  ServerDNSAllowNonRFC953Hostnames: boolean;
  ExtendAllowPrivateAddresses: boolean;
  ClientRejectInternalAddresses: boolean;
  RefuseUnknownExits: boolean | 'auto';
  ShutdownWaitLength: number;
  NumCPUs: number;
  MaxMemInQueues: number;
  MaxOnionQueueDelay: number;
  DirPortFrontPage: string | undefined;
  // relay: defences against denial of service; 0 and `auto` are what the consensus says
  DoSCircuitCreationEnabled: boolean | 'auto';
  DoSCircuitCreationMinConnections: number;
  DoSCircuitCreationRate: number;
  DoSCircuitCreationBurst: number;
  DoSCircuitCreationDefenseType: number;
  DoSCircuitCreationDefenseTimePeriod: number;
  DoSConnectionEnabled: boolean | 'auto';
  DoSConnectionMaxConcurrentCount: number;
  DoSConnectionDefenseType: number;
  DoSConnectionConnectRate: number;
  DoSConnectionConnectBurst: number;
  DoSConnectionConnectDefenseTimePeriod: number;
  DoSStreamCreationEnabled: boolean | 'auto';
  DoSStreamCreationRate: number;
  DoSStreamCreationBurst: number;
  DoSStreamCreationDefenseType: number;
  DoSRefuseSingleHopClientRendezvous: boolean | 'auto';
  // authority
  AuthoritativeDirectory: boolean;
  V3AuthoritativeDirectory: boolean;
  V3AuthVotingInterval: number;
  V3AuthVoteDelay: number;
  V3AuthDistDelay: number;
  V3AuthNIntervalsValid: number;
  V3BandwidthsFile: string | undefined;
  TestingV3AuthInitialVotingInterval: number;
  TestingV3AuthInitialVoteDelay: number;
  TestingV3AuthInitialDistDelay: number;
  TestingV3AuthVotingStartOffset: number;
  TestingAuthDirTimeToLearnReachability: number;
  TestingMinFastFlagThreshold: number;
  TestingDirAuthVoteExit: readonly string[];
  TestingDirAuthVoteGuard: readonly string[];
  TestingDirAuthVoteHSDir: readonly string[];
  AuthDirMaxServersPerAddr: number;
  AuthDirBadExit: readonly string[];
  AuthDirMiddleOnly: readonly string[];
  AuthDirReject: readonly string[];
  AuthDirInvalid: readonly string[];
  AuthDirTestReachability: boolean;
  AuthDirPinKeys: boolean;
  AuthDirSharedRandomness: boolean;
  AuthDirListBadExits: boolean;
  AuthDirFastGuarantee: number;
  AuthDirGuardBWGuarantee: number;
  AuthDirVoteGuardBwThresholdFraction: number;
  AuthDirVoteGuardGuaranteeTimeKnown: number;
  AuthDirVoteGuardGuaranteeWFU: number;
  AuthDirVoteStableGuaranteeMTBF: number;
  AuthDirVoteStableGuaranteeMinUptime: number;
  ConsensusParams: string | undefined;
  RecommendedVersions: string | undefined;
  VersioningAuthoritativeDirectory: boolean;
  RecommendedClientVersions: string | undefined;
  RecommendedServerVersions: string | undefined;
  MinUptimeHidServDirectoryV2: number;
  DirAllowPrivateAddresses: boolean;
  MinMeasuredBWsForAuthToIgnoreAdvertised: number;
  // client
  SocksPort: readonly PortOption[];
  HTTPTunnelPort: readonly PortOption[];
  SocksPolicy: readonly string[];
  SocksTimeout: number;
  TestSocks: boolean;
  WarnUnsafeSocks: boolean;
  SafeSocks: boolean;
  ExcludeNodes: readonly string[];
  ExcludeExitNodes: readonly string[];
  EntryNodes: readonly string[];
  ExitNodes: readonly string[];
  MiddleNodes: readonly string[];
  NodeFamily: readonly string[];
  StrictNodes: boolean;
  AllowInvalidNodes: readonly string[];
  UseEntryGuards: boolean;
  NumEntryGuards: number;
  NumDirectoryGuards: number;
  GuardLifetime: number;
  MaxCircuitDirtiness: number;
  NewCircuitPeriod: number;
  CircuitsAvailableTimeout: number;
  ConnectionPadding: boolean | 'auto';
  ReducedConnectionPadding: boolean;
  CircuitBuildTimeout: number;
  LearnCircuitBuildTimeout: boolean;
  CircuitStreamTimeout: number;
  MaxClientCircuitsPending: number;
  WarnPlaintextPorts: readonly number[];
  RejectPlaintextPorts: readonly number[];
  LongLivedPorts: readonly number[];
  ClientOnly: boolean;
  // onion services
  HiddenServiceDir: readonly HiddenServiceOption[];
  // Their values are in HiddenServiceDir.
  HiddenServicePort: undefined;
  HiddenServiceVersion: undefined;
  HiddenServiceMaxStreams: undefined;
  HiddenServiceMaxStreamsCloseCircuit: undefined;
  HiddenServiceNumIntroductionPoints: undefined;
  HiddenServiceEnableIntroDoSDefense: undefined;
  HiddenServiceEnableIntroDoSRatePerSec: undefined;
  HiddenServiceEnableIntroDoSBurstPerSec: undefined;
  HiddenServiceAllowUnknownPorts: undefined;
  ClientOnionAuthDir: string | undefined;
}
