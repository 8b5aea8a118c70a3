/**
 * Sends an answer over a connection as it takes it, and gives up on who takes nothing.
 *
 * @module
 */
import type { Clock, Conn, Timer } from '../runtime/types.js';

/** Bytes written at a time, so that one large document does not use up a bandwidth limit by itself. */
const PORTION = 32 * 1024;
/** Milliseconds in which some of what is left must go, and the connection must close when nothing is left. */
const STALL_TIMEOUT = 60_000;

export class AnswerWriter {
  private readonly conn: Conn;
  private readonly clock: Clock;
  private rest: Uint8Array | undefined;
  private size = 0;
  private timer: Timer | undefined;

  constructor(conn: Conn, clock: Clock) {
    this.conn = conn;
    this.clock = clock;
  }

  /** Sends it and ends the connection; once. */
  send(bytes: Uint8Array): void {
    this.rest = bytes;
    this.size = bytes.length;
    this.go();
    this.watch(Number.POSITIVE_INFINITY);
  }

  /** Bytes that are held for it: the whole answer, as long as some of it is left. */
  get kept(): number {
    return this.rest ? this.size : 0;
  }

  /** The connection has room. */
  drain(): void {
    this.go();
  }

  /** The connection is gone. */
  stop(): void {
    this.rest = undefined;
    this.timer?.cancel();
  }

  private go(): void {
    while (this.rest && this.rest.length > 0) {
      const portion = this.rest.subarray(0, PORTION);
      this.rest = this.rest.subarray(PORTION);
      if (!this.conn.write(portion) && this.rest.length > 0) return;
    }
    if (!this.rest) return;
    this.rest = undefined;
    this.conn.end();
  }

  private watch(before: number): void {
    this.timer = this.clock.setTimer(STALL_TIMEOUT, () => {
      const left = (this.rest?.length ?? 0) + this.conn.writableLength;
      if (left < before) this.watch(left);
      else this.conn.destroy();
    });
  }
}
