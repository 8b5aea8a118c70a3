import test from 'ava';
import { memoryLog } from '../shared/log/memory.js';
import { SimWorld } from '../shared/runtime/sim/world.js';
import { memoryStore } from '../shared/store/memory.js';
import { Accounting, type AccountingSettings, type AccountingState, periodEdge } from './accounting.js';
import { accountingSettings, Hibernation } from './hibernation.js';
import { optionsOf } from './testing.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const KB = 1024;
const GB = 1024 ** 3;
const ID = new Uint8Array(20).fill(7);

const at = (text: string) => Date.parse(`${text}Z`);
const text = (time: number) => new Date(time).toISOString().slice(0, 16);

for (const [unit, day, time, start, end] of [
  ['month', 10, '2026-03-10T05:00', '2026-03-10T05:00', '2026-04-10T05:00'],
  ['month', 10, '2026-03-10T04:59', '2026-02-10T05:00', '2026-03-10T05:00'],
  ['month', 28, '2026-01-02T00:00', '2025-12-28T05:00', '2026-01-28T05:00'],
  ['week', 1, '2026-03-09T05:00', '2026-03-09T05:00', '2026-03-16T05:00'],
  ['week', 1, '2026-03-09T04:00', '2026-03-02T05:00', '2026-03-09T05:00'],
  ['week', 7, '2026-03-11T12:00', '2026-03-08T05:00', '2026-03-15T05:00'],
  ['day', 0, '2026-03-01T04:00', '2026-02-28T05:00', '2026-03-01T05:00'],
  ['day', 0, '2026-12-31T06:00', '2026-12-31T05:00', '2027-01-01T05:00'],
] as const)
  test(`the ${unit} that begins on ${day} and contains ${time}`, (t) => {
    const option = { unit, day, hour: 5, minute: 0 };
    t.is(text(periodEdge(option, at(time))), start);
    t.is(text(periodEdge(option, at(time), true)), end);
  });

const settings = (max: number, more: Partial<AccountingSettings> = {}): AccountingSettings => ({
  max,
  start: { unit: 'month', day: 1, hour: 0, minute: 0 },
  rule: 'max',
  mostPerMinute: 60 * GB,
  ...more,
});

test('each rule counts what it says', (t) => {
  for (const [rule, used] of [
    ['max', 30],
    ['sum', 40],
    ['in', 10],
    ['out', 30],
  ] as const) {
    const accounting = new Accounting(settings(1000, { rule }), ID, 0);
    accounting.add(10, 0);
    accounting.add(0, 30);
    t.is(accounting.used, used);
  }
});

test('the soft limit is near the maximum, and nearer with a large one', (t) => {
  t.is(new Accounting(settings(GB), ID, 0).softLimit, Math.floor(0.95 * GB));
  t.is(new Accounting(settings(100 * GB), ID, 0).softLimit, 100 * GB - 500 * 1024 ** 2);
});

/** Carries so much an hour while awake, hour after hour; what the states were. */
function simulate(accounting: Accounting, from: number, hours: number, perHour: number): AccountingState[] {
  const states: AccountingState[] = [];
  for (let hour = 0; hour < hours; hour++) {
    const now = from + hour * HOUR;
    accounting.tick(now, 0);
    const state = accounting.state(now);
    states.push(state);
    if (state === 'live') accounting.add(perHour, perHour);
    accounting.tick(now + HOUR - 1, state === 'live' ? HOUR : 0);
  }
  return states;
}

test('a month: all of the maximum is used and no more, and the next month’s sleep is spread', (t) => {
  const start = at('2026-03-01T00:00');
  const accounting = new Accounting(settings(300 * GB), ID, start);
  // 1 GB an hour: 300 of March's 744 hours.
  const march = simulate(accounting, start, 744, GB);
  const live = march.filter((state) => state === 'live').length;
  t.is(march[0], 'live');
  t.is(live, 300);
  t.true(march.slice(300).every((state) => state !== 'live'));
  t.true(accounting.used <= 300 * GB && accounting.used >= 0.99 * 300 * GB);
  const april = simulate(accounting, at('2026-04-01T00:00'), 720, GB);
  t.is(april.filter((state) => state === 'live').length, 300);
  const woke = april.indexOf('live');
  t.true(woke > 0 && woke <= 421, `woke after ${woke} hours`);
  // Another relay wakes at another time, the same one at the same.
  const saved = { ...accounting.save(), start, softAt: start + 300 * HOUR };
  const wakeups = [1, 2, 3].map(
    (n) =>
      new Accounting(settings(300 * GB), new Uint8Array(20).fill(n), at('2026-04-01T00:00'), saved).period
        .wakeup,
  );
  t.is(new Set(wakeups).size, 3);
});

test('a restart in the middle goes on counting; one in the next month begins anew', (t) => {
  const accounting = new Accounting(settings(10 * GB), ID, at('2026-03-05T00:00'));
  accounting.add(4 * GB, GB);
  accounting.tick(at('2026-03-06T00:00'), DAY);
  const again = new Accounting(settings(10 * GB), ID, at('2026-03-07T00:00'), accounting.save());
  t.is(again.used, 4 * GB);
  const later = new Accounting(settings(10 * GB), ID, at('2026-04-02T00:00'), accounting.save());
  t.is(later.used, 0);
  t.true(later.save().expected > 0);
  const backwards = new Accounting(settings(10 * GB), ID, at('2026-01-02T00:00'), accounting.save());
  t.is(backwards.save().expected, 0);
});

test('the relay is told of each change, and a restart finds the count', async (t) => {
  const world = new SimWorld('hibernation', at('2026-03-01T00:00'));
  const { clock } = world.host('127.1.0.1');
  const store = memoryStore();
  const log = memoryLog();
  const options = optionsOf('ORPort 9001', 'AccountingMax 2 GB', 'AccountingStart day 00:00');
  const states: AccountingState[] = [];
  const env = {
    clock,
    log,
    store,
    identity: ID,
    changed: (state: AccountingState) => void states.push(state),
  };
  const first = new Hibernation(env);
  await world.until(first.start(options));
  t.is(first.state, 'live');
  const carry = async (hibernation: Hibernation, hours: number) => {
    for (let i = 0; i < hours * 6; i++) {
      if (hibernation.state === 'live') hibernation.read(GB / 60);
      await world.advance(HOUR / 6);
    }
  };
  await carry(first, 16);
  t.is(first.state, 'live');
  await world.until(first.stop());
  const second = new Hibernation(env);
  await world.until(second.start(options));
  t.true(second.usage!.used > 1.5 * GB);
  await carry(second, 5);
  t.deepEqual(states, ['soft']);
  second.written(3 * GB);
  await world.advance(1);
  t.deepEqual(states, ['soft', 'dormant']);
  t.regex(log.text(), /Hibernating until 2026-03-02 00:00 UTC/);
  await world.advance(DAY + 1);
  t.is(states[2], 'live');
  second.configure(optionsOf('ORPort 9001'));
  t.is(second.usage, undefined);
  await world.until(second.stop());
});

test('options that begin another period count anew in it, as after a restart', (t) => {
  const now = at('2026-03-20T12:00');
  const day = { max: 30 * GB, start: { unit: 'day', day: 0, hour: 0, minute: 0 } } as const;
  const accounting = new Accounting(settings(900 * GB), ID, at('2026-03-01T00:00'));
  accounting.add(500 * GB, 0);
  accounting.tick(now, 12 * HOUR);
  const restarted = new Accounting(settings(30 * GB, day), ID, now, accounting.save());
  accounting.configure(settings(30 * GB, day), now);
  t.is(accounting.used, 0);
  t.deepEqual(accounting.save(), restarted.save());
  t.deepEqual(accounting.period, restarted.period);
  // An edge that moves a little leaves the period what it is.
  accounting.add(GB, 0);
  accounting.configure(settings(30 * GB, { start: { ...day.start, hour: 2 } }), now);
  t.is(accounting.used, GB);
});

test('AccountingMax taken away and given back leaves what was used, as does one given at a reload', async (t) => {
  const world = new SimWorld('given back', at('2026-03-01T00:00'));
  const { clock } = world.host('127.1.0.1');
  const env = { clock, log: memoryLog(), store: memoryStore(), identity: ID, changed() {} };
  const [none, some] = [optionsOf('ORPort 9001'), optionsOf('ORPort 9001', 'AccountingMax 2 GB')];
  const first = new Hibernation(env);
  await world.until(first.start(some));
  first.read(GB);
  first.configure(none);
  first.configure(some);
  t.is(first.usage!.used, GB);
  first.configure(none);
  await world.until(first.stop());
  const second = new Hibernation(env);
  await world.until(second.start(none));
  second.configure(some);
  t.is(second.usage!.used, GB);
  await world.until(second.stop());
});

test('a damaged count is set aside, not believed', async (t) => {
  const world = new SimWorld('damaged', at('2026-03-01T00:00'));
  const store = memoryStore();
  await store.write('cepa-state/accounting', Buffer.from('nonsense'));
  const hibernation = new Hibernation({
    clock: world.host('127.1.0.1').clock,
    log: memoryLog(),
    store,
    identity: ID,
    changed() {},
  });
  await world.until(hibernation.start(optionsOf('ORPort 9001', 'AccountingMax 2 GB')));
  t.is(hibernation.usage!.used, 0);
  t.true((await store.list('cepa-state')).some((name) => name.includes('damaged')));
});

test('accounting reckons with the rate in force', (t) => {
  const most = (...lines: string[]) =>
    accountingSettings(optionsOf('ORPort 9001', 'AccountingMax 1 TByte', ...lines))!.mostPerMinute;
  t.is(most('BandwidthRate 100 KBytes'), 60 * 100 * KB);
  t.is(most('RelayBandwidthRate 200 KBytes', 'RelayBandwidthBurst 300 KBytes'), 60 * 200 * KB);
  t.is(most('RelayBandwidthBurst 300 KBytes'), 60 * 300 * KB);
});
