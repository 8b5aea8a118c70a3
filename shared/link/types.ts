/**
 * What a channel is to the code above it. A channel carries circuits between two neighbours; each circuit has a leg
 * on each channel it crosses.
 *
 * @module
 */
import type { CellBatch } from '../cell/batch.js';
import type { NetAddress } from '../runtime/types.js';

/** Who the other end has proved to be. Both are undefined for a client, which does not authenticate. */
export interface PeerIdentity {
  /** SHA-1 of the RSA identity key, 20 bytes. */
  readonly rsaId: Uint8Array | undefined;
  /** Ed25519 master identity key, 32 bytes. */
  readonly ed25519Id: Uint8Array | undefined;
}

/** What the owner of a leg is told. Calls come in the order of the cells. */
export interface LegHandler {
  /** RELAY and RELAY_EARLY cells of this circuit. The batch may be changed in place and is gone after the call. */
  relayCells(leg: Leg, batch: CellBatch): void;
  /** Any other cell for this circuit but DESTROY (CREATED2, CREATED_FAST, …). `body` is a view, gone after the call. */
  control(leg: Leg, command: number, body: Uint8Array): void;
  /** DESTROY came, or the channel closed (CHANNEL_CLOSED). The leg is dead. */
  destroyed(leg: Leg, reason: number): void;
  /** The output queue, after having been over its high mark (`full`), fell below its low mark. */
  writable(leg: Leg): void;
}

/** A circuit's end on one channel: its id there, its output queue. */
export interface Leg {
  readonly channel: Channel;
  readonly circuitId: number;
  handler: LegHandler;
  /** Cells waiting to be written. */
  readonly queued: number;
  /** Monotonic milliseconds since when the oldest of them waits (the first of its block); undefined when none does. */
  readonly since: number | undefined;
  /** Whether the queue is over its high mark: whoever can wait, waits for `writable`. */
  readonly full: boolean;
  readonly dead: boolean;
  /**
   * Queues the cells [from, to) of a batch: command byte and body are copied, the circuit id is this leg's. Past the
   * hard bound (`circ_max_cell_queue_size`) it returns false: the caller destroys the circuit.
   */
  send(batch: CellBatch, from?: number, to?: number): boolean;
  /** Queues one other cell, behind what is queued; `body` at most 509 bytes, zero-padded. */
  control(command: number, body: Uint8Array): void;
  /** Drops what is queued, sends DESTROY with the reason, frees the id. No callback follows. */
  destroy(reason: number): void;
}

/** A link to one neighbour, its handshake done. */
export interface Channel {
  /** Unique within the process, for logs. */
  readonly id: number;
  readonly peer: PeerIdentity;
  readonly remote: NetAddress;
  /** Whether this side dialled. It decides the top bit of new circuit ids (tor-spec 5.1.1). */
  readonly initiator: boolean;
  /** 4 or 5. */
  readonly linkProtocol: number;
  /** Whether the peer authenticated (as a relay), in whichever direction the link was made. */
  readonly authenticated: boolean;
  /** Whether it is to an address the peer's NETINFO claims (tor-spec 4.5, "canonical"). */
  readonly canonical: boolean;
  readonly open: boolean;
  /** Legs in use. */
  readonly circuits: number;
  /** Milliseconds (monotonic) of the last cell read, for idle timeouts. */
  readonly lastActive: number;
  /** Opens a leg under a fresh random circuit id for a circuit we originate or extend. Throws when none is free. */
  openLeg(handler: LegHandler): Leg;
  /** Sends a cell that belongs to no circuit (PADDING, PADDING_NEGOTIATE). */
  sendControl(command: number, body: Uint8Array): void;
  /** Closes the connection after what is queued; every leg's handler gets `destroyed`. */
  close(reason: string): void;
}

/** What a channel does with cells that no leg is there for. */
export interface ChannelHandler {
  /** CREATE2, CREATE_FAST (or CREATE) with a fresh id: answer through the leg, set its handler. */
  create(leg: Leg, command: number, body: Uint8Array): void;
  /** The channel is gone; every leg has been told. */
  closed(channel: Channel, reason: string): void;
}

/** Whom to reach, and who it must prove to be. */
export interface ChannelTarget {
  /** Tried in order. */
  readonly addresses: readonly NetAddress[];
  /** 20 bytes; the peer must prove it. */
  readonly rsaId?: Uint8Array;
  /** 32 bytes; when given, the peer must prove it. */
  readonly ed25519Id?: Uint8Array;
}

/** Channels by identity: dials, accepts, reuses. */
export interface ChannelManager {
  /**
   * An open (canonical, where there is a choice) channel to the target, or a new one. Concurrent calls for the same
   * identity at the same addresses share one dial. A relay makes none to itself.
   */
  get(target: ChannelTarget): Promise<Channel>;
  /**
   * Dials a fresh link, never a reused one, lets the peer prove its identity, closes it: an authority's reachability
   * test. Rejects when it cannot be reached or is somebody else.
   */
  probe(target: ChannelTarget): Promise<void>;
  /** All open channels. */
  readonly channels: Iterable<Channel>;
}
