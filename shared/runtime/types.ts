/**
 * What protocol code may ask of the outside world: time, randomness, connections, names. Each has a real form
 * (`real.ts`) and a simulated one (`sim/`) under which a whole network runs in one process on virtual time.
 *
 * @module
 */

/** A pending wake-up. */
export interface Timer {
  cancel(): void;
}

/** Time. All durations are milliseconds. */
export interface Clock {
  /** Wall clock, milliseconds since 1970; may be skewed or stepped. */
  now(): number;
  /** Monotonic, fractional milliseconds from an arbitrary start; for durations and round-trip times. */
  monotonic(): number;
  /** Calls `wake` once after `delay` milliseconds. Never keeps a process alive by itself. */
  setTimer(delay: number, wake: () => void): Timer;
  /** Keeps the process alive until it is cancelled, as timers do not. */
  keepAlive(): Timer;
  /**
   * Calls `run` once at the end of this turn of the event loop, after the input that is at hand was handled. What `run`
   * defers comes at the end of the same turn, but for itself: that comes in the next.
   */
  defer(run: () => void): void;
  /** Marks real work (a library's asynchronous answer, a thread pool) during which virtual time stands still. */
  hold<T>(work: Promise<T>): Promise<T>;
}

/** Randomness. Production has one source, the operating system's. */
export interface Random {
  bytes(n: number): Uint8Array;
  /** Uniform in [0, bound), bound at most 2^48. */
  below(bound: number): number;
  /** Uniform in [0, 1). */
  fraction(): number;
}

/** An IP literal (no brackets) and a TCP port. */
export interface NetAddress {
  readonly host: string;
  readonly port: number;
}

/** What a connection tells its owner. Calls never nest inside a `write`. */
export interface ConnHandlers {
  /** Bytes read. The receiver may change them in place; they are lent, until the call returns. */
  data(chunk: Buffer): void;
  /** The peer will send no more (TCP FIN, TLS close_notify); writing may still work. */
  end(): void;
  /** What was written has been handed to the operating system: `writableLength` is low again. */
  drain(): void;
  /** The connection is gone, once, whatever the cause. No other call follows. */
  close(error?: Error): void;
}

/** A byte stream over TCP (or a simulated one). */
export interface Conn {
  readonly remote: NetAddress;
  /** To be asked for while it is open. */
  readonly local: NetAddress;
  /** Starts delivery; nothing is read before. May be called again to hand the connection on. */
  start(handlers: ConnHandlers): void;
  /**
   * Queues bytes; false when more than the high-water mark is queued. They are the caller's again when it returns, but
   * for a TLS connection (`usesUp`), which may keep the buffer until `drain` or `close`.
   */
  write(bytes: Uint8Array): boolean;
  /** Bytes accepted by `write` and not yet handed to the operating system. */
  readonly writableLength: number;
  /** Half-close: FIN after what is queued. */
  end(): void;
  /** Closes at once, both ways. */
  destroy(error?: Error): void;
  pause(): void;
  resume(): void;
}

/** A TLS connection, as the link handshake needs it (tor-spec 2). */
export interface TlsConn extends Conn {
  /** DER of the certificate the peer showed; undefined for a server's view of a client without one. */
  readonly peerCertificate: Uint8Array | undefined;
  /** DER of the certificate this side showed. */
  readonly ownCertificate: Uint8Array | undefined;
  /** Whether bytes written now are used up when `write` returns, so that their buffer may be filled again at once. */
  readonly usesUp: boolean;
  /** RFC 5705 exporter. */
  exportKeyingMaterial(length: number, label: string, context: Uint8Array): Uint8Array;
}

/** A TLS server certificate with its private key, both PEM, and the certificate's DER. */
export interface TlsIdentity {
  readonly certPem: string;
  readonly keyPem: string;
  readonly certDer: Uint8Array;
}

/** A listening socket. */
export interface Listener {
  readonly local: NetAddress;
  /** Stops listening; what was accepted stays. */
  close(): Promise<void>;
}

/** Dialling options. */
export interface DialOptions {
  /** Gives up after so many milliseconds. */
  timeout?: number;
  /** Source address to bind. */
  localHost?: string;
}

/** Options of dialling without TLS. */
export interface TcpDialOptions extends DialOptions {
  /** Gives up when it is aborted. */
  signal?: AbortSignal;
}

/** Makes and accepts connections. Rejections are Errors with Node's codes (`ECONNREFUSED`, `ETIMEDOUT`, …). */
export interface Transport {
  dialTcp(to: NetAddress, options?: TcpDialOptions): Promise<Conn>;
  /** A local socket by its path; absent where there are none. */
  dialUnix?(path: string, options?: Pick<DialOptions, 'timeout'>): Promise<Conn>;
  dialTls(to: NetAddress, options?: DialOptions): Promise<TlsConn>;
  listenTcp(at: NetAddress, accept: (conn: Conn) => void): Promise<Listener>;
  /**
   * `identity` is asked for at each handshake, so that a rotated link certificate is picked up. What `admit` refuses,
   * by the other side's address, is closed before any handshake.
   */
  listenTls(
    at: NetAddress,
    identity: () => TlsIdentity,
    accept: (conn: TlsConn) => void,
    admit?: (host: string) => boolean,
  ): Promise<Listener>;
}

/** Other threads, for work that takes long. What is asked and answered is plain data: it is copied. */
export interface Crew {
  /** How many there are. */
  readonly size: number;
  /** Has the least busy one do a job. `done` is called later, never within. */
  ask(job: unknown, done: (answer: unknown) => void): void;
}

/** One answer of a resolver; ttl in seconds. */
export interface ResolvedAddress {
  readonly address: string;
  readonly family: 4 | 6;
  readonly ttl: number;
}

/** Name resolution. Rejects with a ResolveError. */
export interface Resolver {
  /** A and AAAA records. */
  resolve(name: string): Promise<ResolvedAddress[]>;
  /** The same past any memory of earlier answers; absent where there is none. */
  resolveNow?(name: string): Promise<ResolvedAddress[]>;
  /** PTR records of an IP literal. */
  reverse(address: string): Promise<{ name: string; ttl: number }[]>;
}
