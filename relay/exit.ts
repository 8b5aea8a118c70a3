/**
 * BEGIN at an exit: who may ask, where to connect, whether the policy allows it, and what to answer (tor-spec 6.2,
 * 6.3; C tor: `connection_exit_begin_conn`, `connection_exit_connect`).
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import { toHex } from '../shared/bytes/text.js';
import { EndReason } from '../shared/cell/commands.js';
import { BEGIN, type BeginBody, BeginFlag, CONNECTED, END } from '../shared/cell/relay-cells.js';
import type { Holder } from '../shared/limits/memory-ceiling.js';
import type { Channel } from '../shared/link/types.js';
import type { Log } from '../shared/log/types.js';
import type { ExitPolicy } from '../shared/netdoc/policy.js';
import { endReasonOf, holdersOf, JoinedStream } from '../shared/onion/joined-stream.js';
import type { Backlog, IncomingStream } from '../shared/onion/types.js';
import type { Clock, Random, ResolvedAddress, Resolver, Transport } from '../shared/runtime/types.js';
import { addressOfReverseName, familyOf } from './addresses.js';
import type { ExitStats } from './exit-stats.js';
import type { Network } from './network.js';
import { blurTtl, DEFAULT_TTL, isPlainName, type NameRules } from './resolve.js';

/** Milliseconds a connection may take to be made; clients give up earlier. */
const CONNECT_TIMEOUT = 60_000;

/** What an exit does and does not. */
export interface ExitRules extends NameRules {
  readonly policy: ExitPolicy;
  /** Refuse clients whose first hop we are not told of by the consensus (`RefuseUnknownExits`, `refuseunknownexits`). */
  refuseUnknown(): boolean;
  /** Source addresses by family (`OutboundBindAddress`). */
  readonly bind: { readonly 4?: string; readonly 6?: string };
}

/** What an exit needs of the world. */
export interface ExitEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly resolver: Resolver;
  readonly log: Log;
  readonly network: Network;
  readonly stats: ExitStats;
}

interface Destination {
  readonly host: string;
  readonly family: 4 | 6;
  /** Seconds, as told to the client. */
  readonly ttl: number;
}

/** A refusal: the END reason and what goes behind it. */
class Refusal extends Error {
  readonly reason: number;
  readonly extra: Uint8Array | undefined;
  constructor(reason: number, extra?: Uint8Array) {
    super(`END ${reason}`);
    this.reason = reason;
    this.extra = extra;
  }
}

/** Serves BEGIN. */
export class Exit {
  private readonly env: ExitEnv;
  private readonly rules: ExitRules;
  private openCount = 0;
  /** Over, with servers that have not taken all. */
  private readonly leaving = new Set<Backlog>();

  constructor(env: ExitEnv, rules: ExitRules) {
    this.env = env;
    this.rules = rules;
  }

  /** Streams that are open or being connected. */
  get streams(): number {
    return this.openCount;
  }

  /** Bytes that ended streams left for their servers. */
  get leftMemory(): number {
    let bytes = 0;
    for (const { size } of this.leaving) bytes += size;
    return bytes;
  }

  /** Who holds them. */
  get left(): Iterable<Holder> {
    return holdersOf(this.leaving);
  }

  /** A client behind `from` asks for a connection. Never throws. */
  begin(stream: IncomingStream, from: Channel): void {
    this.openCount++;
    // A connection that is being made ends with its stream: only streams are counted, and bounded.
    const over = new AbortController();
    const finished = () => {
      this.openCount--;
      over.abort();
    };
    const joined = new JoinedStream(stream, this.env.clock, finished, this.leaving);
    this.connect(joined, stream.request, from, over.signal).catch((error: unknown) => {
      if (joined.abandoned) return;
      if (error instanceof Refusal) return joined.refuse(error.reason, error.extra);
      const reason = endReasonOf(error);
      this.env.stats.failed(error);
      this.env.log.debug('an exit connection failed', { reason });
      joined.refuse(reason);
    });
  }

  private async connect(
    joined: JoinedStream,
    request: Uint8Array,
    from: Channel,
    signal: AbortSignal,
  ): Promise<void> {
    const begin = this.parse(request);
    this.checkPeer(from);
    if (begin.flags & BeginFlag.IPV4_NOT_OK && !this.rules.ipv6) throw new Refusal(EndReason.EXITPOLICY);
    const destination = await this.locate(begin);
    if (joined.abandoned) return;
    this.checkPolicy(destination, begin.port);
    this.env.stats.connecting(begin.port);
    const bind = this.rules.bind[destination.family];
    const conn = await this.env.transport.dialTcp(
      { host: destination.host, port: begin.port },
      { timeout: CONNECT_TIMEOUT, signal, ...(bind && { localHost: bind }) },
    );
    joined.connected(conn, CONNECTED.encode({ address: destination.host, ttl: destination.ttl }));
  }

  private parse(request: Uint8Array): BeginBody {
    try {
      return BEGIN.decode(request);
    } catch (error) {
      if (error instanceof DecodeError) throw new Refusal(EndReason.TORPROTOCOL);
      throw error;
    }
  }

  /** Nobody gets a one-hop proxy: it would make exits a target, and its users are better off without. */
  private checkPeer(from: Channel): void {
    if (!from.authenticated || !from.peer.rsaId) {
      this.env.stats.singleHopRefused++;
      throw new Refusal(EndReason.TORPROTOCOL);
    }
    if (this.rules.refuseUnknown() && !this.env.network.lists(toHex(from.peer.rsaId)))
      throw new Refusal(EndReason.MISC);
  }

  private async locate(begin: BeginBody): Promise<Destination> {
    const family = familyOf(begin.host);
    if (family) return { host: begin.host, family, ttl: DEFAULT_TTL };
    const { isExit, anyName } = this.rules;
    const name = begin.host.toLowerCase();
    if (!isExit || !(anyName || isPlainName(name)) || addressOfReverseName(name) !== undefined)
      throw new Refusal(EndReason.RESOLVEFAILED);
    const records = await this.env.resolver.resolve(name).catch(() => {
      throw new Refusal(EndReason.RESOLVEFAILED);
    });
    const chosen = this.choose(records, begin);
    if (!chosen) throw new Refusal(EndReason.RESOLVEFAILED);
    return { host: chosen.address, family: chosen.family, ttl: blurTtl(chosen.ttl, this.env.random) };
  }

  /**
   * The family by the client's flags, unless the policy leaves only the other (C tor:
   * `set_exitconn_info_from_resolve`); within a family the first record the policy allows.
   */
  private choose(
    records: readonly ResolvedAddress[],
    { flags, port }: BeginBody,
  ): ResolvedAddress | undefined {
    const best = (family: 4 | 6) => {
      const own = records.filter((record) => record.family === family);
      return own.find((record) => this.rules.policy.allows(record.address, port)) ?? own[0];
    };
    const v4 = flags & BeginFlag.IPV4_NOT_OK ? undefined : best(4);
    const v6 = flags & BeginFlag.IPV6_OK && this.rules.ipv6 ? best(6) : undefined;
    if (!v4 || !v6) return v4 ?? v6;
    const allowed4 = this.rules.policy.allows(v4.address, port);
    const allowed6 = this.rules.policy.allows(v6.address, port);
    if (allowed4 !== allowed6) return allowed4 ? v4 : v6;
    return flags & BeginFlag.IPV6_PREFERRED ? v6 : v4;
  }

  private checkPolicy(to: Destination, port: number): void {
    const refused = !this.rules.policy.allows(to.host, port) || (to.family === 6 && !this.rules.ipv6);
    if (refused) {
      const body = END.encode({ reason: EndReason.EXITPOLICY, address: to.host, ttl: to.ttl });
      throw new Refusal(EndReason.EXITPOLICY, body.subarray(1));
    }
    const { network } = this.env;
    const reentry = network.param('allow-network-reentry', 0, 0, 1) === 1;
    if (!reentry && network.isRelayPort(to.host, port)) throw new Refusal(EndReason.CONNECTREFUSED);
  }
}
