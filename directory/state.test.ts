import test from 'ava';
import { memoryLog } from '../shared/log/memory.js';
import { memoryStore } from '../shared/store/memory.js';
import { encodeState } from '../shared/store/state.js';
import { fc } from '../shared/testing/properties.js';
import { RouterHistory } from './router-history.js';
import { loadHistory, loadSharedRandom, saveHistory, saveSharedRandom } from './state.js';
import { NOW } from './testing.js';

const A = 'A'.repeat(40);

test('histories come back as they were', async (t) => {
  const store = memoryStore();
  const history = new RouterHistory();
  history.reachable(A, '1.2.3.4:9001', NOW, 0);
  history.unreachable(A, NOW + 5000);
  const saved = { history: history.snapshot(NOW + 9000), reached: [[A, NOW]] as [string, number][] };
  await saveHistory(store, saved);
  t.deepEqual(await loadHistory(store, memoryLog()), saved);
});

test('shared randomness comes back as it was', async (t) => {
  const store = memoryStore();
  const commit = { version: 1, algorithm: 'sha3-256', identity: A, commit: 'x', reveal: undefined };
  const snapshot = {
    validAfter: NOW,
    validUntil: NOW + 1,
    commits: [commit, { ...commit, identity: 'B'.repeat(40), reveal: 'y' }],
    previous: undefined,
    current: { reveals: 3, value: new Uint8Array(32).fill(1) },
  };
  await saveSharedRandom(store, snapshot);
  t.deepEqual(await loadSharedRandom(store, memoryLog()), snapshot);
});

test('whatever else the files hold is set aside, never taken', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), async (value) => {
      const store = memoryStore();
      store.files.set('cepa-state/router-history', encodeState(1, value));
      store.files.set('cepa-state/shared-random', encodeState(1, value));
      t.is(await loadHistory(store, memoryLog()), undefined);
      t.is(await loadSharedRandom(store, memoryLog()), undefined);
      t.is([...store.files.keys()].filter((name) => name.includes('damaged')).length, 2);
    }),
    { numRuns: 50 },
  );
});
