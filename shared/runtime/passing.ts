/**
 * Connections and transports that pass everything on to another: what wants to see or hold some of it overrides that.
 *
 * @module
 */
import type {
  Conn,
  ConnHandlers,
  DialOptions,
  Listener,
  NetAddress,
  TcpDialOptions,
  TlsConn,
  TlsIdentity,
  Transport,
} from './types.js';

/** A connection with TLS or without. */
export type AnyConn = Conn & Partial<TlsConn>;

/** How a connection came about: dialled (TCP, Unix), dialled as a link (TLS), or accepted. */
export type Origin = 'dialled' | 'link' | 'accepted';

/** Passes on calls to `inner`, and what `inner` tells to the handlers. Nothing is made for a chunk or a write. */
export class PassingConn implements TlsConn {
  protected readonly inner: AnyConn;
  protected handlers: ConnHandlers | undefined;

  constructor(inner: AnyConn) {
    this.inner = inner;
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
    this.handlers = handlers;
    this.inner.start({
      data: (chunk) => this.read(chunk),
      end: () => this.handlers?.end(),
      drain: () => this.drained(),
      close: (error) => this.closed(error),
    });
  }

  /** Bytes came. */
  protected read(chunk: Buffer): void {
    this.handlers?.data(chunk);
  }

  /** `inner` has room again. */
  protected drained(): void {
    this.handlers?.drain();
  }

  /** `inner` is gone. */
  protected closed(error: Error | undefined): void {
    this.handlers?.close(error);
  }

  write(bytes: Uint8Array): boolean {
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

  get usesUp(): boolean {
    return this.inner.usesUp ?? false;
  }

  get peerCertificate(): Uint8Array | undefined {
    return this.inner.peerCertificate;
  }

  get ownCertificate(): Uint8Array | undefined {
    return this.inner.ownCertificate;
  }

  /** Throws TypeError on a connection without TLS, which its type does not show to be one. */
  exportKeyingMaterial(length: number, label: string, context: Uint8Array): Uint8Array {
    return this.inner.exportKeyingMaterial!(length, label, context);
  }
}

/** A transport that puts what `wrap` makes around each connection of another. */
export abstract class PassingTransport implements Transport {
  protected readonly inner: Transport;
  readonly dialUnix?: NonNullable<Transport['dialUnix']>;

  constructor(inner: Transport) {
    this.inner = inner;
    if (inner.dialUnix)
      this.dialUnix = async (path, options) => this.wrap(await inner.dialUnix!(path, options), 'dialled');
  }

  protected abstract wrap(conn: AnyConn, origin: Origin): PassingConn;

  async dialTcp(to: NetAddress, options?: TcpDialOptions): Promise<Conn> {
    return this.wrap(await this.inner.dialTcp(to, options), 'dialled');
  }

  async dialTls(to: NetAddress, options?: DialOptions): Promise<TlsConn> {
    return this.wrap(await this.inner.dialTls(to, options), 'link');
  }

  listenTcp(at: NetAddress, accept: (conn: Conn) => void): Promise<Listener> {
    return this.inner.listenTcp(at, (conn) => accept(this.wrap(conn, 'accepted')));
  }

  listenTls(
    at: NetAddress,
    identity: () => TlsIdentity,
    accept: (conn: TlsConn) => void,
    admit?: (host: string) => boolean,
  ): Promise<Listener> {
    return this.inner.listenTls(at, identity, (conn) => accept(this.wrap(conn, 'accepted')), admit);
  }
}
