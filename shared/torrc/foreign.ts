/**
 * Options that C tor 0.4.9 knows and Cepa does not serve, so that an operator who brings a torrc along is told what
 * becomes of each line. (Names from C tor: config.c, *_options.inc.)
 *
 * @module
 */

/**
 * What they ask for would silently not happen: an error. But for the values behind `=`, with which they ask for nothing,
 * or for what Cepa does anyway.
 */
const UNSERVED = `
  AddressDisableIPv6=0 AllowNonRFC953Hostnames AlternateBridgeAuthority AlternateDirAuthority
  AuthDirBadExitCCs AuthDirHasIPv6Connectivity=0 AuthDirInvalidCCs AuthDirListMiddleOnly=0
  AuthDirMiddleOnlyCCs AuthDirRejectCCs AuthDirVoteGuard AutomapHostsOnResolve=0 AutomapHostsSuffixes
  Bridge BridgeAuthoritativeDir=0 BridgeDistribution BridgePassword BridgeRecordUsageByCountry
  BridgeRelay=0 CacheDirectory CircuitPadding=0 ClientDNSRejectInternalAddresses=1
  ClientPreferIPv6DirPort=0|auto ClientPreferIPv6ORPort=0|auto ClientTransportPlugin ClientUseIPv4=1
  CompiledProofOfWorkHash ConfluxClientUX ConfluxEnabled=0|auto ControlPort=0
  ControlPortFileGroupReadable=0 ControlPortWriteToFile ControlSocket=0 ControlSocketsGroupWritable=0
  CookieAuthFile CookieAuthFileGroupReadable=0 CookieAuthentication=0|1 DNSPort=0 DirAuthorityFallbackRate
  DirPolicy Dormant DormantCanceledByStartup=0|1 DormantClientTimeout
  DormantOnFirstStartup=0 DormantTimeoutDisabledByIdleStreams DormantTimeoutEnabled=0
  ExitPolicyRejectLocalInterfaces=0 ExtORPort=0 ExtORPortCookieAuthFile
  ExtORPortCookieAuthFileGroupReadable=0 ExtendByEd25519ID=auto|1 FascistFirewall=0
  FetchHidServDescriptors=1 FetchServerDescriptors=1 FetchUselessDescriptors=0 FirewallPorts
  GuardfractionFile HSLayer2Nodes HSLayer3Nodes HTTPProxy HTTPProxyAuthenticator HTTPSProxy
  HTTPSProxyAuthenticator HashedControlPassword HiddenServiceDirGroupReadable=0
  HiddenServiceExportCircuitID HiddenServiceNonAnonymousMode=0 HiddenServiceOnionBalanceInstance=0
  HiddenServiceOptions HiddenServicePoWDefensesEnabled=0 HiddenServicePoWQueueBurst
  HiddenServicePoWQueueRate HiddenServiceSingleHopMode=0 KeyDirectory MapAddress MaxConsensusAgeForDiffs=0
  MaxHSDirCacheBytes=0 MinimalAcceptedServerVersion MinutesSinceUserActivity NATDPort=0
  NumPrimaryGuards=0 OutboundBindAddressPT PathBiasCircThreshold PathBiasDropGuards=0
  PathBiasExtremeRate PathBiasExtremeUseRate PathBiasNoticeRate PathBiasNoticeUseRate
  PathBiasScaleThreshold PathBiasScaleUseThreshold PathBiasUseThreshold PathBiasWarnRate
  PublishHidServDescriptors=1 ReachableAddresses ReachableDirAddresses ReachableORAddresses
  ReconfigDropsBridgeDescs=0 ReducedCircuitPadding=0|1 ReevaluateExitPolicy=0
  RunAsDaemon=0 SSLKeyLifetime=0 Sandbox=0 ServerDNSSearchDomains=0 ServerTransportListenAddr
  ServerTransportOptions ServerTransportPlugin Socks4Proxy Socks5Proxy Socks5ProxyPassword
  Socks5ProxyUsername SyslogIdentityTag TCPProxy TestingAuthKeyLifetime TestingAuthKeySlop
  TestingDirAuthVoteExitIsStrict=0 TestingDirAuthVoteGuardIsStrict=0 TestingDirAuthVoteHSDirIsStrict=0
  TestingLinkCertLifetime TestingLinkKeySlop TestingMinExitFlagThreshold=0 TestingSigningKeySlop
  TrackHostExits TrackHostExitsExpire TransPort=0 TransProxyType=default UnixSocksGroupWritable=0
  UpdateBridgesFromAuthority=0 UseBridges=0 UseGuardFraction=0|auto User V3AuthUseLegacyKey=0
  VanguardsLiteEnabled=1|auto VirtualAddrNetworkIPv4 VirtualAddrNetworkIPv6
  __AllDirActionsPrivate=0 __AlwaysCongestionControl=0 __DisablePredictedCircuits=0
  __DisableSignalHandlers=0 __HashedControlSessionPassword __LeaveStreamsUnattached=0 __OwningControllerFD
  __OwningControllerProcess __ReloadTorrcOnSIGHUP=1 __SbwsExit=0
`;

/** They tune how C tor works, and nothing is lost without them: a warning. */
const TUNING = `
  AvoidDiskWrites CacheDirectoryGroupReadable CellStatistics CircuitPriorityHalflife
  ConnDirectionStatistics ConnLimit ConstrainedSockSize ConstrainedSockets DataDirectoryGroupReadable
  DirReqStatistics DisableAllSwap DisableDebuggerAttachment DisableOOSCheck EntryStatistics
  ExitPortStatistics ExtraInfoStatistics GeoIPExcludeUnknown GeoIPFile GeoIPv6File HardwareAccel AccelName
  AccelDir HiddenServiceStatistics KISTSchedRunInterval KISTSockBufSizeFactor KeepBindCapabilities
  KeepalivePeriod KeyDirectoryGroupReadable LogMessageDomains LogTimeGranularity MainloopStats
  MaxUnparseableDescSizeToLog NoExec OverloadStatistics PaddingStatistics PerConnBWBurst PerConnBWRate
  ProtocolWarnings RephistTrackTime Schedulers ServerDNSAllowBrokenConfig ServerDNSDetectHijacking
  ServerDNSRandomizeCase ServerDNSTestAddresses TestingEnableCellStatsEvent TestingEnableConnBwEvent
  TokenBucketRefillInterval TruncateLogFile UseMicrodescriptors TestingServerDownloadInitialDelay
  TestingClientDownloadInitialDelay TestingServerConsensusDownloadInitialDelay
  TestingClientConsensusDownloadInitialDelay TestingBridgeDownloadInitialDelay
  TestingBridgeBootstrapDownloadInitialDelay TestingClientMaxIntervalWithoutRequest
  TestingDirConnectionMaxStall TestingMinTimeToReportBandwidth
  ClientBootstrapConsensusAuthorityDownloadInitialDelay
  ClientBootstrapConsensusAuthorityOnlyDownloadInitialDelay
  ClientBootstrapConsensusFallbackDownloadInitialDelay ClientBootstrapConsensusMaxInProgressTries
  UseDefaultFallbackDirs CountPrivateBandwidth AuthDirTestEd25519LinkKeys AuthDirRejectRequestsUnderLoad
  DownloadExtraInfo FetchDirInfoEarly FetchDirInfoExtraEarly PathsNeededToBuildCircuits
`;

/** C tor itself ignores them: a warning. */
const OBSOLETE = `
  AllowDotExit AllowSingleHopCircuits AllowSingleHopExits AlternateHSAuthority AndroidIdentityTag
  AuthDirBadDir AuthDirBadDirCCs AuthDirListBadDirs AuthDirMaxServersPerAuthAddr AuthDirRejectUnlisted
  CircuitIdleTimeout ClientAutoIPv6ORPort ClientBootstrapConsensusAuthorityOnlyMaxDownloadTries
  ClientBootstrapConsensusMaxDownloadTries CloseHSClientCircuitsImmediatelyOnTimeout
  CloseHSServiceRendCircuitsImmediatelyOnTimeout ControlListenAddress DNSListenAddress DirListenAddress
  DisableIOCP DisableV2DirectoryInfo_ DynamicDHGroups ExcludeSingleHopRelays FallbackNetworkstatusFile
  FastFirstHopPK FetchV2Networkstatus Group HidServAuth HidServDirectoryV2 HiddenServiceAuthorizeClient
  MaxOnionsPending NATDListenAddress NamingAuthoritativeDirectory ORListenAddress OptimisticData
  PathBiasDisableRate PathBiasMultFactor PathBiasScaleFactor PathBiasUseCloseCounts PortForwarding
  PortForwardingHelper PredictedPortsRelevanceTime PreferTunneledDirConns RecommendedPackages RunTesting
  SchedulerHighWaterMark__ SchedulerLowWaterMark__ SchedulerMaxFlushCells__ SocksListenAddress
  StrictEntryNodes StrictExitNodes Support022HiddenServices TLSECGroup TestingCertMaxDownloadTries
  TestingConsensusMaxDownloadTries TestingDescriptorMaxDownloadTries TestingEnableTbEmptyEvent
  TestingEstimatedDescriptorPropagationTime TestingMicrodescMaxDownloadTries Tor2webMode
  Tor2webRendezvousPoints TransListenAddress TunnelDirConns UseEntryGuardsAsDirGuards
  UseFilteringSSLBufferevents UseNTorHandshake UserspaceIOCPBuffers V1AuthoritativeDirectory
  V2AuthoritativeDirectory VoteOnHidServDirectoriesV2 __UseFilteringSSLBufferevents
`;

/** What becomes of an option that is C tor's and not Cepa's. */
export interface Foreign {
  readonly name: string;
  readonly what: 'unserved' | 'tuning' | 'obsolete';
  /** Values that ask for nothing, in lower case. */
  readonly harmless: readonly string[];
}

function listed(): Map<string, Foreign> {
  const all = new Map<string, Foreign>();
  const add = (names: string, what: Foreign['what']) => {
    for (const entry of names.trim().split(/\s+/)) {
      const [name = '', values] = entry.split('=');
      all.set(name.toLowerCase(), { name, what, harmless: values?.split('|') ?? [] });
    }
  };
  add(UNSERVED, 'unserved');
  add(TUNING, 'tuning');
  add(OBSOLETE, 'obsolete');
  return all;
}

const FOREIGN = listed();

/** C tor's option of that name, if it is one that Cepa does not serve. */
export const foreignOption = (name: string): Foreign | undefined => FOREIGN.get(name.toLowerCase());
