import test from 'ava';
import { memoryLog } from '../shared/log/memory.js';
import { memoryStore } from '../shared/store/memory.js';
import { BuildTimes, buildTimeoutParams } from './build-timeout.js';
import { guardParams } from './guard-params.js';
import { GuardManager } from './guards.js';
import { loadSaved, Saver } from './saved.js';
import { clientOptions, GUARD, seededRandom, sketchNetwork } from './testing.js';

/** Guards and build times that have changed, over a disk that can be full. */
function setUp() {
  const options = clientOptions();
  const network = sketchNetwork(Array.from({ length: 4 }, () => ({ flags: GUARD })));
  const params = guardParams(network, options);
  const guards = new GuardManager(params, seededRandom(1));
  guards.setNetwork(network, () => true, params, 1_700_000_000_000, true);
  const times = new BuildTimes(buildTimeoutParams((_name, fallback) => fallback, options));
  times.built(125);
  const store = memoryStore();
  const disk = { full: false, writes: 0 };
  const log = memoryLog();
  const saver = new Saver(
    {
      ...store,
      write(name, content) {
        disk.writes++;
        return disk.full ? Promise.reject(new Error('disk full')) : store.write(name, content);
      },
    },
    log,
    guards,
    times,
  );
  const load = () => loadSaved(store, log);
  return { saver, disk, log, load };
}

test('what changed is saved once, and read again', async (t) => {
  const { saver, disk, load } = setUp();
  await saver.save(0);
  await saver.save(1000);
  t.is(disk.writes, 2);
  const { guards, times } = await load();
  t.is(guards?.default.length, 4);
  t.deepEqual(times, [[125, 1]]);
});

for (const [how, now, all] of [
  ['a minute later', 60_000, false],
  ['at the end', 1000, true],
] as const)
  test(`what a full disk did not take is saved ${how}`, async (t) => {
    const { saver, disk, log, load } = setUp();
    disk.full = true;
    await saver.save(0);
    await saver.save(500);
    t.true(log.has('warn', 'disk full'));
    t.is(disk.writes, 2, 'not tried each time');
    disk.full = false;
    await saver.save(now, all);
    const { guards, times } = await load();
    t.is(guards?.default.length, 4);
    t.deepEqual(times, [[125, 1]]);
    await saver.save(now + 60_000, all);
    t.is(disk.writes, 4);
  });
