import test from 'ava';
import { seededRandom } from '../runtime/sim/random.js';
import { fc } from '../testing/properties.js';
import { cacheFetchTime, clientFetchTime, nextDelay } from './schedule.js';

const HOUR = 3_600_000;
const hourly = { validAfter: 0, freshUntil: HOUR, validUntil: 3 * HOUR };

test('caches fetch within the first half of the next interval, clients later', (t) => {
  const random = seededRandom('schedule', 'fetch');
  for (let i = 0; i < 200; i++) {
    const cache = cacheFetchTime(hourly, random);
    t.true(cache >= HOUR + 120_000 && cache <= HOUR + 120_000 + HOUR / 2);
    const client = clientFetchTime(hourly, random);
    t.true(client >= 1.75 * HOUR && client <= 1.75 * HOUR + (1.25 * HOUR * 7) / 8);
  }
});

test('whatever the times, a fetch falls between the end of freshness and the end of validity', (t) => {
  const random = seededRandom('schedule', 'any');
  fc.assert(
    fc.property(
      fc.integer({ min: 1000, max: HOUR }),
      fc.integer({ min: 0, max: 5 * HOUR }),
      (interval, extra) => {
        const times = { validAfter: 0, freshUntil: interval, validUntil: interval + extra };
        const at = clientFetchTime(times, random);
        return at >= times.freshUntil && at <= Math.max(times.validUntil, times.freshUntil);
      },
    ),
  );
  t.pass();
});

test('delays grow, jitter, and stay within bounds', (t) => {
  const random = seededRandom('schedule', 'delay');
  let delay = 0;
  for (let i = 0; i < 100; i++) {
    delay = nextDelay(delay, 1000, 60_000, random);
    t.true(delay >= 1000 && delay <= 60_000);
  }
});
