import { randomBytes } from 'node:crypto';
import test from 'ava';
import { MAX_BATCH } from '../cell/batch.js';
import { BODY_SIZE, EndReason, RELAY_DATA_SIZE, RelayCommand } from '../cell/commands.js';
import { seededRandom } from '../runtime/sim/random.js';
import { fc } from '../testing/properties.js';
import { batchOf, connect, feed, type Loop, mixed, Sink, vegas, windows } from './testing.js';

const NONE = new Uint8Array(0);

for (const [name, make] of [
  ['windows', windows],
  ['vegas', vegas],
] as const) {
  test(`${name}: a stream is asked for, answered, carries data both ways, ends`, (t) => {
    const loop = make();
    const { here, there, client, exit } = connect(loop);
    t.deepEqual(client.connectedTo, ['1.2.3.4']);
    t.is(there.command, RelayCommand.BEGIN);
    t.is(Buffer.from(there.request).toString(), 'a:80\0');
    here.write(Buffer.from('ping'));
    loop.settle();
    there.write(Buffer.from('pong'));
    there.end(EndReason.DONE);
    loop.settle();
    t.is(exit.bytes.toString(), 'ping');
    t.is(client.bytes.toString(), 'pong');
    t.deepEqual(client.ends, [{ reason: EndReason.DONE, local: false }]);
    here.end(EndReason.DONE);
    loop.settle();
    t.deepEqual(exit.ends, [{ reason: EndReason.DONE, local: false }]);
    t.true(here.closed && there.closed);
    t.is(loop.client.streams + loop.exit.streams, 0);
    t.deepEqual(loop.violations, []);
  });

  test(`${name}: megabytes over interleaved streams, both ways, in batches of any size`, (t) => {
    const loop = make();
    const random = seededRandom(7, name);
    const size = () => 1 + random.below(MAX_BATCH);
    const streams = Array.from({ length: 5 }, () => connect(loop));
    const up = streams.map((_, i) => mixed(i + 1, 200_000 + i * 77_777));
    const down = streams.map((_, i) => mixed(i + 50, 900_000 + i * 99_999));
    for (const [i, s] of streams.entries()) {
      const piece = () => 1 + random.below(40_000);
      feed(s.here, s.client, up[i]!, piece, () => s.here.end(EndReason.DONE));
      feed(s.there, s.exit, down[i]!, piece, () => s.there.end(EndReason.DONE));
    }
    loop.settle(size);
    for (const [i, s] of streams.entries()) {
      t.true(s.exit.bytes.equals(up[i]!), `up ${i}`);
      t.true(s.client.bytes.equals(down[i]!), `down ${i}`);
      t.deepEqual(s.client.ends, [{ reason: EndReason.DONE, local: false }]);
      t.deepEqual(s.exit.ends, [{ reason: EndReason.DONE, local: false }]);
    }
    t.is(loop.client.streams + loop.exit.streams, 0);
    t.deepEqual(loop.violations, []);
  });

  test(`${name}: a client that ends its half first still gets every byte`, (t) => {
    const loop = make();
    const { here, there, client, exit } = connect(loop);
    here.write(Buffer.from('GET'));
    here.end(EndReason.DONE);
    loop.settle();
    t.is(exit.bytes.toString(), 'GET');
    t.deepEqual(exit.ends, [{ reason: EndReason.DONE, local: false }]);
    const answer = mixed(3, 3_000_000);
    feed(
      there,
      exit,
      answer,
      () => 16_384,
      () => there.end(EndReason.DONE),
    );
    loop.settle();
    t.true(client.bytes.equals(answer));
    t.deepEqual(client.ends, [{ reason: EndReason.DONE, local: false }]);
    t.true(here.closed && there.closed);
    // The last END went unanswered: there is nothing left to tell.
    t.is(loop.client.streams + loop.exit.streams, 0);
  });

  test(`${name}: when the circuit dies, every stream ends with DESTROY, once`, (t) => {
    const loop = make();
    const a = connect(loop);
    const b = connect(loop);
    a.here.end(EndReason.DONE);
    loop.client.destroyed(0);
    loop.client.destroyed(0);
    for (const s of [a, b]) t.deepEqual(s.client.ends, [{ reason: EndReason.DESTROY, local: true }]);
    t.throws(() => loop.client.open(RelayCommand.BEGIN, NONE, new Sink()), { code: 'circuit' });
    b.here.write(Buffer.from('into the void'));
    b.here.abort(EndReason.MISC);
    loop.clock.pass(100_000);
    t.is(a.client.ends.length, 1);
  });
}

test('optimistic data comes before CONNECTED, and END before it too', (t) => {
  const loop = windows();
  const client = new Sink();
  const exit = new Sink();
  const here = loop.client.open(RelayCommand.BEGIN, Buffer.from('a:80\0'), client);
  here.write(Buffer.from('early'));
  here.end(EndReason.DONE);
  loop.onStream = (stream) => {
    stream.handlers = exit;
  };
  loop.settle();
  t.is(exit.bytes.toString(), 'early');
  t.deepEqual(exit.ends, [{ reason: EndReason.DONE, local: false }]);
  loop.asked[0]!.accept(NONE);
  loop.asked[0]!.write(Buffer.from('late'));
  loop.asked[0]!.end(EndReason.DONE);
  loop.settle();
  t.deepEqual(client.connectedTo, [undefined]);
  t.is(client.bytes.toString(), 'late');
  t.true(here.closed);
});

test('RESOLVE is answered with RESOLVED and no END', (t) => {
  const loop = windows();
  const client = new Sink();
  const here = loop.client.open(RelayCommand.RESOLVE, Buffer.from('a\0'), client);
  loop.settle();
  loop.asked[0]!.answer(Buffer.from([4, 4, 1, 2, 3, 4, 0, 0, 0, 1]));
  loop.settle();
  t.is(client.answers.length, 1);
  t.true(here.closed && loop.asked[0]!.closed);
  t.deepEqual(client.ends, []);
});

test('a refusal ends both directions, and what it says goes with it', (t) => {
  const loop = windows();
  const client = new Sink();
  const here = loop.client.open(RelayCommand.BEGIN, Buffer.from('a:25\0'), client);
  loop.settle();
  loop.asked[0]!.end(EndReason.EXITPOLICY, Buffer.from([1, 2, 3, 4]));
  t.true(loop.asked[0]!.closed);
  loop.settle();
  t.deepEqual(client.ends, [{ reason: EndReason.EXITPOLICY, local: false }]);
  t.true(here.closed);
});

test('an aborted stream delivers nothing more, and what still comes is no violation', (t) => {
  const loop = windows();
  const { here, there, client } = connect(loop);
  there.write(mixed(1, 400 * RELAY_DATA_SIZE));
  here.abort(EndReason.MISC);
  loop.settle();
  t.is(client.bytes.length, 0);
  t.deepEqual(client.ends, []);
  t.deepEqual(loop.violations, []);
  t.true(here.closed && there.closed);
});

test('end, then abort: what was written still goes, and a half-closed peer learns we no longer listen', (t) => {
  const loop = windows();
  const { here, there, exit, client } = connect(loop);
  const bytes = mixed(2, 600 * RELAY_DATA_SIZE);
  feed(
    here,
    client,
    bytes,
    () => 1_000_000,
    () => here.end(EndReason.DONE),
  );
  here.abort(EndReason.TIMEOUT);
  t.false(here.closed);
  loop.settle();
  t.true(exit.bytes.equals(bytes));
  t.true(here.closed && there.closed);
  t.deepEqual(exit.ends, [
    { reason: EndReason.DONE, local: false },
    { reason: EndReason.TIMEOUT, local: false },
  ]);
});

test('without an END from the peer a half-closed stream is given up after a minute of silence', (t) => {
  const loop = windows();
  const { here, there, client } = connect(loop);
  here.end(EndReason.DONE);
  loop.settle();
  loop.clock.pass(50_000);
  there.write(Buffer.from('still here'));
  loop.settle();
  loop.clock.pass(59_000);
  t.false(here.closed);
  loop.clock.pass(2_000);
  t.true(here.closed);
  t.deepEqual(client.ends, [{ reason: EndReason.TIMEOUT, local: true }]);
});

test('a paused stream takes its window and no more; resuming it lets the rest through', (t) => {
  const loop = windows();
  const { here, there, client, exit } = connect(loop);
  const other = connect(loop);
  here.pause();
  const bytes = mixed(5, 2_000 * RELAY_DATA_SIZE);
  feed(
    there,
    exit,
    bytes,
    () => 100_000,
    () => there.end(EndReason.DONE),
  );
  loop.settle();
  const taken = client.bytes.length;
  t.true(taken <= 500 * RELAY_DATA_SIZE && taken > 490 * RELAY_DATA_SIZE, `${taken}`);
  // The circuit goes on for others.
  other.there.write(Buffer.from('hello'));
  loop.settle();
  t.is(other.client.bytes.toString(), 'hello');
  here.resume();
  loop.settle();
  t.true(client.bytes.equals(bytes));
});

test('under congestion control a paused stream sends XOFF, and XON when it goes on', (t) => {
  const loop = vegas();
  const { here, there, client, exit } = connect(loop);
  here.pause();
  const bytes = mixed(5, 4_000 * RELAY_DATA_SIZE);
  feed(
    there,
    exit,
    bytes,
    () => 100_000,
    () => there.end(EndReason.DONE),
  );
  loop.settle();
  const taken = client.bytes.length;
  t.true(taken >= 500 * 488 && taken < 3_000 * RELAY_DATA_SIZE, `${taken}`);
  t.like(loop.client.flow.stats, { xoffSent: 1, xonSent: 0 });
  here.resume();
  loop.settle();
  t.true(client.bytes.equals(bytes));
  t.like(loop.client.flow.stats, { xoffSent: 1, xonSent: 1 });
  t.deepEqual(loop.violations, []);
});

test('the rate a peer’s XON advises is kept to, and lifted again', (t) => {
  const loop = vegas();
  const { here, exit } = connect(loop);
  const xon = (kbps: number) => {
    const body = Buffer.alloc(5);
    body.writeUInt32BE(kbps, 1);
    loop.exit.send(RelayCommand.XON, here.id, body);
    loop.home();
  };
  const move = (ms: number) => {
    for (let i = 0; i < ms; i += 10) {
      while (loop.forth() + loop.home() > 0);
      loop.clock.pass(10);
    }
  };
  xon(20);
  here.write(Buffer.alloc(1_000_000));
  move(3_000);
  // A second's worth at once, and 20,000 bytes each second.
  const slow = exit.bytes.length;
  t.true(slow > 70_000 && slow < 90_000, `${slow}`);
  xon(0);
  move(1_000);
  t.is(exit.bytes.length, 1_000_000);
  t.deepEqual(loop.violations, []);
});

test('write says false over the high mark, drain comes once it is low', (t) => {
  const loop = windows();
  const { here, client } = connect(loop);
  let accepted = 0;
  while (here.write(Buffer.alloc(10_000))) accepted += 10_000;
  t.true(accepted >= 500 * RELAY_DATA_SIZE);
  t.true(here.writableLength > 128 * 1024);
  t.is(client.drains, 0);
  loop.settle();
  t.is(client.drains, 1);
  t.is(here.writableLength, 0);
});

test('cells that are not full end in four zeros and random bytes; one in a hundred always has some', (t) => {
  const loop = windows();
  const { here } = connect(loop);
  const tails: Buffer[] = [];
  loop.exit.receive = (batch) => {
    for (let i = 0; i < batch.n; i++) {
      const body = batch.buf.subarray(batch.at[i]!, batch.at[i]! + BODY_SIZE);
      tails.push(Buffer.from(body.subarray(11 + body.readUInt16BE(9))));
    }
  };
  here.write(Buffer.from('short'));
  here.write(Buffer.alloc(450 * RELAY_DATA_SIZE));
  loop.forth(128);
  while (loop.forth(128));
  const first = tails[0]!;
  t.deepEqual([...first.subarray(0, 4)], [0, 0, 0, 0]);
  t.true(new Set(first.subarray(4)).size > 100);
  const full = tails.slice(1);
  let gap = 0;
  for (const tail of full) {
    gap = tail.length >= 20 ? 0 : gap + 1;
    t.true(gap <= 200);
  }
  t.true(full.filter((tail) => tail.length === 20).length >= 2);
});

test('messages about the circuit go to its owner', (t) => {
  const loop = windows();
  loop.client.send(RelayCommand.EXTEND2, 0, Buffer.from('body'));
  loop.client.send(RelayCommand.DROP, 0, NONE);
  loop.settle();
  t.is(loop.messages.length, 1);
  t.like(loop.messages[0], { at: 'exit', command: RelayCommand.EXTEND2, id: 0 });
  t.is(Buffer.from(loop.messages[0]!.data).toString(), 'body');
  t.throws(() => loop.client.send(RelayCommand.DROP, 0, Buffer.alloc(499)), { instanceOf: RangeError });
});

// What a peer must not do

const bad: Record<string, (loop: Loop, s: ReturnType<typeof connect>) => void> = {
  'a SENDME nobody asked for': (loop) => loop.exit.send(RelayCommand.SENDME, 0, NONE),
  'a stream SENDME past its window': (loop, s) => loop.exit.send(RelayCommand.SENDME, s.here.id, NONE),
  'XOFF without congestion control': (loop, s) => loop.exit.send(RelayCommand.XOFF, s.here.id, Buffer.of(0)),
  'DATA for a stream that never was': (loop) => loop.exit.send(RelayCommand.DATA, 4242, Buffer.of(1)),
  'BEGIN at a client': (loop) => loop.exit.send(RelayCommand.BEGIN, 77, Buffer.from('a:1\0')),
  'CONNECTED twice': (loop, s) => loop.exit.send(RelayCommand.CONNECTED, s.here.id, NONE),
  'RESOLVED for a connection': (loop, s) => loop.exit.send(RelayCommand.RESOLVED, s.here.id, NONE),
  'END without a reason': (loop, s) => loop.exit.send(RelayCommand.END, s.here.id, NONE),
  'DATA after END': (loop, s) => {
    s.there.end(EndReason.DONE);
    loop.exit.send(RelayCommand.DATA, s.here.id, Buffer.of(1));
  },
  'DATA past the stream window': (loop, s) => {
    s.here.pause();
    for (let i = 0; i <= 500; i++) loop.exit.send(RelayCommand.DATA, s.here.id, Buffer.of(1));
  },
  'DATA past the window of a stream given up': (loop, s) => {
    s.here.abort(EndReason.MISC);
    for (let i = 0; i <= 500; i++) loop.exit.send(RelayCommand.DATA, s.here.id, Buffer.of(1));
  },
};
for (const [name, act] of Object.entries(bad))
  test(`violation: ${name}`, (t) => {
    const loop = windows();
    const s = connect(loop);
    act(loop, s);
    while (loop.home() > 0);
    t.is(loop.violations.length, 1);
    t.is(loop.violations[0]!.at, 'client');
    t.like(loop.violations[0]!.error, { code: 'protocol' });
    t.is(loop.client.streams, 0);
    // Whatever else it sends falls on deaf ears.
    loop.exit.send(RelayCommand.SENDME, 0, NONE);
    loop.home();
    t.is(loop.violations.length, 1);
  });

test('violation: a second BEGIN with the id of an open stream, a BEGIN with id 0, a stream SENDME under congestion control', (t) => {
  for (const [make, command, idOf] of [
    [windows, RelayCommand.BEGIN, (id: number) => id],
    [windows, RelayCommand.BEGIN, () => 0],
    [vegas, RelayCommand.SENDME, (id: number) => id],
  ] as const) {
    const loop = make();
    const { here } = connect(loop);
    loop.client.send(command, idOf(here.id), Buffer.from('a:1\0'));
    loop.forth();
    t.is(loop.violations.length, 1);
    t.is(loop.violations[0]!.at, 'exit');
  }
});

test('more streams than a circuit may have are refused one by one', (t) => {
  const loop = windows();
  loop.out.high = 10_000;
  const sinks = Array.from({ length: 2_050 }, () => {
    const sink = new Sink();
    loop.client.open(RelayCommand.BEGIN, Buffer.from('a:1\0'), sink);
    return sink;
  });
  loop.settle();
  t.is(loop.exit.streams, 2_048);
  t.deepEqual(
    sinks.flatMap((sink) => sink.ends.map((end) => end.reason)),
    [EndReason.RESOURCELIMIT, EndReason.RESOURCELIMIT],
  );
  t.deepEqual(loop.violations, []);
});

test('a queue past its bound ends the circuit', (t) => {
  const loop = windows();
  loop.out.hard = 3;
  for (let i = 0; i < 4; i++) loop.client.send(RelayCommand.DROP, 0, NONE);
  t.is(loop.violations.length, 1);
});

test('random bodies never crash an end, whatever they say', (t) => {
  const command = fc.oneof(fc.constantFrom(...Object.values(RelayCommand)), fc.nat(255));
  const body = fc
    .tuple(command, fc.nat(6), fc.oneof(fc.nat(40), fc.nat(600)), fc.uint8Array({ maxLength: 60 }))
    .map(([cmd, id, size, data]) => {
      const cell = Buffer.alloc(BODY_SIZE);
      cell[0] = cmd;
      cell.writeUInt16BE(id, 3);
      cell.writeUInt16BE(size, 9);
      cell.set(data, 11);
      return cell;
    });
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(body, { minLength: 1, maxLength: 20 }), fc.boolean(), (bodies, cc) => {
        for (const side of ['client', 'exit'] as const) {
          const loop = cc ? vegas() : windows();
          loop.onStream = (stream) => {
            stream.handlers = new Sink();
            if (stream.id % 2) stream.accept(NONE);
          };
          for (let i = 0; i < 3; i++) connect(loop).here.write(randomBytes(2000));
          const mine = new Uint8Array(MAX_BATCH).fill(1);
          loop[side].receive(batchOf(bodies), mine, () => Buffer.alloc(20));
          if (loop.violations.length > 1) return false;
        }
        return true;
      }),
      { numRuns: 300 },
    ),
  );
});
