/**
 * A hop that is none: passes on what it reads, whatever it is, over the links that relays use. A path of these costs what
 * the ways in and out of four processes cost; what a path of relays costs more is cells, their crypto, and what a relay
 * keeps account of. There are no windows: a writer that is full stops its reader.
 *
 * ```
 * node pipe.js tls HOST tls|tcp TO-HOST TO-PORT       takes links, passes on to a link or a site
 * node pipe.js socks HOST tls TO-HOST TO-PORT         takes applications, which are told that all went well
 * ```
 *
 * Tells its address to the process that forked it, and ends with it.
 *
 * @module
 */
import { makeTlsIdentity } from '../shared/crypto/link-cert.js';
import { osRandom, realClock, realTransport } from '../shared/runtime/real.js';
import { tuneProcess } from '../shared/runtime/tune.js';
import type { Conn, ConnHandlers, NetAddress, TlsConn } from '../shared/runtime/types.js';

/** What a link writes a turn, at most (link/channel.ts). */
const MOST = 124 * 514;

/** One way of a connection pair: what a turn reads is one write. */
class Way implements ConnHandlers {
  private readonly from: Conn;
  private readonly to: Conn;
  private readonly held = Buffer.allocUnsafeSlow(MOST);
  private length = 0;
  private readonly flush = () => {
    const bytes = this.held.subarray(0, this.length);
    this.length = 0;
    const keeps = 'usesUp' in this.to && !(this.to as TlsConn).usesUp;
    if (bytes.length > 0 && !this.to.write(keeps ? Buffer.from(bytes) : bytes)) this.from.pause();
  };

  constructor(from: Conn, to: Conn) {
    this.from = from;
    this.to = to;
  }

  data(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.length === 0) realClock.defer(this.flush);
      const part = chunk.subarray(at, at + MOST - this.length);
      this.held.set(part, this.length);
      this.length += part.length;
      at += part.length;
      if (this.length === MOST) this.flush();
    }
  }

  end(): void {
    this.flush();
    this.to.end();
  }

  /** There is room again in what this side writes to, for what the other reads. */
  drain(): void {
    this.to.resume();
  }

  close(): void {
    this.to.destroy();
  }
}

function join(one: Conn, other: Conn): void {
  one.start(new Way(one, other));
  other.start(new Way(other, one));
}

/** The answers to a greeting without a password and to a request, of which nothing is looked at. */
const SOCKS_ANSWERS = Buffer.from([5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);

/** Whoever asks waits for the answer, so that nothing else comes before there is somebody to pass it on to. */
function proxy(conn: Conn): void {
  const data = () =>
    void onward().then((next) => {
      join(conn, next);
      conn.write(SOCKS_ANSWERS);
    });
  conn.start({ data, end() {}, drain() {}, close() {} });
}

const [incoming, host = '', outgoing, toHost = '', toPort] = process.argv.slice(2);
const to: NetAddress = { host: toHost, port: Number(toPort) };
tuneProcess();
const transport = realTransport();
const onward = (): Promise<Conn> => (outgoing === 'tls' ? transport.dialTls(to) : transport.dialTcp(to));
const pass = (conn: Conn): void => void onward().then((next) => join(conn, next));
const identity = await makeTlsIdentity(osRandom, realClock);
const at: NetAddress = { host, port: 0 };
const listener = await (incoming === 'tls'
  ? transport.listenTls(at, () => identity, pass)
  : transport.listenTcp(at, proxy));
process.on('disconnect', () => process.exit(0));
process.send?.(listener.local);
