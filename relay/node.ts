/**
 * A relay, put together and running.
 *
 * @module
 */
import { toBase64Bare, toHex } from '../shared/bytes/text.js';
import { DestroyReason } from '../shared/cell/commands.js';
import type { RelayKeys } from '../shared/crypto/relay-keys.js';
import { loadOrCreateRelayKeys } from '../shared/crypto/relay-keys.js';
import { DirCache } from '../shared/dir/cache.js';
import { FrontPage } from '../shared/dir/front-page.js';
import type { DirServer } from '../shared/dir/server.js';
import { BandwidthLimiter, limitsOf } from '../shared/limits/bandwidth-limit.js';
import { LimitedTransport } from '../shared/limits/limited-transport.js';
import { ceilingOf, MemoryCeiling } from '../shared/limits/memory-ceiling.js';
import { MeteredTransport } from '../shared/limits/metered-transport.js';
import { createChannelManager, type LinkManager, type PeerNews } from '../shared/link/manager.js';
import type { Channel } from '../shared/link/types.js';
import type { Consensus, RelayId } from '../shared/netdoc/types.js';
import type { Env } from '../shared/runtime/env.js';
import type { Options } from '../shared/torrc/options.js';
import type { AccountingState } from './accounting.js';
import { Authorities, exchangeTimeout } from './authorities.js';
import { BandwidthHistory } from './bandwidth.js';
import { loadBandwidth, saveBandwidth } from './bandwidth-state.js';
import { buildOwnDocuments } from './descriptor.js';
import { DirManager, PUBLIC_DIR_TIMES, TESTING_DIR_TIMES } from './dir-manager.js';
import { cacheDirServer } from './dir-server.js';
import { DosDefences } from './dos.js';
import { DosParams } from './dos-params.js';
import { Drain } from './drain.js';
import { Exit } from './exit.js';
import { exitRulesOf } from './exit-rules.js';
import { ExitStats } from './exit-stats.js';
import { OwnFamilyKeys } from './family-keys.js';
import { writeFingerprints } from './fingerprint-files.js';
import { Heartbeat } from './heartbeat.js';
import { Hibernation } from './hibernation.js';
import { HsDirStore } from './hs-dir.js';
import { keyOptionsOf, rotateKeys } from './key-options.js';
import { extendRulesOf, linksBy } from './link-config.js';
import { registerRelayMetrics } from './metrics.js';
import { Network } from './network.js';
import { PortSet } from './port-set.js';
import { linkSource } from './ports.js';
import { type OwnDocuments, PUBLIC_TIMES, Publisher, TESTING_TIMES } from './publish.js';
import type { RelayExtras, RelayNode, RelayStatus } from './relay-node.js';
import { RELOADABLE, stepsOf, takeOver } from './reload.js';
import { Rounds } from './rounds.js';
import { SelfAddress } from './self.js';
import { assumedReachable, SelfTest } from './self-test.js';
import { serveStream } from './streams.js';
import { CircuitSwitch } from './switch.js';

export type { RelayExtras, RelayNode, RelayStatus } from './relay-node.js';

/** Milliseconds between looks at keys that may be due for rotation and at names in `Address`, and between saves. */
const HOUSEKEEPING = 600_000;

/** Bytes of onion-service descriptors a relay holds: some thousands of them. */
const MAX_HSDIR_BYTES = 256 * 1024 * 1024;

/** Starts a relay. Rejects when keys cannot be read or a port cannot be opened. */
export async function startRelay(options: Options, env: Env, extras: RelayExtras = {}): Promise<RelayNode> {
  const log = env.log.child('relay');
  const keys = extras.keys ?? (await loadOrCreateRelayKeys(env.store, env, keyOptionsOf(options)));
  const relay = new Relay(options, { ...env, log }, keys, extras);
  await relay.start();
  return relay;
}

class Relay implements RelayNode {
  readonly keys: RelayKeys;
  readonly fingerprint: RelayId;
  readonly channels: LinkManager;
  readonly cache: DirCache;
  private readonly options: Options;
  private readonly env: Env;
  private started: number;
  private readonly network: Network;
  private readonly history: BandwidthHistory;
  private readonly limiter: BandwidthLimiter;
  private readonly accounting: Hibernation;
  private readonly address: SelfAddress;
  private readonly memory: MemoryCeiling;
  private readonly circuits: CircuitSwitch;
  private readonly defences: DosDefences;
  private readonly exit: Exit;
  private readonly exitStats = new ExitStats();
  private readonly exitRules: ReturnType<typeof exitRulesOf>;
  private readonly authorities: Authorities;
  private readonly selfTest: SelfTest;
  private readonly publisher: Publisher;
  private readonly heartbeat: Heartbeat;
  private readonly dirManager: DirManager | undefined;
  private readonly dirServer: DirServer | undefined;
  private readonly page: FrontPage;
  private readonly hsDir: HsDirStore | undefined;
  private readonly ports: PortSet;
  private readonly familyKeys: OwnFamilyKeys;
  private readonly housekeeping: Rounds;
  private stopping: Promise<void> | undefined;
  private readonly drain: Drain;

  constructor(options: Options, env: Env, keys: RelayKeys, extras: RelayExtras) {
    this.options = options;
    this.env = env;
    this.keys = keys;
    this.fingerprint = toHex(keys.rsaId);
    this.started = env.clock.monotonic();
    this.familyKeys = new OwnFamilyKeys(options, env);
    this.history = new BandwidthHistory(env.clock);
    this.cache = extras.cache ?? new DirCache();
    this.network = new Network(this.cache);
    this.address = new SelfAddress(options, env.log, () => this.publisher.changed('the address changed'));
    this.limiter = new BandwidthLimiter(env.clock, limitsOf(options));
    const limited = new LimitedTransport(env.transport, this.limiter);
    this.accounting = new Hibernation({
      ...env,
      identity: keys.rsaId,
      changed: (state) => this.accountingChanged(state),
    });
    this.memory = new MemoryCeiling({
      ...env,
      ceiling: () => ceilingOf(options, env.memory),
      used: () => this.memoryUsed,
      circuits: () => this.circuits.all,
      links: () => this.channels.channels,
      streams: () => this.exit.left,
    });
    const meters = [this.history, this.accounting, this.memory];
    const metered = { ...env, transport: new MeteredTransport(limited, ...meters) };
    const localHost = linkSource(options);
    this.exitRules = exitRulesOf(options, this.address, this.network);
    const resolver = this.exitStats.counted(env.resolver);
    const exitEnv = { ...metered, resolver, network: this.network, stats: this.exitStats };
    this.exit = new Exit(exitEnv, this.exitRules);
    this.hsDir =
      options.DirCache && !extras.dirServer
        ? new HsDirStore({ ...env, param: this.network.param, maxBytes: MAX_HSDIR_BYTES })
        : undefined;
    this.page = extras.page ?? new FrontPage(env);
    this.dirServer =
      extras.dirServer ??
      (options.DirCache
        ? cacheDirServer(this.cache, env, this.fingerprint, this.page, this.hsDir)
        : undefined);
    const services = {
      exit: this.exit,
      resolver,
      stats: this.exitStats,
      names: this.exitRules,
      dirServer: () => this.dirServer,
      hibernating: () => this.hibernating,
    };
    const dos = new DosParams(options, this.network.param);
    this.defences = new DosDefences({
      ...env,
      dos,
      isRelay: (host) => this.network.isRelayHost(host),
    });
    this.circuits = new CircuitSwitch({
      ...env,
      keys,
      defences: this.defences,
      asked: (channel) => this.selfTest.asked(channel),
      param: dos.param,
      channels: { get: (target) => this.channels.get(target) },
      extendRules: extendRulesOf(options, this.address, this.network),
      stream: (stream, from) => serveStream(stream, from, services),
      hibernating: () => this.hibernating,
    });
    this.channels = createChannelManager(metered, {
      credentials: () => keys.link(),
      handler: this.circuits,
      ownAddresses: () => this.address.all,
      ...linksBy(this.network),
      admit: (host) => this.defences.admit(host),
      opened: (channel, news) => this.linkOpened(channel, news),
      ...(localHost !== undefined && { localHost }),
    });
    this.ports = new PortSet({
      transport: metered.transport,
      channels: this.channels,
      address: this.address,
      dirServer: () => this.dirServer,
      opened: (what, { host, port }) => env.report?.({ type: 'listening', what, host, port }),
    });
    this.authorities = new Authorities(options.DirAuthority, {
      ...metered,
      localHost,
      timeout: exchangeTimeout(options),
      addressSeen: (host) => this.address.suggest(host),
    });
    this.selfTest = this.makeSelfTest(extras.dirServer !== undefined);
    this.publisher = this.makePublisher();
    this.drain = new Drain(env.clock, () => this.circuits.count);
    this.housekeeping = new Rounds({
      ...env,
      task: 'renew keys or save the bandwidth history',
      every: HOUSEKEEPING,
      round: () => this.rotateAndSave(),
    });
    this.heartbeat = new Heartbeat({
      ...env,
      period: () => options.HeartbeatPeriod,
      status: () => this.status(),
      links: () => this.channels.count,
      flags: () => this.ownStatus().router?.flags,
    });
    this.dirManager = extras.dirServer ? undefined : this.makeDirManager();
  }

  private get memoryUsed(): number {
    return this.channels.memory + this.circuits.streamMemory + this.exit.leftMemory;
  }

  private showMetrics(): void {
    const { env, options, limiter, channels, exitStats, keys, accounting } = this;
    if (!env.metrics) return;
    registerRelayMetrics(env.metrics, {
      status: () => this.status(),
      links: channels.stats,
      channels: () => channels.channels,
      limiter,
      exit: exitStats,
      memory: () => ({ used: this.memoryUsed, limit: this.memory.limit }),
      router: () => this.ownStatus().router,
      signingExpires: () => keys.signing.expires,
      accounting: () => accounting.usage && { used: accounting.usage.used, max: options.AccountingMax },
      reachable: () => ({ 4: this.selfTest.isReached(4), 6: this.selfTest.isReached(6) }),
    });
  }

  /** Whether nothing new is taken: the relay goes down, or its accounting says so. */
  private get hibernating(): boolean {
    return this.stopping !== undefined || this.accounting.state !== 'live';
  }

  /** What an authority proves to have seen of us counts; what anybody else says does not. */
  private linkOpened(channel: Channel, news: PeerNews): void {
    this.defences.opened(channel);
    this.selfTest.opened(channel, news.observedHost);
    const id = channel.peer.rsaId && toHex(channel.peer.rsaId);
    const isAuthority = this.options.DirAuthority.some((authority) => authority.fingerprint === id);
    if (isAuthority && news.observedHost !== undefined) this.address.suggest(news.observedHost);
  }

  /** Authorities vouch for themselves. */
  private makeSelfTest(isAuthority: boolean): SelfTest {
    const { env, options, cache, keys, address } = this;
    return new SelfTest({
      ...env,
      cache,
      keys,
      channels: { get: (target) => this.channels.get(target) },
      address: (family) => address.orAddress(family),
      assumed: (family) => isAuthority || assumedReachable(family, options, this.network.param),
      allowPrivate: () => options.ExtendAllowPrivateAddresses,
      found: () => this.publisher.retry(),
      awake: () => !this.hibernating,
      observed: () => this.history.observed(),
      rate: () => options.BandwidthRate,
      tested: () => this.publisher.tested(),
    });
  }

  private makePublisher(): Publisher {
    const { env, options, authorities } = this;
    return new Publisher({
      ...env,
      authorities,
      upload: () => options.PublishServerDescriptor && !options.DisableNetwork && this.selfTest.done,
      times: options.TestingTorNetwork ? TESTING_TIMES : PUBLIC_TIMES,
      build: () => this.build(),
      observed: () => this.history.observed(),
      complaint: () => this.complaint(),
      report: (event) => env.report?.(event),
    });
  }

  private makeDirManager(): DirManager {
    const { env, options, cache, authorities } = this;
    return new DirManager({
      ...env,
      cache,
      authorities,
      self: this.fingerprint,
      times: options.TestingTorNetwork ? TESTING_DIR_TIMES : PUBLIC_DIR_TIMES,
      isCache: options.DirCache,
      consensusChanged: (consensus) => this.consensusChanged(consensus),
    });
  }

  // Life

  async start(): Promise<void> {
    const { env, options, keys } = this;
    env.report?.({
      type: 'identity',
      nickname: options.Nickname,
      fingerprint: this.fingerprint,
      ed25519: toBase64Bare(keys.ed25519Id),
    });
    await writeFingerprints(env.store, options.Nickname, keys);
    await this.familyKeys.read();
    await this.page.read(options.DirPortFrontPage);
    await loadBandwidth(this.history, env.store, env.log);
    await this.dirManager?.load();
    await this.address.configure(env.resolver);
    await this.accounting.start(options);
    this.showMetrics();
    if (options.DisableNetwork || this.hibernating) this.ports.plan(options);
    else await this.open();
    this.publisher.start();
    if (!options.DisableNetwork && !this.hibernating) this.dirManager?.start();
    if (!options.DisableNetwork) this.selfTest.start();
    this.housekeeping.start();
    this.heartbeat.start();
  }

  private open(): Promise<void> {
    return this.ports.apply(this.options).catch(async (error: unknown) => {
      await this.close();
      throw error;
    });
  }

  private accountingChanged(state: AccountingState): void {
    if (this.stopping || this.options.DisableNetwork) return;
    this.sleepOrWake(state).catch((error: Error) => {
      this.env.log.error(`Cannot change ports with the accounting period: ${error.message}`);
    });
    this.publisher.changed(`hibernation: ${state}`);
  }

  private async sleepOrWake(state: AccountingState): Promise<void> {
    if (state === 'live') {
      this.started = this.env.clock.monotonic();
      this.dirManager?.start();
      await this.ports.apply(this.options);
      this.selfTest.retry();
      return;
    }
    this.dirManager?.stop();
    if (state === 'dormant') {
      this.circuits.closeAll(DestroyReason.HIBERNATING);
      this.channels.hangUp('hibernating');
    }
    await this.ports.close();
  }

  reload(next: Options): readonly string[] {
    const { names, described } = takeOver(this.options, next);
    this.limiter.adjust(limitsOf(this.options));
    if ((['AccountingMax', 'AccountingStart', 'AccountingRule'] as const).some((name) => names.has(name)))
      this.accounting.configure(this.options);
    if (names.has('HeartbeatPeriod')) this.heartbeat.start();
    this.replace(names).then(() => {
      if (described) this.publisher.changed('the configuration changed');
      this.publisher.retry();
    });
    return RELOADABLE;
  }

  private async replace(names: ReadonlySet<string>): Promise<void> {
    const { options, env, keys } = this;
    const step = stepsOf(env.log);
    if (names.has('ORPort') || names.has('DirPort')) {
      if (options.DisableNetwork || this.hibernating) this.ports.plan(options);
      else await step('The ports of the new configuration cannot be used', this.ports.apply(options));
    }
    await this.page.read(options.DirPortFrontPage);
    if (await this.familyKeys.reread()) this.publisher.changed('the family keys changed');
    if (names.has('Nickname'))
      await step('Cannot write the fingerprint files', writeFingerprints(env.store, options.Nickname, keys));
    if (names.has('Address') || names.has('ORPort')) await this.address.configure(env.resolver);
  }

  private async rotateAndSave(): Promise<void> {
    const { env, keys, history, network } = this;
    if (await this.address.configure(env.resolver)) this.publisher.changed('the address changed');
    if (await rotateKeys(keys, env.clock, network.param)) this.publisher.changed('keys were rotated');
    await saveBandwidth(history, env.store);
  }

  stop(graceful: boolean): Promise<void> {
    if (!graceful) this.drain.end();
    this.stopping ??= this.shutDown(graceful);
    return this.stopping;
  }

  private async shutDown(graceful: boolean): Promise<void> {
    const { env } = this;
    this.housekeeping.stop();
    this.heartbeat.stop();
    this.selfTest.stop();
    this.publisher.stop();
    this.dirManager?.stop();
    env.report?.({ type: 'stopping', reason: graceful ? 'asked to finish' : 'asked to stop' });
    await this.ports.close();
    if (graceful) await this.drain.done(this.options.ShutdownWaitLength);
    this.circuits.closeAll(DestroyReason.HIBERNATING);
    await this.close();
    await this.accounting.stop();
    await saveBandwidth(this.history, env.store);
  }

  private async close(): Promise<void> {
    await this.ports.close();
    await this.channels.close();
    await this.dirServer?.close();
    this.limiter.stop();
  }

  // What is known

  private build(): OwnDocuments | undefined {
    const documents = buildOwnDocuments({
      options: this.options,
      keys: this.keys,
      address: this.address,
      familyKeys: this.familyKeys.signers,
      policy: this.exitRules.policy,
      history: this.history,
      now: this.env.clock.now(),
      uptime: this.uptime,
      hibernating: this.hibernating,
      isDirectory: this.dirServer !== undefined,
      isAuthority: this.dirManager === undefined,
      isHsDir: this.hsDir !== undefined,
    });
    if (!documents) this.askForAddress();
    else {
      this.cache.addDescriptor(documents.parsed.descriptor);
      this.cache.addExtraInfo(documents.parsed.extraInfo);
    }
    return documents;
  }

  private askForAddress(): void {
    const { env, options } = this;
    env.log.info('no address is known yet to put into a descriptor; asking an authority');
    if (options.DisableNetwork) return;
    this.authorities.hearAddress(this.fingerprint).catch((error: Error) => {
      env.log.info('cannot ask an authority for our address', { error: error.message });
    });
  }

  private get uptime(): number {
    return Math.floor((this.env.clock.monotonic() - this.started) / 1000);
  }

  private ownStatus() {
    const consensus = this.cache.consensus('microdesc') ?? this.cache.consensus('ns');
    return { consensus, router: consensus?.routers.find((router) => router.id === this.fingerprint) };
  }

  private complaint(): string | undefined {
    const { consensus, router } = this.ownStatus();
    if (!consensus) return undefined;
    if (!router) return 'the consensus does not list this relay';
    return router.flags.has('StaleDesc') ? 'the authorities call it stale' : undefined;
  }

  private consensusChanged(consensus: Consensus): void {
    if (consensus.flavor !== 'microdesc') return;
    this.selfTest.retry();
    this.publisher.retry();
    const { validAfter, validUntil, routers } = consensus;
    this.env.report?.({ type: 'consensus', validAfter, validUntil, relays: routers.length });
  }

  descriptor(): OwnDocuments | undefined {
    return this.publisher.current;
  }

  republish(): void {
    this.publisher.changed('asked to');
  }

  status(): RelayStatus {
    const { consensus, router } = this.ownStatus();
    return {
      fingerprint: this.fingerprint,
      uptime: this.uptime,
      circuits: this.circuits.status(),
      defences: this.defences.counts,
      memory: this.memory.counts,
      exitStreams: this.exit.streams,
      hsDescriptors: this.hsDir?.count,
      publishedTo: this.publisher.acceptedBy.size,
      listed: router?.flags.has('Running') ?? false,
      consensusValidUntil: consensus?.validUntil,
      bandwidth: { ...this.history.totals, observed: this.history.observed() },
    };
  }
}
