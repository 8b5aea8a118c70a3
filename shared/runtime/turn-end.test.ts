import test from 'ava';
import { TurnEnd } from './turn-end.js';

/** Turns that end when the test says so. */
function turns() {
  const ends: (() => void)[] = [];
  const turnEnd = new TurnEnd((run) => ends.push(run));
  const next = () => {
    for (const end of ends.splice(0)) end();
  };
  return { turnEnd, next, waiting: () => ends.length };
}

test('what deferred work defers runs in the same turn, after all that came before it', (t) => {
  const { turnEnd, next, waiting } = turns();
  const order: string[] = [];
  turnEnd.defer(() => {
    order.push('answer');
    turnEnd.defer(() => order.push('write'));
  });
  turnEnd.defer(() => order.push('other'));
  t.deepEqual(order, []);
  next();
  t.deepEqual(order, ['answer', 'other', 'write']);
  t.is(waiting(), 0);
});

test('what defers itself again, and a third round, wait for the next turn', (t) => {
  const { turnEnd, next } = turns();
  const order: string[] = [];
  const again = () => {
    order.push('again');
    turnEnd.defer(again);
  };
  turnEnd.defer(again);
  turnEnd.defer(() => turnEnd.defer(() => turnEnd.defer(() => order.push('third'))));
  next();
  t.deepEqual(order, ['again']);
  next();
  t.deepEqual(order, ['again', 'again', 'third']);
});

test('what throws is thrown, and takes nothing else with it', (t) => {
  const { turnEnd, next } = turns();
  const order: string[] = [];
  turnEnd.defer(() => order.push('first'));
  turnEnd.defer(() => {
    throw new Error('broken');
  });
  turnEnd.defer(() => order.push('last'));
  t.throws(next, { message: 'broken' });
  t.deepEqual(order, ['first']);
  next();
  t.deepEqual(order, ['first', 'last']);
});
