import test from 'ava';
import { bytesOf, concat, fromHex, toHex } from '../shared/bytes/text.js';
import { EndReason } from '../shared/cell/commands.js';
import { memoryLog } from '../shared/log/memory.js';
import { SimWorld } from '../shared/runtime/sim/world.js';
import type { Conn } from '../shared/runtime/types.js';
import { StreamError } from './failure.js';
import type { Isolation } from './isolation.js';
import { dispatch } from './requester.js';
import { SocksServer } from './socks-server.js';
import type { StreamClient, StreamTarget } from './streams.js';
import { clientOptions, FakeStream } from './testing.js';

const hex = (text: string) => fromHex(text.replaceAll(' ', ''), 'test');
/** SOCKS5 CONNECT to a name. */
const connectTo = (name: string, port = 80): Uint8Array =>
  concat(
    hex('05 01 00 05 01 00 03'),
    Uint8Array.of(name.length),
    bytesOf(name),
    Uint8Array.of(port >> 8, port & 255),
  );
const SITE = connectTo('site.example');

interface Asked {
  readonly target: StreamTarget;
  readonly isolation: Isolation;
  readonly client: StreamClient;
  cancelled: boolean;
}

/** An application's end of a connection. */
class App {
  readonly conn: Conn;
  received: Buffer[] = [];
  /** Reads a chunk, then nothing until it is resumed. */
  slow = false;
  ended = false;
  closed = false;
  constructor(conn: Conn) {
    this.conn = conn;
    conn.start({
      data: (chunk) => {
        this.received.push(Buffer.from(chunk));
        if (this.slow) conn.pause();
      },
      end: () => {
        this.ended = true;
      },
      drain() {},
      close: () => {
        this.closed = true;
      },
    });
  }
  get hex(): string {
    return toHex(Buffer.concat(this.received));
  }
  get text(): string {
    return Buffer.concat(this.received).toString('latin1');
  }
}

async function setUp(port = '9050', ...torrc: string[]) {
  const world = new SimWorld('socks server', 1_700_000_000_000);
  const host = world.host('127.8.0.1');
  const log = memoryLog();
  const options = clientOptions(`SocksPort ${port}`, ...torrc);
  const asked: Asked[] = [];
  const exits = {
    request(target: StreamTarget, isolation: Isolation, client: StreamClient) {
      const entry: Asked = { target, isolation, client, cancelled: false };
      asked.push(entry);
      return {
        cancel() {
          entry.cancelled = true;
        },
      };
    },
  };
  const requester = dispatch(host.clock, exits, undefined);
  const server = new SocksServer({ ...host, log, options, requester }, options.SocksPort[0]!);
  await world.until(server.listen('127.8.0.1', 9050));
  const app = async (bytes?: Uint8Array): Promise<App> => {
    const conn = await world.until(host.transport.dialTcp({ host: '127.8.0.1', port: 9050 }));
    const one = new App(conn);
    if (bytes) conn.write(bytes);
    await world.advance(10);
    return one;
  };
  /** Answers a request with an open stream. */
  const open = async (entry: Asked): Promise<FakeStream> => {
    const stream = new FakeStream(1, { data() {}, drain() {}, end() {} });
    entry.client.connected(stream);
    await world.advance(10);
    return stream;
  };
  return { world, log, asked, app, open, server };
}

test('a request, its answer, bytes both ways, what was pipelined first', async (t) => {
  const { world, asked, app, open } = await setUp();
  const one = await app(concat(SITE, bytesOf('early ')));
  t.like(asked[0]!.target, {
    kind: 'connect',
    host: { kind: 'name', text: 'site.example' },
    port: 80,
    flags: 1,
  });
  const stream = await open(asked[0]!);
  t.is(one.hex, '0500' + '05000001000000000000');
  one.conn.write(bytesOf('more'));
  await world.advance(10);
  t.is(stream.text, 'early more');
  one.received = [];
  stream.handlers.data(Buffer.from('answer'));
  await world.advance(10);
  t.is(one.text, 'answer');
});

test('the application ends first: END goes out, the answer still comes, then both are closed', async (t) => {
  const { world, asked, app, open, server } = await setUp();
  const one = await app(SITE);
  const stream = await open(asked[0]!);
  one.conn.write(bytesOf('question'));
  one.conn.end();
  await world.advance(10);
  t.is(stream.text, 'question');
  t.is(stream.ended, EndReason.DONE);
  one.received = [];
  stream.handlers.data(Buffer.from('late answer'));
  stream.remoteEnd(EndReason.DONE);
  await world.advance(10);
  t.is(one.text, 'late answer');
  t.true(one.closed);
  t.is(server.connectionCount, 0);
});

test('the other side ends first: the application reads all, and may still send', async (t) => {
  const { world, asked, app, open } = await setUp();
  const one = await app(SITE);
  const stream = await open(asked[0]!);
  one.received = [];
  stream.handlers.data(Buffer.from('all there is'));
  stream.handlers.end(EndReason.DONE, false);
  await world.advance(10);
  t.is(one.text, 'all there is');
  t.true(one.ended);
  t.false(one.closed);
  one.conn.write(bytesOf('thanks'));
  one.conn.end();
  await world.advance(10);
  t.is(stream.text, 'thanks');
  t.is(stream.ended, EndReason.DONE);
});

test('an application that stays silent after the end is let go after a minute', async (t) => {
  const { world, asked, app, open } = await setUp();
  const one = await app(SITE);
  const stream = await open(asked[0]!);
  stream.handlers.end(EndReason.DONE, false);
  await world.advance(30_000);
  one.conn.write(bytesOf('still here'));
  await world.advance(45_000);
  t.false(one.closed);
  await world.advance(80_000);
  t.true(one.closed);
  t.not(stream.aborted, undefined);
});

test('an application that reads slowly gets all, however long after the end that takes', async (t) => {
  const { world, asked, app, open, server } = await setUp();
  const one = await app(SITE);
  const stream = await open(asked[0]!);
  one.received = [];
  one.slow = true;
  let sent = 0;
  for (const block = Buffer.alloc(16 * 1024); !stream.paused; sent += block.length)
    stream.handlers.data(block);
  stream.handlers.end(EndReason.DONE, false);
  for (let chunk = 0; chunk < 20; chunk++) {
    await world.advance(50_000);
    one.conn.resume();
  }
  t.true(one.received.length > 3, 'it took minutes');
  t.is(one.text.length, sent);
  t.true(one.ended);
  await world.advance(130_000);
  t.is(server.connectionCount, 0);
});

test('an application that has said all still gets what a broken stream brought', async (t) => {
  const { world, asked, app, open, server } = await setUp();
  const one = await app(SITE);
  const stream = await open(asked[0]!);
  one.received = [];
  one.conn.pause();
  for (let i = 0; i < 8; i++) stream.handlers.data(Buffer.alloc(16 * 1024));
  stream.remoteEnd(EndReason.CONNRESET);
  one.conn.end();
  await world.advance(1000);
  one.conn.resume();
  await world.advance(1000);
  t.is(one.text.length, 8 * 16 * 1024);
  t.is(server.connectionCount, 0);
});

test('a broken stream ends the connection, after what came before it', async (t) => {
  const { world, asked, app, open, server } = await setUp();
  const one = await app(SITE);
  const stream = await open(asked[0]!);
  one.received = [];
  stream.handlers.data(Buffer.from('half'));
  stream.remoteEnd(EndReason.DESTROY, true);
  one.conn.write(bytesOf('nobody hears this'));
  await world.advance(100);
  t.is(one.text, 'half');
  t.true(one.ended);
  await world.advance(61_000);
  t.is(server.connectionCount, 0);
  t.is(stream.text, '');
});

test('a full stream holds the application back, a full application the stream', async (t) => {
  const { world, asked, app, open } = await setUp();
  const one = await app(SITE);
  const stream = await open(asked[0]!);
  stream.room = false;
  one.conn.write(bytesOf('a'));
  await world.advance(10);
  one.conn.write(bytesOf('b'));
  await world.advance(10);
  t.is(stream.text, 'a', 'not read on');
  stream.room = true;
  stream.handlers.drain();
  await world.advance(10);
  t.is(stream.text, 'ab');
  one.conn.pause();
  const block = Buffer.alloc(64 * 1024);
  for (let i = 0; i < 64 && !stream.paused; i++) {
    stream.handlers.data(block);
    await world.advance(1);
  }
  t.true(stream.paused);
  one.conn.resume();
  await world.advance(1000);
  t.false(stream.paused);
});

test('an application that goes away takes its request with it', async (t) => {
  const { world, asked, app, open } = await setUp();
  const one = await app(SITE);
  one.conn.end();
  await world.advance(10);
  t.true(asked[0]!.cancelled);
  const two = await app(SITE);
  const stream = await open(asked[1]!);
  two.conn.destroy();
  await world.advance(10);
  t.not(stream.aborted, undefined);
});

test('failures come back as what they are', async (t) => {
  for (const [kind, code] of [
    ['not-allowed', '02'],
    ['connection-refused', '05'],
    ['host-unreachable', '04'],
    ['timeout', '06'],
    ['network-unreachable', '03'],
  ] as const) {
    const { world, asked, app } = await setUp();
    const one = await app(SITE);
    asked[0]!.client.failed(new StreamError(kind, 'no'));
    await world.advance(10);
    t.is(one.hex, `050005${code}0001000000000000`);
    t.true(one.ended);
  }
});

test('onion names never go to an exit; the reason is told where ExtendedErrors is on', async (t) => {
  const plain = await setUp();
  t.is((await plain.app(connectTo('abcdef.onion'))).hex, '0500' + '05040001000000000000');
  const extended = await setUp('9050 ExtendedErrors');
  t.is((await extended.app(connectTo('www.abcdef.ONION'))).hex, '0500' + '05F00001000000000000');
  t.deepEqual([...plain.asked, ...extended.asked], []);
});

test('RESOLVE and RESOLVE_PTR', async (t) => {
  const { world, asked, app } = await setUp();
  const one = await app(concat(hex('05 01 00 05 f0 00 03 0c'), bytesOf('site.example'), hex('0000')));
  t.deepEqual(asked[0]!.target, { kind: 'resolve', name: 'site.example' });
  asked[0]!.client.resolved([
    { type: 'address', address: '2001:db8::1', ttl: 60 },
    { type: 'address', address: '10.0.0.1', ttl: 60 },
  ]);
  await world.advance(10);
  t.is(one.hex, '0500' + '050000010A0000010000');
  const two = await app(hex('05 01 00 05 f1 00 01 01020304 0000'));
  t.deepEqual(asked[1]!.target, { kind: 'resolve', name: '4.3.2.1.in-addr.arpa' });
  asked[1]!.client.resolved([{ type: 'name', name: 'ab', ttl: 60 }]);
  await world.advance(10);
  t.is(two.hex, '0500' + '050000030261620000');
  const three = await app(hex('05 01 00 05 f0 00 01 0a000001 0000'));
  t.is(three.hex, '0500' + '050000010A0000010000', 'an address needs no lookup');
  const four = await app(concat(hex('05 01 00 05 f0 00 03 01'), bytesOf('x'), hex('0000')));
  asked[2]!.client.resolved([{ type: 'error', transient: false, ttl: 0 }]);
  await world.advance(10);
  t.is(four.hex, '0500' + '05040001000000000000');
});

test('RESOLVE answers with a family that the port takes, the preferred first', async (t) => {
  const four = '050000010102030400' + '00';
  const six = '05000004' + '20010DB8000000000000000000000001' + '0000';
  const failed = '05040001000000000000';
  for (const [flags, both, onlyFour] of [
    ['', four, four],
    ['PreferIPv6', six, four],
    ['NoIPv4Traffic', six, failed],
    ['NoIPv6Traffic PreferIPv6', four, four],
  ] as const) {
    const { world, asked, app } = await setUp(`9050 ${flags}`);
    const answers = [
      { type: 'address', address: '1.2.3.4', ttl: 60 },
      { type: 'address', address: '2001:db8::1', ttl: 60 },
    ] as const;
    for (const [i, want] of [both, onlyFour].entries()) {
      const one = await app(concat(hex('05 01 00 05 f0 00 03 0c'), bytesOf('site.example'), hex('0000')));
      asked[i]!.client.resolved(answers.slice(0, 2 - i));
      await world.advance(10);
      t.is(one.hex, `0500${want}`, flags);
    }
  }
});

const BY_ADDRESS = hex('05 01 00 05 01 00 01 01020304 0050');

test('addresses are warned about once a minute, without naming them', async (t) => {
  const { world, app, log, asked } = await setUp();
  for (let i = 0; i < 5; i++) await app(BY_ADDRESS);
  const warnings = () => log.lines.filter((line) => line.level === 'warn');
  t.is(warnings().length, 1);
  t.false(log.text().includes('1.2.3.4'));
  await world.advance(60_000);
  await app(BY_ADDRESS);
  t.is(warnings().length, 2);
  t.is(asked.length, 6);
});

test('WarnUnsafeSocks 0 is silent, SafeSocks refuses, TestSocks says what is good', async (t) => {
  const silent = await setUp('9050', 'WarnUnsafeSocks 0');
  await silent.app(BY_ADDRESS);
  t.false(silent.log.has('warn', 'address instead of a name'));
  const safe = await setUp('9050', 'SafeSocks 1');
  t.is((await safe.app(BY_ADDRESS)).hex, '0500' + '05020001000000000000');
  t.is(safe.asked.length, 0);
  const testing = await setUp('9050', 'TestSocks 1');
  await testing.app(SITE);
  t.true(testing.log.has('notice', 'This is good'));
});

test('internal addresses are refused unless told otherwise', async (t) => {
  const internal = hex('05 01 00 05 01 00 01 7f000001 0050');
  const usual = await setUp('9050', 'ClientRejectInternalAddresses 1');
  t.is((await usual.app(internal)).hex, '0500' + '05020001000000000000');
  const lax = await setUp('9050', 'ClientRejectInternalAddresses 0');
  await lax.app(internal);
  t.is(lax.asked.length, 1);
});

test('names of the local network, and reverse lookups in it, stay off the network too', async (t) => {
  const reverse = hex('05 01 00 05 f1 00 01 0a000001 0000');
  const { app, asked } = await setUp();
  for (const name of ['localhost', 'printer.local', 'Printer.LOCAL.', 'local'])
    t.is((await app(connectTo(name))).hex, '0500' + '05020001000000000000', name);
  t.is((await app(reverse)).hex, '0500' + '05040001000000000000');
  t.is(asked.length, 0);
  for (const name of ['localhost.example', 'vocal', 'my-local']) await app(connectTo(name));
  t.is(asked.length, 3);
  const lax = await setUp('9050', 'ClientRejectInternalAddresses 0');
  await lax.app(connectTo('printer.local'));
  await lax.app(reverse);
  t.is(lax.asked.length, 2);
});

test('ports of plain text are warned about, or refused', async (t) => {
  const usual = await setUp();
  await usual.app(connectTo('site.example', 110));
  t.true(usual.log.has('warn', 'connects to port 110'));
  const strict = await setUp('9050', 'WarnPlaintextPorts 110', 'RejectPlaintextPorts 23,6667');
  t.is((await strict.app(connectTo('site.example', 6667))).hex, '0500' + '05020001000000000000');
  t.true(strict.log.has('warn', 'Refused (RejectPlaintextPorts)'));
  t.is(strict.asked.length, 0);
  const onion = await strict.app(connectTo('abcdef.onion', 6667));
  t.is(onion.hex, '0500' + '05040001000000000000', 'nobody reads along there');
  const silent = await setUp('9050', 'WarnPlaintextPorts 110');
  await silent.app(connectTo('site.example', 143));
  t.is(silent.asked.length, 1);
  t.false(silent.log.text().includes('connects to port'));
});

test('flags of the port line keep out what they say', async (t) => {
  const refused = '0500' + '05020001000000000000';
  const addresses = await setUp('9050 NoIPv4Traffic', 'WarnUnsafeSocks 0');
  t.is((await addresses.app(BY_ADDRESS)).hex, refused);
  const names = await setUp('9050 NoDNSRequest');
  t.is((await names.app(concat(hex('05 01 00 05 f0 00 03 01'), bytesOf('x'), hex('0000')))).hex, refused);
  t.is((await names.app(SITE)).hex, refused, 'the exit would have to resolve it');
  const onion = await setUp('9050 OnionTrafficOnly');
  t.is((await onion.app(SITE)).hex, refused);
  t.deepEqual([...addresses.asked, ...names.asked, ...onion.asked], []);
  await names.app(BY_ADDRESS);
  t.is(names.asked.length, 1);
  t.is((await names.app(connectTo('abcdef.onion'))).hex, '0500' + '05040001000000000000', 'not by the flag');
});

test('SocksPolicy decides who may connect', async (t) => {
  const { app, asked } = await setUp('9050', 'SocksPolicy reject 127.0.0.0/8');
  t.true((await app(SITE)).closed);
  t.is(asked.length, 0);
  const ports = await setUp('9050', 'SocksPolicy accept 127.0.0.0/8:9050, reject *:*');
  t.false((await ports.app(SITE)).closed, 'ports say nothing');
  const refused = await setUp('9050', 'SocksPolicy reject 127.0.0.0/8:9050');
  t.true((await refused.app(SITE)).closed);
});

test('user name, password and flags make the isolation', async (t) => {
  const { app, asked } = await setUp('9050 IsolateDestAddr');
  await app(concat(hex('05 01 02 01 01 61 01 62'), connectTo('site.example').subarray(3)));
  await app(SITE);
  t.not(asked[0]!.isolation.fields.auth, asked[1]!.isolation.fields.auth);
  t.true(asked[0]!.isolation.by.has('destAddr'));
  t.is(asked[0]!.isolation.fields.clientAddr, '127.8.0.1');
  t.is(asked[0]!.isolation.fields.sessionGroup, asked[1]!.isolation.fields.sessionGroup);
});

test('PreferSOCKSNoAuth on the port line takes no authentication; flags about caches and mapping change nothing', async (t) => {
  const caches =
    'CacheDNS NoCacheIPv4DNS CacheIPv6DNS UseDNSCache UseIPv4Cache UseIPv6Cache NoPreferIPv6Automap';
  const both = hex('05 02 00 02');
  t.is((await (await setUp(`9050 ${caches}`)).app(both)).hex, '0502');
  t.is((await (await setUp('9050 PreferSOCKSNoAuth')).app(both)).hex, '0500');
  t.is((await (await setUp('9050 NoPreferSOCKSNoAuth')).app(both)).hex, '0502');
});

test('an application that says nothing is let go after SocksTimeout', async (t) => {
  for (const [torrc, seconds] of [
    [[], 120],
    [['SocksTimeout 20 seconds'], 20],
  ] as const) {
    const { world, app } = await setUp('9050', ...torrc);
    const one = await app();
    await world.advance((seconds - 1) * 1000);
    t.false(one.closed);
    await world.advance(2000);
    t.true(one.closed);
  }
});
