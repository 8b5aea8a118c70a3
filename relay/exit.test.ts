import test from 'ava';
import { EndReason, RelayCommand } from '../shared/cell/commands.js';
import { BEGIN, BeginFlag, CONNECTED, END } from '../shared/cell/relay-cells.js';
import { memoryLog } from '../shared/log/memory.js';
import { parsePolicyLines } from '../shared/netdoc/policy.js';
import type { Consensus } from '../shared/netdoc/types.js';
import { SimWorld } from '../shared/runtime/sim/world.js';
import type { Conn, Transport } from '../shared/runtime/types.js';
import { fc } from '../shared/testing/properties.js';
import { Exit, type ExitRules } from './exit.js';
import { ExitStats } from './exit-stats.js';
import { Network } from './network.js';
import { FakeChannel, FakeStream } from './testing.js';

const EXIT = '127.1.0.1';
const SITE = '127.2.0.1';
const guard = new FakeChannel({ rsaId: Buffer.alloc(20, 0xaa) });

/** An exit in a world with one site, which keeps what it gets. */
async function exit(more: Partial<ExitRules> = {}) {
  const world = new SimWorld('exit', 0);
  world.names.set('site.example', [SITE, '2001:db8::2']);
  world.names.set('six.example', ['2001:db8::2']);
  const site = world.host(SITE);
  const conns: Conn[] = [];
  const got: Buffer[] = [];
  const seen: string[] = [];
  await site.transport.listenTcp({ host: SITE, port: 80 }, (conn) => {
    conns.push(conn);
    conn.start({
      data: (bytes) => void got.push(Buffer.from(bytes)),
      end: () => void seen.push('end'),
      drain() {},
      close: () => void seen.push('close'),
    });
  });
  const consensus = {
    routers: [{ id: 'AA'.repeat(20), address: '127.3.0.1', orPort: 9001, dirPort: 0 }],
    params: new Map(),
  } as unknown as Consensus;
  const network = new Network({
    consensus: () => consensus,
    descriptorOf: () => undefined,
    microdesc: () => undefined,
  });
  const host = world.host(EXIT);
  const rules: ExitRules = {
    policy: parsePolicyLines(['accept *:80,accept *:9001,reject *:*']),
    isExit: true,
    ipv6: false,
    anyName: false,
    bind: {},
    refuseUnknown: () => true,
    ...more,
  };
  const signals: AbortSignal[] = [];
  const transport: Transport = {
    ...host.transport,
    dialTcp(to, options) {
      if (options?.signal) signals.push(options.signal);
      return host.transport.dialTcp(to, options);
    },
  };
  const env = { ...host, transport, log: memoryLog(), network, stats: new ExitStats() };
  const service = new Exit(env, rules);
  const begin = async (host: string, port = 80, flags = 0, from = guard, wait = 200) => {
    const stream = new FakeStream(RelayCommand.BEGIN, BEGIN.encode({ host, port, flags }));
    service.begin(stream, from);
    await world.advance(wait);
    return stream;
  };
  return { world, service, begin, conns, got, seen, signals };
}

test('connects, says where, and carries bytes both ways', async (t) => {
  const { begin, world, conns, got, service } = await exit();
  const stream = await begin('site.example');
  const { address, ttl } = CONNECTED.decode(stream.accepted!);
  t.is(address, SITE);
  t.true(ttl! >= 60 && ttl! <= 3840);
  t.false(stream.paused);
  stream.handlers.data(Buffer.from('up'));
  conns[0]!.write(Buffer.from('down'));
  await world.advance(200);
  t.is(Buffer.concat(got).toString(), 'up');
  t.is(Buffer.concat(stream.written).toString(), 'down');
  t.is(service.streams, 1);
});

test('optimistic data waits for the connection, and the client is held back', async (t) => {
  const { service, world, got } = await exit();
  const stream = new FakeStream(RelayCommand.BEGIN, BEGIN.encode({ host: SITE, port: 80, flags: 0 }));
  service.begin(stream, guard);
  t.true(stream.paused);
  stream.handlers.data(Buffer.from('a'));
  stream.handlers.data(Buffer.from('b'));
  await world.advance(200);
  t.is(Buffer.concat(got).toString(), 'ab');
  t.false(stream.paused);
});

test('a connection that is being made is given up with its stream', async (t) => {
  const { begin, service, signals, got } = await exit();
  const left = await begin(SITE, 80, 0, guard, 0);
  t.is(service.streams, 1);
  left.handlers.end(EndReason.MISC, false);
  t.is(service.streams, 0);
  t.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true],
  );
  const kept = await begin(SITE);
  t.false(signals[1]!.aborted);
  kept.handlers.data(Buffer.from('up'));
  kept.handlers.end(EndReason.MISC, false);
  await begin(SITE);
  t.is(Buffer.concat(got).toString(), 'up');
});

test('the policy refuses by the resolved address, and says which', async (t) => {
  const { begin, service } = await exit();
  const stream = await begin('site.example', 25);
  t.is(stream.ended!.reason, EndReason.EXITPOLICY);
  const { address, ttl } = END.decode(Buffer.from([EndReason.EXITPOLICY, ...stream.ended!.extra!]));
  t.is(address, SITE);
  t.true(ttl! > 0);
  t.is(service.streams, 0);
});

test('refuses nonsense, one-hop clients, unknown relays, relays’ own ports, names that are none', async (t) => {
  const { begin, service, world } = await exit();
  const reason = async (...args: Parameters<typeof begin>) => (await begin(...args)).ended?.reason;
  t.is(await reason(SITE, 80, 0, new FakeChannel()), EndReason.TORPROTOCOL);
  t.is(await reason(SITE, 80, 0, new FakeChannel({ rsaId: Buffer.alloc(20, 1) })), EndReason.MISC);
  t.is(await reason('127.3.0.1', 9001), EndReason.CONNECTREFUSED);
  t.is(await reason('nobody.example'), EndReason.RESOLVEFAILED);
  t.is(await reason('not_a name'), EndReason.RESOLVEFAILED);
  t.is(await reason('1.0.0.127.in-addr.arpa'), EndReason.RESOLVEFAILED);
  const broken = new FakeStream(RelayCommand.BEGIN, Buffer.from('no port\0'));
  service.begin(broken, guard);
  await world.advance(1);
  t.is(broken.ended?.reason, EndReason.TORPROTOCOL);
});

test('a middle relay looks no names up', async (t) => {
  const { begin } = await exit({ isExit: false, policy: parsePolicyLines(['reject *:*']) });
  t.is((await begin('site.example')).ended?.reason, EndReason.RESOLVEFAILED);
  t.is((await begin(SITE)).ended?.reason, EndReason.EXITPOLICY);
});

test('IPv6 by the client’s flags and only where allowed', async (t) => {
  const four = await exit();
  t.is((await four.begin('six.example', 80, BeginFlag.IPV6_OK)).ended?.reason, EndReason.RESOLVEFAILED);
  t.is((await four.begin(SITE, 80, BeginFlag.IPV4_NOT_OK)).ended?.reason, EndReason.EXITPOLICY);
  t.is((await four.begin('2001:db8::2', 80)).ended?.reason, EndReason.EXITPOLICY);
  const both = await exit({ ipv6: true, policy: parsePolicyLines(['accept *4:80,reject *:*']) });
  t.truthy((await both.begin('site.example', 80, BeginFlag.IPV6_OK | BeginFlag.IPV6_PREFERRED)).accepted);
  t.is(
    (await both.begin('site.example', 80, BeginFlag.IPV6_OK | BeginFlag.IPV4_NOT_OK)).ended?.reason,
    EndReason.EXITPOLICY,
  );
});

test('says why a connection could not be made', async (t) => {
  const { begin, world } = await exit({ policy: parsePolicyLines(['accept *:*']) });
  t.is((await begin(SITE, 81)).ended?.reason, EndReason.CONNECTREFUSED);
  world.cut(EXIT, SITE);
  const stream = await begin(SITE, 80);
  await world.advance(120_000);
  t.is(stream.ended?.reason, EndReason.TIMEOUT);
});

test('the site’s end of data ends the stream behind the last byte; the client may go on', async (t) => {
  const { begin, world, conns, got, seen, service } = await exit();
  const stream = await begin(SITE);
  conns[0]!.write(Buffer.from('last'));
  conns[0]!.end();
  await world.advance(200);
  t.is(Buffer.concat(stream.written).toString(), 'last');
  t.is(stream.ended?.reason, EndReason.DONE);
  stream.handlers.data(Buffer.from('more'));
  stream.handlers.end(EndReason.DONE, false);
  await world.advance(200);
  t.is(Buffer.concat(got).toString(), 'more');
  t.deepEqual(seen, ['end', 'close']);
  t.is(service.streams, 0);
});

test('the client’s DONE half-closes, and the site may still answer', async (t) => {
  const { begin, world, conns, seen, service } = await exit();
  const stream = await begin(SITE);
  stream.handlers.data(Buffer.from('question'));
  stream.handlers.end(EndReason.DONE, false);
  await world.advance(200);
  t.deepEqual(seen, ['end']);
  conns[0]!.write(Buffer.from('answer'));
  conns[0]!.end();
  await world.advance(200);
  t.is(Buffer.concat(stream.written).toString(), 'answer');
  t.is(stream.ended?.reason, EndReason.DONE);
  t.is(service.streams, 0);
});

test('any other END, and the circuit’s, closes the connection behind what was written', async (t) => {
  const { begin, world, got, seen, service } = await exit();
  const stream = await begin(SITE);
  stream.handlers.data(Buffer.from('bye'));
  stream.handlers.end(EndReason.MISC, false);
  t.is(service.streams, 0);
  await world.advance(20_000);
  t.is(Buffer.concat(got).toString(), 'bye');
  t.true(seen.includes('close'));
});

test('a client that never answers our END is given up; one that reads slowly is not', async (t) => {
  const { begin, world, conns, service } = await exit();
  const slow = await begin(SITE);
  slow.writableLength = 1000;
  conns[0]!.end();
  const gone = await begin(SITE);
  conns[1]!.end();
  await world.advance(60_000);
  t.is(gone.aborted, EndReason.TIMEOUT);
  t.is(slow.aborted, undefined);
  slow.writableLength = 0;
  await world.advance(60_000);
  t.is(slow.aborted, EndReason.TIMEOUT);
  t.is(service.streams, 0);
});

test('each side’s fullness holds the other back', async (t) => {
  const { begin, world, conns } = await exit();
  const stream = await begin(SITE);
  const site = conns[0]!;
  stream.room = false;
  for (let i = 0; i < 100; i++) site.write(Buffer.alloc(10_000));
  await world.advance(1000);
  const delivered = stream.written.length;
  t.true(delivered < 100);
  stream.room = true;
  stream.handlers.drain();
  await world.advance(1000);
  t.is(stream.written.length, 100);
  site.pause();
  for (let i = 0; i < 100 && !stream.paused; i++) stream.handlers.data(Buffer.alloc(10_000));
  t.true(stream.paused);
  site.resume();
  await world.advance(1000);
  t.false(stream.paused);
});

test('a stream that ended while it was being connected leaves nothing behind', async (t) => {
  const { service, world, conns } = await exit();
  const stream = new FakeStream(RelayCommand.BEGIN, BEGIN.encode({ host: SITE, port: 80, flags: 0 }));
  service.begin(stream, guard);
  // The dial is under way: there and back takes at least 10 ms.
  await world.advance(5);
  stream.handlers.end(EndReason.DESTROY, true);
  await world.advance(200);
  t.is(stream.accepted, undefined);
  t.is(conns.length, 0);
  t.is(service.streams, 0);
});

test('any bytes of a BEGIN are refused, and nothing is left behind', async (t) => {
  const { service, world } = await exit({ policy: parsePolicyLines(['reject *:*']) });
  const streams: FakeStream[] = [];
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 498 }),
        fc.string().map((text) => Buffer.from(`${text}:80\0`)),
      ),
      (body) => {
        const stream = new FakeStream(RelayCommand.BEGIN, body);
        streams.push(stream);
        service.begin(stream, guard);
      },
    ),
  );
  await world.advance(1000);
  t.true(streams.every((stream) => stream.ended !== undefined));
  t.is(service.streams, 0);
});
