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

/** A queue whose bursts are answered elsewhere, when `finish` is called. */
function helped(batches: number, limits = { maxDelay: 1750, waitCutoff: 5000 }) {
  const clock = new HandClock();
  const done: string[] = [];
  const batchesOut: { names: string[]; finish: () => void }[] = [];
  const skin = (name: string) => ({
    name,
    answer: () => void done.push(`here ${name}`),
    dropped: () => void done.push(`-${name}`),
  });
  const skins = new OnionskinQueue<ReturnType<typeof skin>>(clock, () => limits, {
    batches,
    answer: (batch, finish) => void batchesOut.push({ names: batch.map(({ name }) => name), finish }),
  });
  return { clock, done, skins, skin, batchesOut };
}

test('one by itself is answered here, many elsewhere, so many batches at a time', (t) => {
  const { clock, done, skins, skin, batchesOut } = helped(2);
  skins.add(skin('alone'));
  clock.pass(0);
  t.deepEqual(done, ['here alone']);
  for (let i = 0; i < 50; i++) skins.add(skin(`${i}`));
  clock.pass(0);
  t.deepEqual(
    batchesOut.map(({ names }) => names.length),
    [16, 16],
  );
  t.is(batchesOut[1]!.names[0], '16');
  t.deepEqual(skins.counts, { waiting: 18, answered: 1, dropped: 0 });
  clock.pass(0);
  t.is(batchesOut.length, 2, 'nothing more is handed out');
  batchesOut[0]!.finish();
  clock.pass(0);
  t.is(batchesOut.length, 3);
  batchesOut[1]!.finish();
  batchesOut[2]!.finish();
  clock.pass(0);
  batchesOut[3]!.finish();
  t.deepEqual(skins.counts, { waiting: 0, answered: 51, dropped: 0 });
});

test('a flood that is answered elsewhere is bounded by what that takes', (t) => {
  const { clock, done, skins, skin, batchesOut } = helped(1, { maxDelay: 100, waitCutoff: 5000 });
  for (let i = 0; i < 300; i++) skins.add(skin(`${i}`));
  // 16 take 32 ms, 2 ms each: soon no more wait than 100 ms allow.
  for (let round = 0; round < 200; round++) {
    clock.pass(32);
    batchesOut.at(-1)!.finish();
    clock.pass(0);
    for (let i = 0; i < 32; i++) skins.add(skin(`${round} ${i}`));
  }
  t.is(skins.counts.waiting, 50);
  t.true(done.every((name) => name.startsWith('-')));
});
