import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { testTlsIdentity } from '../testing/tls-identity.js';
import { realTransport } from './real.js';
import { SimWorld } from './sim/world.js';
import type { Conn, NetAddress, TlsConn, TlsIdentity, Transport } from './types.js';
import { threadedTransport } from './workers/transport.js';

// One suite for all transports: what holds for sockets must hold for the simulation, and in other threads.

const threaded = threadedTransport({
  failed: (error) => {
    throw error;
  },
});
test.after.always(() => threaded.close());

interface Bench {
  readonly transport: Transport;
  readonly host: string;
  /** Waits for a promise, letting virtual time pass where there is one. */
  settle<T>(promise: Promise<T>): Promise<T>;
}

const benches: Record<string, () => Bench> = {
  real: () => ({ transport: realTransport(), host: '127.0.0.1', settle: (promise) => promise }),
  threaded: () => ({ transport: threaded, host: '127.0.0.1', settle: (promise) => promise }),
  simulated: () => {
    const world = new SimWorld('transport', 0);
    const host = world.host('127.1.0.1');
    return { transport: host.transport, host: host.address, settle: (promise) => world.until(promise) };
  },
};

const identity: TlsIdentity = testTlsIdentity;

function collect(conn: Conn): { all: Promise<Buffer>; closed: Promise<Error | undefined> } {
  const chunks: Buffer[] = [];
  let ended!: (all: Buffer) => void;
  let closed!: (error: Error | undefined) => void;
  const result = {
    all: new Promise<Buffer>((resolve) => {
      ended = resolve;
    }),
    closed: new Promise<Error | undefined>((resolve) => {
      closed = resolve;
    }),
  };
  conn.start({
    // A TLS connection's chunks are gone after the call.
    data: (chunk) => chunks.push(Buffer.from(chunk)),
    end: () => ended(Buffer.concat(chunks)),
    drain() {},
    close: closed,
  });
  return result;
}

async function pair(
  bench: Bench,
  secure: boolean,
): Promise<{ near: Conn; far: Conn; close(): Promise<void> }> {
  let accepted!: (conn: Conn) => void;
  const far = new Promise<Conn>((resolve) => {
    accepted = resolve;
  });
  const at: NetAddress = { host: bench.host, port: 0 };
  const listener = await bench.settle(
    secure
      ? bench.transport.listenTls(at, () => identity, accepted)
      : bench.transport.listenTcp(at, accepted),
  );
  const near = await bench.settle(
    secure ? bench.transport.dialTls(listener.local) : bench.transport.dialTcp(listener.local),
  );
  return { near, far: await bench.settle(far), close: () => listener.close() };
}

const both = (name: string, body: (t: ExecutionContext, bench: Bench) => Promise<void>) => {
  for (const [kind, make] of Object.entries(benches)) test(`${kind}: ${name}`, (t) => body(t, make()));
};

both('bytes arrive in order, and each direction ends by itself', async (t, bench) => {
  for (const secure of [false, true]) {
    const { near, far, close } = await pair(bench, secure);
    const atFar = collect(far);
    const atNear = collect(near);
    const message = Buffer.alloc(1_000_000, 'abc');
    for (let at = 0; at < message.length; at += 100_000) near.write(message.subarray(at, at + 100_000));
    near.end();
    t.true((await bench.settle(atFar.all)).equals(message));
    far.write(Buffer.from('still here'));
    far.end();
    t.is((await bench.settle(atNear.all)).toString(), 'still here');
    t.is(await bench.settle(atNear.closed), undefined);
    await close();
  }
});

both('TLS: both ends export the same bytes, and the dialler sees the certificate', async (t, bench) => {
  const { near, far, close } = await pair(bench, true);
  const [a, b] = [near as TlsConn, far as TlsConn];
  const context = Buffer.from('context');
  t.deepEqual(
    Buffer.from(a.exportKeyingMaterial(32, 'LABEL', context)),
    Buffer.from(b.exportKeyingMaterial(32, 'LABEL', context)),
  );
  t.notDeepEqual(a.exportKeyingMaterial(32, 'LABEL', context), a.exportKeyingMaterial(32, 'OTHER', context));
  t.deepEqual(Buffer.from(a.peerCertificate!), Buffer.from(identity.certDer));
  t.deepEqual(Buffer.from(b.ownCertificate!), Buffer.from(identity.certDer));
  a.destroy();
  await close();
});

test('real: who dials a link names a host, as C tor does, another one each time', async (t) => {
  const names: string[] = [];
  const { certPem, keyPem } = identity;
  const server = createTlsServer({ cert: certPem, key: keyPem }, (socket) => {
    names.push(socket.servername || 'none');
    socket.on('error', () => {});
    socket.end();
  });
  t.teardown(() => server.close());
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
  for (let i = 0; i < 3; i++) {
    const conn = await realTransport().dialTls({ host: '127.0.0.1', port });
    await collect(conn).all;
    conn.destroy();
  }
  t.is(new Set(names).size, 3);
  for (const name of names) t.regex(name, /^www\.[a-z2-7]{4,25}\.com$/);
});

test('real: TLS connections read into one buffer, dialled or accepted', async (t) => {
  const { near, far, close } = await pair(benches.real!(), true);
  const memory = new Set<ArrayBufferLike>();
  const once = (conn: Conn) =>
    new Promise<void>((resolve) => {
      const data = (chunk: Buffer) => {
        memory.add(chunk.buffer);
        resolve();
      };
      conn.start({ data, end() {}, drain() {}, close() {} });
    });
  // Both before anybody reads, so that one of them waits in the connection.
  near.write(Buffer.from('ping'));
  far.write(Buffer.from('pong'));
  await Promise.all([once(near), once(far)]);
  for (let i = 0; i < 3; i++) {
    const read = [once(near), once(far)];
    near.write(Buffer.from('ping'));
    far.write(Buffer.from('pong'));
    await Promise.all(read);
  }
  // What waited was copied: at most one buffer for each, and the one that all share.
  t.true(memory.size <= 3, `${memory.size} buffers for eight chunks`);
  near.destroy();
  await close();
});

both('a paused reader pushes back on the writer', async (t, bench) => {
  const { near, far, close } = await pair(bench, false);
  far.pause();
  let drained!: () => void;
  const drain = new Promise<void>((resolve) => {
    drained = resolve;
  });
  near.start({ data() {}, end() {}, drain: () => drained(), close() {} });
  const chunk = Buffer.alloc(256 * 1024);
  let written = 0;
  while (near.write(chunk)) {
    written += chunk.length;
    if (written > 256 * 1024 * 1024) break;
  }
  written += chunk.length;
  t.true(near.writableLength > 0);
  let read = 0;
  let done!: () => void;
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  far.start({
    data(bytes) {
      read += bytes.length;
      if (read === written) done();
    },
    end() {},
    drain() {},
    close() {},
  });
  far.resume();
  await bench.settle(all);
  await bench.settle(drain);
  t.is(near.writableLength, 0);
  near.destroy();
  far.destroy();
  await close();
});

/** Two exchanges over another connection: what was sent before them has arrived. */
async function settleDown(bench: Bench): Promise<void> {
  const { near, far, close } = await pair(bench, false);
  let echoed!: () => void;
  far.start({ data: (chunk) => far.write(Buffer.from(chunk)), end() {}, drain() {}, close() {} });
  near.start({ data: () => echoed(), end() {}, drain() {}, close() {} });
  for (let i = 0; i < 2; i++) {
    const answer = new Promise<void>((resolve) => {
      echoed = resolve;
    });
    near.write(Buffer.from('ping'));
    await bench.settle(answer);
  }
  near.destroy();
  far.destroy();
  await close();
}

both('an end that comes before anybody listens is told to who does then', async (t, bench) => {
  for (const secure of [false, true]) {
    const { near, far, close } = await pair(bench, secure);
    near.start({ data() {}, end() {}, drain() {}, close() {} });
    near.end();
    await settleDown(bench);
    t.is((await bench.settle(collect(far).all)).length, 0);
    far.destroy();
    await close();
  }
});

both('what waits for a reader keeps to its pauses', async (t, bench) => {
  const { near, far, close } = await pair(bench, false);
  near.write(Buffer.from('first'));
  await settleDown(bench);
  const chunks: string[] = [];
  let read!: () => void;
  const next = () =>
    new Promise<void>((resolve) => {
      read = resolve;
    });
  const first = next();
  far.start({
    data(chunk) {
      chunks.push(chunk.toString());
      far.pause();
      read();
    },
    end() {},
    drain() {},
    close() {},
  });
  await bench.settle(first);
  near.write(Buffer.from('second'));
  await settleDown(bench);
  t.deepEqual(chunks, ['first']);
  const second = next();
  far.resume();
  await bench.settle(second);
  t.deepEqual(chunks, ['first', 'second']);
  near.destroy();
  far.destroy();
  await close();
});

both('a port nobody listens at refuses; a destroyed end closes the other', async (t, bench) => {
  const { near, far, close } = await pair(bench, false);
  const { closed } = collect(far);
  collect(near);
  near.destroy();
  // A clean FIN or a reset, as the system likes: but it is gone.
  far.end();
  await bench.settle(closed);
  const { local } = far;
  await bench.settle(close());
  const error = await bench.settle(t.throwsAsync(bench.transport.dialTcp(local)));
  t.is((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
});

both('a dial that is given up fails at once', async (t, bench) => {
  const at = { host: bench.host, port: 0 };
  const listener = await bench.settle(bench.transport.listenTcp(at, () => {}));
  const abort = new AbortController();
  const dial = t.throwsAsync(bench.transport.dialTcp(listener.local, { signal: abort.signal }));
  abort.abort();
  t.is(((await bench.settle(dial)) as NodeJS.ErrnoException).code, 'ECONNABORTED');
  await bench.settle(listener.close());
});

test('a peer that speaks no TLS is an error of the dial, not of the process', async (t) => {
  const transport = realTransport();
  const listener = await transport.listenTcp({ host: '127.0.0.1', port: 0 }, (conn) => {
    conn.start({ data() {}, end() {}, drain() {}, close() {} });
    conn.write(Buffer.from('220 hello\r\n'));
  });
  await t.throwsAsync(transport.dialTls(listener.local, { timeout: 60_000 }));
  await listener.close();
});

test('a dial that gets no answer times out', async (t) => {
  const world = new SimWorld('timeout', 0);
  const host = world.host('127.1.0.1');
  world.host('127.2.0.1');
  world.cut('127.1.0.1', '127.2.0.1');
  const dial = host.transport.dialTcp({ host: '127.2.0.1', port: 1 }, { timeout: 7000 });
  const error = await world.until(t.throwsAsync(dial));
  t.is((error as NodeJS.ErrnoException).code, 'ETIMEDOUT');
  t.is(world.now, 7000);
});

test('a crashed host resets its peers and runs nothing more', async (t) => {
  const world = new SimWorld('crash', 0);
  const a = world.host('127.1.0.1');
  const b = world.host('127.2.0.1');
  const accepted: Conn[] = [];
  await b.transport.listenTcp({ host: b.address, port: 9 }, (conn) => accepted.push(conn));
  const conn = await world.until(a.transport.dialTcp({ host: b.address, port: 9 }));
  const { closed } = collect(conn);
  let fired = false;
  b.clock.setTimer(1000, () => {
    fired = true;
  });
  b.crash();
  const error = await world.until(closed);
  t.is((error as NodeJS.ErrnoException).code, 'ECONNRESET');
  await world.advance(5000);
  t.false(fired);
  await t.throwsAsync(world.until(a.transport.dialTcp({ host: b.address, port: 9 })), { message: /refused/ });
  // Restarted under the same address, it can listen again.
  const again = world.host('127.2.0.1');
  await again.transport.listenTcp({ host: again.address, port: 9 }, () => {});
  t.truthy(await world.until(a.transport.dialTcp({ host: again.address, port: 9 })));
});

test('the same seed gives the same run', async (t) => {
  const run = async (seed: string) => {
    const world = new SimWorld(seed, 0);
    const trace: string[] = [];
    const hosts = ['127.1.0.1', '127.2.0.1', '127.3.0.1'].map((address) => world.host(address));
    for (const host of hosts) {
      const tick = () => {
        trace.push(`${host.address} ${world.now}`);
        if (trace.length < 50) host.clock.setTimer(1 + host.random.below(1000), tick);
      };
      host.clock.setTimer(0, tick);
    }
    await world.advance(60_000);
    return trace.join('\n');
  };
  t.is(await run('a'), await run('a'));
  t.not(await run('a'), await run('b'));
});

test('a unix socket carries bytes both ways', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'cepa-unix-'));
  const path = join(directory, 'socket');
  const server = createServer((socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    const conn = await realTransport().dialUnix!(path);
    const read = new Promise<string>((resolve) => {
      let text = '';
      conn.start({
        data: (chunk) => {
          text += chunk.toString();
        },
        end: () => resolve(text),
        drain() {},
        close() {},
      });
    });
    conn.write(Buffer.from('there and back'));
    conn.end();
    t.is(await read, 'there and back');
    await t.throwsAsync(realTransport().dialUnix!(join(directory, 'nobody')), { code: 'ENOENT' });
  } finally {
    server.close();
    await rm(directory, { recursive: true });
  }
});
