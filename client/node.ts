/**
 * A client: everything in this folder, put together and started.
 *
 * @module
 */
import { CepaError } from '../shared/bytes/errors.js';
import { DestroyReason } from '../shared/cell/commands.js';
import type { ResolvedAnswer } from '../shared/cell/relay-cells.js';
import { BeginFlag } from '../shared/cell/relay-cells.js';
import { DirCache } from '../shared/dir/cache.js';
import { isReasonablyLive } from '../shared/dir/verify.js';
import { consensusLimits } from '../shared/link/limits.js';
import { createChannelManager, type LinkManager } from '../shared/link/manager.js';
import type { Stream } from '../shared/onion/types.js';
import type { Env } from '../shared/runtime/env.js';
import type { Listener, Timer } from '../shared/runtime/types.js';
import type { Options, PortOption } from '../shared/torrc/options.js';
import { ipBytes, parseHost, reverseName } from './address.js';
import { Bootstrap } from './bootstrap.js';
import { BuildTimes, buildTimeoutParams } from './build-timeout.js';
import { CircuitManager } from './circuits.js';
import type { CircuitInfo, ClientNode, ClientStatus } from './client-node.js';
import { DirManager } from './dir-manager.js';
import { DirSources } from './dir-sources.js';
import { StreamError } from './failure.js';
import { guardParams } from './guard-params.js';
import { GuardManager } from './guards.js';
import { HeldStream } from './held-stream.js';
import { loadOnionFiles, Onion, type OnionFiles } from './hs/onion.js';
import { isInternal, isInternalHost } from './internal-address.js';
import type { Isolation } from './isolation.js';
import { ClientLimits, LIMIT_OPTIONS } from './limits.js';
import { availability, idleLinks, paddingOf } from './link-life.js';
import type { Network } from './network.js';
import { originFactory } from './origin-factory.js';
import { pathRulesOf } from './path.js';
import type { PooledCircuit } from './pool.js';
import { Predictor } from './predictor.js';
import { dispatch, ownIsolation } from './requester.js';
import { loadSaved, Saver } from './saved.js';
import { type Requester, SocksServer } from './socks-server.js';
import { type StreamClient, StreamManager, type StreamRequest, type StreamTarget } from './streams.js';

export type { CircuitInfo, ClientNode, ClientStatus } from './client-node.js';

/** How often the managers are asked what is due, milliseconds. */
const TICK = 1000;
/** A difference to a relay's clock that is worth a warning, milliseconds (C tor: NETINFO_NOTICE_SKEW). */
const CLOCK_SKEW = 3_600_000;

/** Options that can change while it runs. */
const ONION_OPTIONS = ['HiddenServiceDir', 'ClientOnionAuthDir'] as const;

/** Starts a client: opens its ports, loads its state, begins to bootstrap. Rejects when the configuration cannot be honoured or a port not be opened. */
export async function startClient(options: Options, env: Env): Promise<ClientNode> {
  const rules = pathRulesOf(options);
  const saved = await loadSaved(env.store, env.log);
  const files = await loadOnionFiles(options, env);
  const client = new Client(options, env, rules, saved, files);
  await client.start();
  return client;
}

class Client implements ClientNode {
  readonly ports: { kind: 'socks' | 'http'; host: string; port: number }[] = [];
  private readonly options: Options;
  private readonly env: Env;
  private readonly limits: ClientLimits;
  private readonly channels: LinkManager;
  private readonly guards: GuardManager;
  private readonly buildTimes: BuildTimes;
  private readonly streams: StreamManager;
  private readonly circuitManager: CircuitManager;
  private readonly sources: DirSources;
  private readonly directory: DirManager;
  private readonly bootstrap: Bootstrap;
  private readonly requester: Requester;
  private readonly onion: Onion;
  private readonly saver: Saver;
  private readonly servers: SocksServer[] = [];
  private readonly listeners: Listener[] = [];
  private readonly rules: ReturnType<typeof pathRulesOf>;
  private readonly brokenExits = new Set<string>();
  private network: Network | undefined;
  private timer: Timer | undefined;
  private warnedOfClock = false;
  private stopped = false;
  private reloading: Promise<void> = Promise.resolve();

  constructor(
    options: Options,
    env: Env,
    rules: ReturnType<typeof pathRulesOf>,
    saved: Awaited<ReturnType<typeof loadSaved>>,
    files: OnionFiles,
  ) {
    const { clock, random, log, store, resolver } = env;
    this.options = options;
    this.env = env;
    this.rules = rules;
    this.bootstrap = new Bootstrap(log, env.report);
    const param = (name: string, fallback: number, min = 0, max = 2 ** 31 - 1): number =>
      this.network ? this.network.param(name, fallback, min, max) : Math.min(max, Math.max(min, fallback));
    this.limits = new ClientLimits(options, env, {
      links: () => this.channels,
      applications: () => this.servers.flatMap((server) => [...server.applications]),
    });
    this.channels = this.makeChannels(param);
    const { circuits, leaving } = this.limits;
    const circuitEnv = { clock, random, log: log.child('circuit'), circuits };
    const factory = originFactory(circuitEnv, this.channels, param);
    this.guards = new GuardManager(guardParams(undefined, options), random, saved.guards);
    this.buildTimes = new BuildTimes(buildTimeoutParams(param, options), saved.times, random);
    this.saver = new Saver(store, log, this.guards, this.buildTimes);
    const predictor = new Predictor(clock.monotonic(), () => availability(options, param, random));
    const common = { clock, random, log, options, rules, predictor };
    this.streams = new StreamManager(
      { ...common, longLivedPorts: rules.longLivedPorts, brokenExits: this.brokenExits },
      () => this.circuitManager,
    );
    this.circuitManager = new CircuitManager(
      { ...common, factory, guards: this.guards, buildTimes: this.buildTimes },
      {
        changed: () => this.streams.changed(),
        hop: () => this.bootstrap.reached('circuit_create'),
        built: (circuit) => {
          if (circuit.kind === 'exit') this.bootstrap.reached('done');
          this.reportCircuit('built', circuit);
        },
        used: (circuit) => this.reportCircuit('used', circuit),
        gone: (circuit) => this.reportCircuit('closed', circuit),
      },
    );
    this.sources = new DirSources({
      ...common,
      resolver,
      guards: this.guards,
      factory,
      onHop: () => this.bootstrap.reached('requesting_status'),
    });
    this.directory = new DirManager({
      ...common,
      store,
      cache: new DirCache(),
      sources: this.sources,
      onNetwork: (network) => this.tookNetwork(network),
      onMicrodescs: () => this.review(),
      onStep: (step) => this.bootstrap.directory(step),
    });
    this.onion = new Onion(
      {
        ...common,
        log: log.child('onion'),
        transport: env.transport,
        resolver,
        report: env.report,
        guards: this.guards,
        buildTimes: this.buildTimes,
        channels: this.channels,
        circuits,
        leaving,
        param,
        network: () => this.circuitManager.network,
      },
      files,
    );
    this.requester = dispatch(clock, this.streams, this.onion.client);
  }

  private makeChannels(
    param: (name: string, fallback: number, min: number, max: number) => number,
  ): LinkManager {
    const { clock, random, log } = this.env;
    const { OutboundBindAddress, OutboundBindAddressOR } = this.options;
    const [localHost] = [...OutboundBindAddressOR, ...OutboundBindAddress].filter(
      (host) => !host.includes(':'),
    );
    return createChannelManager(
      { clock, random, transport: this.limits.transport, log: log.child('link') },
      {
        // A client carries nobody's circuits.
        handler: { create: (leg) => leg.destroy(DestroyReason.PROTOCOL), closed() {} },
        ...(localHost !== undefined && { localHost }),
        limits: () => ({ ...consensusLimits(param), ...idleLinks(this.options) }),
        padding: paddingOf(this.options, param),
        opened: (_channel, { skew }) => {
          this.bootstrap.reached(this.circuitManager.ready ? 'ap_handshake_done' : 'handshake_done');
          this.checkClock(skew);
        },
      },
    );
  }

  /** A clock that is far off makes documents look expired or not yet valid: say so before anybody wonders. */
  private checkClock(skew: number | undefined): void {
    if (skew === undefined || Math.abs(skew) < CLOCK_SKEW || this.warnedOfClock) return;
    this.warnedOfClock = true;
    const minutes = Math.round(Math.abs(skew) / 60_000);
    this.env.log.warn(
      `A relay's clock says that ours is ${minutes} minutes ${skew > 0 ? 'ahead' : 'behind'}: please check it.`,
    );
  }

  // Life

  async start(): Promise<void> {
    const { options, env } = this;
    this.bootstrap.reached('starting');
    if (options.DirAuthority.length === 0)
      throw new CepaError('client/config', 'no DirAuthority is configured: there is nobody to trust');
    if (options.DisableNetwork)
      env.log.notice('DisableNetwork is set: no port is opened, and no connection made.');
    else await this.goOnline();
    // Without network, too: what is asked for fails in its time.
    this.tick();
  }

  private async goOnline(): Promise<void> {
    const { SocksPort, HTTPTunnelPort } = this.options;
    try {
      for (const port of SocksPort) await this.listen('socks', port);
      for (const port of HTTPTunnelPort) await this.listen('http', port);
      await this.directory.load();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.directory.start();
  }

  private async listen(kind: 'socks' | 'http', option: PortOption): Promise<void> {
    if (option.port === 0) return;
    const host = option.host ?? '127.0.0.1';
    const { clock, log, transport, report } = this.env;
    if (!/^(127\.|::1$)/.test(host))
      log.warn(`The ${kind} port is open to other machines (${host}): anybody who can connect can use it.`);
    const server = new SocksServer(
      { clock, log, transport, options: this.options, requester: this.requester, tunnel: kind === 'http' },
      option,
    );
    const port = option.port === 'auto' ? 0 : option.port;
    const listener = await server.listen(host, port).catch((cause: Error) => {
      throw new CepaError('client/listen', `cannot open ${kind} port ${host}:${port}: ${cause.message}`, {
        cause,
      });
    });
    this.servers.push(server);
    this.listeners.push(listener);
    this.ports.push({ kind, ...listener.local });
    log.notice(
      `Listening for ${kind === 'socks' ? 'SOCKS' : 'HTTP CONNECT'} on ${listener.local.host}:${listener.local.port}`,
    );
    report?.({ type: 'listening', what: kind, ...listener.local });
  }

  private tick(): void {
    this.streams.tick();
    this.circuitManager.tick();
    this.sources.tick();
    this.review();
    this.onion.tick();
    void this.saver.save(this.env.clock.monotonic());
    this.timer = this.env.clock.setTimer(TICK, () => this.tick());
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.timer?.cancel();
    this.directory.stop();
    this.onion.stop();
    this.streams.stop();
    await Promise.all(this.servers.map((server) => server.close()));
    this.circuitManager.stop();
    this.sources.stop();
    await this.channels.close();
    this.limits.stop();
    await this.saver.save(this.env.clock.monotonic(), true);
  }

  // The network

  private tookNetwork(network: Network): void {
    const { rules, options, env } = this;
    const { consensus } = network;
    const now = env.clock.now();
    this.network = network;
    this.brokenExits.clear();
    const passes = (relay: (typeof network.relays)[number]): boolean =>
      !rules.exclude.has(relay.status) && (rules.entry.empty || rules.entry.has(relay.status));
    this.guards.setNetwork(network, passes, guardParams(network, options), now, now <= consensus.validUntil);
    this.buildTimes.setParams(
      buildTimeoutParams((name, fallback, min, max) => network.param(name, fallback, min, max), options),
    );
    const { validAfter, validUntil } = consensus;
    env.report?.({ type: 'consensus', validAfter, validUntil, relays: network.relays.length });
    this.review();
  }

  /** Whether enough is known, of now, to build circuits (path-spec 2.1.0). */
  private review(): void {
    const { network, guards, env, circuitManager } = this;
    const usable =
      network !== undefined &&
      isReasonablyLive(network.consensus, env.clock.now()) &&
      network.enoughKnown() &&
      guards.missingDescriptors().length === 0;
    if (usable === circuitManager.ready && (!usable || circuitManager.network === network)) return;
    if (!usable && network && circuitManager.ready)
      env.log.warn('What is known of the network is too little or too old: no new circuits are built.');
    circuitManager.setNetwork(usable ? network : undefined);
    if (!usable) return;
    this.bootstrap.reached('enough_dirinfo');
    this.bootstrap.reached('ap_conn');
    circuitManager.tick();
    this.onion.tick();
  }

  /** Takes over what can change while running: limits; onion services and the keys for those of others, read anew. */
  reload(next: Options): readonly (keyof Options)[] {
    this.limits.reload(next);
    // One after the other: the last word counts.
    this.reloading = this.reloading.then(() => this.reloadOnion(next));
    return [...LIMIT_OPTIONS, ...ONION_OPTIONS];
  }

  private async reloadOnion(next: Options): Promise<void> {
    const { env, options } = this;
    try {
      const files = await loadOnionFiles(next, env);
      for (const name of ONION_OPTIONS) Object.assign(options, { [name]: next[name] });
      if (!this.stopped) this.onion.reconfigure(files);
      const { services, clientKeys } = files;
      env.log.info('read onion services anew', { services: services.length, keys: clientKeys.size });
    } catch (error) {
      env.log.error(
        `Onion services and client authorizations stay as they were: ${(error as Error).message}`,
      );
    }
  }

  private reportCircuit(state: 'built' | 'used' | 'closed', { id, kind, path }: PooledCircuit): void {
    this.env.report?.({ type: 'circuit', id, state, kind, path: path.map((relay) => relay.id) });
  }

  // Requests

  open(target: StreamTarget, isolation: Isolation, client: StreamClient): StreamRequest {
    return this.requester.request(target, isolation, client);
  }

  connect(name: string, port: number, isolation = ''): Promise<Stream> {
    const host = parseHost(name);
    if (!host || !Number.isInteger(port) || port < 1 || port > 65535)
      return Promise.reject(new StreamError('address-unsupported', 'not a host and port'));
    if (this.options.ClientRejectInternalAddresses && isInternalHost(host))
      return Promise.reject(new StreamError('not-allowed', 'the destination is an internal address'));
    const target: StreamTarget = { kind: 'connect', host, port, flags: BeginFlag.IPV6_OK };
    return new Promise((resolve, reject) => {
      this.open(target, ownIsolation(target, isolation), {
        connected: (stream) => resolve(new HeldStream(stream)),
        resolved() {},
        failed: reject,
      });
    });
  }

  async resolve(name: string, isolation = ''): Promise<string[]> {
    const host = parseHost(name);
    if (!host) throw new StreamError('address-unsupported', 'not a host name');
    if (host.kind !== 'name') return [host.text];
    const answers = await this.lookup(host.text, isolation);
    const addresses = answers.filter((answer) => answer.type === 'address').map((answer) => answer.address);
    if (addresses.length === 0) throw new StreamError('host-unreachable', 'the name does not resolve');
    return addresses;
  }

  async reverse(address: string, isolation = ''): Promise<string> {
    const bytes = ipBytes(address);
    if (!bytes) throw new StreamError('address-unsupported', 'not an address');
    if (this.options.ClientRejectInternalAddresses && isInternal(address))
      throw new StreamError('host-unreachable', 'an internal address has no name');
    const answers = await this.lookup(reverseName(bytes), isolation);
    const found = answers.find((answer) => answer.type === 'name');
    if (!found) throw new StreamError('host-unreachable', 'the address has no name');
    return found.name;
  }

  private lookup(name: string, isolation: string): Promise<readonly ResolvedAnswer[]> {
    const target: StreamTarget = { kind: 'resolve', name };
    return new Promise((resolve, reject) => {
      this.open(target, ownIsolation(target, isolation), {
        connected() {},
        resolved: resolve,
        failed: reject,
      });
    });
  }

  // Inspection

  circuits(): CircuitInfo[] {
    const now = this.env.clock.monotonic();
    return [...this.circuitManager.list].map((circuit) => ({
      id: circuit.id,
      state: !circuit.circuit
        ? 'building'
        : circuit.ticket && circuit.ticket.state !== 'complete'
          ? 'waiting'
          : 'open',
      kind: circuit.kind,
      path: circuit.path.map((relay) => relay.id),
      streams: circuit.streams.size,
      age: now - circuit.began,
      dirty: circuit.dirtySince !== undefined,
    }));
  }

  status(): ClientStatus {
    const circuits = this.circuits();
    const open = circuits.filter((circuit) => circuit.state === 'open').length;
    const consensus = this.network?.consensus;
    return {
      bootstrap: { percent: this.bootstrap.percent, tag: this.bootstrap.tag },
      ready: this.circuitManager.ready,
      consensus: consensus && {
        validAfter: consensus.validAfter,
        validUntil: consensus.validUntil,
        relays: consensus.routers.length,
      },
      circuits: { open, building: circuits.length - open },
      waitingStreams: this.streams.waitingCount,
      appConnections: this.servers.reduce((sum, server) => sum + server.connectionCount, 0),
      onionServices: this.onion.services(),
    };
  }
}
