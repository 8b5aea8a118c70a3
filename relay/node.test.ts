import test from 'ava';
import { DestroyReason, EndReason, RelayCommand } from '../shared/cell/commands.js';
import { RESOLVE, RESOLVED } from '../shared/cell/relay-cells.js';
import { buildCircuit } from '../shared/circuit/build.js';
import type { HopTarget } from '../shared/circuit/hop.js';
import { fetchOverStream } from '../shared/dir/fetch.js';
import { createDirServer } from '../shared/dir/server.js';
import { memoryLog } from '../shared/log/memory.js';
import { parseServerDescriptor } from '../shared/netdoc/server-descriptor.js';
import { SimWorld } from '../shared/runtime/sim/world.js';
import { memoryStore } from '../shared/store/memory.js';
import { startRelay } from './node.js';
import { begin, echo, listen, network, Reading, SITE, START } from './testing/network.js';
import { optionsOf } from './testing.js';

test('bytes go to a site through three relays and come back, with windows and with congestion control', async (t) => {
  const { world, build, relays } = await network();
  await listen(world, echo);
  for (const carries of [false, true]) {
    const circuit = await build(carries);
    const { stream, reading } = begin(circuit, 'site.example');
    stream.write(Buffer.from('optimistic '));
    await world.advance(2000);
    t.is(reading.address, SITE);
    const more = 'more '.repeat(100_000);
    stream.write(Buffer.from(more));
    stream.end(EndReason.DONE);
    await world.advance(30_000);
    t.is(reading.text.length, 11 + more.length);
    t.is(reading.text, `OPTIMISTIC ${more.toUpperCase()}`);
    t.deepEqual(reading.ended, { reason: EndReason.DONE, local: false });
    circuit.close();
  }
  await world.advance(1000);
  for (const { node, log } of relays) {
    t.is(node.status().circuits.circuits, 0);
    t.false(log.text().includes('closing a circuit'), log.text());
  }
  t.is(relays[2]!.node.status().exitStreams, 0);
  t.is(relays[2]!.node.status().circuits.handshakes['ntor-v3'], 1);
});

test('a large download arrives whole though the client reads in steps', async (t) => {
  const { world, build } = await network();
  const size = 3_000_000;
  await listen(world, (conn) => {
    conn.start({ data() {}, end() {}, drain() {}, close() {} });
    conn.write(Buffer.alloc(size, 'x'));
    conn.end();
  });
  for (const carries of [false, true]) {
    const circuit = await build(carries);
    const { stream, reading } = begin(circuit, SITE);
    await world.advance(500);
    stream.pause();
    await world.advance(5_000);
    const held = reading.text.length;
    t.true(held < size, `${held} bytes came in spite of the pause`);
    stream.resume();
    await world.advance(60_000);
    t.is(reading.text.length, size);
    t.deepEqual(reading.ended, { reason: EndReason.DONE, local: false });
    circuit.close();
  }
});

test('names are resolved at the exit, in both directions', async (t) => {
  const { world, build } = await network();
  const circuit = await build(true);
  const ask = async (name: string) => {
    const reading = new Reading();
    circuit.openStream(RelayCommand.RESOLVE, RESOLVE.encode({ name }), reading);
    await world.advance(1000);
    return RESOLVED.decode(reading.answers!).answers;
  };
  t.deepEqual(await ask('site.example'), [{ type: 'address', address: SITE, ttl: 60 }]);
  t.deepEqual(await ask('nobody.example'), [{ type: 'error', transient: false, ttl: 60 }]);
});

test('the exit’s policy refuses, and a middle relay exits nowhere', async (t) => {
  const { world, build, env, channels, hops } = await network();
  await listen(world, echo);
  const circuit = await build(true);
  const refused = begin(circuit, 'site.example', 25);
  await world.advance(1000);
  t.is(refused.reading.ended?.reason, EndReason.EXITPOLICY);
  const short = await world.until(buildCircuit(env, channels, [hops[0]!, hops[1]!]));
  const middle = begin(short, SITE);
  const name = begin(short, 'site.example');
  await world.advance(1000);
  t.is(middle.reading.ended?.reason, EndReason.EXITPOLICY);
  t.is(name.reading.ended?.reason, EndReason.RESOLVEFAILED);
});

test('a client’s only hop does not exit, but serves its own descriptor', async (t) => {
  const { world, env, channels, hops, relays } = await network();
  const { ntorKey: _unknown, ...exit } = hops[2]!;
  const circuit = await world.until(buildCircuit(env, channels, [exit]));
  const { reading } = begin(circuit, SITE);
  await world.advance(1000);
  t.is(reading.ended?.reason, EndReason.TORPROTOCOL);
  const stream = circuit.openDir(new Reading());
  const request = { method: 'GET', path: '/tor/server/authority.z' } as const;
  const response = await world.until(fetchOverStream(stream, request, { clock: env.clock, timeout: 10_000 }));
  t.is(response.status, 200);
  t.is(Buffer.from(response.body).toString('latin1'), relays[2]!.node.descriptor()!.descriptor);
});

for (const [what, killed] of [
  ['exit', 2],
  ['middle', 1],
] as const)
  test(`kill -9 of the ${what} mid-stream ends the stream at once, and the other relays go on`, async (t) => {
    const { world, build, relays, env, channels, hops } = await network();
    await listen(world, echo);
    let closed: number | undefined;
    const circuit = await build(true, (reason) => {
      closed = reason;
    });
    const { stream, reading } = begin(circuit, SITE);
    stream.write(Buffer.from('hello'));
    await world.advance(1000);
    t.is(reading.text, 'HELLO');
    relays[killed]!.host.crash();
    // The neighbour sees a reset as soon as it writes, or nothing at all: a dead machine says nothing.
    stream.write(Buffer.alloc(100_000));
    await world.advance(2000);
    t.deepEqual(reading.ended, { reason: EndReason.DESTROY, local: true });
    t.true(closed === DestroyReason.CHANNEL_CLOSED || closed === DestroyReason.DESTROYED, `${closed}`);
    const rest = hops.filter((_, n) => n !== killed) as [HopTarget, HopTarget];
    const again = await world.until(buildCircuit(env, channels, rest));
    t.is(again.hops.length, 2);
  });

test('a next relay that is somebody else is refused by its identity', async (t) => {
  const { world, env, channels, hops } = await network();
  const [first, second, third] = hops as [HopTarget, HopTarget, HopTarget];
  const wrong = { ...second, rsaId: third.rsaId, ed25519Id: third.ed25519Id, ntorKey: third.ntorKey };
  const error = await world.until(
    buildCircuit(env, channels, [first, wrong]).then(
      () => undefined,
      (failure: Error) => failure,
    ),
  );
  t.regex(error!.message, /OR_IDENTITY/);
});

test('a relay that was told no address hears it from an authority, and then publishes', async (t) => {
  const world = new SimWorld('address', START);
  const authority = world.host('127.20.0.1');
  const uploads: string[] = [];
  const server = createDirServer(
    {
      get: () => ({ status: 404 }),
      post: (_path, body) => {
        uploads.push(Buffer.from(body).toString('latin1'));
        return { status: 200 };
      },
    },
    { log: memoryLog(), clock: authority.clock },
  );
  await server.listen(authority.transport, { host: authority.address, port: 7000 });
  const host = world.host('127.21.0.1');
  const options = optionsOf(
    `DirAuthority a orport=9001 v3ident=${'A'.repeat(40)} 127.20.0.1:7000 ${'B'.repeat(40)}`,
    'TestingTorNetwork 1',
    'ORPort 9001',
  );
  const node = await startRelay(options, { ...host, log: memoryLog(), store: memoryStore() });
  t.is(node.descriptor(), undefined);
  await world.advance(10_000);
  t.is(uploads.length, 1);
  t.is(parseServerDescriptor(node.descriptor()!.descriptor).address, '127.21.0.1');
  await world.until(node.stop(false));
});

test('stops at once, or when its circuits have ended', async (t) => {
  const { world, build, relays } = await network();
  const circuit = await build(false);
  const stopping = relays[2]!.node.stop(true);
  await world.advance(5_000);
  t.is(relays[2]!.node.status().circuits.circuits, 1);
  circuit.close();
  await world.until(stopping);
  await world.until(relays[1]!.node.stop(false));
  t.is(relays[1]!.node.status().circuits.circuits, 0);
});

test('a port that is taken is named in the error', async (t) => {
  const world = new SimWorld('taken', START);
  const host = world.host('127.77.0.1');
  await host.transport.listenTcp({ host: host.address, port: 9001 }, () => {});
  const options = optionsOf('Nickname taken', 'Address 127.77.0.1', 'ORPort 127.77.0.1:9001');
  const env = { ...host, log: memoryLog(), store: memoryStore() };
  await t.throwsAsync(world.until(startRelay(options, env)), {
    code: 'relay/listen',
    message: /cannot open port 127\.77\.0\.1:9001/,
  });
});
