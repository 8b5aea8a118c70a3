import test from 'ava';
import type { Clock } from '../runtime/types.js';
import { vectors } from '../testing/vectors.js';
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

test('a sendme_inc far from the consensus’s is refused', (t) => {
  for (const good of [30, 31, 32]) t.notThrows(() => checkSendmeInc(good, defaults));
  for (const bad of [0, 1, 29, 33, 255]) t.throws(() => checkSendmeInc(bad, defaults), { code: 'protocol' });
});
