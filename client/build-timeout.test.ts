import test from 'ava';
import { DecodeError } from '../shared/bytes/errors.js';
import { fc } from '../shared/testing/properties.js';
import {
  alphaOf,
  BuildTimes,
  buildTimeoutParams,
  buildTimesKind,
  forHops,
  modeOf,
  paretoQuantile,
  TIMES_KEPT,
} from './build-timeout.js';
import { clientOptions, seededRandom } from './testing.js';

const params = (given: Record<string, number> = {}, torrc: readonly string[] = []) =>
  buildTimeoutParams(
    (name, fallback, min, max = 2 ** 31 - 1) => Math.min(max, Math.max(min, given[name] ?? fallback)),
    clientOptions(...torrc),
  );

/** n draws of a Pareto distribution. */
function paretoTimes(n: number, xm: number, alpha: number): number[] {
  const random = seededRandom(11);
  return Array.from({ length: n }, () => paretoQuantile(xm, alpha, random.fraction()));
}

test('alpha and quantile give back the distribution the times were drawn from', (t) => {
  const times = paretoTimes(20_000, 250, 1.4);
  const alpha = alphaOf(times, 250);
  t.true(Math.abs(alpha - 1.4) < 0.03, `${alpha}`);
  const below = times.filter((time) => time <= paretoQuantile(250, alpha, 0.8)).length / times.length;
  t.true(Math.abs(below - 0.8) < 0.01, `${below}`);
});

test('times below Xm count as Xm', (t) => {
  t.is(alphaOf([10, 100, 200], 100), 3 / (Math.log(100) + Math.log(100) + Math.log(200) - 3 * Math.log(100)));
});

test('Xm is the mean of the most frequent bins by count; ties go to shorter times', (t) => {
  t.is(modeOf([], 10), undefined);
  t.is(modeOf([101, 102, 103, 204, 205, 999], 2), (105 * 3 + 205 * 2) / 5);
  t.is(modeOf([101, 205, 309], 2), (105 + 205) / 2);
});

test('until a hundred circuits are built the timeout is 60 s; then the 80 % quantile, closing no sooner than 60 s', (t) => {
  const times = new BuildTimes(params());
  const drawn = paretoTimes(100, 300, 2);
  for (const time of drawn.slice(0, 99)) times.built(time);
  t.false(times.enough);
  t.deepEqual(times.timeouts(), { use: 60_000, close: 60_000 });
  times.built(drawn[99]!);
  t.true(times.enough);
  const { use, close } = times.timeouts();
  t.true(use > 300 && use < 2000, `${use}`);
  t.is(close, 60_000);
});

test('the timeout never exceeds the longest time seen, and never falls below cbtmintimeout', (t) => {
  const times = new BuildTimes(params({ cbtmincircs: 10, cbtinitialtimeout: 1000 }));
  for (let i = 0; i < 10; i++) times.built(50);
  t.is(times.timeouts().use, 50);
  const quick = new BuildTimes(params({ cbtmincircs: 10, cbtmintimeout: 40 }));
  for (let i = 0; i < 10; i++) quick.built(3);
  t.is(quick.timeouts().use, 40);
});

test('longer circuits get more time', (t) => {
  t.deepEqual(forHops({ use: 600, close: 6000 }, 3), { use: 600, close: 6000 });
  t.deepEqual(forHops({ use: 600, close: 6000 }, 4), { use: 1000, close: 10_000 });
  t.deepEqual(forHops({ use: 600, close: 6000 }, 1), { use: 100, close: 1000 });
});

test('18 timeouts in the last 20 forget everything; at the initial timeout it doubles', (t) => {
  const times = new BuildTimes(params({ cbtmincircs: 10 }));
  for (let i = 0; i < 30; i++) times.built(100);
  t.true(times.timeouts().use < 1000);
  for (let i = 0; i < 17; i++) times.timedOut();
  t.is(times.count, 30);
  times.timedOut();
  t.is(times.count, 0);
  t.deepEqual(times.timeouts(), { use: 60_000, close: 60_000 });
  for (let i = 0; i < 18; i++) times.timedOut();
  t.is(times.timeouts().use, 120_000);
});

test('a late circuit counts as a timeout and as a time', (t) => {
  const times = new BuildTimes(params({ cbtmincircs: 10, cbtrecentcount: 3, cbtmaxtimeouts: 3 }));
  for (let i = 0; i < 12; i++) times.built(100);
  for (let i = 0; i < 3; i++) times.built(90_000);
  t.true(times.count < 4, 'three late ones in a row: forgotten');
});

test('only the last thousand are kept, and saved as a histogram', (t) => {
  const times = new BuildTimes(params({ cbtmaxtimeouts: 10_000 }));
  for (let i = 0; i < TIMES_KEPT + 500; i++) times.built(i < 500 ? 5 : 25);
  t.is(times.count, TIMES_KEPT);
  t.deepEqual(times.save(), [[25, TIMES_KEPT]]);
  const again = new BuildTimes(
    params(),
    buildTimesKind.check(structuredClone(times.save())),
    seededRandom(1),
  );
  t.is(again.count, TIMES_KEPT);
  t.true(again.timeouts().use < 60_000);
});

test('cbtdisabled learns nothing', (t) => {
  const times = new BuildTimes(params({ cbtdisabled: 1 }));
  times.built(10);
  times.timedOut();
  t.is(times.count, 0);
  const learned = new BuildTimes(params());
  learned.built(10);
  learned.setParams(params({ cbtdisabled: 1 }));
  t.is(learned.count, 0);
});

test('damaged histograms are refused by name', (t) => {
  for (const wrong of [null, {}, [1], [[5, 0]], [[5, 2000]], [[-5, 1]], [[5.5, 1]], [['5', 1]]])
    t.throws(() => buildTimesKind.check(wrong), { message: /build-times/ });
});

test('any value is a histogram, or a DecodeError', (t) => {
  const bin = fc.tuple(fc.oneof(fc.integer(), fc.anything()), fc.oneof(fc.integer(), fc.anything()));
  fc.assert(
    fc.property(fc.oneof(fc.array(fc.oneof(bin, fc.anything())), fc.anything()), (value) => {
      try {
        buildTimesKind.check(value);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
  );
  t.pass();
});

test('CircuitBuildTimeout is where learning begins, and all there is without learning', (t) => {
  const drawn = paretoTimes(200, 300, 2);
  const timeouts = (given: Record<string, number>, ...torrc: string[]) => {
    const times = new BuildTimes(params(given, torrc));
    const before = times.timeouts();
    for (const time of drawn) times.built(time);
    return [before.use, before.close, times.timeouts().use < 2_000 ? 'learned' : times.timeouts().use];
  };
  t.deepEqual(timeouts({}, 'CircuitBuildTimeout 20'), [20_000, 20_000, 'learned']);
  t.deepEqual(timeouts({}, 'CircuitBuildTimeout 20', 'LearnCircuitBuildTimeout 0'), [20_000, 20_000, 20_000]);
  t.deepEqual(timeouts({}, 'LearnCircuitBuildTimeout 0'), [60_000, 60_000, 60_000]);
  t.deepEqual(timeouts({ cbtdisabled: 1 }, 'CircuitBuildTimeout 20'), [20_000, 20_000, 20_000]);
  const learned = new BuildTimes(params({}, ['CircuitBuildTimeout 20']));
  for (const time of drawn) learned.built(time);
  t.is(learned.timeouts().close, 60_000, 'a learned timeout closes no sooner than by cbtinitialtimeout');
});
