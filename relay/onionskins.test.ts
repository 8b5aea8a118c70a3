import test from 'ava';
import { HandClock } from '../shared/onion/testing.js';
import { OnionskinQueue } from './onionskins.js';

function queue(limits = { maxDelay: 1750, waitCutoff: 5000 }) {
  const clock = new HandClock();
  const done: string[] = [];
  const skins = new OnionskinQueue(clock, () => limits);
  const skin = (name: string) => ({
    answer: () => void done.push(name),
    dropped: () => void done.push(`-${name}`),
  });
  return { clock, done, skins, skin };
}

test('answers in turn, some each turn', (t) => {
  const { clock, done, skins, skin } = queue();
  for (let i = 0; i < 20; i++) skins.add(skin(`${i}`));
  t.deepEqual(done, []);
  clock.pass(0);
  t.is(done.length, 20);
  t.deepEqual(done.slice(0, 3), ['0', '1', '2']);
  t.deepEqual(skins.counts, { waiting: 0, answered: 20, dropped: 0 });
});

test('full, it drops the oldest', (t) => {
  const { done, skins, skin } = queue({ maxDelay: 1, waitCutoff: 5000 });
  for (let i = 0; i < 51; i++) skins.add(skin(`${i}`));
  t.deepEqual(done, ['-0']);
  t.is(skins.counts.waiting, 50);
});

test('what has waited too long is dropped', (t) => {
  const { clock, done, skins, skin } = queue({ maxDelay: 1750, waitCutoff: 5000 });
  const held = clock.defer.bind(clock);
  let run: (() => void) | undefined;
  clock.defer = (work) => {
    run = work;
  };
  skins.add(skin('old'));
  clock.pass(6000);
  skins.add(skin('new'));
  clock.defer = held;
  run?.();
  t.deepEqual(done, ['-old', 'new']);
});

test('what was cancelled is not answered', (t) => {
  const { clock, done, skins, skin } = queue();
  const gone = skin('gone');
  skins.add(gone);
  skins.add(skin('here'));
  skins.cancel(gone);
  clock.pass(0);
  t.deepEqual(done, ['here']);
});
