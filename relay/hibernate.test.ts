import test from 'ava';
import { EndReason } from '../shared/cell/commands.js';
import { begin, echo, listen, network, SITE } from './testing/network.js';

const DAY = 86_400_000;

test('a relay that used up its AccountingMax sleeps, and wakes with the next period', async (t) => {
  const { world, build, relays } = await network((n) =>
    n === 2 ? ['AccountingMax 4 MBytes', 'AccountingStart day 00:00'] : [],
  );
  await listen(world, echo);
  const { host, node, log } = relays[1]!;
  const circuit = await build(true);
  const { stream } = begin(circuit, SITE);
  for (let sent = 0; sent < 10 && !circuit.failure; sent++) {
    stream.write(Buffer.alloc(1_000_000));
    await world.advance(20_000);
  }
  t.is(node.status().circuits.circuits, 0);
  t.is(node.channels.count, 0);
  t.regex(log.text(), /AccountingMax is used up/);
  t.regex(node.descriptor()!.descriptor, /^hibernating 1$/m);
  const dial = () => host.transport.dialTls({ host: '127.2.0.1', port: 9001 });
  t.is((await world.until(dial().catch((error) => error))).code, 'ECONNREFUSED');
  await world.advance(DAY);
  t.notRegex(node.descriptor()!.descriptor, /^hibernating/m);
  const again = await build(true);
  const { stream: second, reading } = begin(again, SITE);
  second.write(Buffer.from('awake'));
  await world.advance(2_000);
  t.is(reading.text, 'AWAKE');
});

test('a relay that sleeps spends nothing on directory documents', async (t) => {
  const { world, build, relays } = await network((n) =>
    n === 2 ? ['AccountingMax 4 MBytes', 'AccountingStart day 00:00'] : [],
  );
  let asked = 0;
  const authority = { host: '127.250.0.1', port: 7000 };
  await world.host(authority.host).transport.listenTcp(authority, (conn) => {
    const data = (bytes: Buffer) => {
      if (conn.remote.host === '127.2.0.1' && bytes.toString('latin1').startsWith('GET ')) asked++;
      conn.destroy();
    };
    conn.start({ data, end() {}, drain() {}, close() {} });
  });
  await world.advance(60_000);
  t.true(asked > 0);
  await listen(world, echo);
  const circuit = await build(true);
  const { stream } = begin(circuit, SITE);
  for (let sent = 0; sent < 10 && !circuit.failure; sent++) {
    stream.write(Buffer.alloc(1_000_000));
    await world.advance(20_000);
  }
  t.regex(relays[1]!.log.text(), /AccountingMax is used up/);
  const before = asked;
  await world.advance(DAY / 2);
  t.is(asked, before);
  await world.advance(DAY / 2);
  t.true(asked > before);
});

test('SIGTERM lets streams finish, takes nothing new, and a second one ends at once', async (t) => {
  const { world, build, relays } = await network(() => ['ShutdownWaitLength 60 seconds']);
  await listen(world, echo);
  const { node } = relays[2]!;
  const circuit = await build(true);
  const { stream, reading } = begin(circuit, SITE);
  stream.write(Buffer.alloc(3_000_000, 'x'));
  await world.advance(1_000);
  let stopped = false;
  const stopping = node.stop(true).then(() => {
    stopped = true;
  });
  await world.advance(100);
  const late = begin(circuit, SITE);
  await t.throwsAsync(world.until(build(true)));
  await world.advance(30_000);
  t.is(late.reading.ended?.reason, EndReason.HIBERNATING);
  t.is(reading.text.length, 3_000_000);
  t.false(stopped);
  const hurried = node.stop(false);
  await world.advance(1_000);
  t.true(stopped);
  await world.until(Promise.all([stopping, hurried]));
  t.is(node.status().circuits.circuits, 0);
});

test('a relay without circuits stops at once, and one with them when the wait is over', async (t) => {
  const { world, build, relays } = await network(() => ['ShutdownWaitLength 20 seconds']);
  await build(true);
  const { clock } = relays[0]!.host;
  const before = clock.monotonic();
  await world.until(relays[1]!.node.stop(true));
  const waited = clock.monotonic() - before;
  t.true(waited >= 20_000 && waited < 21_000, `${waited}`);
});
