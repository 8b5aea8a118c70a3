import type { ExecutionContext } from 'ava';
import type { Kind } from './mixed-network.js';
import { membersOf, OnionTest } from './onion-network.js';
import { interopTest } from './programs.js';
import { unusualWarnings } from './warnings.js';

const SIZE = 10_000_000;

/** Each program's client reaches each program's services, in a network of one program's relays. */
async function everyPair(t: ExecutionContext, relays: Kind): Promise<void> {
  t.timeout(600_000);
  const test = await OnionTest.start(membersOf(relays, 5));
  try {
    for (const service of ['cepa', 'tor'])
      for (const kind of ['open', 'closed'] as const) {
        const address = await test.address(service, kind);
        for (const client of ['tor', 'cepa']) {
          const began = performance.now();
          await test.exchange(client, address, SIZE, 150_000);
          t.log(`${client} -> ${service} ${kind}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
        }
      }
    t.deepEqual(unusualWarnings(test.network.tor('tor').warnings), []);
  } finally {
    await test.stop();
  }
}

interopTest(
  ['tor', 'tor-gencert'],
  'services and clients of both programs meet through Cepa relays, 10 MB each way, with and without authorization',
  (t) => everyPair(t, 'cepa'),
);

interopTest(
  ['tor', 'tor-gencert'],
  'services and clients of both programs meet through C tor relays, 10 MB each way, with and without authorization',
  (t) => everyPair(t, 'tor'),
);
