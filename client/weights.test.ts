import test from 'ava';
import { seededRandom, sketchNetwork } from './testing.js';
import { factorsOf, kindOf, WeightedList, weightsFor } from './weights.js';

const consensus = (weights: Record<string, number>, params: Record<string, number> = {}) => ({
  bandwidthWeights: new Map(Object.entries(weights)),
  params: new Map(Object.entries(params)),
});
const full = {
  Wgg: 6000,
  Wgm: 6000,
  Wgd: 100,
  Wmg: 4000,
  Wmm: 10000,
  Wme: 0,
  Wmd: 50,
  Weg: 10,
  Wem: 20,
  Wee: 10000,
  Wed: 9000,
  Wbg: 4000,
  Wbm: 10000,
  Wbe: 0,
  Wbd: 0,
  Wgb: 10000,
  Wmb: 5000,
  Web: 10000,
  Wdb: 10000,
};

test('kinds of relays', (t) => {
  const kind = (...flags: string[]) => kindOf(new Set(flags));
  t.deepEqual([kind('Guard'), kind(), kind('Exit'), kind('Guard', 'Exit')], [0, 1, 2, 3]);
  t.is(kind('Exit', 'BadExit'), 1);
});

test('factors by position, with the directory factor where V2Dir is', (t) => {
  t.deepEqual(factorsOf(consensus(full), 'guard').plain, [0.6, 0.6, 0, 0.01]);
  t.deepEqual(factorsOf(consensus(full), 'middle').plain, [0.4, 1, 0, 0.005]);
  t.deepEqual(factorsOf(consensus(full), 'exit').plain, [0.001, 0.002, 1, 0.9]);
  t.deepEqual(factorsOf(consensus(full), 'middle').dir, [0.4, 0.5, 0, 0.005]);
  t.deepEqual(factorsOf(consensus(full), 'dir').plain, [0.4, 1, 0, 0]);
  t.deepEqual(factorsOf(consensus(full, { bwweightscale: 20000 }), 'exit').plain, [0.0005, 0.001, 0.5, 0.45]);
});

test('one missing weight turns all of them off', (t) => {
  const { Wme: _, ...rest } = full;
  t.deepEqual(factorsOf(consensus(rest), 'middle').plain, [1, 1, 1, 1]);
  t.deepEqual([...weightsFor(consensus({}), [{ flags: new Set(['Exit']), bandwidth: 7 }], 'guard')], [7]);
});

test('draws follow the weights, with and without constraints', (t) => {
  const random = seededRandom(7);
  const list = new WeightedList(['a', 'b', 'c', 'd'], Float64Array.of(1, 0, 2, 7));
  const count = (fits: (item: string) => boolean) => {
    const counts: Record<string, number> = { a: 0, b: 0, c: 0, d: 0 };
    for (let i = 0; i < 10000; i++) counts[list.choose(random, fits)!]!++;
    return counts;
  };
  const all = count(() => true);
  t.is(all.b, 0);
  t.true(Math.abs(all.a! - 1000) < 150 && Math.abs(all.c! - 2000) < 200 && Math.abs(all.d! - 7000) < 250);
  const some = count((item) => item !== 'd');
  t.true(Math.abs(some.a! - 3333) < 250 && Math.abs(some.c! - 6667) < 250 && some.d === 0);
});

test('what fits only by search is found; weight zero only when nothing else fits; nothing gives undefined', (t) => {
  const random = seededRandom(3);
  const items = Array.from({ length: 5000 }, (_, i) => i);
  const list = new WeightedList(
    items,
    Float64Array.from(items, (i) => (i < 10 ? 0 : 1)),
  );
  t.is(
    list.choose(random, (item) => item === 4999),
    4999,
  );
  t.is(
    list.choose(random, (item) => item === 3),
    3,
  );
  t.is(
    list.choose(random, () => false),
    undefined,
  );
  const even = new WeightedList(['a', 'b'], new Float64Array(2));
  const drawn = Array.from({ length: 50 }, () => even.choose(random, () => true));
  t.true(drawn.includes('a') && drawn.includes('b'));
  t.is(
    new WeightedList([], new Float64Array(0)).choose(random, () => true),
    undefined,
  );
});

test('known paths: product of guard, middle and exit shares; middle stands in where there are no exits', (t) => {
  const guard = 'Fast Guard Running Stable V2Dir Valid';
  const exit = 'Exit Fast Running Valid';
  const full = sketchNetwork([
    { flags: guard },
    { flags: exit },
    { flags: guard, unknown: true },
    { flags: exit },
  ]);
  t.deepEqual(full.knownPaths(), { fraction: 0.5 * 0.75 * 1, internalOnly: false });
  t.false(full.enoughKnown());
  t.deepEqual(full.missing(), ['m2']);
  const none = sketchNetwork([{ flags: guard }, { flags: guard }]);
  t.deepEqual(none.knownPaths(), { fraction: 1, internalOnly: true });
  t.true(none.enoughKnown());
  t.is(sketchNetwork([]).knownPaths().fraction, 0);
});
