/**
 * The seams of the onion layers: what one hop's crypto gives, what a circuit's end gives to streams.
 *
 * @module
 */
import type { CellBatch } from '../cell/batch.js';

/** Bytes of a SENDME v1 tag for tor1 (tor-spec 7.4): the SHA-1 of the cell that triggers it. */
export const TAG_SIZE = 20;

/**
 * A relay's layer of one circuit, both directions, working in place over batches.
 * Forward is away from the client, backward is towards it.
 */
export interface RelayLayer {
  /**
   * Takes this relay's layer off cells from the client's side. Marks in `mine[i]` (1 or 0) the cells that are
   * recognised here; returns how many. Unrecognised cells leave the digest untouched.
   */
  openForward(batch: CellBatch, mine: Uint8Array): number;
  /** Puts this relay's layer on cells that come from further out. */
  wrapBackward(batch: CellBatch): void;
  /** Sets digest and layer on cells this relay makes for the client (digest and recognized are zero on entry). */
  sealBackward(batch: CellBatch): void;
  /** Does ahead what the first cells would wait for. */
  ready(): void;
  /** After `openForward`: SENDME tag of recognised cell `i` of that batch; a fresh copy. */
  openTag(i: number): Uint8Array;
  /** After `sealBackward`: SENDME tag of cell `i` of that batch; a fresh copy. */
  sealTag(i: number): Uint8Array;
}

/** Results of a hop's handshake. `kh` keys the ESTABLISH_INTRO MAC. */
export interface HopKeys {
  /** Df, Db: 20 bytes each; Kf, Kb: 16 bytes each. */
  readonly df: Uint8Array;
  readonly db: Uint8Array;
  readonly kf: Uint8Array;
  readonly kb: Uint8Array;
  readonly kh: Uint8Array;
}

/** What a stream brought and its owner could not pass on yet. */
export interface Backlog {
  /** Bytes. */
  readonly size: number;
  /** Monotonic milliseconds since when it waits; undefined when nothing does. */
  readonly since: number | undefined;
  /** Lets go of it: the stream is ended for want of memory. */
  drop(): void;
}

/** What a stream tells its owner. */
export interface StreamHandlers {
  /** Counts as the stream's own memory. */
  readonly backlog?: Backlog;
  /** CONNECTED came (the side that sent BEGIN). `address` is an IP literal, or undefined when none was given. */
  connected?(address: string | undefined, ttl: number): void;
  /**
   * DATA, gathered: all that one turn brought for this stream is one call. The bytes are lent until the call returns:
   * the receiver copies what it keeps.
   */
  data(bytes: Buffer): void;
  /** What was written has left the stream's buffer. */
  drain(): void;
  /**
   * The other side sent END (`reason` from EndReason), or the circuit went away (DESTROY). All data was delivered
   * before. `local` is true when the circuit died (or the stream timed out) rather than the peer ending the stream.
   * A reason other than DONE ends both directions. After DONE the other side may still take data until our `end`;
   * one more call may follow then, when it gives up altogether or the circuit dies.
   */
  end(reason: number, local: boolean): void;
  /** RESOLVED came (the side that sent RESOLVE); `data` is its body. The stream is over; no `end` follows. */
  resolved?(data: Uint8Array): void;
}

/** A stream over a circuit, seen from either end. */
export interface Stream {
  readonly id: number;
  handlers: StreamHandlers;
  /** Whether both directions are over. */
  readonly closed: boolean;
  /** Bytes accepted and not yet packed into cells. */
  readonly writableLength: number;
  /** Queues bytes (the stream keeps the buffer); false when over the high mark: wait for `drain`. */
  write(bytes: Uint8Array): boolean;
  /** As `write`, of bytes that are the caller's again when it returns. */
  lend(bytes: Uint8Array): boolean;
  /**
   * Sends END with the reason behind what is queued. After DONE incoming data is still delivered until the other side
   * ends too, or says nothing for a minute; any other reason ends both directions.
   */
  end(reason: number, extra?: Uint8Array): void;
  /**
   * Gives up: nothing more is delivered. Sends END and drops what is queued, unless `end` was called before: then that
   * still goes its way.
   */
  abort(reason: number): void;
  /** Stops and restarts the crediting of incoming data (stream SENDME, or XOFF/XON under congestion control). */
  pause(): void;
  resume(): void;
}

/** A stream the other end asks for (relay or onion-service side). */
export interface IncomingStream extends Stream {
  /** BEGIN, BEGIN_DIR or RESOLVE. */
  readonly command: number;
  /** The body of that message, a copy. */
  readonly request: Uint8Array;
  /** Answers CONNECTED; `body` as tor-spec 6.2 has it (cell/relay encodes it). */
  accept(body: Uint8Array): void;
  /** Answers RESOLVED and closes. */
  answer(body: Uint8Array): void;
}
