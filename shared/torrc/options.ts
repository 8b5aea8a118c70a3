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
  /** `unix:` path, when given. */
  readonly unix?: string;
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
  DisableNetwork: boolean;
  ClientUseIPv6: boolean;
  // relay
  ORPort: readonly PortOption[];
  DirPort: readonly PortOption[];
  Address: readonly string[];
  /** Source address of every outgoing connection. */
  OutboundBindAddress: readonly string[];
  ExitRelay: boolean | 'auto';
  /** Lines in order, each possibly with commas, as written. */
  ExitPolicy: readonly string[];
  ExitPolicyRejectPrivate: boolean;
  IPv6Exit: boolean;
  MyFamily: readonly string[];
  BandwidthRate: number;
  BandwidthBurst: number;
  RelayBandwidthRate: number;
  RelayBandwidthBurst: number;
  MaxAdvertisedBandwidth: number;
  DirCache: boolean;
  AssumeReachable: boolean;
  PublishServerDescriptor: boolean;
  ServerDNSResolvConfFile: string | undefined;
  ServerDNSAllowNonRFC953Hostnames: boolean;
  ExtendAllowPrivateAddresses: boolean;
  ClientRejectInternalAddresses: boolean;
  RefuseUnknownExits: boolean | 'auto';
  ShutdownWaitLength: number;
  NumCPUs: number;
  MaxMemInQueues: number;
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
  StrictNodes: boolean;
  AllowInvalidNodes: readonly string[];
  UseEntryGuards: boolean;
  NumEntryGuards: number;
  NumDirectoryGuards: number;
  GuardLifetime: number;
  MaxCircuitDirtiness: number;
  NewCircuitPeriod: number;
  CircuitBuildTimeout: number;
  LearnCircuitBuildTimeout: boolean;
  CircuitStreamTimeout: number;
  MaxClientCircuitsPending: number;
  LongLivedPorts: readonly number[];
  ClientOnly: boolean;
}
