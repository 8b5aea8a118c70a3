import test from 'ava';
import { parsePolicyLines } from '../shared/netdoc/policy.js';
import { loadOptions } from '../shared/torrc/parse.js';
import { type FlagInput, flagsOf, knownFlags } from './flags.js';
import { relaySet } from './relay-set.js';
import type { RelayView } from './relay-view.js';
import { HOUR, NOW, viewOf } from './testing.js';
import {
  computeThresholds,
  guaranteesOf,
  type ThresholdInput,
  type Thresholds,
  thresholdsLine,
} from './thresholds.js';

const DAY_SECONDS = 24 * 3600;
const TORRC = `ORPort 9001
DirPort 9030
ContactInfo somebody
DirAuthority auth orport=9001 v3ident=${'0'.repeat(40)} 127.0.0.1:9030 ${'0'.repeat(40)}
`;
const guaranteesBy = (lines = '') => {
  const files = [{ name: 'torrc', text: TORRC + lines }];
  return guaranteesOf(loadOptions({ files, args: [], role: 'authority' }).options);
};
const GUARANTEES = guaranteesBy();

const thresholdsOf = (relays: RelayView[], over: Partial<ThresholdInput> = {}): Thresholds =>
  computeThresholds({
    relays,
    sybils: new Set(),
    now: NOW,
    enoughMtbf: true,
    testing: false,
    measuredEnough: 500,
    testingMinFast: 0,
    guarantees: GUARANTEES,
    guardFraction: 0.75,
    params: new Map(),
    allowPrivate: false,
    ...over,
  });

/** Relays with the given claimed bandwidths, kilobytes per second. */
const claiming = (...bandwidths: number[]): RelayView[] =>
  bandwidths.map((kb) =>
    viewOf({ descriptor: { bandwidth: { rate: 1e9, burst: 1e9, observed: kb * 1000 } } }),
  );

const LOW: Thresholds = {
  stableUptime: 3600,
  stableMtbf: 3600,
  enoughMtbf: true,
  fast: 100,
  guardWfu: 0.9,
  guardTimeKnown: 3600,
  guardBandwidthWithExits: 400,
  guardBandwidthWithoutExits: 300,
  ignoreClaims: false,
  guarantees: GUARANTEES,
};

const inputOf = (over: Partial<FlagInput> = {}): FlagInput => ({
  thresholds: LOW,
  choice: { badExit: true, middleOnly: true, running: true },
  now: NOW,
  ownUptime: 0,
  hsDirUptime: 3600,
  allowPrivate: false,
  forced: undefined,
  ...over,
});

const flags = (view: Parameters<typeof viewOf>[0], over: Partial<FlagInput> = {}, sybil = false): string =>
  [...flagsOf(viewOf(view), sybil, inputOf(over))].join(' ');

const ORDINARY = 'Fast Guard HSDir Running Stable V2Dir Valid';
const EXIT = { exitPolicy: parsePolicyLines(['accept *:80', 'accept *:443', 'reject *:*']) };

test('an ordinary relay has the flags of one', (t) => {
  t.is(flags({}), ORDINARY);
});

test('known flags are sorted, with those that are voted on', (t) => {
  const line = (choice: FlagInput['choice']) => knownFlags(choice).join(' ');
  t.is(
    line({ badExit: true, middleOnly: false, running: true }),
    'Authority BadExit Exit Fast Guard HSDir Running Stable StaleDesc Sybil V2Dir Valid',
  );
  t.is(
    line({ badExit: false, middleOnly: true, running: false }),
    'Authority Exit Fast Guard HSDir MiddleOnly Stable StaleDesc Sybil V2Dir Valid',
  );
});

test('Stable: by mean time between failures, else by uptime; always from a bound on', (t) => {
  const high = { ...LOW, stableMtbf: 100 * DAY_SECONDS, stableUptime: 100 * DAY_SECONDS };
  t.false(flags({ mtbf: 3599 }).includes('Stable'));
  t.true(flags({ mtbf: 3600 }).includes('Stable'));
  t.false(flags({ mtbf: 5 * DAY_SECONDS - 1 }, { thresholds: high }).includes('Stable'));
  t.true(flags({ mtbf: 5 * DAY_SECONDS }, { thresholds: high }).includes('Stable'));
  const byUptime = { ...high, enoughMtbf: false };
  const up = (seconds: number) =>
    flags({ mtbf: 0, descriptor: { uptime: seconds, published: NOW } }, { thresholds: byUptime });
  t.false(up(30 * DAY_SECONDS - 1).includes('Stable'));
  t.true(up(30 * DAY_SECONDS).includes('Stable'));
  // A claim grows older with its descriptor.
  t.true(
    flags(
      { descriptor: { uptime: 30 * DAY_SECONDS - 3600, published: NOW - HOUR } },
      { thresholds: byUptime },
    ).includes('Stable'),
  );
});

test('Fast: at the bar, by the measured value where there is one', (t) => {
  const observed = (kb: number) => ({ bandwidth: { rate: 1e9, burst: 1e9, observed: kb * 1000 } });
  t.false(flags({ descriptor: observed(99) }).includes('Fast'));
  t.true(flags({ descriptor: observed(100) }).includes('Fast'));
  t.true(flags({ descriptor: observed(1), measured: 100 }).includes('Fast'));
  t.false(flags({ descriptor: observed(1000), measured: 99 }).includes('Fast'));
  t.false(
    flags({ descriptor: observed(1000) }, { thresholds: { ...LOW, ignoreClaims: true } }).includes('Fast'),
  );
});

test('Guard: Stable, Fast, a directory, fast enough, up often enough, known long enough', (t) => {
  const has = (view: Parameters<typeof viewOf>[0], thresholds = LOW) =>
    flags(view, { thresholds }).includes('Guard');
  t.true(has({ measured: 300 }));
  t.false(has({ measured: 299 }));
  t.false(has({ mtbf: 0 }));
  t.false(has({ wfu: 0.89 }));
  t.false(has({ timeKnown: 3599 }));
  t.false(has({ descriptor: { tunnelledDirServer: false } }));
  t.true(has({ descriptor: { tunnelledDirServer: false, dirPort: 80 } }));
  const exclusive = { ...LOW, guardBandwidthWithExits: 9000, guardBandwidthWithoutExits: 9000 };
  t.false(has({ measured: 2096 }, exclusive));
  t.true(has({ measured: 2097 }, exclusive));
  t.false(has({ stripGuard: true }));
});

test('HSDir: wants it, is a directory, Stable, Fast, up, and long enough', (t) => {
  const has = (view: Parameters<typeof viewOf>[0], over: Partial<FlagInput> = {}) =>
    flags(view, over).includes('HSDir');
  t.true(has({}));
  t.false(has({ descriptor: { wantsHsDir: false } }));
  t.false(has({ descriptor: { tunnelledDirServer: false } }));
  t.false(has({ mtbf: 0 }));
  t.false(has({ measured: 1 }));
  t.false(has({ running: false }));
  t.false(has({ valid: false }));
  t.false(has({ stripHsDir: true }));
  const wanted = { hsDirUptime: 96 * 3600 };
  t.false(has({ descriptor: { uptime: 95 * 3600, published: NOW } }, wanted));
  t.true(has({ descriptor: { uptime: 96 * 3600, published: NOW } }, wanted));
  // Once this authority has been up for longer itself, what it saw counts, not only what the relay claims.
  const claim = { descriptor: { uptime: 200 * 3600, published: NOW }, uptime: 3600 };
  t.true(has(claim, { ...wanted, ownUptime: 105 * 3600 }));
  t.false(has(claim, { ...wanted, ownUptime: 106 * 3600 }));
});

test('Exit, V2Dir, Authority, Valid, Running, StaleDesc say what is so', (t) => {
  t.true(flags({ descriptor: EXIT }).startsWith('Exit'));
  t.false(
    flags({ descriptor: { exitPolicy: parsePolicyLines(['accept *:80', 'reject *:*']) } }).includes('Exit'),
  );
  t.true(flags({ authority: true }).startsWith('Authority'));
  t.false(flags({ valid: false }).includes('Valid'));
  t.false(flags({ running: false }).includes('Running'));
  t.false(flags({ stripV2Dir: true }).includes('V2Dir'));
  t.true(flags({ descriptor: { published: NOW - 18 * HOUR - 1 } }).includes('StaleDesc'));
  t.false(flags({ descriptor: { published: NOW - 18 * HOUR } }).includes('StaleDesc'));
});

test('flags that are not voted on are not given', (t) => {
  const quiet = { choice: { badExit: false, middleOnly: false, running: false } };
  t.is(flags({ badExit: true, middleOnly: true }, quiet), 'Fast Guard HSDir Stable V2Dir Valid');
});

test('MiddleOnly takes the other positions away', (t) => {
  t.is(flags({ middleOnly: true, descriptor: EXIT }), 'BadExit Fast MiddleOnly Running Stable Valid');
});

test('a Sybil keeps only what is said against it', (t) => {
  t.is(flags({}, {}, true), 'Sybil');
  t.is(
    flags({ badExit: true, descriptor: { ...EXIT, published: NOW - 20 * HOUR } }, {}, true),
    'BadExit StaleDesc Sybil',
  );
});

test('a testing network may force flags', (t) => {
  const nobody = relaySet([]);
  const forced = { exit: relaySet(['*']), guard: nobody, hsDir: relaySet(['other']) };
  t.is(flags({ measured: 1 }, { forced }), 'Exit Running Stable V2Dir Valid');
});

test('the bars are order statistics of the active relays', (t) => {
  const relays = claiming(50, 60, 70, 80, 90, 1000, 2000, 3000);
  relays.forEach((relay, i) => {
    Object.assign(relay, { mtbf: i, timeKnown: 10 * i, wfu: i / 10 });
  });
  const bars = thresholdsOf(relays);
  t.is(bars.stableMtbf, 3);
  t.is(bars.fast, 60);
  t.is(bars.guardTimeKnown, 10);
  // Of the seven that are known long enough.
  t.is(bars.guardWfu, 0.4);
  t.is(bars.guardBandwidthWithExits, 2000);
  t.is(bars.guardBandwidthWithoutExits, 2000);
});

test('what is guaranteed, and how few are fast enough for a guard, is for the configuration to say', (t) => {
  t.deepEqual(GUARANTEES, {
    ...{ stableUptime: 30 * DAY_SECONDS, stableMtbf: 5 * DAY_SECONDS, fast: 102, guardBandwidth: 2097 },
    ...{ guardTimeKnown: 8 * DAY_SECONDS, guardWfu: 0.98 },
  });
  const lines = [
    ...['AuthDirVoteStableGuaranteeMinUptime 2 hours', 'AuthDirVoteStableGuaranteeMTBF 1 hour'],
    ...['AuthDirFastGuarantee 20 KBytes', 'AuthDirGuardBWGuarantee 50 KBytes'],
    ...['AuthDirVoteGuardGuaranteeTimeKnown 1 minute', 'AuthDirVoteGuardGuaranteeWFU 0.5'],
  ];
  const guarantees = guaranteesBy(lines.join('\n'));
  const relays = claiming(1000, 1000, 2000, 3000);
  for (const relay of relays)
    Object.assign(relay, { timeKnown: 10 * DAY_SECONDS, wfu: 1, mtbf: DAY_SECONDS });
  const bars = thresholdsOf(relays, { guarantees });
  t.like(bars, { fast: 20, guardTimeKnown: 60, guardWfu: 0.5, guardBandwidthWithExits: 3000 });
  const slow = {
    descriptor: { bandwidth: { rate: 1e9, burst: 1e9, observed: 51_200 } },
    wfu: 0.5,
    timeKnown: 60,
  };
  t.true(flags({ ...slow, mtbf: 3600 }, { thresholds: bars }).includes('Guard'));
  t.false(flags({ ...slow, mtbf: 3599 }, { thresholds: bars }).includes('Stable'));
  t.false(flags({ ...slow, mtbf: 3600, measured: 50 }, { thresholds: bars }).includes('Guard'));
  // Nothing is guaranteed by 0.
  const none = guaranteesBy('AuthDirFastGuarantee 0\nAuthDirGuardBWGuarantee 0');
  const strict = thresholdsOf(relays, { guarantees: none });
  t.is(strict.fast, 1000);
  t.false(
    flags({ measured: 2999, wfu: 1, timeKnown: 10 * DAY_SECONDS }, { thresholds: strict }).includes('Guard'),
  );
  for (const [guardFraction, bar] of [
    [0, 1000],
    [0.5, 2000],
    [1, 3000],
  ] as const)
    t.is(thresholdsOf(relays, { guardFraction }).guardBandwidthWithoutExits, bar);
  t.throws(() => guaranteesBy('AuthDirVoteGuardBwThresholdFraction 1.5'), { message: /number from 0 to 1/ });
  t.throws(() => guaranteesBy('AuthDirVoteGuardGuaranteeWFU most'), { message: /number from 0 to 1/ });
});

test('who does not count: down, invalid, asleep, expired, Sybils, very slow', (t) => {
  const slow = claiming(3)[0]!;
  const sybil = claiming(9000)[0]!;
  const idle = [
    viewOf({ running: false }),
    viewOf({ valid: false }),
    viewOf({ descriptor: { hibernating: true } }),
    viewOf({ descriptor: { published: NOW - 25 * HOUR } }),
  ];
  const bars = thresholdsOf([slow, sybil, ...idle, ...claiming(50)], {
    sybils: new Set([sybil.descriptor.id]),
  });
  t.is(bars.guardBandwidthWithExits, 50);
  // In a testing network the slow one counts.
  t.is(thresholdsOf([slow], { testing: true }).guardBandwidthWithExits, 3);
});

test('exits count against one guard bar only, bad ones against both', (t) => {
  const exit = viewOf({ measured: 5000, descriptor: EXIT });
  const bad = viewOf({ measured: 7000, badExit: true, descriptor: EXIT });
  const plain = claiming(100, 200);
  t.is(thresholdsOf([exit, ...plain]).guardBandwidthWithExits, 5000);
  t.is(thresholdsOf([exit, ...plain]).guardBandwidthWithoutExits, 200);
  t.is(thresholdsOf([bad, ...plain]).guardBandwidthWithoutExits, 7000);
});

test('Fast has a floor and a ceiling', (t) => {
  const many = (...kb: number[]) => claiming(...kb.flatMap((n) => [n, n]));
  // The 12.5th percentile below half of what a relay must have: the 25th instead.
  t.is(thresholdsOf(many(10, 45, 90, 90)).fast, 45);
  t.is(thresholdsOf(many(500, 600, 700, 800)).fast, 102);
  t.is(thresholdsOf(many(50, 60, 70, 80), { params: new Map([['FastFlagMinThreshold', 90_000]]) }).fast, 90);
  t.is(thresholdsOf(many(50, 60, 70, 80), { params: new Map([['FastFlagMaxThreshold', 40_000]]) }).fast, 40);
  t.is(thresholdsOf(many(50, 60, 70, 80), { testing: true, testingMinFast: 70_000 }).fast, 70);
});

test('Guard never asks for more than 8 days and 98 %', (t) => {
  const bars = thresholdsOf([viewOf({ timeKnown: 30 * DAY_SECONDS, wfu: 1 })]);
  t.is(bars.guardTimeKnown, 8 * DAY_SECONDS);
  t.is(bars.guardWfu, 0.98);
});

test('with enough relays measured, claims are not believed', (t) => {
  const measured = [300, 400, 500].map((kb) => viewOf({ measured: kb }));
  const bars = thresholdsOf([...measured, ...claiming(9000)], { measuredEnough: 2 });
  t.true(bars.ignoreClaims);
  t.is(bars.guardBandwidthWithExits, 500);
  t.false(thresholdsOf([...measured, ...claiming(9000)], { measuredEnough: 3 }).ignoreClaims);
});

test('without relays the bars are zero', (t) => {
  const line = [...thresholdsLine(thresholdsOf([]))].map(([k, v]) => `${k}=${v}`).join(' ');
  t.is(
    line,
    'stable-uptime=0 stable-mtbf=0 fast-speed=0 guard-wfu=0.000% guard-tk=0 guard-bw-inc-exits=0 guard-bw-exc-exits=0 enough-mtbf=1 ignoring-advertised-bws=0',
  );
});
