import test from 'ava';
import { type AnyConn, type Origin, PassingConn, PassingTransport } from './passing.js';
import { SimWorld } from './sim/world.js';
import type { Conn, TlsConn, Transport } from './types.js';

class Watching extends PassingTransport {
  readonly seen: Origin[] = [];

  protected wrap(conn: AnyConn, origin: Origin): PassingConn {
    this.seen.push(origin);
    return new PassingConn(conn);
  }
}

const IDLE = { data() {}, end() {}, drain() {}, close() {} };
const SERVER = { host: '127.1.0.1', port: 9001 };
const IDENTITY = { certPem: '', keyPem: '', certDer: Buffer.from('a certificate') };

test('a passing connection is as the one inside, TLS and all', async (t) => {
  const world = new SimWorld('passing', 0);
  const server = new Watching(world.host(SERVER.host).transport);
  const client = new Watching(world.host('127.2.0.1').transport);
  const accepted: TlsConn[] = [];
  const heard: string[] = [];
  await server.listenTls(
    SERVER,
    () => IDENTITY,
    (conn) => {
      accepted.push(conn);
      conn.start({
        data: (chunk) => heard.push(`first ${chunk}`),
        end: () => heard.push('end'),
        drain() {},
        close: () => heard.push('close'),
      });
    },
  );
  const conn = await world.until(client.dialTls(SERVER));
  conn.start(IDLE);
  conn.write(Buffer.from('one'));
  await world.advance(1_000);
  const [peer] = accepted;
  t.deepEqual(conn.remote, SERVER);
  t.deepEqual(peer!.remote, conn.local);
  t.deepEqual(Buffer.from(conn.peerCertificate!), IDENTITY.certDer);
  t.deepEqual(
    conn.exportKeyingMaterial(32, 'label', conn.peerCertificate!),
    peer!.exportKeyingMaterial(32, 'label', peer!.ownCertificate!),
  );
  // Handed on to another owner.
  peer!.start({ ...IDLE, data: (chunk) => heard.push(`second ${chunk}`), end: () => heard.push('end') });
  peer!.pause();
  conn.write(Buffer.from('two'));
  conn.end();
  await world.advance(1_000);
  t.deepEqual(heard, ['first one']);
  peer!.resume();
  await world.advance(1_000);
  t.deepEqual(heard, ['first one', 'second two', 'end']);
  t.deepEqual([server.seen, client.seen], [['accepted'], ['link']]);
});

test('a local socket is wrapped where there are any', async (t) => {
  const { transport } = new SimWorld('passing', 0).host('127.1.0.1');
  t.is(new Watching(transport).dialUnix, undefined);
  const dialled = { name: 'a socket' } as unknown as Conn;
  const withUnix: Transport = { ...transport, dialUnix: async () => dialled };
  const watching = new Watching(withUnix);
  await watching.dialUnix!('/run/site');
  t.deepEqual(watching.seen, ['dialled']);
});
