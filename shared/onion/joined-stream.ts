/**
 * A stream joined to a socket: bytes both ways, each side's fullness pushing back on the other, each side's end passed
 * on behind its last byte.
 *
 * @module
 */
import { EndReason } from '../cell/commands.js';
import type { Holder } from '../limits/memory-ceiling.js';
import type { Clock, Conn, Timer } from '../runtime/types.js';
import type { Backlog, IncomingStream } from './types.js';

/**
 * Milliseconds of silence from the client after the server's end of data. C tor's clients never answer our END: they
 * forget the stream, so the other half would stay for as long as the circuit.
 */
const CLIENT_SILENCE = 15_000;
/** Milliseconds of silence from the server after the client's end of data: it may be working on an answer. */
const SERVER_SILENCE = 300_000;
/** Milliseconds a server gets to take what was written to it and to close, once the stream is over. */
const LINGER = 10_000;

/** END reasons for Node's error codes (C tor: `errno_to_stream_end_reason`). */
const reasons: Record<string, number> = {
  EPIPE: EndReason.DONE,
  ENETUNREACH: EndReason.NOROUTE,
  EHOSTUNREACH: EndReason.NOROUTE,
  EACCES: EndReason.NOROUTE,
  EPERM: EndReason.NOROUTE,
  ECONNREFUSED: EndReason.CONNECTREFUSED,
  ECONNRESET: EndReason.CONNRESET,
  ETIMEDOUT: EndReason.TIMEOUT,
  ENOBUFS: EndReason.RESOURCELIMIT,
  ENOMEM: EndReason.RESOURCELIMIT,
  ENFILE: EndReason.RESOURCELIMIT,
  EMFILE: EndReason.RESOURCELIMIT,
  EADDRINUSE: EndReason.RESOURCELIMIT,
  EADDRNOTAVAIL: EndReason.RESOURCELIMIT,
  EINVAL: EndReason.INTERNAL,
  EAFNOSUPPORT: EndReason.INTERNAL,
  ENOTCONN: EndReason.INTERNAL,
};

/** The END reason for a connection's error; MISC when it has no other name. */
export const endReasonOf = (error: unknown): number =>
  reasons[(error as { code?: string } | undefined)?.code ?? ''] ?? EndReason.MISC;

/** What streams left to their sockets, as holders of memory. */
export const holdersOf = (leaving: Iterable<Backlog>): Holder[] =>
  [...leaving].map((left) => ({ memory: left.size, waitingSince: left.since, kill: () => left.drop() }));

/** One stream and its socket; its backlog is what the server has not taken. */
export class JoinedStream implements Backlog {
  private readonly stream: IncomingStream;
  private readonly clock: Clock;
  private readonly finished: () => void;
  private readonly leaving: Set<Backlog> | undefined;
  private conn: Conn | undefined;
  /** Optimistic data: what came before the connection was there. Flow control bounds it. */
  private early: Buffer[] = [];
  private earlyBytes = 0;
  /** Monotonic milliseconds of the first write since the server had taken all. */
  private heldSince = 0;
  private clientDone = false;
  private serverDone = false;
  private serverLost = false;
  private over = false;
  private lastActive = 0;
  private idle: Timer | undefined;
  private linger: Timer | undefined;

  /**
   * Takes the stream over; until `connected` it holds the client back with its flow control. While it is in `leaving` it
   * is over and its server has not taken all: no stream counts what it holds any more.
   */
  constructor(stream: IncomingStream, clock: Clock, finished: () => void, leaving?: Set<Backlog>) {
    this.stream = stream;
    this.clock = clock;
    this.finished = finished;
    this.leaving = leaving;
    stream.handlers = {
      data: (bytes) => this.fromClient(bytes),
      drain: () => this.conn?.resume(),
      end: (reason) => this.clientEnded(reason),
      backlog: this,
    };
    stream.pause();
  }

  /** Whether the stream is over, by either side: a connection that comes now is of no use. */
  get abandoned(): boolean {
    return this.over;
  }

  get size(): number {
    return this.earlyBytes + (this.conn?.writableLength ?? 0);
  }

  get since(): number | undefined {
    return this.size > 0 ? this.heldSince : undefined;
  }

  drop(): void {
    const { conn } = this;
    this.conn = undefined;
    this.dropEarly();
    conn?.destroy();
  }

  private dropEarly(): void {
    this.early = [];
    this.earlyBytes = 0;
  }

  /** Refuses the stream, before it was connected. `extra` goes behind the reason. */
  refuse(reason: number, extra?: Uint8Array): void {
    if (this.over) return;
    this.stream.end(reason, extra);
    this.giveUp(reason);
  }

  /** The connection is there: answers CONNECTED with `body` and joins the two. */
  connected(conn: Conn, body: Uint8Array): void {
    // The circuit's end gives up a stream that brings too much too early without telling its owner.
    if (this.over || this.stream.closed) {
      conn.destroy();
      this.finish();
      return;
    }
    this.conn = conn;
    this.stream.accept(body);
    conn.start({
      data: (bytes) => this.fromServer(bytes),
      drain: () => this.stream.resume(),
      end: () => this.serverEnded(),
      close: (error) => this.serverGone(error),
    });
    const { early } = this;
    this.dropEarly();
    if (early.length === 0 || conn.write(Buffer.concat(early))) this.stream.resume();
    if (this.clientDone) this.endServerSide(conn);
  }

  private fromClient(bytes: Buffer): void {
    if (this.serverLost || this.over) return;
    this.lastActive = this.clock.monotonic();
    if (this.size === 0) this.heldSince = this.lastActive;
    if (this.conn) {
      if (!this.conn.write(bytes)) this.stream.pause();
      return;
    }
    this.early.push(Buffer.from(bytes));
    this.earlyBytes += bytes.length;
  }

  private fromServer(bytes: Buffer): void {
    if (this.over) return;
    this.lastActive = this.clock.monotonic();
    if (!this.stream.lend(bytes)) this.conn?.pause();
  }

  /**
   * The client's END. DONE is its end of data, and the server may still answer; for any other reason it is gone (C
   * tor's clients always say MISC and mean it).
   */
  private clientEnded(reason: number): void {
    if (this.over) return;
    if (reason !== EndReason.DONE || this.serverDone) {
      this.finish();
      return;
    }
    this.clientDone = true;
    if (this.conn) this.endServerSide(this.conn);
  }

  private endServerSide(conn: Conn): void {
    conn.end();
    this.watch(SERVER_SILENCE);
  }

  private serverEnded(): void {
    if (this.over || this.serverDone) return;
    this.endClientSide(EndReason.DONE);
  }

  private serverGone(error: Error | undefined): void {
    this.linger?.cancel();
    this.leaving?.delete(this);
    this.conn = undefined;
    if (this.over) return;
    this.serverLost = true;
    // What the client still sends has nowhere to go, but must not fill its window.
    this.stream.resume();
    if (!this.serverDone) this.endClientSide(error ? endReasonOf(error) : EndReason.DONE);
  }

  private endClientSide(reason: number): void {
    this.serverDone = true;
    this.stream.end(reason);
    if (this.clientDone) this.finish();
    else this.watch(CLIENT_SILENCE);
  }

  /**
   * Ends the stream when nothing moved for `silence` and nothing waits to be sent to the client, who may read as
   * slowly as it likes. One timer, however much moves.
   */
  private watch(silence: number): void {
    this.idle?.cancel();
    this.lastActive = this.clock.monotonic();
    const check = () => {
      const left = this.lastActive + silence - this.clock.monotonic();
      if (this.stream.writableLength > 0) this.idle = this.clock.setTimer(silence, check);
      else if (left > 0) this.idle = this.clock.setTimer(left, check);
      else this.giveUp(EndReason.TIMEOUT);
    };
    this.idle = this.clock.setTimer(silence, check);
  }

  private giveUp(reason: number): void {
    this.stream.abort(reason);
    this.finish();
  }

  /** The stream is over. The server still gets what was written to it, and a while to take it. */
  private finish(): void {
    if (this.over) return;
    this.over = true;
    this.idle?.cancel();
    this.dropEarly();
    const conn = this.conn;
    if (conn) {
      conn.resume();
      conn.end();
      this.leaving?.add(this);
      this.linger = this.clock.setTimer(LINGER, () => conn.destroy());
    }
    this.finished();
  }
}
