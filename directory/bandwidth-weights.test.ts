import test from 'ava';
import { vectors } from '../shared/testing/vectors.js';
import { addToTotals, bandwidthWeights, emptyTotals } from './bandwidth-weights.js';

interface Vector {
  G: number;
  M: number;
  E: number;
  D: number;
  T: number;
  scale: number;
  line: string | null;
}

test('weights are those of C tor, or none where it finds none', (t) => {
  for (const v of vectors<{ vectors: Vector[] }>('bandwidth-weights.json').vectors) {
    const totals = { guard: v.G, middle: v.M, exit: v.E, both: v.D, total: v.T };
    const weights = bandwidthWeights(totals, v.scale);
    const line = weights && `bandwidth-weights ${[...weights].map(([k, n]) => `${k}=${n}`).join(' ')}`;
    t.is(line ?? null, v.line, JSON.stringify(totals));
  }
});

test('each relay counts in one class', (t) => {
  const totals = emptyTotals();
  addToTotals(totals, 10, { guard: true, exit: false });
  addToTotals(totals, 20, { guard: false, exit: true });
  addToTotals(totals, 40, { guard: true, exit: true });
  addToTotals(totals, 80, { guard: false, exit: false });
  t.deepEqual(totals, { guard: 11, middle: 81, exit: 21, both: 41, total: 154 });
});

test('a scale and totals beyond the exact range of a double are exact', (t) => {
  const totals = { guard: 4e9, middle: 4e9, exit: 4e9, both: 4e9, total: 16e9 };
  const weights = bandwidthWeights(totals, 2 ** 31 - 1)!;
  t.is(weights.get('Wgd'), Math.floor((2 ** 31 - 1) / 3));
  t.is(weights.get('Wmm'), 2 ** 31 - 1);
});
