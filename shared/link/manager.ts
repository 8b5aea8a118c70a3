/**
 * The links of a node: dials, accepts, shares, closes what is idle.
 *
 * @module
 */
import { sameBytes } from '../bytes/text.js';
import { canonicalHost, isIpv6 } from '../cell/addresses.js';
import { Command } from '../cell/commands.js';
import type { LinkCredentials } from '../crypto/link-credentials.js';
import { sensitive } from '../log/sensitive.js';
import type { Log } from '../log/types.js';
import type { Clock, Listener, NetAddress, Random, Timer, TlsConn, Transport } from '../runtime/types.js';
import { LinkChannel } from './channel.js';
import { DialFailures } from './dial-failures.js';
import { ChannelDirectory, targetKey } from './directory.js';
import { type LinkError, linkError, reasonOf } from './errors.js';
import type { HandshakeResult } from './handshake.js';
import { DEFAULT_LINK_LIMITS, type LinkLimits } from './limits.js';
import { ChannelPadding, type PaddingConfig, type PaddingRole } from './padding.js';
import { LinkSession } from './session.js';
import { connectionKind, type LinkStats, newLinkStats } from './stats.js';
import type { Channel, ChannelHandler, ChannelManager, ChannelTarget } from './types.js';

/** How often idle channels are looked for, milliseconds. */
const SWEEP = 30_000;

/** What a manager needs of the world. */
export interface LinkEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly log: Log;
}

/** What the other end said of us and its clock when a channel opened. */
export interface PeerNews {
  /** Our address as the peer sees it. */
  readonly observedHost: string | undefined;
  /** Our clock less the peer's, milliseconds. */
  readonly skew: number | undefined;
}

/** What a manager is for. */
export interface ChannelManagerConfig {
  /** A relay's; absent for a client, which proves nothing and takes no circuits. Asked for at each handshake. */
  readonly credentials?: () => LinkCredentials;
  readonly handler: ChannelHandler;
  /** The addresses this relay is listed with, for NETINFO. */
  readonly ownAddresses?: () => readonly NetAddress[];
  /** Whether a connection from an address is taken at all; asked before any handshake. */
  readonly admit?: (host: string) => boolean;
  /** Source address of what is dialled. */
  readonly localHost?: string;
  /** Asked for at each new channel. */
  readonly limits?: () => Partial<LinkLimits>;
  /**
   * Whether an identity, 20 bytes, is that of a relay of the network: one that proves another (a bridge) counts as a
   * client for padding and idle time (CHANNEL_IS_CLIENT). All are when absent.
   */
  readonly isRelay?: (rsaId: Uint8Array) => boolean;
  /** No padding is sent when absent. */
  readonly padding?: PaddingConfig;
  /** A channel opened, before anything comes through it. */
  readonly opened?: (channel: Channel, news: PeerNews) => void;
}

/** A channel manager, with what a node's own parts need beyond dialling. */
export interface LinkManager extends ChannelManager {
  readonly stats: LinkStats;
  readonly channels: Iterable<LinkChannel>;
  /** Open channels. */
  readonly count: number;
  /** Bytes that wait in circuits' queues and in connections: what MaxMemInQueues bounds. */
  readonly memory: number;
  /** Takes a connection that was accepted. Needs credentials. */
  accept(conn: TlsConn): void;
  listen(at: NetAddress): Promise<Listener>;
  /** Closes every channel, and gives up every dial and handshake; new ones may be made. */
  hangUp(reason: string): void;
  /** Stops listening and dialling, closes every channel. */
  close(): Promise<void>;
}

/** Channels by identity. */
export const createChannelManager = (env: LinkEnv, config: ChannelManagerConfig): LinkManager =>
  new Links(env, config);

class Links implements LinkManager {
  readonly stats = newLinkStats();
  private readonly env: LinkEnv;
  private readonly config: ChannelManagerConfig;
  private readonly log: Log;
  private readonly directory = new ChannelDirectory();
  private readonly dials = new Map<string, Promise<LinkChannel>>();
  private readonly dialFailures = new DialFailures();
  private readonly sessions = new Set<LinkSession>();
  private readonly listeners = new Set<Listener>();
  private readonly halfOpenByHost = new Map<string, number>();
  private readonly idleTimes = new WeakMap<LinkChannel, number>();
  private halfOpenAccepted = 0;
  private previous: LinkCredentials | undefined;
  private latest: LinkCredentials | undefined;
  private nextId = 1;
  /** How often all was hung up; what was begun before is not wanted any more. */
  private hangUps = 0;
  private sweeper: Timer | undefined;
  private closed = false;

  constructor(env: LinkEnv, config: ChannelManagerConfig) {
    this.env = env;
    this.config = config;
    this.log = env.log.child('link');
  }

  get channels(): Iterable<LinkChannel> {
    return this.directory.all;
  }

  get count(): number {
    return this.directory.all.size;
  }

  get memory(): number {
    let bytes = this.stats.queuedBytes;
    for (const channel of this.directory.all) bytes += channel.writing;
    return bytes;
  }

  private get limits(): LinkLimits {
    return { ...DEFAULT_LINK_LIMITS, ...this.config.limits?.() };
  }

  // Dialling.

  async get(target: ChannelTarget): Promise<Channel> {
    if (this.isOwn(target)) throw linkError('connect', 'the relay asked for is this one');
    const known = this.directory.find(target, this.env.clock.monotonic());
    if (known) return known;
    const key = targetKey(target);
    const running = this.dials.get(key);
    if (running) return running;
    const dial = this.dial(
      target,
      this.config.handler,
      this.config.credentials ? this.dialFailures : undefined,
    );
    this.dials.set(key, dial);
    try {
      return await dial;
    } finally {
      if (this.dials.get(key) === dial) this.dials.delete(key);
    }
  }

  private checkWanted(begun: number): void {
    if (this.closed) throw linkError('closed', 'the node is stopping');
    if (begun !== this.hangUps) throw linkError('closed', 'all links were closed meanwhile');
  }

  /** Whether either identity is ours: a circuit through a relay twice in a row hides nothing (connection_or_connect). */
  private isOwn({ rsaId, ed25519Id }: ChannelTarget): boolean {
    const own = this.config.credentials?.();
    if (!own) return false;
    return (
      (rsaId !== undefined && sameBytes(rsaId, own.rsaId)) ||
      (ed25519Id !== undefined && sameBytes(ed25519Id, own.ed25519Id))
    );
  }

  async probe(target: ChannelTarget): Promise<void> {
    const channel = await this.dial(target, NO_CIRCUITS);
    channel.close('the probe is done');
  }

  /**
   * The addresses one after the other, until one leads to the target; but for those that led nowhere just now, where
   * failures are remembered: a relay's, which dials for others. A client has its own ways to leave a relay alone.
   */
  private async dial(
    target: ChannelTarget,
    handler: ChannelHandler,
    failures?: DialFailures,
  ): Promise<LinkChannel> {
    let failure: LinkError = linkError('connect', 'no address to dial');
    const begun = this.hangUps;
    for (const address of target.addresses) {
      this.checkWanted(begun);
      if (failures?.isRecent(target, address, this.env.clock.monotonic())) {
        failure = linkError('connect', `${address.host}:${address.port}: it could not be reached just now`);
        continue;
      }
      try {
        return await this.dialOne(address, target, handler, failures);
      } catch (error) {
        failure = error as LinkError;
        this.log.info('a link could not be made', { code: failure.code, reason: failure.message });
      }
    }
    throw failure;
  }

  private async dialOne(
    address: NetAddress,
    target: ChannelTarget,
    handler: ChannelHandler,
    failures: DialFailures | undefined,
  ): Promise<LinkChannel> {
    const { dialTimeout } = this.limits;
    const { localHost } = this.config;
    // A source address of one family cannot dial the other.
    const bound = localHost !== undefined && isIpv6(localHost) === isIpv6(address.host);
    const options = bound ? { timeout: dialTimeout, localHost } : { timeout: dialTimeout };
    const begun = this.hangUps;
    let conn: TlsConn;
    try {
      conn = await this.env.transport.dialTls(address, options);
    } catch (error) {
      failures?.note(target, address, this.env.clock.monotonic());
      throw linkError('connect', `${address.host}:${address.port}: ${reasonOf(error)}`, error);
    }
    try {
      this.checkWanted(begun);
    } catch (error) {
      conn.destroy();
      throw error;
    }
    return new Promise((resolve, reject) => {
      this.session(conn, 'initiator', target, handler, resolve, (error) =>
        reject(linkError(error.code, `${address.host}:${address.port}: ${error.message}`, error)),
      );
    });
  }

  // Accepting.

  async listen(at: NetAddress): Promise<Listener> {
    const { admit } = this.config;
    const counted = (host: string) => {
      const admitted = admit?.(host) ?? true;
      if (!admitted) this.stats.connections[connectionKind(host, false)].rejected++;
      return admitted;
    };
    const listener = await this.env.transport.listenTls(
      at,
      () => this.credentials()!.tls,
      (conn) => this.accept(conn),
      counted,
    );
    // `close` may have come meanwhile, and did not know of it.
    if (this.closed) {
      await listener.close();
      throw linkError('closed', 'the node is stopping');
    }
    this.listeners.add(listener);
    return {
      local: listener.local,
      close: () => {
        this.listeners.delete(listener);
        return listener.close();
      },
    };
  }

  accept(conn: TlsConn): void {
    const { maxHalfOpen, maxHalfOpenPerHost } = this.limits;
    const { host } = conn.remote;
    const fromHost = this.halfOpenByHost.get(host) ?? 0;
    if (this.closed || this.halfOpenAccepted >= maxHalfOpen || fromHost >= maxHalfOpenPerHost) {
      this.stats.refused++;
      this.stats.connections[connectionKind(host, false)].rejected++;
      conn.destroy();
      return;
    }
    this.halfOpenAccepted++;
    this.halfOpenByHost.set(host, fromHost + 1);
    const settled = () => {
      this.halfOpenAccepted--;
      const left = this.halfOpenByHost.get(host)! - 1;
      if (left > 0) this.halfOpenByHost.set(host, left);
      else this.halfOpenByHost.delete(host);
    };
    this.session(conn, 'responder', undefined, this.config.handler, settled, (error) => {
      settled();
      const { code, message } = error;
      this.log.info('a peer failed the link handshake', { peer: sensitive(host), code, reason: message });
    });
  }

  /** Today's credentials; those of before are kept for handshakes that TLS began with them. */
  private credentials(): LinkCredentials | undefined {
    const current = this.config.credentials?.();
    if (current !== this.latest) {
      this.previous = this.latest;
      this.latest = current;
    }
    return current;
  }

  private credentialsFor(conn: TlsConn, role: 'initiator' | 'responder'): LinkCredentials | undefined {
    const current = this.credentials();
    const { previous } = this;
    const shown = conn.ownCertificate;
    if (role === 'responder' && shown && previous && sameBytes(previous.tls.certDer, shown)) return previous;
    return current;
  }

  // Both.

  private session(
    conn: TlsConn,
    role: 'initiator' | 'responder',
    expected: ChannelTarget | undefined,
    handler: ChannelHandler,
    done: (channel: LinkChannel) => void,
    failed: (error: LinkError) => void,
  ): void {
    const { clock, random } = this.env;
    const ownHosts = [...new Set((this.config.ownAddresses?.() ?? []).map(({ host }) => host))];
    const session: LinkSession = new LinkSession({
      conn,
      clock,
      log: this.log,
      stats: this.stats,
      timeout: this.limits.handshakeTimeout,
      handshake: {
        role,
        tls: conn,
        credentials: this.credentialsFor(conn, role),
        random,
        now: () => clock.now(),
        remoteHost: canonicalHost(conn.remote.host),
        ownHosts,
        ...(expected ? { expected } : {}),
      },
      opened: (result, stop) => {
        this.sessions.delete(session);
        const channel = this.channel(conn, role, result, handler, stop);
        done(channel);
        return channel;
      },
      failed: (error) => {
        this.sessions.delete(session);
        failed(error);
      },
    });
    this.sessions.add(session);
  }

  private channel(
    conn: TlsConn,
    role: 'initiator' | 'responder',
    result: HandshakeResult,
    handler: ChannelHandler,
    stop: () => void,
  ): LinkChannel {
    const { clock, random } = this.env;
    const isRelay = this.config.credentials !== undefined;
    const initiator = role === 'initiator';
    let padding: ChannelPadding | undefined;
    const channel = new LinkChannel({
      id: this.nextId++,
      conn,
      clock,
      random,
      log: this.log,
      stats: this.stats,
      handler,
      limits: () => this.limits,
      peer: result.peer,
      initiator,
      linkProtocol: result.linkProtocol,
      authenticated: result.authenticated,
      canonical: result.canonical,
      canonicalToPeer: result.canonicalToPeer,
      accepts: isRelay,
      padding: (body) => padding?.negotiate(body),
      stopped: () => {
        stop();
        padding?.stop();
        this.directory.remove(channel);
      },
    });
    if (handler === NO_CIRCUITS) return channel;
    this.directory.add(channel);
    const kind = (): PaddingRole => (!isRelay ? 'client' : this.isListed(channel) ? 'between' : 'relay');
    if (this.config.padding)
      padding = new ChannelPadding(channel, this.config.padding, kind, { clock, random });
    this.idleTimes.set(channel, this.idleTime(channel.canonical && kind() === 'between'));
    this.sweepLater();
    this.log.debug('a channel opened', { channel: channel.id, initiator, canonical: channel.canonical });
    this.config.opened?.(channel, { observedHost: result.observedHost, skew: result.skew });
    return channel;
  }

  private isListed({ authenticated, peer: { rsaId } }: LinkChannel): boolean {
    return authenticated && rsaId !== undefined && (this.config.isRelay?.(rsaId) ?? true);
  }

  // Idle channels (channelpadding_get_channel_idle_timeout, run_connection_housekeeping).

  private idleTime(betweenRelays: boolean): number {
    const { idleClient, idleRelay } = this.limits;
    const share = this.env.random.fraction();
    return betweenRelays ? idleRelay * (0.75 + share / 2) : idleClient * (1 + share / 2);
  }

  private sweepLater(): void {
    this.sweeper ??= this.env.clock.setTimer(SWEEP, () => {
      this.sweeper = undefined;
      this.sweep();
      if (this.count > 0 && !this.closed) this.sweepLater();
    });
  }

  private sweep(): void {
    const now = this.env.clock.monotonic();
    const { keepalive } = this.limits;
    for (const channel of [...this.directory.all]) {
      const { idleSince } = channel;
      if (idleSince !== undefined && now - idleSince >= this.idleTimes.get(channel)!)
        channel.close('no circuit for long');
      else if (now - channel.lastWrite >= 10 * keepalive) channel.close('nothing could be written for long');
      else if (now - channel.lastWrite >= keepalive && channel.queued === 0)
        channel.sendControl(Command.PADDING, new Uint8Array(0));
    }
  }

  hangUp(reason: string): void {
    this.hangUps++;
    this.dials.clear();
    for (const session of [...this.sessions]) session.abort(reason);
    for (const channel of [...this.directory.all]) channel.close(reason);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.sweeper?.cancel();
    this.hangUp('the node is stopping');
    await Promise.all([...this.listeners].map((listener) => listener.close()));
    this.listeners.clear();
  }
}

/** For probes: the peer may ask for circuits, but gets none. */
const NO_CIRCUITS: ChannelHandler = {
  create: (leg) => leg.destroy(0),
  closed() {},
};
