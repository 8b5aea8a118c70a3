import test from 'ava';
import { memoryLog } from '../shared/log/memory.js';
import { HandClock } from '../shared/onion/testing.js';
import { memoryStore } from '../shared/store/memory.js';
import { BandwidthHistory, PERIOD } from './bandwidth.js';
import { loadBandwidth, saveBandwidth } from './bandwidth-state.js';

function history() {
  const clock = new HandClock();
  return { clock, bandwidth: new BandwidthHistory(clock) };
}

test('observed is the lesser direction’s best ten seconds', (t) => {
  const { clock, bandwidth } = history();
  for (let second = 0; second < 30; second++) {
    const busy = second >= 10 && second < 20;
    bandwidth.read(busy ? 1000 : 100);
    bandwidth.written(busy ? 800 : 500);
    clock.pass(1000);
  }
  t.is(bandwidth.observed(), 800);
  t.deepEqual(bandwidth.totals, { read: 12_000, written: 18_000 });
});

test('a pause longer than the ten seconds leaves nothing of before', (t) => {
  const { clock, bandwidth } = history();
  const both = (bytes: number) => {
    bandwidth.read(bytes);
    bandwidth.written(bytes);
  };
  both(500);
  clock.pass(60_500);
  both(400);
  clock.pass(3_000);
  both(400);
  t.is(bandwidth.observed(), 80);
});

test('finished days are kept for five, and so is their best', (t) => {
  const { clock, bandwidth } = history();
  for (let day = 1; day <= 7; day++) {
    bandwidth.read(day * 100_000);
    bandwidth.written(day * 100_000);
    clock.pass(PERIOD);
  }
  const { end, read, written } = bandwidth.history();
  t.is(end, 7 * PERIOD);
  t.deepEqual(read, [300_000, 400_000, 500_000, 600_000, 700_000]);
  t.deepEqual(written, read);
  t.is(bandwidth.observed(), 70_000);
});

test('is found again after a restart; a damaged file is set aside', async (t) => {
  const { clock, bandwidth } = history();
  const store = memoryStore();
  const log = memoryLog();
  bandwidth.read(50_000);
  bandwidth.written(50_000);
  await saveBandwidth(bandwidth, store);
  const again = new BandwidthHistory(clock);
  await loadBandwidth(again, store, log);
  t.is(again.observed(), 5000);
  await store.write('cepa-state/bandwidth', Buffer.from('nonsense'));
  const fresh = new BandwidthHistory(clock);
  await loadBandwidth(fresh, store, log);
  t.is(fresh.observed(), 0);
  t.true(log.has('warn', 'cepa-state/bandwidth'));
});

test('a history of another age is not taken up', (t) => {
  const { clock, bandwidth } = history();
  bandwidth.read(1);
  const saved = bandwidth.save();
  clock.pass(10 * PERIOD);
  const again = new BandwidthHistory(clock);
  again.restore(saved);
  t.is(again.history().read.length, 0);
});
