/**
 * What is on its way into a plain socket: copied when it is written, so that the writer's buffer is free again, and
 * handed to the operating system once a turn, in as few pieces as there can be.
 *
 * @module
 */
import { SlabPool } from '../bytes/slabs.js';

/** Bytes queued at which `write` says no, and at or below which `drained` follows. */
const HIGH_WATER = 256 * 1024;
const LOW_WATER = 64 * 1024;
/** Bytes of a block: what a turn brings for one connection is seldom more. */
const SLAB_SIZE = 64 * 1024;
/** Unused blocks that a process keeps. */
const SPARE_SLABS = 64;

const slabs = new SlabPool(SLAB_SIZE, SPARE_SLABS);

/** What is asked of a socket (`net.Socket`). */
export interface Outlet {
  readonly writable: boolean;
  readonly writableLength: number;
  write(bytes: Uint8Array, done?: (error?: Error | null) => void): boolean;
  cork(): void;
  uncork(): void;
  end(): void;
}

/** Outgoing bytes of one connection. One write is under way at a time: what comes meanwhile fills blocks. */
export class Outbox {
  private readonly socket: Outlet;
  private readonly defer: (run: () => void) => void;
  private readonly drained: () => void;
  /** Blocks with what was not handed on; the last is filled up to `used`. */
  private filled: Buffer[] = [];
  private used = 0;
  private underWay: Buffer[] = [];
  private busy = false;
  private scheduled = false;
  private owing = false;
  private ended = false;

  /** `defer` calls once at the end of the turn; `drained` is told after a `write` that said no. */
  constructor(socket: Outlet, defer: (run: () => void) => void, drained: () => void) {
    this.socket = socket;
    this.defer = defer;
    this.drained = drained;
  }

  /** Bytes taken and not yet handed to the operating system. */
  get length(): number {
    return this.socket.writableLength + this.pending;
  }

  private get pending(): number {
    return this.filled.length === 0 ? 0 : (this.filled.length - 1) * SLAB_SIZE + this.used;
  }

  /** Copies bytes; false when it holds more than it should, or the socket takes no more. */
  write(bytes: Uint8Array): boolean {
    if (this.ended || !this.socket.writable) return false;
    for (let at = 0; at < bytes.length; ) at += this.copy(bytes, at);
    if (!this.scheduled && !this.busy) {
      this.scheduled = true;
      this.defer(this.turnEnded);
    }
    if (this.length < HIGH_WATER) return true;
    this.owing = true;
    return false;
  }

  private copy(bytes: Uint8Array, from: number): number {
    if (this.filled.length === 0 || this.used === SLAB_SIZE) {
      this.filled.push(slabs.take());
      this.used = 0;
    }
    const n = Math.min(SLAB_SIZE - this.used, bytes.length - from);
    this.filled.at(-1)!.set(n === bytes.length ? bytes : bytes.subarray(from, from + n), this.used);
    this.used += n;
    return n;
  }

  private readonly turnEnded = (): void => {
    this.scheduled = false;
    if (!this.busy) this.flush();
  };

  private flush(): void {
    if (this.filled.length === 0) return;
    this.busy = true;
    this.underWay = this.filled;
    this.hand(this.handed);
  }

  /** Hands all that is pending to the socket. */
  private hand(done?: (error?: Error | null) => void): void {
    const { socket, filled, used } = this;
    this.filled = [];
    const last = filled.length - 1;
    if (last > 0) {
      socket.cork();
      for (let i = 0; i < last; i++) socket.write(filled[i]!);
    }
    socket.write(filled[last]!.subarray(0, used), done);
    if (last > 0) socket.uncork();
  }

  private readonly handed = (error?: Error | null): void => {
    this.busy = false;
    const { underWay } = this;
    this.underWay = [];
    if (error) return;
    for (const slab of underWay) slabs.give(slab);
    if (!this.ended) this.flush();
    if (!this.owing || this.length > LOW_WATER) return;
    this.owing = false;
    this.drained();
  };

  /** Ends the socket's writing side behind what was written. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    if (this.filled.length > 0) this.hand();
    this.socket.end();
  }
}
