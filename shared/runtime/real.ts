/**
 * The operating system's clock, randomness, TCP and TLS behind the interfaces of `types.ts`.
 *
 * @module
 */
import { constants, randomFillSync, randomInt } from 'node:crypto';
import net from 'node:net';
import { totalmem } from 'node:os';
import tls from 'node:tls';
import { toBase32 } from '../bytes/text.js';
import { LentReads, linkReads, plainReads, RECORD_SIZE } from './lent-reads.js';
import { Outbox } from './outbox.js';
import { TurnEnd } from './turn-end.js';
import type {
  Clock,
  Conn,
  ConnHandlers,
  DialOptions,
  Listener,
  NetAddress,
  Random,
  TcpDialOptions,
  TlsConn,
  TlsIdentity,
  Transport,
} from './types.js';

const turnEnd = new TurnEnd((run) => setImmediate(run));

/** The process's clock. Timers do not keep the process alive; what listens does. */
export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(delay, wake) {
    const timer = setTimeout(wake, Math.min(Math.max(delay, 0), 0x7fffffff));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  keepAlive() {
    const timer = setInterval(() => {}, 1 << 30);
    return { cancel: () => clearInterval(timer) };
  },
  defer: (run) => turnEnd.defer(run),
  hold: (work) => work,
};

const POOL_SIZE = 8192;
const pool = Buffer.allocUnsafeSlow(POOL_SIZE);
let pooled = POOL_SIZE;

/** Small requests are cut from a pool, since a system call costs more than the bytes; what is handed out is wiped there. */
function randomBytes(n: number): Uint8Array {
  const out = new Uint8Array(n);
  if (n > POOL_SIZE / 8) {
    randomFillSync(out);
    return out;
  }
  if (pooled + n > POOL_SIZE) {
    randomFillSync(pool);
    pooled = 0;
  }
  pool.copy(out, 0, pooled, pooled + n);
  pool.fill(0, pooled, pooled + n);
  pooled += n;
  return out;
}

/** The operating system's random number generator. */
export const osRandom: Random = {
  bytes: randomBytes,
  below: (bound) => (bound <= 1 ? 0 : randomInt(bound)),
  fraction: () => randomInt(2 ** 47) / 2 ** 47,
};

/** Bytes of memory this process may use: the machine's, or what a container leaves of it. */
export function availableMemory(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** Bytes a socket may hold before `write` says no. */
const WRITE_HIGH_WATER = 256 * 1024;
/**
 * The same of a link: any. What its channel keeps until the last write is with the operating system can still be put in
 * another order, and is encrypted where it lies instead of being copied (`usesUp`).
 */
const LINK_HIGH_WATER = 1;
/** How long a dial may take when the caller does not say, in milliseconds. */
const DEFAULT_DIAL_TIMEOUT = 30_000;
/** How long a peer may take over the TLS handshake, in milliseconds. */
const TLS_HANDSHAKE_TIMEOUT = 30_000;

/** How many TLS handshakes a listener has under way, in all and with one address. */
const MAX_HANDSHAKES = 2048;
const MAX_HANDSHAKES_PER_HOST = 128;

/**
 * TLS 1.3 first, then the ECDHE suites of 1.2: what C tor offers, AES-128 first because it is the cheapest here; and its
 * security level, whatever that of the installed OpenSSL is: keys of 1024 bits, as testing networks have, will do.
 */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  '@SECLEVEL=1',
].join(':');

/** Said in so many words, since Node otherwise reads all that it knows, for 35 ms in each process. */
const NO_CAS: string[] = [];

const addressOf = (host: string | undefined, port: number | undefined): NetAddress => ({
  // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d; the rest of Cepa knows one form of an address.
  host: host?.startsWith('::ffff:') && host.includes('.') ? host.slice(7) : (host ?? ''),
  port: port ?? 0,
});

/** What connections with TLS and without have in common. */
abstract class SocketConn implements Conn {
  readonly remote: NetAddress;
  private bound: NetAddress | undefined;
  protected readonly socket: net.Socket;
  protected handlers: ConnHandlers | undefined;
  protected closed = false;
  private failure: Error | undefined;
  private paused = false;
  /** That the peer will send no more: sockets tell it once, whoever listens. */
  private lastWord: 'not yet' | 'came' | 'told' = 'not yet';
  /** Undefined where this Node does not lend reads. */
  private readonly reads: LentReads | undefined;

  constructor(socket: net.Socket, reads: LentReads | undefined, target?: NetAddress) {
    this.socket = socket;
    this.reads = reads;
    this.remote =
      target && net.isIP(target.host) ? target : addressOf(socket.remoteAddress, socket.remotePort);
    socket.on('error', (error) => {
      this.failure = error;
    });
    socket.on('close', () => {
      this.closed = true;
      this.handlers?.close(this.failure);
    });
    socket.on('end', () => {
      this.lastWord = 'came';
      if (this.handlers && !this.reads?.waiting) this.tellEnd();
    });
  }

  /** Asked of the system by whoever wants to know, which few do. */
  get local(): NetAddress {
    this.bound ??= addressOf(this.socket.localAddress, this.socket.localPort);
    return this.bound;
  }

  start(handlers: ConnHandlers): void {
    const first = this.handlers === undefined;
    this.handlers = handlers;
    if (this.closed) {
      process.nextTick(() => handlers.close(this.failure));
      return;
    }
    if (!first) return;
    const sink = (chunk: Buffer) => this.handlers?.data(chunk);
    if (this.reads) this.reads.deliver(sink);
    else this.socket.on('data', sink);
    if (this.behind) process.nextTick(this.catchUp);
  }

  /** Whether something came that the owner was not told. */
  private get behind(): boolean {
    return this.lastWord === 'came' || this.reads?.waiting === true;
  }

  private tellEnd(): void {
    this.lastWord = 'told';
    this.handlers?.end();
  }

  /** What came before there was an owner, as far as it wants that; then the end, or what comes now. */
  private readonly catchUp = (): void => {
    const { reads, socket } = this;
    while (reads?.waiting && !this.paused && !socket.destroyed) reads.deliverNext();
    if (this.paused || socket.destroyed) return;
    if (this.lastWord === 'came') this.tellEnd();
    else socket.resume();
  };

  abstract readonly writableLength: number;
  abstract write(bytes: Uint8Array): boolean;
  abstract end(): void;

  destroy(error?: Error): void {
    this.socket.destroy(error);
  }

  pause(): void {
    this.paused = true;
    this.socket.pause();
  }

  resume(): void {
    this.paused = false;
    if (this.handlers && this.behind) process.nextTick(this.catchUp);
    else this.socket.resume();
  }
}

/** A connection without TLS. */
class PlainConn extends SocketConn {
  private readonly outbox: Outbox;

  constructor(socket: net.Socket, reads: LentReads | undefined, target?: NetAddress) {
    super(socket, reads, target);
    this.outbox = new Outbox(
      socket,
      (run) => turnEnd.defer(run),
      () => this.handlers?.drain(),
    );
  }

  get writableLength(): number {
    return this.outbox.length;
  }

  write(bytes: Uint8Array): boolean {
    return !this.closed && this.outbox.write(bytes);
  }

  end(): void {
    if (!this.closed) this.outbox.end();
  }
}

/** A TLS connection of this process's. */
export class TlsSocketConn extends SocketConn implements TlsConn {
  readonly peerCertificate: Uint8Array | undefined;
  readonly ownCertificate: Uint8Array | undefined;

  constructor(
    socket: tls.TLSSocket,
    reads: LentReads | undefined,
    ownCertificate: Uint8Array | undefined,
    target?: NetAddress,
  ) {
    super(socket, reads, target);
    socket.setMaxSendFragment(RECORD_SIZE);
    socket.on('drain', () => this.handlers?.drain());
    this.peerCertificate = socket.getPeerX509Certificate()?.raw;
    this.ownCertificate = ownCertificate;
  }

  get writableLength(): number {
    return this.socket.writableLength;
  }

  /** With nothing queued before it, TLS encrypts what is written on the spot. */
  get usesUp(): boolean {
    return this.socket.writableLength === 0;
  }

  /** At once: a channel writes once a turn as it is. */
  write(bytes: Uint8Array): boolean {
    return !this.closed && this.socket.writable ? this.socket.write(bytes) : false;
  }

  end(): void {
    if (!this.closed) this.socket.end();
  }

  /** The same; `done` is called when the bytes are with the operating system, or lost. */
  writeThen(bytes: Uint8Array, done: () => void): void {
    this.socket.write(bytes, done);
  }

  /** A destroyed socket has nothing left to ask, some time before it says that it is closed. */
  get gone(): boolean {
    return this.socket.destroyed;
  }

  exportKeyingMaterial(length: number, label: string, context: Uint8Array): Uint8Array {
    if (this.gone) throw codedError('ECONNRESET', 'the connection is gone');
    return (this.socket as tls.TLSSocket).exportKeyingMaterial(length, label, Buffer.from(context));
  }
}

const codedError = (code: string, message: string) => Object.assign(new Error(message), { code });

/** Waits for a socket's `ready` event, or fails with its error, ETIMEDOUT, or ECONNABORTED by the signal. */
function settled<S extends net.Socket>(
  socket: S,
  ready: string,
  to: string,
  timeout: number,
  signal?: AbortSignal,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const done = (act: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', givenUp);
      socket.off('error', failed);
      socket.off('close', closed);
      socket.off(ready, opened);
      act();
    };
    const opened = () => done(() => resolve(socket));
    const failed = (error: Error) =>
      done(() => {
        socket.on('error', () => {});
        socket.destroy();
        reject(error);
      });
    const closed = () => failed(codedError('ECONNRESET', `${to} closed the connection`));
    const givenUp = () =>
      failed(codedError('ECONNABORTED', `the connection to ${to} is not wanted any more`));
    const timer = setTimeout(
      () => failed(codedError('ETIMEDOUT', `no answer from ${to} within ${timeout} ms`)),
      timeout,
    );
    socket.on('error', failed);
    socket.on('close', closed);
    socket.on(ready, opened);
    signal?.addEventListener('abort', givenUp);
    if (signal?.aborted) givenUp();
  });
}

const connectOptions = (to: NetAddress, options?: DialOptions) => ({
  host: to.host,
  port: to.port,
  localAddress: options?.localHost,
  noDelay: true,
  allowHalfOpen: true,
  highWaterMark: WRITE_HIGH_WATER,
});

const textOf = ({ host, port }: NetAddress) => `${host}:${port}`;

async function dialPlain(
  options: net.NetConnectOpts,
  to: string,
  timeout = DEFAULT_DIAL_TIMEOUT,
  signal?: AbortSignal,
): Promise<{ socket: net.Socket; reads: LentReads }> {
  const reads = new LentReads(plainReads);
  const socket = net.connect({ ...options, onread: reads.onread });
  await settled(socket, 'connect', to, timeout, signal);
  return { socket, reads };
}

async function dialUnix(path: string, options?: Pick<DialOptions, 'timeout'>): Promise<Conn> {
  const how = { path, allowHalfOpen: true, highWaterMark: WRITE_HIGH_WATER };
  const { socket, reads } = await dialPlain(how as net.IpcNetConnectOpts, path, options?.timeout);
  return new PlainConn(socket, reads);
}

async function dialTcp(to: NetAddress, options: TcpDialOptions = {}): Promise<Conn> {
  const { timeout, signal } = options;
  const { socket, reads } = await dialPlain(connectOptions(to, options), textOf(to), timeout, signal);
  return new PlainConn(socket, reads, to);
}

/** A name as browsers would send; nobody looks at it (C tor: `crypto_random_hostname` in tor_tls_new). */
const anyServerName = () => `www.${toBase32(randomBytes(16)).slice(0, 4 + randomInt(22))}.com`;

/** Dials a link. */
export async function dialTls(to: NetAddress, options?: DialOptions): Promise<TlsSocketConn> {
  const reads = new LentReads(linkReads);
  const socket = tls.connect({
    ...connectOptions(to, options),
    highWaterMark: LINK_HIGH_WATER,
    onread: reads.onread,
    // Certificates of the link say nothing: identity is proved in the CERTS cell.
    rejectUnauthorized: false,
    ca: NO_CAS,
    servername: anyServerName(),
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
  } as tls.ConnectionOptions);
  socket.setNoDelay(true);
  await settled(socket, 'secureConnect', textOf(to), options?.timeout ?? DEFAULT_DIAL_TIMEOUT);
  return new TlsSocketConn(socket, reads, undefined, to);
}

function listening(server: net.Server, at: NetAddress): Promise<Listener> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: at.host, port: at.port, backlog: 1024 }, () => {
      server.off('error', reject);
      const bound = server.address() as net.AddressInfo;
      resolve({
        local: { host: bound.address, port: bound.port },
        // Not waited for: the callback comes only after every accepted connection is gone.
        close: async () => {
          server.close();
        },
      });
    });
  });
}

function listenTcp(at: NetAddress, accept: (conn: Conn) => void): Promise<Listener> {
  const server = net.createServer(
    { noDelay: true, allowHalfOpen: true, highWaterMark: WRITE_HIGH_WATER },
    (socket) => {
      const reads = new LentReads(plainReads);
      accept(new PlainConn(socket, reads.adopt(socket) ? reads : undefined));
    },
  );
  return listening(server, at);
}

/** TLS handshakes under way, in all and from one address: they cost work, and who connects may never go on. */
class HandshakeCounts {
  private all = 0;
  private readonly byHost = new Map<string, number>();

  /** False when there are too many. */
  begin(host: string): boolean {
    const fromHost = this.byHost.get(host) ?? 0;
    if (this.all >= MAX_HANDSHAKES || fromHost >= MAX_HANDSHAKES_PER_HOST) return false;
    this.all++;
    this.byHost.set(host, fromHost + 1);
    return true;
  }

  end(host: string): void {
    this.all--;
    const left = this.byHost.get(host)! - 1;
    if (left > 0) this.byHost.set(host, left);
    else this.byHost.delete(host);
  }
}

/** Says for a peer's address, at once or later, by which identity its handshake goes; undefined refuses it. */
export type Gate = (host: string, answer: (identity: TlsIdentity | undefined) => void) => void;

/** Listens for links. Where the gate answers later, nothing is read before. */
export function listenGated(
  at: NetAddress,
  gate: Gate,
  accept: (conn: TlsSocketConn) => void,
  pauseOnConnect = false,
): Promise<Listener> {
  let current: TlsIdentity | undefined;
  let secureContext: tls.SecureContext | undefined;
  const underWay = new HandshakeCounts();
  const begin = (raw: net.Socket, remote: NetAddress, wanted: TlsIdentity) => {
    if (wanted !== current) {
      secureContext = tls.createSecureContext({
        ca: NO_CAS,
        cert: wanted.certPem,
        key: wanted.keyPem,
        minVersion: 'TLSv1.2',
        ciphers: CIPHERS,
        // Links are not resumed: a ticket would only tie two connections of one peer together.
        secureOptions: constants.SSL_OP_NO_TICKET,
      });
      current = wanted;
    }
    const socket = new tls.TLSSocket(raw, {
      isServer: true,
      secureContext,
      highWaterMark: LINK_HIGH_WATER,
      allowHalfOpen: true,
    } as tls.TLSSocketOptions);
    const reads = new LentReads(linkReads);
    const lends = reads.adopt(socket);
    settled(socket, 'secure', textOf(remote), TLS_HANDSHAKE_TIMEOUT)
      .finally(() => underWay.end(remote.host))
      .then(
        () => accept(new TlsSocketConn(socket, lends ? reads : undefined, wanted.certDer, remote)),
        () => raw.destroy(),
      );
  };
  const server = net.createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect }, (raw) => {
    const remote = addressOf(raw.remoteAddress, raw.remotePort);
    raw.on('error', () => raw.destroy());
    gate(remote.host, (identity) => {
      if (identity && !raw.destroyed && underWay.begin(remote.host)) begin(raw, remote, identity);
      else raw.destroy();
    });
  });
  return listening(server, at);
}

const listenTls: Transport['listenTls'] = (at, identity, accept, admit = () => true) =>
  listenGated(at, (host, answer) => answer(admit(host) ? identity() : undefined), accept);

/** TCP and TLS through the operating system. */
export const realTransport = (): Transport => ({
  dialTcp,
  dialUnix,
  dialTls,
  listenTcp,
  listenTls,
});
