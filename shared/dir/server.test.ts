import { inflateSync } from 'node:zlib';
import test from 'ava';
import { memoryLog } from '../log/memory.js';
import { realClock, realTransport } from '../runtime/real.js';
import { SimWorld } from '../runtime/sim/world.js';
import type { Clock, Transport } from '../runtime/types.js';
import { DirFetchError, fetchOverConn } from './fetch.js';
import { type Answer, createDirServer, type DirSource } from './server.js';
import type { DirPeer } from './types.js';

const document = Buffer.from('a document, '.repeat(500));

interface Asked {
  path: string;
  peer: DirPeer;
  body?: Uint8Array;
}

function source(asked: Asked[]): DirSource {
  const answers: Record<string, Answer> = {
    '/tor/doc': {
      status: 200,
      body: document,
      modified: Date.UTC(2026, 0, 1),
      lifetime: 60,
      headers: { 'x-kind': 'doc' },
    },
    '/tor/none': { status: 404, reason: 'Nothing here' },
  };
  return {
    get(path, _headers, peer) {
      asked.push({ path, peer });
      if (path === '/tor/boom') throw new Error('boom');
      return answers[path] ?? { status: 404 };
    },
    post(path, body, peer) {
      asked.push({ path, peer, body });
      return { status: 400, reason: 'Missing TAP key in descriptor.' };
    },
  };
}

interface Bench {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly host: string;
  settle<T>(promise: Promise<T>): Promise<T>;
}

const benches: Record<string, () => Bench> = {
  sockets: () => ({
    transport: realTransport(),
    clock: realClock,
    host: '127.0.0.1',
    settle: (promise) => promise,
  }),
  simulated: () => {
    const world = new SimWorld('dir', Date.UTC(2026, 0, 1));
    const { transport, clock, address } = world.host('127.1.0.1');
    return { transport, clock, host: address, settle: (promise) => world.until(promise) };
  },
};

for (const [kind, make] of Object.entries(benches)) {
  test(`${kind}: what a source answers arrives`, async (t) => {
    const { transport, clock, host, settle } = make();
    const asked: Asked[] = [];
    const log = memoryLog();
    const server = createDirServer(source(asked), { log, clock });
    const listener = await settle(server.listen(transport, { host, port: 0 }));
    const ask = (path: string, headers: Record<string, string> = {}, body?: Uint8Array) =>
      settle(
        fetchOverConn(
          transport,
          listener.local,
          { method: body ? 'POST' : 'GET', path, headers, body },
          { clock, timeout: 60_000 },
        ),
      );
    const plain = await ask('/tor/doc');
    t.is(plain.status, 200);
    t.true(Buffer.from(plain.body).equals(document));
    t.is(plain.headers['content-encoding'], 'identity');
    t.is(plain.headers['x-kind'], 'doc');
    t.is(plain.headers['x-your-address-is'], host);
    t.is(plain.headers['last-modified'], 'Thu, 01 Jan 2026 00:00:00 GMT');

    for (const response of [
      await ask('/tor/doc.z'),
      await ask('/tor/doc', { 'accept-encoding': 'x-zstd, deflate' }),
    ]) {
      t.is(response.headers['content-encoding'], 'deflate');
      t.true(Number(response.headers['content-length']) < document.length / 10);
      t.true(Buffer.from(response.body).equals(document));
    }
    t.is(asked.at(-2)?.path, '/tor/doc');
    t.deepEqual(asked.at(-1)?.peer, { via: 'dirport', address: host });

    const unchanged = await ask('/tor/doc', { 'if-modified-since': 'Thu, 01 Jan 2026 00:00:00 GMT' });
    t.is(unchanged.status, 304);
    t.is(unchanged.body.length, 0);

    const missing = await ask('/tor/none.z');
    t.is(missing.status, 404);
    t.is(missing.reason, 'Nothing here');

    const refused = await ask('/tor/', {}, Buffer.from('router nonsense'));
    t.is(refused.status, 400);
    t.is(refused.reason, 'Missing TAP key in descriptor.');
    t.is(Buffer.from(asked.at(-1)!.body!).toString(), 'router nonsense');

    t.is((await ask('/tor/boom')).status, 500);
    t.true(log.has('warn', 'directory request failed'));

    await settle(Promise.all([listener.close(), server.close()]));
  });

  test(`${kind}: nonsense is answered with 400, and half a request with nothing`, async (t) => {
    const { transport, clock, host, settle } = make();
    const server = createDirServer(source([]), { log: memoryLog(), clock });
    const listener = await settle(server.listen(transport, { host, port: 0 }));
    const raw = async (bytes: string, end: boolean) => {
      const conn = await settle(transport.dialTcp(listener.local));
      const chunks: Buffer[] = [];
      const closed = new Promise<void>((resolve) => {
        conn.start({
          data: (chunk) => chunks.push(Buffer.from(chunk)),
          end: () => conn.end(),
          drain() {},
          close: () => resolve(),
        });
      });
      conn.write(Buffer.from(bytes));
      if (end) conn.end();
      await settle(closed);
      return Buffer.concat(chunks).toString();
    };
    t.regex(await raw('NONSENSE\r\n\r\n', false), /^HTTP\/1\.[01] 400 /);
    t.notRegex(await raw('GET /tor/doc HTTP/1.0\r\nHost:', true), /^HTTP\/1\.[01] 200 /);
    await settle(Promise.all([listener.close(), server.close()]));
  });
}

test('a compressed document is compressed once', async (t) => {
  const { transport, clock, host, settle } = benches.simulated!();
  const server = createDirServer(source([]), { log: memoryLog(), clock });
  const listener = await settle(server.listen(transport, { host, port: 0 }));
  const raw = async () => {
    const conn = await settle(transport.dialTcp(listener.local));
    const chunks: Buffer[] = [];
    const ended = new Promise<void>((resolve) => {
      conn.start({ data: (chunk) => chunks.push(Buffer.from(chunk)), end: resolve, drain() {}, close() {} });
    });
    conn.write(Buffer.from('GET /tor/doc.z HTTP/1.0\r\n\r\n'));
    await settle(ended);
    const all = Buffer.concat(chunks);
    return all.subarray(all.indexOf('\r\n\r\n') + 4);
  };
  t.true(inflateSync(await raw()).equals(document));
  t.true(inflateSync(await raw()).equals(document));
  await settle(server.close());
});

test('who takes nothing of an answer is given up, who takes it slowly gets it all', async (t) => {
  const world = new SimWorld('slow readers', Date.UTC(2026, 0, 1));
  const { transport, clock, address: host } = world.host('127.1.0.1');
  const large = Buffer.alloc(3_000_000, 'x');
  const server = createDirServer(
    { get: () => ({ status: 200, body: large }), post: () => ({ status: 404 }) },
    { log: memoryLog(), clock },
  );
  const listener = await world.until(server.listen(transport, { host, port: 0 }));
  const ask = async () => {
    const conn = await world.until(world.host('127.2.0.1').transport.dialTcp(listener.local));
    const state = { conn, bytes: 0, closed: false };
    conn.start({
      data: (chunk) => {
        state.bytes += chunk.length;
      },
      end: () => conn.end(),
      drain() {},
      close() {
        state.closed = true;
      },
    });
    conn.write(Buffer.from('GET /tor/doc HTTP/1.0\r\n\r\n'));
    conn.pause();
    return state;
  };
  const silent = await ask();
  const slow = await ask();
  for (let minute = 0; minute < 60; minute++) {
    slow.conn.resume();
    await world.advance(1);
    slow.conn.pause();
    await world.advance(50_000);
  }
  slow.conn.resume();
  await world.advance(1_000);
  t.true(silent.closed);
  t.is(silent.bytes, 0);
  t.true(slow.bytes > large.length, `${slow.bytes}`);
  // What is still open when the server closes is closed.
  const late = await ask();
  await world.until(server.close());
  await world.advance(1_000);
  t.true(late.closed);
});

test('answers that nobody takes are kept up to a bound, past which only small ones are given', async (t) => {
  const world = new SimWorld('silent readers', Date.UTC(2026, 0, 1));
  const { transport, clock, address: host } = world.host('127.1.0.1');
  const bodies: Record<string, Buffer> = {
    '/large': Buffer.alloc(1_000_000, 'x'),
    '/small': Buffer.alloc(1_000),
  };
  const server = createDirServer(
    { get: (path) => ({ status: 200, body: bodies[path]! }), post: () => ({ status: 404 }) },
    { log: memoryLog(), clock, maxWaiting: 2_500_000 },
  );
  const listener = await world.until(server.listen(transport, { host, port: 0 }));
  const silent = async (from: string) => {
    const conn = await world.until(world.host(from).transport.dialTcp(listener.local));
    conn.start({ data() {}, end() {}, drain() {}, close() {} });
    conn.write(Buffer.from('GET /large HTTP/1.0\r\n\r\n'));
    conn.pause();
  };
  const ask = async (path: string, from: string) => {
    const request = { method: 'GET', path } as const;
    const { transport: own } = world.host(from);
    const asked = fetchOverConn(own, listener.local, request, { clock, timeout: 60_000 });
    return (await world.until(asked)).status;
  };
  await silent('127.2.0.1');
  await world.advance(1_000);
  t.is(await ask('/large', '127.2.0.1'), 503, 'one address has no more than its share');
  t.is(await ask('/small', '127.2.0.1'), 200);
  t.is(await ask('/large', '127.3.0.1'), 200);
  t.is(await ask('/large', '127.3.0.1'), 200, 'what was taken is no longer kept');
  await silent('127.4.0.1');
  await world.advance(1_000);
  t.is(await ask('/large', '127.3.0.1'), 503, 'nor have all together');
  t.is(await ask('/small', '127.3.0.1'), 200);
  // Who takes nothing is given up after a while.
  await world.advance(200_000);
  t.is(await ask('/large', '127.2.0.1'), 200);
  await world.until(server.close());
});

test('no answer in time is an error that says so', async (t) => {
  const world = new SimWorld('slow', 0);
  const host = world.host('127.1.0.1');
  await host.transport.listenTcp({ host: host.address, port: 80 }, (conn) =>
    conn.start({ data() {}, end() {}, drain() {}, close() {} }),
  );
  const request = { method: 'GET', path: '/tor/doc' } as const;
  const options = { clock: host.clock, timeout: 5000 };
  const failure = await world.until(
    t.throwsAsync(fetchOverConn(host.transport, { host: host.address, port: 80 }, request, options)),
  );
  t.true(failure instanceof DirFetchError);
  t.regex(failure!.message, /within 5000 ms/);
  const refused = fetchOverConn(host.transport, { host: host.address, port: 81 }, request, options);
  await world.until(t.throwsAsync(refused, { instanceOf: DirFetchError, message: /refused/ }));
});
