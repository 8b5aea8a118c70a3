import test from 'ava';
import type { Clock } from '../runtime/types.js';
import { vectors } from '../testing/vectors.js';
import { CongestionStats, Mean } from './congestion-stats.js';
import { checkSendmeInc, Vegas, vegasFlow, vegasParams } from './vegas.js';

interface Case {
  kind: 'vegas_cwnd' | 'rtt';
  path?: 'exit';
  columns: string[];
  rows: number[][];
}
const file = vectors<{ params: Record<string, number>; vectors: Case[] }>('congestion-vegas.json');
const defaults = (_name: string, fallback: number) => fallback;
const params = vegasParams(defaults, 'exit');
const row = (columns: string[], values: number[]) =>
  Object.fromEntries(columns.map((name, i) => [name, values[i]!])) as Record<string, number>;

test('the defaults are C tor’s', (t) => {
  const p = file.params;
  t.like(params, {
    alpha: p.alpha!,
    beta: p.beta!,
    gamma: p.gamma!,
    delta: p.delta!,
    ssCwndCap: p.ss_cwnd_cap!,
    ssCwndMax: p.ss_cwnd_max!,
    cwndInc: p.cwnd_inc!,
    cwndIncRate: p.cwnd_inc_rate!,
    cwndIncPctSs: p.cwnd_inc_pct_ss!,
    cwndMin: p.cwnd_min!,
    cwndFullGap: p.cwnd_full_gap!,
    cwndFullMinPct: p.cwnd_full_minpct!,
    ewmaSs: p.ewma_ss!,
    ewmaMax: p.ewma_max!,
    ewmaCwndPct: p.ewma_cwnd_pct!,
  });
  t.like(vegasParams(defaults, 'onion'), { alpha: 186, beta: 372, gamma: 248, delta: 434, ssCwndCap: 475 });
});

for (const [i, vector] of file.vectors.entries()) {
  if (vector.kind === 'vegas_cwnd')
    test(`window of C tor, case ${i}`, (t) => {
      const vegas = new Vegas(params, 31);
      for (const values of vector.rows) {
        const r = row(vector.columns, values);
        vegas.inflight = r.inflight!;
        vegas.acknowledged(r.sendme_usec! - r.sent_usec!, r.orconn_blocked === 1);
        t.deepEqual(
          {
            ewma: vegas.ewmaRtt,
            min: vegas.minRtt,
            cwnd: vegas.cwnd,
            slow: vegas.inSlowStart,
            full: vegas.cwndFull,
            blocked: vegas.blockedChannel,
          },
          {
            ewma: r.ewma_rtt_usec,
            min: r.min_rtt_usec,
            cwnd: r.cwnd,
            slow: r.in_slow_start === 1,
            full: r.cwnd_full === 1,
            blocked: r.blocked_chan === 1,
          },
        );
      }
    });
  else
    test(`round trips of C tor, case ${i}`, (t) => {
      const vegas = new Vegas(params, 31);
      for (const values of vector.rows) {
        const r = row(vector.columns, values);
        vegas.cwnd = r.cwnd!;
        vegas.inSlowStart = r.in_slow_start === 1;
        t.true(vegas.updateRtt(r.sendme_usec! - r.sent_usec!));
        t.is(vegas.ewmaRtt, r.ewma_rtt_usec);
        t.is(vegas.minRtt, r.min_rtt_usec);
      }
    });
}

test('cells, tags and times go together', (t) => {
  let now = 0;
  const clock = { monotonic: () => now } as Clock;
  const flow = vegasFlow({ sendmeInc: 31, param: defaults, path: 'exit' }, clock);
  t.is(flow.room, 124);
  const due = Array.from({ length: 124 }, () => flow.sent());
  t.deepEqual(
    due.flatMap((is, i) => (is ? [i] : [])),
    [30, 61, 92, 123],
  );
  t.is(flow.room, 0);
  const tag = Buffer.alloc(20, 7);
  flow.remember(tag);
  now = 25;
  const body = Buffer.concat([Buffer.from('010014', 'hex'), tag]);
  flow.acknowledged(body, false);
  // 31 answered, and a first increment of 31.
  t.is(flow.room, 62);
  t.throws(() => flow.acknowledged(body, false), { message: /not sent/ });
  t.deepEqual(
    Array.from({ length: 62 }, () => flow.received()).flatMap((is, i) => (is ? [i] : [])),
    [30, 61],
  );
});

test('a round trip of nothing, or a leap of the clock, changes no window', (t) => {
  const vegas = new Vegas(params, 31);
  vegas.inflight = 124;
  vegas.acknowledged(0, false);
  t.is(vegas.cwnd, 124);
  t.is(vegas.inflight, 93);
  t.true(vegas.updateRtt(1000));
  vegas.inSlowStart = false;
  t.false(vegas.updateRtt(1000 * 5001));
  t.is(vegas.ewmaRtt, 1000);
});

test('what windows come to is summed up as C tor sums it up', (t) => {
  const stats = new CongestionStats();
  const vegas = new Vegas(params, 31, stats);
  const answer = (rtt: number, blocked = false) => {
    vegas.inflight = vegas.cwnd;
    vegas.acknowledged(rtt, blocked);
  };
  answer(0);
  t.is(stats.clockStalls, 1);
  for (let i = 0; i < 20; i++) answer(100_000);
  t.true(vegas.inSlowStart);
  // A queue of ours that is full ends slow start at once.
  answer(100_000, true);
  t.like(stats, { created: 1, exitedSlowStart: 1, aboveSlowStartMax: 0, aboveDelta: 0, closed: 0 });
  t.is(stats.slowStartBlockedShare.value, 100);
  t.is(stats.exitWindow.value, vegas.cwnd);
  t.is(stats.gammaDrop.value, 0);
  // Round trips that are ten times as long: most of the window lies in queues.
  for (let i = 0; i < 200 && stats.aboveDelta === 0; i++) answer(1_000_000);
  t.is(stats.aboveDelta, 1);
  t.true(stats.deltaShare.value > 0 && stats.deltaDrop.value > 0 && stats.queue.value > 0);
  vegas.closed();
  t.is(stats.closedWindow.value, vegas.cwnd);
  const short = new Vegas(params, 31, stats);
  short.closed();
  t.is(stats.closedSlowStartWindow.value, 0);
  t.like(stats, { created: 2, closed: 2 });
  const mean = new Mean();
  mean.add(50);
  mean.add(151);
  t.is(mean.value, 52);
});

test('a sendme_inc far from the consensus’s is refused', (t) => {
  for (const good of [30, 31, 32]) t.notThrows(() => checkSendmeInc(good, defaults));
  for (const bad of [0, 1, 29, 33, 255]) t.throws(() => checkSendmeInc(bad, defaults), { code: 'protocol' });
});
