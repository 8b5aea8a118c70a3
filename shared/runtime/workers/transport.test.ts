/** What a link thread adds to the suite of all transports (`../transport.test.ts`): the seam between the threads. */
import { connect } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { testLinkCredentials } from '../../testing/link-credentials.js';
import { testTlsIdentity } from '../../testing/tls-identity.js';
import { realTransport } from '../real.js';
import type { Conn, TlsConn } from '../types.js';
import { type ThreadedTransport, threadedTransport } from './transport.js';

const LOCAL = { host: '127.0.0.1', port: 0 };
const DEAF = { data() {}, end() {}, drain() {}, close() {} };

function transportOf(t: ExecutionContext, script?: URL): ThreadedTransport & { failures: Error[] } {
  const failures: Error[] = [];
  const failed = (error: Error) => void failures.push(error);
  const transport = threadedTransport(script ? { failed, script } : { failed });
  t.teardown(() => transport.close());
  return { ...transport, failures };
}

interface Later<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
}

function later<T>(): Later<T> {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** A link from this thread to one that another thread accepted. */
async function linked(transport: ThreadedTransport): Promise<{ near: TlsConn; far: TlsConn }> {
  const accepted = later<TlsConn>();
  const { local } = await transport.listenTls(LOCAL, () => testTlsIdentity, accepted.resolve);
  const near = await realTransport().dialTls(local);
  return { near, far: await accepted.promise };
}

const PERIOD = 1 << 18;
const twice = Buffer.alloc(2 * PERIOD);
for (let i = 0; i < twice.length; i++) twice[i] = Math.imul(i % PERIOD, 2654435761) >>> 24;

/** Bytes that show where they belong; no piece is longer than the period. */
const pattern = (bytes: number, from = 0): Buffer => twice.subarray(from % PERIOD, (from % PERIOD) + bytes);

/** Writes so many bytes as fast as it is let; gives the handler that goes on when there is room. */
function writer(conn: Conn, total: number): { drain(): void; readonly written: number } {
  let at = 0;
  const drain = () => {
    while (at < total) {
      const size = Math.min(50_000, total - at);
      at += size;
      if (!conn.write(Buffer.from(pattern(size, at - size)))) return;
    }
  };
  return {
    drain,
    get written() {
      return at;
    },
  };
}

/** Resolves when so many bytes have come, all of them right. */
function reader(total: number): { data(chunk: Buffer): void; done: Promise<boolean> } {
  const done = later<boolean>();
  let at = 0;
  return {
    done: done.promise,
    data(chunk) {
      if (!chunk.equals(pattern(chunk.length, at))) done.resolve(false);
      at += chunk.length;
      if (at >= total) done.resolve(at === total);
    },
  };
}

test('much goes both ways at once, on several links, through rings far smaller', async (t) => {
  const transport = transportOf(t);
  const TOTAL = 4_000_000;
  const all: Promise<boolean>[] = [];
  for (let i = 0; i < 3; i++) {
    const { near, far } = await linked(transport);
    for (const conn of [near, far]) {
      const [out, back] = [writer(conn, TOTAL), reader(TOTAL)];
      conn.start({ ...DEAF, data: back.data, drain: out.drain });
      out.drain();
      all.push(back.done);
    }
  }
  t.deepEqual(await Promise.all(all), Array(6).fill(true));
  t.deepEqual(transport.failures, []);
});

test('a reader here that pauses stops the peer, and misses nothing', async (t) => {
  const { near, far } = await linked(transportOf(t));
  // More than any system keeps for a reader by itself.
  const TOTAL = 64 * 1024 * 1024;
  const out = writer(near, TOTAL);
  const first = later<void>();
  let taken = 0;
  let right = true;
  const all = later<void>();
  far.start({
    ...DEAF,
    data(chunk) {
      right &&= chunk.equals(pattern(chunk.length, taken));
      taken += chunk.length;
      if (taken === TOTAL) all.resolve();
      if (taken < 1_000_000) return;
      if (taken - chunk.length < 1_000_000) {
        far.pause();
        first.resolve();
      }
    },
  });
  near.start({ ...DEAF, drain: out.drain });
  out.drain();
  await first.promise;
  // Nothing more is taken, so the writer comes to a stop: no more is written for a while, however long that is here.
  for (let before = -1; before !== out.written; ) {
    before = out.written;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  t.true(out.written < TOTAL, `${out.written} bytes went out to a reader that reads nothing`);
  t.true(taken < 1_100_000);
  far.resume();
  await all.promise;
  t.true(right);
});

test('a peer that reads nothing stops the writer here, at a bound', async (t) => {
  const { near, far } = await linked(transportOf(t));
  near.pause();
  const chunk = Buffer.alloc(64 * 1024);
  const drained = later<void>();
  far.start({ ...DEAF, drain: drained.resolve });
  let written = chunk.length;
  while (far.write(chunk)) written += chunk.length;
  t.true(far.writableLength <= 256 * 1024 + chunk.length, `${far.writableLength} bytes wait`);
  let read = 0;
  const all = later<void>();
  near.start({
    ...DEAF,
    data(bytes) {
      read += bytes.length;
      if (read === written) all.resolve();
    },
  });
  near.resume();
  await Promise.all([all.promise, drained.promise]);
  t.pass();
});

test('who is not admitted is closed before any handshake, and the others go on', async (t) => {
  const transport = transportOf(t);
  const accepted: Conn[] = [];
  const asked: string[] = [];
  const { local } = await transport.listenTls(
    LOCAL,
    () => testTlsIdentity,
    (conn) => accepted.push(conn),
    (host) => {
      asked.push(host);
      return asked.length > 1;
    },
  );
  await t.throwsAsync(realTransport().dialTls(local));
  t.is(accepted.length, 0);
  const conn = await realTransport().dialTls(local);
  t.deepEqual(asked, ['127.0.0.1', '127.0.0.1']);
  conn.destroy();
});

test('a rotated identity is shown from the next link on', async (t) => {
  const transport = transportOf(t);
  const { tls: other } = await testLinkCredentials('threads', Date.now());
  let identity = testTlsIdentity;
  const accepted: TlsConn[] = [];
  const { local } = await transport.listenTls(
    LOCAL,
    () => identity,
    (conn) => accepted.push(conn),
  );
  const shown: Buffer[] = [];
  for (const next of [testTlsIdentity, other, other, testTlsIdentity]) {
    identity = next;
    const conn = await realTransport().dialTls(local);
    shown.push(Buffer.from(conn.peerCertificate!));
    conn.destroy();
  }
  t.deepEqual(
    shown,
    [testTlsIdentity, other, other, testTlsIdentity].map(({ certDer }) => Buffer.from(certDer)),
  );
});

test('bytes that are no TLS, and peers that leave amid the handshake, leave nothing behind', async (t) => {
  const transport = transportOf(t);
  const accepted: Conn[] = [];
  const { local } = await transport.listenTls(
    LOCAL,
    () => testTlsIdentity,
    (conn) => accepted.push(conn),
  );
  const closed = [Buffer.from('GET / HTTP/1.0\r\n\r\n'), Buffer.alloc(70_000, 0x16)].map((bytes) => {
    const gone = later<void>();
    const socket = connect(local.port, local.host, () => socket.end(bytes));
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.on('close', () => gone.resolve());
    return gone.promise;
  });
  await Promise.all(closed);
  const left = later<void>();
  const leaver = connect(local.port, local.host, () => leaver.resetAndDestroy());
  leaver.on('close', () => left.resolve());
  await left.promise;
  t.is(accepted.length, 0);
  const conn = await realTransport().dialTls(local);
  conn.destroy();
  t.deepEqual(transport.failures, []);
});

test('dials that fail say why, as they do without a thread', async (t) => {
  const transport = transportOf(t);
  const listener = await realTransport().listenTcp(LOCAL, (conn) => conn.destroy());
  const error = await t.throwsAsync<NodeJS.ErrnoException>(transport.dialTls(listener.local));
  // ECONNRESET, or EPIPE where the other side was quick.
  t.regex(error?.code ?? '', /^E[A-Z]+$/);
  await listener.close();
  const { local } = await transport.listenTls(
    LOCAL,
    () => testTlsIdentity,
    () => {},
  );
  await t.throwsAsync(
    transport.listenTls(
      local,
      () => testTlsIdentity,
      () => {},
    ),
    { code: 'EADDRINUSE' },
  );
});

test('destroying a connection nobody started closes it at the peer; its handlers are told later all the same', async (t) => {
  const { near, far } = await linked(transportOf(t));
  const gone = later<void>();
  near.start({ ...DEAF, end: () => gone.resolve(), close: () => gone.resolve() });
  far.destroy(new Error('not wanted'));
  await gone.promise;
  const told = later<Error | undefined>();
  far.start({ ...DEAF, close: told.resolve });
  t.is((await told.promise)?.message, 'not wanted');
  t.false(far.write(Buffer.from('late')));
  t.throws(() => far.exportKeyingMaterial(32, 'LABEL', Buffer.alloc(0)), { code: 'ECONNRESET' });
});

test('a link that is asked for keying material when it is just gone fails alone, not its thread', async (t) => {
  const transport = transportOf(t);
  const { local } = await transport.listenTls(
    LOCAL,
    () => testTlsIdentity,
    (conn) => accepted.resolve(conn),
  );
  let accepted = later<TlsConn>();
  for (let i = 0; i < 100; i++) {
    accepted = later<TlsConn>();
    const near = await realTransport().dialTls(local);
    near.start(DEAF);
    const far = await accepted.promise;
    const closed = later<void>();
    far.start({ ...DEAF, close: () => closed.resolve() });
    far.destroy();
    // The thread may be before, at or after the end.
    for (let spin = 0; spin < i * 2_000; spin++) Math.imul(spin, spin);
    const ask = () => far.exportKeyingMaterial(32, 'LABEL', Buffer.alloc(0));
    for (let k = 0; k < 3; k++)
      try {
        t.is(ask().length, 32);
      } catch (error) {
        t.is((error as NodeJS.ErrnoException).code, 'ECONNRESET');
      }
    await closed.promise;
    near.destroy();
  }
  t.deepEqual(transport.failures, []);
});

test('closing sends what was written, and ends the peers', async (t) => {
  const transport = transportOf(t);
  const { near, far } = await linked(transport);
  const TOTAL = 200_000;
  const back = reader(TOTAL);
  const ended = later<void>();
  near.start({ ...DEAF, data: back.data, end: () => ended.resolve() });
  far.start(DEAF);
  far.write(pattern(TOTAL));
  await transport.close();
  t.true(await back.done);
  await ended.promise;
  t.deepEqual(transport.failures, []);
  await t.throwsAsync(transport.dialTls({ host: '127.0.0.1', port: 1 }), { message: /link thread/ });
});

test('a thread that breaks takes its links with it, and says so once', async (t) => {
  const bell = `cepa-test-${process.pid}-${Date.now()}`;
  const program = `
    import ${JSON.stringify(new URL('./thread.js', import.meta.url).href)};
    new BroadcastChannel('${bell}').onmessage = () => { throw new Error('a bug'); };`;
  const transport = transportOf(t, new URL(`data:text/javascript,${encodeURIComponent(program)}`));
  const { near, far } = await linked(transport);
  near.start(DEAF);
  const told = later<Error | undefined>();
  far.start({ ...DEAF, close: told.resolve });
  const silent = await realTransport().listenTcp(LOCAL, () => {});
  const dial = t.throwsAsync(transport.dialTls(silent.local, { timeout: 600_000 }), { message: /a bug/ });
  const channel = new BroadcastChannel(bell);
  channel.postMessage('now');
  t.is((await told.promise)?.message, 'the link thread failed: a bug');
  channel.close();
  await dial;
  await silent.close();
  t.deepEqual(
    transport.failures.map(({ message }) => message),
    ['the link thread failed: a bug'],
  );
  t.false(far.write(Buffer.from('late')));
  await t.throwsAsync(
    transport.listenTls(
      LOCAL,
      () => testTlsIdentity,
      () => {},
    ),
    { message: /a bug/ },
  );
});
