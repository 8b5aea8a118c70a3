/**
 * Defences against denial of service by clients: connections and circuits by address, streams by circuit (dos-spec;
 * C tor: dos.c).
 *
 * Only clients are looked at: whoever proves to be a relay, or has a listed relay's address, may do as much as it
 * needs. An offender is held off for a time that is partly drawn by chance.
 *
 * @module
 */
import { RelayCommand } from '../shared/cell/commands.js';
import { TokenBucket } from '../shared/limits/token-bucket.js';
import type { Channel } from '../shared/link/types.js';
import type { Log } from '../shared/log/types.js';
import type { Clock, Random } from '../shared/runtime/types.js';
import { Defense, type DosParams } from './dos-params.js';

/** Addresses remembered; past it those without connections are forgotten, oldest first. */
const MAX_ADDRESSES = 100_000;

/** What is remembered of a client address; times are monotonic milliseconds. */
interface Client {
  connections: number;
  readonly connects: TokenBucket;
  readonly circuits: TokenBucket;
  /** Until when its connections, and its circuits, are refused. */
  connectionsHeldUntil: number | undefined;
  circuitsHeldUntil: number | undefined;
  fullQueues: number;
}

/** What the defences need. */
export interface DosEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly dos: DosParams;
  /** Whether a relay of the consensus has the address. */
  isRelay(host: string): boolean;
}

/** Counts since the start. */
export interface DosCounts {
  /** Connections refused because of the rate of connecting, and because there were too many at a time. */
  readonly connectionsRefused: number;
  readonly concurrentRefused: number;
  readonly circuitsRefused: number;
  readonly streamsRefused: number;
  /** Addresses held off for their circuits, and for queues they let fill. */
  readonly marked: number;
  readonly markedForQueues: number;
}

/** What becomes of a stream that is asked for. */
export type StreamVerdict = 'serve' | 'refuse' | 'close circuit';

/** Watches clients. */
export class DosDefences {
  private readonly env: DosEnv;
  private readonly clients = new Map<string, Client>();
  private readonly tracked = new Set<Channel>();
  private readonly streams = new WeakMap<object, TokenBucket>();
  private readonly count = {
    connectionsRefused: 0,
    concurrentRefused: 0,
    circuitsRefused: 0,
    streamsRefused: 0,
    marked: 0,
    markedForQueues: 0,
  };

  constructor(env: DosEnv) {
    this.env = env;
  }

  get counts(): DosCounts {
    return { ...this.count };
  }

  /** Client addresses that are remembered. */
  get addresses(): number {
    return this.clients.size;
  }

  // Connections

  /**
   * Whether a connection from the address may begin. It counts from here on, since whoever lets no handshake end costs
   * as much as others (C tor: `dos_conn_addr_get_defense_type`, `channel_tls_handle_incoming`).
   */
  admit(host: string): boolean {
    const { enabled, maxConcurrent, defense } = this.env.dos.connections;
    if (!enabled || this.env.isRelay(host)) return true;
    const client = this.client(host, this.env.clock.monotonic());
    if (this.isHeldOff(client, maxConcurrent) && defense !== Defense.NONE) return false;
    this.countConnect(client);
    return true;
  }

  private isHeldOff(client: Client, maxConcurrent: number): boolean {
    if (client.connectionsHeldUntil !== undefined) {
      if (this.env.clock.monotonic() <= client.connectionsHeldUntil) {
        this.count.connectionsRefused++;
        return true;
      }
      client.connectionsHeldUntil = undefined;
    }
    if (client.connections <= maxConcurrent) return false;
    this.count.concurrentRefused++;
    return true;
  }

  private countConnect(client: Client): void {
    const { rate, burst, period } = this.env.dos.connections;
    const now = this.env.clock.monotonic();
    client.connects.adjust(rate, burst, now);
    client.connects.take(1, now);
    if (client.connects.available(now) < 1 && client.connectionsHeldUntil === undefined)
      client.connectionsHeldUntil = this.until(period);
  }

  /** A link opened. */
  opened(channel: Channel): void {
    const { host } = channel.remote;
    if (channel.initiator || channel.authenticated || this.env.isRelay(host)) return;
    this.tracked.add(channel);
    this.client(host, this.env.clock.monotonic()).connections++;
  }

  /** A link closed. */
  closed(channel: Channel): void {
    if (!this.tracked.delete(channel)) return;
    const client = this.clients.get(channel.remote.host);
    if (client) client.connections--;
  }

  private client(host: string, now: number): Client {
    const known = this.clients.get(host);
    if (known) return known;
    if (this.clients.size >= MAX_ADDRESSES) this.forget();
    const { connections, circuits } = this.env.dos;
    const client: Client = {
      connections: 0,
      connects: new TokenBucket(connections.rate, connections.burst, now),
      circuits: new TokenBucket(circuits.rate, circuits.burst, now),
      connectionsHeldUntil: undefined,
      circuitsHeldUntil: undefined,
      fullQueues: 0,
    };
    this.clients.set(host, client);
    return client;
  }

  /** Makes room: a tenth of the addresses, first those that are not held off. */
  private forget(): void {
    const now = this.env.clock.monotonic();
    const held = ({ connectionsHeldUntil = 0, circuitsHeldUntil = 0 }: Client) =>
      Math.max(connectionsHeldUntil, circuitsHeldUntil) > now;
    for (const evenHeld of [false, true])
      for (const [host, client] of this.clients) {
        if (this.clients.size < MAX_ADDRESSES * 0.9) return;
        if (client.connections === 0 && (evenHeld || !held(client))) this.clients.delete(host);
      }
  }

  private until(period: number): number {
    return this.env.clock.monotonic() + period + this.env.random.below(Math.floor(period / 2));
  }

  // Circuits

  /** Whether a create cell on the channel is to be refused (C tor: `dos_cc_new_create_cell`). */
  refusesCircuit(channel: Channel): boolean {
    const { enabled, rate, burst, minConnections, period, defense } = this.env.dos.circuits;
    const client = enabled ? this.clientOf(channel) : undefined;
    if (!client) return false;
    const now = this.env.clock.monotonic();
    client.circuits.adjust(rate, burst, now);
    client.circuits.take(1, now);
    // An offender that goes on is held off for longer.
    if (client.circuits.available(now) < 1 && client.connections >= minConnections) {
      if (client.circuitsHeldUntil === undefined) this.count.marked++;
      client.circuitsHeldUntil = this.until(period);
    }
    if (client.circuitsHeldUntil === undefined || client.circuitsHeldUntil < now) return false;
    this.count.circuitsRefused++;
    return defense === Defense.REFUSE;
  }

  /** A client let a circuit's queue towards the next relay fill up (C tor: `dos_note_circ_max_outq`). */
  queueFull(channel: Channel): void {
    const { enabled, maxFullQueues, period } = this.env.dos.circuits;
    const client = enabled && maxFullQueues > 0 ? this.clientOf(channel) : undefined;
    if (!client || (client.circuitsHeldUntil ?? 0) >= this.env.clock.monotonic()) return;
    if (++client.fullQueues < maxFullQueues) return;
    if (client.circuitsHeldUntil === undefined) this.count.markedForQueues++;
    client.circuitsHeldUntil = this.until(period);
    client.fullQueues = 0;
  }

  private clientOf(channel: Channel): Client | undefined {
    return this.tracked.has(channel) ? this.clients.get(channel.remote.host) : undefined;
  }

  // Streams

  /** What becomes of a BEGIN or RESOLVE on the circuit (C tor: `dos_stream_new_begin_or_resolve_cell`). */
  stream(circuit: object, command: number): StreamVerdict {
    if (command === RelayCommand.BEGIN_DIR) return 'serve';
    const { enabled, rate, burst, defense } = this.env.dos.streams;
    if (!enabled) return 'serve';
    const now = this.env.clock.monotonic();
    let bucket = this.streams.get(circuit);
    if (!bucket) {
      bucket = new TokenBucket(rate, burst, now);
      this.streams.set(circuit, bucket);
    }
    if (bucket.take(1, now)) return 'serve';
    this.count.streamsRefused++;
    if (defense === Defense.NONE) return 'serve';
    return defense === Defense.CLOSE ? 'close circuit' : 'refuse';
  }
}
