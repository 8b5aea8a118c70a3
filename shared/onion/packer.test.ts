import test from 'ava';
import { EndReason } from '../cell/commands.js';
import { connect, feed, mixed, vegas, windows } from './testing.js';

for (const [name, make] of [
  ['windows', windows],
  ['vegas', vegas],
] as const) {
  test(`${name}: a full leg stops packing, and room starts it again`, (t) => {
    const loop = make();
    const { there, exit, client } = connect(loop);
    loop.back.high = 40;
    const answer = mixed(4, 200_000);
    feed(
      there,
      exit,
      answer,
      () => 200_000,
      () => {},
    );
    t.true(loop.back.full);
    t.true(loop.back.queued < 40 + 32);
    while (loop.home(7) > 0 || loop.forth() > 0);
    t.true(client.bytes.equals(answer));
  });

  test(`${name}: streams of one circuit get equal shares`, (t) => {
    const loop = make();
    const streams = Array.from({ length: 4 }, () => connect(loop));
    loop.back.high = 40;
    for (const s of streams) s.there.write(mixed(1, 1_000_000));
    for (let i = 0; i < 100; i++) {
      loop.home(20);
      loop.forth();
    }
    const got = streams.map((s) => s.client.bytes.length);
    t.true(Math.min(...got) > 0.6 * Math.max(...got), got.join());
  });

  test(`${name}: streams get equal shares when only SENDMEs make room`, (t) => {
    const loop = make();
    const streams = Array.from({ length: 24 }, () => connect(loop));
    for (const s of streams) s.there.write(mixed(1, 500_000));
    const bytes = () => streams.map((s) => s.client.bytes.length);
    const run = () => {
      for (let i = 0; i < 200; i++) {
        loop.home(31);
        loop.forth();
      }
    };
    // The first one had the whole circuit for itself when it began.
    run();
    const before = bytes();
    run();
    const got = bytes().map((n, i) => n - before[i]!);
    t.true(Math.min(...got) > 0.6 * Math.max(...got), got.join());
  });

  test(`${name}: where the circuit is fast a stream has two batches in a row, and no more`, (t) => {
    const loop = make();
    const streams = Array.from({ length: 4 }, () => connect(loop));
    for (const s of streams) s.there.write(mixed(1, 500_000));
    const runs: number[] = [];
    let [last, length] = [-1, 0];
    for (let i = 0; i < 2000; i++) {
      const before = streams.map((s) => s.client.bytes.length);
      loop.home(1);
      loop.forth();
      const who = streams.findIndex((s, k) => s.client.bytes.length > before[k]!);
      if (who < 0) continue;
      if (who !== last) runs.push(length);
      length = who === last ? length + 1 : 1;
      last = who;
    }
    // The first one had the circuit for itself, and others come by short turns.
    t.true(runs.length > 20, `${runs.length} turns`);
    t.true(
      runs.slice(8).every((n) => n === 62 || n === 64),
      runs.join(),
    );
  });

  test(`${name}: a stream with little to say is not kept waiting by those with much`, (t) => {
    const loop = make();
    const many = Array.from({ length: 24 }, () => connect(loop));
    const one = connect(loop);
    for (const s of many) s.there.write(mixed(1, 500_000));
    for (let i = 0; i < 50; i++) {
      loop.home(31);
      loop.forth();
    }
    one.there.write(Buffer.from('x'));
    // What is under way already, and then two turns of others at most.
    const before = loop.back.queued;
    let cells = 0;
    while (one.client.bytes.length === 0) {
      cells += loop.home(1);
      loop.forth();
    }
    t.true(cells <= before + 2 * 32 + 1, `${cells} cells, ${before} were under way`);
  });

  test(`${name}: an END that nothing is before waits for no window`, (t) => {
    const loop = make();
    const [much, done] = [connect(loop), connect(loop)];
    much.there.write(mixed(1, 2_000_000));
    done.there.end(EndReason.DONE);
    // No SENDME comes.
    while (loop.home() > 0);
    t.deepEqual(done.client.ends, [{ reason: EndReason.DONE, local: false }]);
    t.true(much.client.bytes.length > 0 && much.client.bytes.length < 2_000_000);
  });

  test(`${name}: lent bytes may be used again, however little of them could be packed`, (t) => {
    const loop = make();
    const { there, exit, client } = connect(loop);
    const answer = mixed(5, 3_000_000);
    const lent = Buffer.alloc(65_536);
    const sizes = [65_536, 1, 498, 40_000, 8_000, 15_936, 20];
    let [at, turn] = [0, 0];
    const more = () => {
      while (at < answer.length) {
        const n = answer.copy(lent, 0, at, at + sizes[turn++ % sizes.length]!);
        at += n;
        const room = there.lend(lent.subarray(0, n));
        lent.fill(0xee);
        if (!room) return;
      }
    };
    exit.onDrain = more;
    more();
    for (let i = 0; loop.home((i++ % 40) + 1) + loop.forth() > 0; ) loop.clock.pass(1);
    t.is(at, answer.length);
    t.true(client.bytes.equals(answer));
  });
}
