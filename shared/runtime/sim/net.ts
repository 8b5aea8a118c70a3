/**
 * Connections of a simulated world. Bytes arrive after the delay between the two hosts, in order; "TLS" shows the
 * server's certificate and gives both ends the same exporter, and hides nothing.
 *
 * @module
 */
import { createHash, hkdfSync } from 'node:crypto';
import type {
  Conn,
  ConnHandlers,
  Listener,
  NetAddress,
  TcpDialOptions,
  TlsConn,
  TlsIdentity,
  Transport,
} from '../types.js';
import type { SimNet } from './world.js';

/** Bytes under way at which `write` says no. */
const HIGH_WATER = 256 * 1024;
const DIAL_TIMEOUT = 30_000;
const FIRST_EPHEMERAL_PORT = 32_768;

/** What listens at a port. */
export interface SimListener {
  readonly host: string;
  readonly identity: (() => TlsIdentity) | undefined;
  readonly admit?: ((host: string) => boolean) | undefined;
  accept(conn: SimConn): void;
}

const codedError = (code: string, message: string) => Object.assign(new Error(message), { code });

/** What bytes are overwritten with after they were read. */
const SPENT = 0xa5;

/** One end of a simulated connection. */
export class SimConn implements TlsConn {
  readonly remote: NetAddress;
  readonly local: NetAddress;
  readonly peerCertificate: Uint8Array | undefined;
  readonly ownCertificate: Uint8Array | undefined;
  writableLength = 0;
  /** Writes are copied. */
  readonly usesUp = true;
  private readonly net: SimNet;
  private readonly secret: Uint8Array;
  private peer: SimConn | undefined;
  private handlers: ConnHandlers | undefined;
  private readonly inbox: (Buffer | 'end')[] = [];
  private paused = false;
  private closed = false;
  private closeError: Error | undefined;
  private blocked = false;
  private ended = false;
  private finished = false;

  private constructor(
    net: SimNet,
    local: NetAddress,
    remote: NetAddress,
    secret: Uint8Array,
    certificates: { own?: Uint8Array; peer?: Uint8Array },
  ) {
    this.net = net;
    this.local = local;
    this.remote = remote;
    this.secret = secret;
    this.ownCertificate = certificates.own;
    this.peerCertificate = certificates.peer;
    net.conns.add(this);
  }

  /** Both ends of a new connection: the dialler's and the listener's. */
  static pair(
    net: SimNet,
    from: NetAddress,
    to: NetAddress,
    certificate: Uint8Array | undefined,
  ): [SimConn, SimConn] {
    const secret = net.random.bytes(32);
    const near = new SimConn(net, from, to, secret, { peer: certificate });
    const far = new SimConn(net, to, from, secret, { own: certificate });
    near.peer = far;
    far.peer = near;
    return [near, far];
  }

  private deliver(run: (peer: SimConn) => void): void {
    this.net.after(this.net.delay(this.local.host, this.remote.host), () => {
      if (this.peer && !this.peer.closed) run(this.peer);
    });
  }

  start(handlers: ConnHandlers): void {
    this.handlers = handlers;
    if (this.closed) this.net.after(0, () => handlers.close(this.closeError));
    else this.net.after(0, () => this.pump());
  }

  private pump(): void {
    while (this.handlers && !this.paused && !this.closed && this.inbox.length > 0) {
      const item = this.inbox.shift()!;
      if (item === 'end') {
        this.finished = true;
        this.handlers.end();
        this.closeIfDone();
        continue;
      }
      this.credit(item.length);
      this.handlers.data(item);
      // Lent, as by a real one: whoever kept a view of it is found out.
      item.fill(SPENT);
    }
  }

  private credit(bytes: number): void {
    const { peer } = this;
    if (!peer) return;
    peer.writableLength -= bytes;
    if (!peer.blocked || peer.writableLength > 0) return;
    peer.blocked = false;
    this.net.after(0, () => {
      if (!peer.closed) peer.handlers?.drain();
    });
  }

  write(bytes: Uint8Array): boolean {
    if (this.closed || this.ended) return false;
    // A copy: the receiver owns what it is given and changes it in place.
    const copy = Buffer.from(bytes);
    this.writableLength += copy.length;
    this.deliver((peer) => {
      peer.inbox.push(copy);
      peer.pump();
    });
    this.blocked ||= this.writableLength >= HIGH_WATER;
    return this.writableLength < HIGH_WATER;
  }

  end(): void {
    if (this.closed || this.ended) return;
    this.ended = true;
    this.deliver((peer) => {
      peer.inbox.push('end');
      peer.pump();
    });
    this.closeIfDone();
  }

  /** As with a socket: once both directions have ended, the connection closes by itself. */
  private closeIfDone(): void {
    if (this.ended && this.finished && !this.closed) this.shut(undefined);
  }

  destroy(error?: Error): void {
    if (this.closed) return;
    this.deliver((peer) => peer.reset('ECONNRESET'));
    this.shut(error);
  }

  /** Closes this end with an error code, without telling the other. */
  reset(code: string): void {
    if (!this.closed)
      this.shut(codedError(code, `connection to ${this.remote.host}:${this.remote.port}: ${code}`));
  }

  /** The machine is gone: the other end resets, nobody here is told. */
  vanish(): void {
    this.handlers = undefined;
    this.destroy();
  }

  private shut(error: Error | undefined): void {
    this.closed = true;
    this.closeError = error;
    this.inbox.length = 0;
    this.net.conns.delete(this);
    this.net.after(0, () => this.handlers?.close(error));
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.net.after(0, () => this.pump());
  }

  exportKeyingMaterial(length: number, label: string, context: Uint8Array): Uint8Array {
    const info = createHash('sha256').update(`${label}\0`).update(context).digest();
    return new Uint8Array(hkdfSync('sha256', this.secret, new Uint8Array(0), info, length));
  }
}

/** The transport of one host. After the host crashed (`alive` is false), dials never settle. */
export function simTransport(net: SimNet, host: string, alive: () => boolean): Transport {
  let port = FIRST_EPHEMERAL_PORT;

  const dial = (to: NetAddress, options: TcpDialOptions | undefined, secure: boolean): Promise<SimConn> =>
    new Promise((resolve, reject) => {
      const { signal } = options ?? {};
      signal?.addEventListener('abort', () => reject(codedError('ECONNABORTED', 'given up')));
      const from = { host: options?.localHost ?? host, port: port++ };
      const trip = 2 * net.delay(from.host, to.host);
      const answer = (delay: number, act: () => void) =>
        net.after(delay, () => alive() && !signal?.aborted && act());
      if (!net.connected(from.host, to.host)) {
        const timeout = options?.timeout ?? DIAL_TIMEOUT;
        answer(timeout, () => reject(codedError('ETIMEDOUT', `no answer from ${to.host}:${to.port}`)));
        return;
      }
      answer(trip, () => {
        const listener = net.listeners.get(`${to.host}:${to.port}`);
        if (!listener || secure !== (listener.identity !== undefined)) {
          reject(codedError('ECONNREFUSED', `${to.host}:${to.port} refused the connection`));
          return;
        }
        if (listener.admit && !listener.admit(from.host)) {
          reject(codedError('ECONNRESET', `${to.host}:${to.port} closed the connection`));
          return;
        }
        const [near, far] = SimConn.pair(net, from, to, listener.identity?.().certDer);
        listener.accept(far);
        resolve(near);
      });
    });

  const listen = async (
    at: NetAddress,
    identity: (() => TlsIdentity) | undefined,
    accept: (conn: SimConn) => void,
    admit?: (host: string) => boolean,
  ): Promise<Listener> => {
    const local = { host: at.host, port: at.port === 0 ? port++ : at.port };
    const key = `${local.host}:${local.port}`;
    if (net.listeners.has(key)) throw codedError('EADDRINUSE', `${key} is in use`);
    net.listeners.set(key, { host, identity, accept, admit });
    return {
      local,
      close: async () => {
        net.listeners.delete(key);
      },
    };
  };

  return {
    dialTcp: (to, options): Promise<Conn> => dial(to, options, false),
    dialTls: (to, options): Promise<TlsConn> => dial(to, options, true),
    listenTcp: (at, accept) => listen(at, undefined, accept),
    listenTls: listen,
  };
}
