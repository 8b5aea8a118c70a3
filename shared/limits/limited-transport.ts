/**
 * A transport whose connections keep to a bandwidth limit: reading pauses and writing stops while a bucket is empty.
 *
 * @module
 */
import { type AnyConn, type Origin, PassingConn, PassingTransport } from '../runtime/passing.js';
import type { Transport } from '../runtime/types.js';
import type { BandwidthLimiter, Traffic } from './bandwidth-limit.js';

class LimitedConn extends PassingConn {
  private readonly limiter: BandwidthLimiter;
  private readonly traffic: Traffic;
  /** The owner paused reading, and the limit did. */
  private held = false;
  private dry = false;
  /** The owner was told to wait for `drain`, by the limit. */
  private full = false;
  /** The connection itself has no room, and will say when it has. */
  private blocked = false;
  /** Writes of owners that did not wait, copied. */
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;
  private ending = false;

  constructor(inner: AnyConn, limiter: BandwidthLimiter, traffic: Traffic) {
    super(inner);
    this.limiter = limiter;
    this.traffic = traffic;
  }

  override get writableLength(): number {
    return this.inner.writableLength + this.pendingBytes;
  }

  protected override drained(): void {
    this.blocked = false;
    if (!this.full) this.handlers?.drain();
  }

  protected override closed(error: Error | undefined): void {
    this.limiter.reading.leave(this.traffic, this.readAgain);
    this.limiter.writing.leave(this.traffic, this.writeAgain);
    this.pending = [];
    this.pendingBytes = 0;
    this.handlers?.close(error);
  }

  protected override read(chunk: Buffer): void {
    if (!this.limiter.reading.spend(this.traffic, chunk.length) && !this.dry) {
      this.dry = true;
      this.inner.pause();
      this.limiter.reading.wait(this.traffic, this.readAgain);
    }
    this.handlers?.data(chunk);
  }

  private readonly readAgain = (): void => {
    this.dry = false;
    if (!this.held) this.inner.resume();
  };

  override pause(): void {
    this.held = true;
    this.inner.pause();
  }

  override resume(): void {
    this.held = false;
    if (!this.dry) this.inner.resume();
  }

  override write(bytes: Uint8Array): boolean {
    const { writing } = this.limiter;
    if (this.pending.length > 0 || writing.isDry(this.traffic)) {
      this.pending.push(Uint8Array.from(bytes));
      this.pendingBytes += bytes.length;
      this.stop();
      return false;
    }
    const room = this.pass(bytes);
    if (writing.spend(this.traffic, bytes.length)) return room;
    this.stop();
    return false;
  }

  private pass(bytes: Uint8Array): boolean {
    const room = this.inner.write(bytes);
    if (!room) this.blocked = true;
    return room;
  }

  private stop(): void {
    if (this.full) return;
    this.full = true;
    this.limiter.writing.wait(this.traffic, this.writeAgain);
  }

  private readonly writeAgain = (): void => {
    this.full = false;
    const { writing } = this.limiter;
    while (this.pending.length > 0) {
      if (writing.isDry(this.traffic)) {
        this.stop();
        return;
      }
      const bytes = this.pending.shift()!;
      this.pendingBytes -= bytes.length;
      this.pass(bytes);
      writing.spend(this.traffic, bytes.length);
    }
    if (this.ending) this.inner.end();
    else if (!this.blocked) this.handlers?.drain();
  };

  override end(): void {
    this.ending = true;
    if (this.pending.length === 0) this.inner.end();
  }
}

/** Links and directory ports carry for others; what an exit dials, and what the relay fetches, is its own. */
export class LimitedTransport extends PassingTransport {
  private readonly limiter: BandwidthLimiter;

  constructor(inner: Transport, limiter: BandwidthLimiter) {
    super(inner);
    this.limiter = limiter;
  }

  protected wrap(conn: AnyConn, origin: Origin): PassingConn {
    return new LimitedConn(conn, this.limiter, origin === 'dialled' ? 'own' : 'relayed');
  }
}
