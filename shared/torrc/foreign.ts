/**
 * Options that C tor 0.4.9 knows and Cepa does not serve, so that an operator who brings a torrc along is told what
 * becomes of each line. (Names from C tor: config.c, *_options.inc.)
 *
 * @module
 */

/** What they ask for would silently not happen: an error. */
const UNSERVED = `
  AddressDisableIPv6 AllowNonRFC953Hostnames AlternateBridgeAuthority AlternateDirAuthority
  AuthDirBadExitCCs AuthDirHasIPv6Connectivity AuthDirInvalidCCs AuthDirListMiddleOnly
  AuthDirMiddleOnlyCCs AuthDirRejectCCs AuthDirVoteGuard AutomapHostsOnResolve AutomapHostsSuffixes
  Bridge BridgeAuthoritativeDir BridgeDistribution BridgePassword BridgeRecordUsageByCountry BridgeRelay
  CacheDirectory CircuitPadding ClientDNSRejectInternalAddresses
  ClientPreferIPv6DirPort ClientPreferIPv6ORPort ClientTransportPlugin ClientUseIPv4
  CompiledProofOfWorkHash ConfluxClientUX ConfluxEnabled ControlPort
  ControlPortFileGroupReadable ControlPortWriteToFile ControlSocket ControlSocketsGroupWritable
  CookieAuthFile CookieAuthFileGroupReadable CookieAuthentication DNSPort DirAuthorityFallbackRate
  DirPolicy DirPortFrontPage Dormant DormantCanceledByStartup DormantClientTimeout DormantOnFirstStartup
  DormantTimeoutDisabledByIdleStreams DormantTimeoutEnabled ExitPolicyRejectLocalInterfaces ExtORPort
  ExtORPortCookieAuthFile ExtORPortCookieAuthFileGroupReadable ExtendByEd25519ID FascistFirewall
  FetchHidServDescriptors FetchServerDescriptors FetchUselessDescriptors FirewallPorts GuardfractionFile
  HSLayer2Nodes HSLayer3Nodes HTTPProxy HTTPProxyAuthenticator HTTPSProxy HTTPSProxyAuthenticator
  HashedControlPassword HiddenServiceDirGroupReadable HiddenServiceExportCircuitID
  HiddenServiceNonAnonymousMode HiddenServiceOnionBalanceInstance HiddenServiceOptions
  HiddenServicePoWDefensesEnabled HiddenServicePoWQueueBurst HiddenServicePoWQueueRate
  HiddenServiceSingleHopMode KeyDirectory MapAddress MaxConsensusAgeForDiffs MaxHSDirCacheBytes
  MaxOnionQueueDelay MinimalAcceptedServerVersion MinutesSinceUserActivity NATDPort NodeFamily
  NumPrimaryGuards OutboundBindAddressPT PathBiasCircThreshold PathBiasDropGuards PathBiasExtremeRate
  PathBiasExtremeUseRate PathBiasNoticeRate PathBiasNoticeUseRate PathBiasScaleThreshold
  PathBiasScaleUseThreshold PathBiasUseThreshold PathBiasWarnRate PublishHidServDescriptors
  ReachableAddresses ReachableDirAddresses ReachableORAddresses ReconfigDropsBridgeDescs
  ReducedCircuitPadding ReevaluateExitPolicy RejectPlaintextPorts RunAsDaemon
  SSLKeyLifetime Sandbox ServerDNSSearchDomains ServerTransportListenAddr ServerTransportOptions
  ServerTransportPlugin Socks4Proxy Socks5Proxy Socks5ProxyPassword Socks5ProxyUsername SyslogIdentityTag
  TCPProxy TestingAuthKeyLifetime TestingAuthKeySlop TestingDirAuthVoteExitIsStrict
  TestingDirAuthVoteGuardIsStrict TestingDirAuthVoteHSDirIsStrict TestingLinkCertLifetime
  TestingLinkKeySlop TestingMinExitFlagThreshold TestingSigningKeySlop TrackHostExits
  TrackHostExitsExpire TransPort TransProxyType UnixSocksGroupWritable UpdateBridgesFromAuthority
  UseBridges UseGuardFraction User V3AuthUseLegacyKey VanguardsLiteEnabled VirtualAddrNetworkIPv4
  VirtualAddrNetworkIPv6 WarnPlaintextPorts __AllDirActionsPrivate __AlwaysCongestionControl
  __DisablePredictedCircuits __DisableSignalHandlers __HashedControlSessionPassword
  __LeaveStreamsUnattached __OwningControllerFD __OwningControllerProcess __ReloadTorrcOnSIGHUP
  __SbwsExit
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
export type Foreign = 'unserved' | 'tuning' | 'obsolete';

function listed(): Map<string, { name: string; what: Foreign }> {
  const all = new Map<string, { name: string; what: Foreign }>();
  const add = (names: string, what: Foreign) => {
    for (const name of names.trim().split(/\s+/)) all.set(name.toLowerCase(), { name, what });
  };
  add(UNSERVED, 'unserved');
  add(TUNING, 'tuning');
  add(OBSOLETE, 'obsolete');
  return all;
}

const FOREIGN = listed();

/** C tor's option of that name, if it is one that Cepa does not serve. */
export const foreignOption = (name: string): { name: string; what: Foreign } | undefined =>
  FOREIGN.get(name.toLowerCase());
