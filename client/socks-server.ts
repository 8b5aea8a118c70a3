/**
 * The ports applications connect to (SocksPort, HTTPTunnelPort): who may, what is isolated from what, what is refused
 * or warned about before anything goes to the network.
 *
 * @module
 */
import { BeginFlag } from '../shared/cell/relay-cells.js';
import { sensitive } from '../shared/log/sensitive.js';
import type { Log } from '../shared/log/types.js';
import { makePolicy, parsePolicyLines } from '../shared/netdoc/policy.js';
import type { Clock, Conn, Listener, Transport } from '../shared/runtime/types.js';
import type { Options, PortOption } from '../shared/torrc/options.js';
import { ipBytes, reverseName } from './address.js';
import { AppConnection, type AppPort } from './app-connection.js';
import { StreamError } from './failure.js';
import { isInternalHost } from './internal-address.js';
import {
  authKey,
  type Isolation,
  type IsolationField,
  isolationOfFlags,
  sessionGroupOf,
} from './isolation.js';
import type { ProxyRequest } from './proxy-request.js';
import type { ProxyManners } from './socks.js';
import type { StreamClient, StreamRequest, StreamTarget } from './streams.js';

/** Connections of applications at once. */
const MAX_CONNECTIONS = 8192;
/** A warning about unsafe requests is given at most this often, milliseconds. */
const WARN_INTERVAL = 60_000;

/** Whoever carries requests out: streams over exits, and for `.onion` names whatever is put in front. */
export interface Requester {
  request(target: StreamTarget, isolation: Isolation, client: StreamClient): StreamRequest;
}

/** What a port needs. */
export interface SocksParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly transport: Transport;
  readonly options: Options;
  readonly requester: Requester;
  /** Whether it is an HTTPTunnelPort. */
  readonly tunnel?: boolean;
}

const isOnion = ({ kind, text }: ProxyRequest['host']) => kind === 'name' && /\.onion\.?$/.test(text);

/** What no exit can know of is not asked for. RESOLVE of a local name is left to the exit, as C tor leaves it. */
function refuseInternal({ command, host }: ProxyRequest): void {
  if (command === 'resolve' || !isInternalHost(host)) return;
  if (command === 'resolve-ptr') throw new StreamError('host-unreachable', 'an internal address has no name');
  throw new StreamError('not-allowed', 'the destination is an internal address');
}

let groups = 0;

/** One listening port. */
export class SocksServer implements AppPort {
  readonly clock: Clock;
  readonly log: Log;
  readonly extendedErrors: boolean;
  readonly manners: ProxyManners;
  readonly handshakeTimeout: number;
  readonly families: readonly (4 | 6)[];
  private readonly parts: SocksParts;
  private readonly flags: ReadonlySet<string>;
  private readonly by: ReadonlySet<IsolationField>;
  private readonly sessionGroup: string;
  private readonly connections = new Set<AppConnection>();
  private readonly plaintext: { readonly warn: ReadonlySet<number>; readonly reject: ReadonlySet<number> };
  private readonly admits: (host: string) => boolean;
  private listener: Listener | undefined;
  private lastWarning = Number.NEGATIVE_INFINITY;
  private unsafeSince = 0;

  constructor(parts: SocksParts, port: PortOption) {
    this.parts = parts;
    this.clock = parts.clock;
    this.log = parts.log.child('socks');
    this.flags = port.flags;
    this.manners = { preferNoAuth: port.flags.has('prefersocksnoauth'), tunnel: parts.tunnel ?? false };
    this.handshakeTimeout = parts.options.SocksTimeout;
    this.extendedErrors = port.flags.has('extendederrors');
    const { WarnPlaintextPorts, RejectPlaintextPorts } = parts.options;
    this.plaintext = { warn: new Set(WarnPlaintextPorts), reject: new Set(RejectPlaintextPorts) };
    const order: readonly (4 | 6)[] = port.flags.has('preferipv6') ? [6, 4] : [4, 6];
    this.families = order.filter((family) => !port.flags.has(`noipv${family}traffic`));
    this.by = isolationOfFlags(port.flags);
    this.sessionGroup = sessionGroupOf(port.flags, `port ${++groups}`);
    const { entries } = parsePolicyLines(parts.options.SocksPolicy);
    // Ports mean nothing here (C tor: load_policy_from_option).
    const policy = makePolicy(entries.map((entry) => ({ ...entry, low: 1, high: 65535 })));
    this.admits = (host) => entries.length === 0 || policy.allows(host, 1);
  }

  /** Opens the port. */
  async listen(host: string, port: number): Promise<Listener> {
    this.listener = await this.parts.transport.listenTcp({ host, port }, (conn) => this.accept(conn));
    return this.listener;
  }

  /** The connections. */
  get applications(): Iterable<AppConnection> {
    return this.connections;
  }

  /** Connections of applications now. */
  get connectionCount(): number {
    return this.connections.size;
  }

  private accept(conn: Conn): void {
    if (!this.admits(conn.remote.host)) {
      this.log.info('SocksPolicy refused a connection', { from: sensitive(conn.remote.host) });
      conn.destroy();
      return;
    }
    if (this.connections.size >= MAX_CONNECTIONS) {
      this.log.warn(`More than ${MAX_CONNECTIONS} connections of applications: refusing new ones.`);
      conn.destroy();
      return;
    }
    const app = new AppConnection(conn, this);
    this.connections.add(app);
    app.start();
  }

  closed(app: AppConnection): void {
    this.connections.delete(app);
  }

  /** Carries a request out; throws StreamError for what is refused here. */
  open(request: ProxyRequest, app: AppConnection): StreamRequest {
    const { host } = request;
    if (request.resolvedByApplication) this.checkUnsafe(request);
    else if (this.parts.options.TestSocks)
      this.log.notice('An application gave a name to resolve inside the network. This is good.', {
        port: request.port,
      });
    if (host.kind === 'name' && host.text.endsWith('.exit'))
      throw new StreamError('not-allowed', 'the .exit notation is not supported');
    this.checkFlags(request);
    if (host.kind !== 'name' && request.command === 'resolve') return this.answerAtOnce(host.text, app);
    if (this.parts.options.ClientRejectInternalAddresses) refuseInternal(request);
    this.checkPlaintext(request);
    return this.parts.requester.request(this.target(request), this.isolation(request, app.conn), app);
  }

  /** What the flags of the port line keep out. */
  private checkFlags({ host, command }: ProxyRequest): void {
    const refuse = (flag: string): void => {
      if (this.flags.has(flag)) throw new StreamError('not-allowed', `the port does not take this (${flag})`);
    };
    const onion = isOnion(host);
    if (host.kind === 'ipv4') refuse('noipv4traffic');
    if (host.kind === 'ipv6') refuse('noipv6traffic');
    // A name to connect to is resolved by the exit as well.
    if (command !== 'connect' || (host.kind === 'name' && !onion)) refuse('nodnsrequest');
    refuse(onion ? 'nooniontraffic' : 'oniontrafficonly');
  }

  /** Protocols that are seldom encrypted; on the way to an onion service all is (C tor: consider_plaintext_ports). */
  private checkPlaintext({ command, host, port }: ProxyRequest): void {
    if (command !== 'connect' || isOnion(host)) return;
    const refused = this.plaintext.reject.has(port);
    if (!refused && !this.plaintext.warn.has(port)) return;
    this.log.warn(
      `An application connects to port ${port}, where protocols are mostly unencrypted: the exit, and whoever is behind it, can read what it sends.${refused ? ' Refused (RejectPlaintextPorts).' : ''}`,
    );
    if (refused) throw new StreamError('not-allowed', 'RejectPlaintextPorts: the port is one of plain text');
  }

  /** RESOLVE of what is an address already. */
  private answerAtOnce(address: string, app: AppConnection): StreamRequest {
    let cancelled = false;
    this.clock.defer(() => {
      if (!cancelled) app.resolved([{ type: 'address', address, ttl: 0 }]);
    });
    return {
      cancel() {
        cancelled = true;
      },
    };
  }

  private checkUnsafe(request: ProxyRequest): void {
    const { TestSocks, WarnUnsafeSocks, SafeSocks } = this.parts.options;
    this.unsafeSince++;
    const now = this.clock.monotonic();
    if (TestSocks || SafeSocks || (WarnUnsafeSocks && now - this.lastWarning >= WARN_INTERVAL)) {
      this.log.warn(
        `An application gave ${request.protocol.toUpperCase()} an address instead of a name: it may have resolved the ` +
          `name outside the network, where others see it. Use SOCKS4a or SOCKS5 with remote names ` +
          `(curl: --socks5-hostname).${SafeSocks ? ' Refused (SafeSocks).' : ''}`,
        { address: sensitive(request.host.text), requests: this.unsafeSince },
      );
      this.lastWarning = now;
      this.unsafeSince = 0;
    }
    if (SafeSocks)
      throw new StreamError('not-allowed', 'SafeSocks: the application resolved the name itself');
  }

  private target(request: ProxyRequest): StreamTarget {
    const { host, port } = request;
    if (request.command === 'connect') return { kind: 'connect', host, port, flags: this.beginFlags() };
    const bytes = ipBytes(host.text);
    return { kind: 'resolve', name: bytes ? reverseName(bytes) : host.text };
  }

  private beginFlags(): number {
    let flags = 0;
    if (!this.flags.has('noipv6traffic')) flags |= BeginFlag.IPV6_OK;
    if (this.flags.has('noipv4traffic')) flags |= BeginFlag.IPV4_NOT_OK;
    if (this.flags.has('preferipv6')) flags |= BeginFlag.IPV6_PREFERRED;
    return flags;
  }

  private isolation(request: ProxyRequest, conn: Conn): Isolation {
    return {
      fields: {
        auth: authKey(request.username, request.password),
        destAddr: request.host.text,
        destPort: request.port,
        clientAddr: conn.remote.host,
        clientProtocol: request.protocol === 'socks4a' ? 'socks4' : request.protocol,
        sessionGroup: this.sessionGroup,
      },
      by: this.by,
      keepAlive: this.flags.has('keepaliveisolatesocksauth') && request.username + request.password !== '',
    };
  }

  /** Closes the port and every connection. */
  async close(): Promise<void> {
    for (const app of this.connections) app.conn.destroy();
    await this.listener?.close();
  }
}
