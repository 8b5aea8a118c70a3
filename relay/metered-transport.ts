/**
 * A transport whose connections are counted.
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

/** Where counts go: bytes as applications see them, without TLS. */
export interface Meter {
  read(bytes: number): void;
  written(bytes: number): void;
}

class MeteredConn<C extends Conn> implements Conn {
  protected readonly inner: C;
  private readonly meter: Meter;

  constructor(inner: C, meter: Meter) {
    this.inner = inner;
    this.meter = meter;
  }

  get remote(): NetAddress {
    return this.inner.remote;
  }

  get local(): NetAddress {
    return this.inner.local;
  }

  get writableLength(): number {
    return this.inner.writableLength;
  }

  start(handlers: ConnHandlers): void {
    const { meter } = this;
    this.inner.start({
      data(chunk) {
        meter.read(chunk.length);
        handlers.data(chunk);
      },
      end: () => handlers.end(),
      drain: () => handlers.drain(),
      close: (error) => handlers.close(error),
    });
  }

  write(bytes: Uint8Array): boolean {
    this.meter.written(bytes.length);
    return this.inner.write(bytes);
  }

  end(): void {
    this.inner.end();
  }

  destroy(error?: Error): void {
    this.inner.destroy(error);
  }

  pause(): void {
    this.inner.pause();
  }

  resume(): void {
    this.inner.resume();
  }
}

class MeteredTlsConn extends MeteredConn<TlsConn> implements TlsConn {
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

/** Counts everything that goes through a transport's connections, but not what a library listens for by itself. */
export class MeteredTransport implements Transport {
  private readonly inner: Transport;
  private readonly meter: Meter;

  constructor(inner: Transport, ...meters: readonly Meter[]) {
    this.inner = inner;
    this.meter = {
      read(bytes) {
        for (const meter of meters) meter.read(bytes);
      },
      written(bytes) {
        for (const meter of meters) meter.written(bytes);
      },
    };
  }

  get native(): boolean {
    return this.inner.native;
  }

  async dialTcp(to: NetAddress, options?: DialOptions): Promise<Conn> {
    return new MeteredConn(await this.inner.dialTcp(to, options), this.meter);
  }

  async dialTls(to: NetAddress, options?: DialOptions): Promise<TlsConn> {
    return new MeteredTlsConn(await this.inner.dialTls(to, options), this.meter);
  }

  listenTcp(at: NetAddress, accept: (conn: Conn) => void): Promise<Listener> {
    return this.inner.listenTcp(at, (conn) => accept(new MeteredConn(conn, this.meter)));
  }

  listenTls(
    at: NetAddress,
    identity: () => TlsIdentity,
    accept: (conn: TlsConn) => void,
    admit?: (host: string) => boolean,
  ): Promise<Listener> {
    const wrapped = (conn: TlsConn) => accept(new MeteredTlsConn(conn, this.meter));
    return this.inner.listenTls(at, identity, wrapped, admit);
  }
}
