import test from 'ava';
import { SlabPool } from './slabs.js';

test('a block given back is the next one taken, whole; a view of it will do', (t) => {
  const pool = new SlabPool(100, 2);
  const [a, b] = [pool.take(), pool.take()];
  t.is(a.length, 100);
  t.not(a, b);
  pool.give(a);
  t.is(pool.take(), a);
  pool.give(b.subarray(0, 60));
  t.is(pool.take(), b);
});

test('a pool keeps no more than it may, and nothing that is not its own', (t) => {
  const pool = new SlabPool(100, 1);
  const [a, b] = [pool.take(), pool.take()];
  pool.give(a);
  pool.give(b);
  t.is(pool.take(), a);
  t.not(pool.take(), b);
  pool.give(new Uint8Array(100));
  pool.give(new SlabPool(100, 1).take());
  const fresh = pool.take();
  t.is(fresh.length, 100);
  t.false([a, b].includes(fresh));
});
