/**
 * A channel: circuits side by side on one connection whose handshake is done (tor-spec 5.1.1, 5.4).
 *
 * Cells to send wait in a queue per circuit. Once a turn the channel writes what its scheduler picks as one write, and
 * stops picking while the connection has no room, so that what waits can still be reordered or dropped.
 *
 * @module
 */
import { CepaError, ProtocolError } from '../bytes/errors.js';
import type { CellBatch } from '../cell/batch.js';
import { CELL_SIZE, Command, DestroyReason, nameOf } from '../cell/commands.js';
import { encodeFixed, writeFixed } from '../cell/frame.js';
import type { Log } from '../log/types.js';
import type { Clock, NetAddress, Random, TlsConn } from '../runtime/types.js';
import { CircuitIds } from './circuit-ids.js';
import { linkError } from './errors.js';
import { TurnHeap } from './ewma.js';
import { CircuitLeg, type LegHost, LOW_MARK } from './leg.js';
import type { LinkStats } from './stats.js';
import type { ChannelHandler, Leg, LegHandler, PeerIdentity } from './types.js';

/** Cells of one write: ten TLS records of 31 cells, more than a circuit's queue has when it is full. */
const MAX_WRITE_CELLS = 310;
/** What is written to connections that use it up at once. */
const outgoing = Buffer.allocUnsafeSlow(MAX_WRITE_CELLS * CELL_SIZE);
/** DESTROYs that may wait for a peer that reads nothing; past that the peer is given up. */
const MAX_PENDING_DESTROYS = 65_536;
/** Bytes a connection may be left with when it is closed. */
const MAX_LAST_BYTES = 256 * 1024;
/** Milliseconds a closed connection gets to hand over what was written. */
const LINGER = 5_000;

/** Bounds of one channel. */
export interface ChannelLimits {
  /** Cells in the output queue of a circuit that the peer made (circ_max_cell_queue_size). */
  readonly maxQueue: number;
  /** The same of one that was made here: away from the client (circ_max_cell_queue_size_out). */
  readonly maxQueueOut: number;
  /** Circuits at a time. */
  readonly maxCircuits: number;
  /** Of the moving average by which circuits take turns, milliseconds. */
  readonly halflife: number;
}

/** What a channel is made of. */
export interface ChannelParts {
  readonly id: number;
  readonly conn: TlsConn;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly stats: LinkStats;
  readonly handler: ChannelHandler;
  /** Asked for each circuit: the consensus changes while a channel lives. */
  readonly limits: () => ChannelLimits;
  readonly peer: PeerIdentity;
  readonly initiator: boolean;
  readonly linkProtocol: number;
  readonly authenticated: boolean;
  readonly canonical: boolean;
  readonly canonicalToPeer: boolean;
  /** Whether circuits may be made from the other side: not towards a client. */
  readonly accepts: boolean;
  /** PADDING_NEGOTIATE came. */
  readonly padding?: (body: Uint8Array) => void;
  /** The channel stops reading and writing; called once, before the legs are told. */
  readonly stopped: (reason: string) => void;
}

/** Clients send RELAY_EARLY past their first hop, and to it what extends a circuit (tor-spec 5.6). */
function hasEarly({ buf, n, at }: CellBatch): boolean {
  for (let i = 0; i < n; i++) if (buf[at[i]! - 1] === Command.RELAY_EARLY) return true;
  return false;
}

/** A leg between CREATE and its owner's answer. */
const NOBODY: LegHandler = { relayCells() {}, control() {}, destroyed() {}, writable() {} };

export class LinkChannel implements LegHost {
  readonly id: number;
  readonly clock: Clock;
  readonly stats: LinkStats;
  readonly peer: PeerIdentity;
  readonly remote: NetAddress;
  readonly initiator: boolean;
  readonly linkProtocol: number;
  readonly authenticated: boolean;
  readonly canonical: boolean;
  /** Whether it is canonical to the peer, too, as far as can be seen: it sees us at an address of ours. */
  readonly canonicalToPeer: boolean;
  open = true;
  lastActive: number;
  /** Monotonic milliseconds of the last write. */
  lastWrite: number;
  /**
   * Whether it carries, or carried, circuits of more than one hop, as far as can be seen: those we make with CREATE2, or
   * another relay does, and a client's in which RELAY_EARLY came (circuit_update_channel_usage).
   */
  carriesCircuits = false;
  /** Monotonic milliseconds since when there is no circuit; undefined while there is one. */
  idleSince: number | undefined;
  /** Monotonic milliseconds at which the channel opened. */
  readonly openedAt: number;
  private readonly parts: ChannelParts;
  private readonly conn: TlsConn;
  private readonly ids: CircuitIds;
  private readonly legs = new Map<number, CircuitLeg>();
  private readonly turns: TurnHeap<CircuitLeg>;
  /** Circuit id and reason, in turn. */
  private readonly destroys: number[] = [];
  private readonly controls: Buffer[] = [];
  private waiting = 0;
  private blocked = false;
  private scheduled = false;
  private readonly flushLater = () => this.flush();

  constructor(parts: ChannelParts) {
    this.parts = parts;
    this.id = parts.id;
    this.clock = parts.clock;
    this.stats = parts.stats;
    this.peer = parts.peer;
    this.conn = parts.conn;
    this.remote = parts.conn.remote;
    this.initiator = parts.initiator;
    this.linkProtocol = parts.linkProtocol;
    this.authenticated = parts.authenticated;
    this.canonical = parts.canonical;
    this.canonicalToPeer = parts.canonicalToPeer;
    this.ids = new CircuitIds(parts.initiator, parts.random);
    const now = parts.clock.monotonic();
    this.openedAt = now;
    this.lastActive = now;
    this.lastWrite = now;
    this.idleSince = now;
    this.turns = new TurnHeap(now, parts.limits().halflife);
  }

  get circuits(): number {
    return this.legs.size;
  }

  /** Cells in all queues. */
  get queued(): number {
    return this.waiting;
  }

  /** Bytes the connection has taken and not handed on. */
  get writing(): number {
    return this.open ? this.conn.writableLength : 0;
  }

  /** The legs, for whoever has to free memory: oldest data first is C tor's way (circuits_handle_oom). */
  get allLegs(): Iterable<CircuitLeg> {
    return this.legs.values();
  }

  openLeg(handler: LegHandler): Leg {
    if (!this.open) throw linkError('closed', 'the channel is closed');
    const { maxCircuits, maxQueueOut } = this.parts.limits();
    if (this.legs.size >= maxCircuits)
      throw linkError('limit', `${this.legs.size} circuits on the channel already`);
    return this.addLeg(
      this.ids.pick((id) => this.legs.has(id)),
      handler,
      maxQueueOut,
    );
  }

  private addLeg(circuitId: number, handler: LegHandler, maxQueue: number): CircuitLeg {
    const leg = new CircuitLeg(this, circuitId, handler, maxQueue);
    this.legs.set(circuitId, leg);
    this.idleSince = undefined;
    return leg;
  }

  sendControl(command: number, body: Uint8Array): void {
    if (!this.open) return;
    this.controls.push(encodeFixed(0, command, body));
    this.stats.cellsOut[command]!++;
    this.schedule();
  }

  // Cells that came.

  relay(circuitId: number, batch: CellBatch): void {
    const { cellsIn } = this.stats;
    for (let i = 0; i < batch.n; i++) cellsIn[batch.buf[batch.at[i]! - 1]!]!++;
    const leg = this.legs.get(circuitId);
    if (!leg) {
      this.stats.strayCells += batch.n;
      return;
    }
    if (!this.carriesCircuits) this.carriesCircuits = hasEarly(batch);
    try {
      leg.handler.relayCells(leg, batch);
    } catch (error) {
      this.failLeg(leg, error);
    }
  }

  /** A fixed cell but RELAY. Throws ProtocolError for what has no place on an open channel. */
  fixed(circuitId: number, command: number, body: Buffer): void {
    this.stats.cellsIn[command]!++;
    switch (command) {
      case Command.PADDING:
        return;
      case Command.PADDING_NEGOTIATE:
        this.parts.padding?.(body);
        return;
      case Command.CREATE:
      case Command.CREATE_FAST:
      case Command.CREATE2:
        this.created(circuitId, command, body);
        return;
      case Command.DESTROY:
        this.destroyed(circuitId, body[0]!);
        return;
      case Command.CREATED:
      case Command.CREATED_FAST:
      case Command.CREATED2:
        this.answered(circuitId, command, body);
        return;
      case Command.NETINFO:
        throw new ProtocolError('NETINFO after the handshake');
      default:
        this.parts.log.debug('dropped a cell of unknown kind', { channel: this.id, command });
    }
  }

  /** A variable cell. Throws ProtocolError for what has no place on an open channel. */
  variable(command: number): void {
    this.stats.cellsIn[command]!++;
    switch (command) {
      case Command.VERSIONS:
      case Command.CERTS:
      case Command.AUTH_CHALLENGE:
      case Command.AUTHENTICATE:
        throw new ProtocolError(`${nameOf(Command, command)} after the handshake`);
    }
  }

  private created(circuitId: number, command: number, body: Buffer): void {
    const { log, limits, accepts, handler } = this.parts;
    // Neither can be answered with DESTROY: there is no circuit that is meant, or the wrong one would be hit.
    if (circuitId === 0 || this.legs.has(circuitId)) {
      this.stats.strayCells++;
      log.info('dropped a cell that creates a circuit that is there, or circuit 0', { channel: this.id });
      return;
    }
    const high = circuitId >= 0x8000_0000;
    if (high === this.initiator || !accepts) {
      this.refuse(circuitId, DestroyReason.PROTOCOL);
      return;
    }
    const { maxCircuits, maxQueue } = limits();
    if (this.legs.size >= maxCircuits) {
      this.refuse(circuitId, DestroyReason.RESOURCELIMIT);
      return;
    }
    const leg = this.addLeg(circuitId, NOBODY, maxQueue);
    if (command === Command.CREATE2 && this.authenticated) this.carriesCircuits = true;
    try {
      handler.create(leg, command, body);
    } catch (error) {
      this.failLeg(leg, error);
    }
  }

  private answered(circuitId: number, command: number, body: Buffer): void {
    const leg = this.legs.get(circuitId);
    if (!leg) {
      this.stats.strayCells++;
      return;
    }
    try {
      leg.handler.control(leg, command, body);
    } catch (error) {
      this.failLeg(leg, error);
    }
  }

  private destroyed(circuitId: number, reason: number): void {
    const leg = this.legs.get(circuitId);
    if (!leg) return;
    this.release(leg, undefined);
    this.tellDestroyed(leg, reason);
  }

  private tellDestroyed(leg: CircuitLeg, reason: number): void {
    try {
      leg.handler.destroyed(leg, reason);
    } catch (error) {
      this.parts.log.error('a circuit failed while it was taken down', { channel: this.id, error });
    }
  }

  /** What an owner could not deal with ends its circuit, and nothing else. */
  private failLeg(leg: CircuitLeg, error: unknown): void {
    const expected = error instanceof CepaError;
    if (expected) this.parts.log.info('a circuit broke a rule', { channel: this.id, reason: error.message });
    else this.parts.log.error('a circuit failed', { channel: this.id, error });
    if (leg.dead) return;
    const reason = expected ? DestroyReason.PROTOCOL : DestroyReason.INTERNAL;
    this.release(leg, reason);
    this.tellDestroyed(leg, reason);
  }

  // What goes out.

  filled(leg: CircuitLeg, cells: number): void {
    this.waiting += cells;
    this.turns.add(leg);
    this.schedule();
  }

  release(leg: CircuitLeg, reason: number | undefined): void {
    if (leg.dead) return;
    leg.dead = true;
    leg.full = false;
    this.waiting -= leg.queue.length;
    leg.queue.clear();
    this.turns.remove(leg);
    this.legs.delete(leg.circuitId);
    this.ids.retire(leg.circuitId);
    if (this.legs.size === 0) this.idleSince = this.clock.monotonic();
    if (reason !== undefined) this.refuse(leg.circuitId, reason);
  }

  private refuse(circuitId: number, reason: number): void {
    if (!this.open) return;
    if (this.destroys.length >= MAX_PENDING_DESTROYS * 2) {
      this.close('the peer reads nothing');
      return;
    }
    this.destroys.push(circuitId, reason);
    this.stats.cellsOut[Command.DESTROY]!++;
    this.schedule();
  }

  private schedule(): void {
    if (this.scheduled || this.blocked || !this.open) return;
    this.scheduled = true;
    this.clock.defer(this.flushLater);
  }

  /** Cells that were not written, its own among them. */
  private get unsent(): number {
    return this.destroys.length / 2 + this.controls.length + this.waiting;
  }

  /** The connection has room again. */
  drained(): void {
    this.blocked = false;
    this.flush();
  }

  private flush(): void {
    this.scheduled = false;
    if (!this.open || this.blocked) return;
    const now = this.clock.monotonic();
    this.turns.advance(now, this.legs.values());
    const relieved: CircuitLeg[] = [];
    while (!this.blocked) {
      const cells = Math.min(this.unsent, MAX_WRITE_CELLS);
      if (cells === 0) break;
      const size = cells * CELL_SIZE;
      const out = this.conn.usesUp ? outgoing.subarray(0, size) : Buffer.allocUnsafe(size);
      this.fillFromLegs(out, this.fillOwn(out), relieved);
      this.lastWrite = now;
      this.stats.bytesOut += out.length;
      if (!this.conn.write(out)) this.blocked = true;
    }
    for (const leg of relieved) this.tellWritable(leg);
  }

  /** The channel's own cells, which go first; returns where they end. */
  private fillOwn(out: Buffer): number {
    let at = 0;
    const { destroys, controls } = this;
    const pairs = Math.min(destroys.length / 2, out.length / CELL_SIZE);
    for (let i = 0; i < pairs; i++, at += CELL_SIZE)
      writeFixed(out, at, destroys[2 * i]!, Command.DESTROY, Buffer.of(destroys[2 * i + 1]!));
    if (pairs > 0) destroys.splice(0, pairs * 2);
    while (controls.length > 0 && at < out.length) at += controls.shift()!.copy(out, at);
    return at;
  }

  private fillFromLegs(out: Buffer, start: number, relieved: CircuitLeg[]): void {
    let at = start;
    while (at < out.length) {
      const leg = this.turns.first!;
      const cells = Math.min(this.turns.allowance(), (out.length - at) / CELL_SIZE);
      const taken = leg.queue.take(cells, out, at);
      at += taken * CELL_SIZE;
      this.waiting -= taken;
      if (leg.queue.length === 0) this.turns.remove(leg);
      this.turns.charge(leg, taken);
      if (leg.full && leg.queue.length <= LOW_MARK) {
        leg.full = false;
        relieved.push(leg);
      }
    }
  }

  private tellWritable(leg: CircuitLeg): void {
    if (leg.dead) return;
    try {
      leg.handler.writable(leg);
    } catch (error) {
      this.failLeg(leg, error);
    }
  }

  // The end.

  close(reason: string): void {
    if (!this.open) return;
    // A write that is under way is no reason to lose what waits behind it, as far as memory goes.
    do {
      this.blocked = false;
      this.flush();
    } while (this.open && this.unsent > 0 && this.writing < MAX_LAST_BYTES);
    this.conn.end();
    // A peer that does not read would keep the connection for ever.
    this.clock.setTimer(LINGER, () => this.conn.destroy());
    this.gone(reason);
  }

  // What memory it holds.

  get memory(): number {
    return this.writing;
  }

  get waitingSince(): number | undefined {
    return this.writing > 0 ? this.lastWrite : undefined;
  }

  /** Ends it at once: what is not sent is lost. */
  kill(): void {
    this.conn.destroy();
    this.gone('out of memory');
  }

  /** The connection is over: every circuit is told, then the handler. */
  gone(reason: string): void {
    if (!this.open) return;
    this.open = false;
    this.parts.stopped(reason);
    this.destroys.length = 0;
    this.controls.length = 0;
    for (const leg of [...this.legs.values()]) {
      this.release(leg, undefined);
      this.tellDestroyed(leg, DestroyReason.CHANNEL_CLOSED);
    }
    try {
      this.parts.handler.closed(this, reason);
    } catch (error) {
      this.parts.log.error('closing a channel failed', { channel: this.id, error });
    }
  }
}
