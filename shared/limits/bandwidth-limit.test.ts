import test from 'ava';
import { SimWorld } from '../runtime/sim/world.js';
import type { Conn } from '../runtime/types.js';
import { loadOptions } from '../torrc/parse.js';
import { BandwidthLimiter, limitsOf } from './bandwidth-limit.js';
import { LimitedTransport } from './limited-transport.js';
import { TokenBucket } from './token-bucket.js';

const KB = 1024;
const DIR_AUTHORITY = `DirAuthority nobody orport=7001 v3ident=${'A'.repeat(40)} 127.250.0.1:7000 ${'B'.repeat(40)}`;
const RELAY = { host: '127.1.0.1', port: 9001 };
const IDLE = { data() {}, end() {}, drain() {}, close() {} };

const optionsOf = (...lines: string[]) =>
  loadOptions({
    files: [{ name: 'torrc', text: ['DataDirectory /nowhere', DIR_AUTHORITY, ...lines].join('\n') }],
    args: [],
    role: 'relay',
  }).options;

/** Writes as much as there is room for, for ever. */
function flood(conn: Conn, chunk = 63 * KB): void {
  const fill = () => {
    while (conn.write(Buffer.alloc(chunk)));
  };
  conn.start({ ...IDLE, drain: fill });
  fill();
}

async function limited(...lines: string[]) {
  const world = new SimWorld('bandwidth limit', 0);
  const host = world.host(RELAY.host);
  const limiter = new BandwidthLimiter(host.clock, limitsOf(optionsOf('ORPort 9001', ...lines)));
  const transport = new LimitedTransport(host.transport, limiter);
  return { world, limiter, transport };
}

const within = (value: number, rate: number, seconds: number) =>
  Math.abs(value / (rate * seconds) - 1) <= 0.05;

test('a bucket fills at its rate, holds its burst, and pays back what it owes', (t) => {
  const bucket = new TokenBucket(100, 300, 0);
  t.true(bucket.take(300, 0));
  t.false(bucket.take(1, 0));
  t.is(bucket.wait(50, 0), 500);
  bucket.spend(100, 1000);
  t.is(bucket.available(1000), 0);
  bucket.spend(50, 1000);
  t.is(bucket.wait(50, 1000), 1000);
  t.is(bucket.available(60_000), 300);
  bucket.adjust(10, 20, 60_000);
  t.is(bucket.available(60_000), 20);
});

for (const [name, conns] of [
  ['one connection', 1],
  ['forty connections', 40],
] as const) {
  test(`${name}: reading keeps to the rate`, async (t) => {
    const { world, transport } = await limited('BandwidthRate 500 KBytes', 'BandwidthBurst 500 KBytes');
    const got: number[] = [];
    await transport.listenTcp(RELAY, (conn) => {
      const n = got.push(0) - 1;
      conn.start({
        ...IDLE,
        data(chunk) {
          got[n]! += chunk.length;
        },
      });
    });
    const other = world.host('127.2.0.1');
    for (let i = 0; i < conns; i++) flood(await world.until(other.transport.dialTcp(RELAY)));
    const sum = () => got.reduce((a, b) => a + b, 0);
    await world.advance(8_000);
    const before = sum();
    await world.advance(10_000);
    t.true(within(sum() - before, 500 * KB, 10), `${sum() - before}`);
    // Everybody gets a turn.
    t.true(got.every((bytes) => bytes > 0));
  });

  test(`${name}: writing keeps to the rate`, async (t) => {
    const { world, transport, limiter } = await limited(
      'RelayBandwidthRate 500 KBytes',
      'RelayBandwidthBurst 1 MBytes',
    );
    await transport.listenTcp(RELAY, (conn) => flood(conn));
    let got = 0;
    const other = world.host('127.2.0.1');
    for (let i = 0; i < conns; i++) {
      const conn = await world.until(other.transport.dialTcp(RELAY));
      conn.start({
        ...IDLE,
        data(chunk) {
          got += chunk.length;
        },
      });
    }
    await world.advance(12_000);
    const before = got;
    await world.advance(10_000);
    t.true(within(got - before, 500 * KB, 10), `${got - before}`);
    t.true(limiter.writing.exhausted > 0);
    limiter.adjust(limitsOf(optionsOf('ORPort 9001', 'RelayBandwidthRate 2 MBytes')));
    await world.advance(3_000);
    const changed = got;
    await world.advance(10_000);
    t.true(within(got - changed, 2 * KB * KB, 10), `${got - changed}`);
  });
}

test('a burst goes at once after a quiet time', async (t) => {
  const { world, transport } = await limited('BandwidthRate 100 KBytes', 'BandwidthBurst 2 MBytes');
  let got = 0;
  await transport.listenTcp(RELAY, (conn) =>
    conn.start({
      ...IDLE,
      data(chunk) {
        got += chunk.length;
      },
    }),
  );
  flood(await world.until(world.host('127.2.0.1').transport.dialTcp(RELAY)));
  await world.advance(1_000);
  t.true(got >= 2 * KB * KB && got < 2.3 * KB * KB, `${got}`);
});

test('a limit of everything below that of what is relayed is raised to it', (t) => {
  const limits = (...lines: string[]) => limitsOf(optionsOf('ORPort 9001', ...lines));
  const low = ['BandwidthRate 100 KBytes', 'BandwidthBurst 300 KBytes'];
  const rate = { rate: 200 * KB, burst: 200 * KB };
  t.deepEqual(limits(...low, 'RelayBandwidthRate 200 KBytes'), {
    all: { rate: 200 * KB, burst: 300 * KB },
    relayed: rate,
  });
  t.deepEqual(limits(...low, 'RelayBandwidthBurst 400 KBytes').all, { rate: 400 * KB, burst: 400 * KB });
  t.deepEqual(limits('RelayBandwidthRate 200 KBytes').all, { rate: 1024 ** 3, burst: 1024 ** 3 });
});

test('what is dialled for streams is not slowed by RelayBandwidthRate', async (t) => {
  const { world, transport } = await limited('RelayBandwidthRate 100 KBytes');
  let got = 0;
  await world.host('127.2.0.1').transport.listenTcp({ host: '127.2.0.1', port: 80 }, (conn) =>
    conn.start({
      ...IDLE,
      data(chunk) {
        got += chunk.length;
      },
    }),
  );
  const conn = await world.until(transport.dialTcp({ host: '127.2.0.1', port: 80 }));
  flood(conn);
  await world.advance(2_000);
  t.true(got > 5 * KB * KB, `${got}`);
});

test('the end comes behind what was written, and nobody waits for a connection that is gone', async (t) => {
  const { world, transport, limiter } = await limited(
    'BandwidthRate 100 KBytes',
    'BandwidthBurst 100 KBytes',
  );
  const kept: Conn[] = [];
  await transport.listenTcp(RELAY, (conn) => {
    kept.push(conn);
    conn.start(IDLE);
    for (let i = 0; i < 10; i++) conn.write(Buffer.alloc(50 * KB));
    conn.end();
  });
  let got = 0;
  let ended = false;
  const other = world.host('127.2.0.1');
  const conn = await world.until(other.transport.dialTcp(RELAY));
  conn.start({
    ...IDLE,
    data(chunk) {
      got += chunk.length;
    },
    end() {
      ended = true;
    },
  });
  await world.advance(1_000);
  t.true(kept[0]!.writableLength > 0);
  t.false(ended);
  await world.advance(9_000);
  t.is(got, 500 * KB);
  t.true(ended);
  const gone = await world.until(other.transport.dialTcp(RELAY));
  gone.start(IDLE);
  await world.advance(200);
  gone.destroy();
  await world.advance(200);
  t.is(kept[1]!.writableLength, 0);
  limiter.stop();
});
