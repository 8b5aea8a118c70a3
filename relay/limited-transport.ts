/**
 * A transport whose connections keep to a bandwidth limit: reading pauses and writing stops while a bucket is empty.
 *
 * @module
 */
import type {
  Conn,
  ConnHandlers,
  DialOptions,
  Listener,
  NetAddress,
  TlsConn,
  TlsIdentity,
  Transport,
} from '../shared/runtime/types.js';
import type { BandwidthLimiter, Traffic } from './bandwidth-limit.js';

class LimitedConn<C extends Conn> implements Conn {
  protected readonly inner: C;
  private readonly limiter: BandwidthLimiter;
  private readonly traffic: Traffic;
  private handlers: ConnHandlers | undefined;
  /** The owner paused reading, and the limit did. */
  private held = false;
  private dry = false;
  /** The owner was told to wait for `drain`, by the limit. */
  private full = false;
  /** The connection itself has no room, and will say when it has. */
  private blocked = false;
  /** Writes of owners that did not wait. */
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;
  private ending = false;

  constructor(inner: C, limiter: BandwidthLimiter, traffic: Traffic) {
    this.inner = inner;
    this.limiter = limiter;
    this.traffic = traffic;
  }

  get remote(): NetAddress {
    return this.inner.remote;
  }

  get local(): NetAddress {
    return this.inner.local;
  }

  get writableLength(): number {
    return this.inner.writableLength + this.pendingBytes;
  }

  start(handlers: ConnHandlers): void {
    this.handlers = handlers;
    this.inner.start({
      data: (chunk) => this.read(chunk),
      end: () => handlers.end(),
      drain: () => {
        this.blocked = false;
        if (!this.full) handlers.drain();
      },
      close: (error) => {
        this.gone();
        handlers.close(error);
      },
    });
  }

  private gone(): void {
    this.limiter.reading.leave(this.traffic, this.readAgain);
    this.limiter.writing.leave(this.traffic, this.writeAgain);
    this.pending = [];
    this.pendingBytes = 0;
  }

  private read(chunk: Buffer): void {
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

  pause(): void {
    this.held = true;
    this.inner.pause();
  }

  resume(): void {
    this.held = false;
    if (!this.dry) this.inner.resume();
  }

  write(bytes: Uint8Array): boolean {
    const { writing } = this.limiter;
    if (this.pending.length > 0 || writing.isDry(this.traffic)) {
      this.pending.push(bytes);
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

  end(): void {
    this.ending = true;
    if (this.pending.length === 0) this.inner.end();
  }

  destroy(error?: Error): void {
    this.inner.destroy(error);
  }
}

class LimitedTlsConn extends LimitedConn<TlsConn> implements TlsConn {
  get peerCertificate(): Uint8Array | undefined {
    return this.inner.peerCertificate;
  }

  get ownCertificate(): Uint8Array | undefined {
    return this.inner.ownCertificate;
  }

  exportKeyingMaterial(length: number, label: string, context: Uint8Array): Uint8Array {
    return this.inner.exportKeyingMaterial(length, label, context);
  }
}

/** Links and directory ports carry for others; what an exit dials, and what the relay fetches, is its own. */
export class LimitedTransport implements Transport {
  private readonly inner: Transport;
  private readonly limiter: BandwidthLimiter;

  constructor(inner: Transport, limiter: BandwidthLimiter) {
    this.inner = inner;
    this.limiter = limiter;
  }

  /** What a library listens for by itself would escape the limit. */
  get native(): boolean {
    return this.inner.native;
  }

  async dialTcp(to: NetAddress, options?: DialOptions): Promise<Conn> {
    return new LimitedConn(await this.inner.dialTcp(to, options), this.limiter, 'own');
  }

  async dialTls(to: NetAddress, options?: DialOptions): Promise<TlsConn> {
    return new LimitedTlsConn(await this.inner.dialTls(to, options), this.limiter, 'relayed');
  }

  listenTcp(at: NetAddress, accept: (conn: Conn) => void): Promise<Listener> {
    return this.inner.listenTcp(at, (conn) => accept(new LimitedConn(conn, this.limiter, 'relayed')));
  }

  listenTls(
    at: NetAddress,
    identity: () => TlsIdentity,
    accept: (conn: TlsConn) => void,
    admit?: (host: string) => boolean,
  ): Promise<Listener> {
    const wrapped = (conn: TlsConn) => accept(new LimitedTlsConn(conn, this.limiter, 'relayed'));
    return this.inner.listenTls(at, identity, wrapped, admit);
  }
}
