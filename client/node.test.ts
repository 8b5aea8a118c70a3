import test from 'ava';
import { memoryLog } from '../shared/log/memory.js';
import type { NodeEvent } from '../shared/runtime/env.js';
import { SimWorld } from '../shared/runtime/sim/world.js';
import { memoryStore } from '../shared/store/memory.js';
import { startClient } from './node.js';
import { clientOptions } from './testing.js';

function setUp() {
  const world = new SimWorld('client node', 1_700_000_000_000);
  const log = memoryLog();
  const store = memoryStore();
  const events: NodeEvent[] = [];
  const env = { ...world.host('127.8.0.1'), log, store, report: (event: NodeEvent) => events.push(event) };
  return { world, log, store, events, env };
}

test('ports open at once; with nobody to ask the client waits, says so, and refuses requests in time', async (t) => {
  const { world, events, env } = setUp();
  const options = clientOptions(
    'SocksPort 127.8.0.1:9050',
    'HTTPTunnelPort 127.8.0.1:9080',
    'SocksTimeout 30 seconds',
  );
  const node = await world.until(startClient(options, env));
  t.deepEqual(
    node.ports.map(({ kind, port }) => `${kind} ${port}`),
    ['socks 9050', 'http 9080'],
  );
  t.like(
    events.find((event) => event.type === 'listening'),
    { what: 'socks', port: 9050 },
  );
  const request = node.connect('site.example', 80);
  await t.throwsAsync(world.until(request), { code: 'client/timeout' });
  t.like(node.status(), { ready: false, waitingStreams: 0, bootstrap: { percent: 5, tag: 'conn' } });
  t.deepEqual(
    events.filter((event) => event.type === 'bootstrap').map((event) => event.percent),
    [0, 5],
  );
  await world.until(node.stop());
});

test('the HTTP port answers as a tunnel, the SOCKS port as a SOCKS port', async (t) => {
  const { world, env } = setUp();
  const options = clientOptions('SocksPort 127.8.0.1:9050', 'HTTPTunnelPort 127.8.0.1:9080');
  const node = await world.until(startClient(options, env));
  const answers: string[] = [];
  for (const { host, port } of node.ports) {
    const conn = await world.until(env.transport.dialTcp({ host, port }));
    conn.start({ data: (chunk) => answers.push(chunk.toString()), end() {}, drain() {}, close() {} });
    conn.write(Buffer.from('GET / HTTP/1.1\r\nHost: localhost:1\r\n\r\n'));
    await world.advance(10);
  }
  t.deepEqual(
    answers.map((answer) => answer.slice(0, 12)),
    ['HTTP/1.0 501', 'HTTP/1.0 405'],
  );
  await world.until(node.stop());
});

test('what cannot be honoured is refused at the start', async (t) => {
  const { world, env } = setUp();
  const start = (...torrc: string[]) => world.until(startClient(clientOptions('SocksPort 0', ...torrc), env));
  await t.throwsAsync(start('ExitNodes {us}'), { message: /ExitNodes.*GeoIP/ });
  await t.throwsAsync(world.until(startClient({ ...clientOptions('SocksPort 0'), DirAuthority: [] }, env)), {
    message: /DirAuthority/,
  });
  const first = await world.until(startClient(clientOptions('SocksPort 127.8.0.1:9050'), env));
  await t.throwsAsync(world.until(startClient(clientOptions('SocksPort 127.8.0.1:9050'), env)), {
    message: /cannot open socks port 127\.8\.0\.1:9050/,
  });
  await world.until(first.stop());
});

test('a port that others can reach is warned about', async (t) => {
  const { world, env, log } = setUp();
  const node = await world.until(
    startClient(clientOptions('SocksPort 10.0.0.1:9050'), { ...env, ...world.host('10.0.0.1') }),
  );
  t.true(log.has('warn', 'open to other machines'));
  await world.until(node.stop());
});

test('with DisableNetwork no port is open, and requests fail in their time', async (t) => {
  const { world, env, events } = setUp();
  const options = clientOptions('SocksPort 127.8.0.1:9050', 'DisableNetwork 1', 'SocksTimeout 30 seconds');
  const node = await world.until(startClient(options, env));
  t.deepEqual(node.ports, []);
  await t.throwsAsync(world.until(env.transport.dialTcp({ host: '127.8.0.1', port: 9050 })));
  await t.throwsAsync(world.until(node.connect('site.example', 80)), { code: 'client/timeout' });
  t.deepEqual(
    events.filter((event) => event.type === 'bootstrap').map((event) => event.percent),
    [0],
  );
  await world.until(node.stop());
});

test('a disk that fails at the start leaves no port open behind', async (t) => {
  const { world, env, store } = setUp();
  const options = clientOptions('SocksPort 127.8.0.1:9050');
  const failing = {
    ...store,
    read: (name: string) =>
      /guards|build-times/.test(name) ? store.read(name) : Promise.reject(new Error('disk failure')),
  };
  await t.throwsAsync(world.until(startClient(options, { ...env, store: failing })), { message: /disk/ });
  await t.throwsAsync(world.until(env.transport.dialTcp({ host: '127.8.0.1', port: 9050 })));
});

test('nonsense is no destination, and an onion name goes to no exit', async (t) => {
  const { world, env } = setUp();
  const node = await world.until(startClient(clientOptions('SocksPort 0'), env));
  await t.throwsAsync(node.connect('a b', 80), { code: 'client/address-unsupported' });
  await t.throwsAsync(node.connect('a.example', 0), { code: 'client/address-unsupported' });
  await t.throwsAsync(node.reverse('a.example'), { code: 'client/address-unsupported' });
  t.deepEqual(await node.resolve('10.0.0.1'), ['10.0.0.1']);
  await t.throwsAsync(world.until(node.connect('abc.onion', 80)), { code: 'client/onion-bad-address' });
  await t.throwsAsync(world.until(node.resolve('abc.onion')), { code: 'client/host-unreachable' });
  for (const host of ['127.0.0.1', '::1', 'localhost', 'printer.local'])
    await t.throwsAsync(node.connect(host, 80), { code: 'client/not-allowed' }, host);
  await t.throwsAsync(node.reverse('10.0.0.1'), { code: 'client/host-unreachable' });
  const asked = node.connect('a.example', 80);
  await Promise.all([t.throwsAsync(asked, { message: /stopping/ }), world.until(node.stop())]);
  await t.throwsAsync(world.until(node.connect('a.example', 80)), { message: /stopping/ });
});

test('damaged state is set aside with a warning, and the client starts', async (t) => {
  const { world, env, log, store } = setUp();
  await store.write('cepa-state/guards', Buffer.from('nonsense'));
  const node = await world.until(startClient(clientOptions('SocksPort 0'), env));
  t.true(log.has('warn', 'cepa-state/guards'));
  const kept = await store.list('cepa-state');
  t.true(kept.some((name) => name.startsWith('guards.')));
  await world.until(node.stop());
});
