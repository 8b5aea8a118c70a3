import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Kind } from './mixed-network.js';
import { membersOf, OnionTest } from './onion-network.js';
import { interopTest } from './programs.js';

const SIZE = 10_000_000;
const SMALL = 100_000;
/**
 * Milliseconds that a service that moved is looked for, seconds as a rule: C tor begins no introduction circuits for
 * five minutes after too many failed (can_service_launch_intro_circuit), which in so small a network they may.
 */
const PATIENCE = 330_000;

/** Each program's client reaches each program's services, in a network of one program's relays. */
async function everyPair(t: ExecutionContext, test: OnionTest): Promise<void> {
  for (const service of ['cepa', 'tor'])
    for (const kind of ['open', 'closed'] as const) {
      const address = await test.address(service, kind);
      for (const client of ['tor', 'cepa']) {
        await test.reachable(client, address);
        const size = client === service ? SMALL : SIZE;
        const seconds = await test.exchange(client, address, size);
        t.log(`${client} -> ${service} ${kind}: ${size} bytes each way, ${seconds.toFixed(1)} s`);
      }
    }
  t.deepEqual(test.warnings('tor'), []);
}

/** Files of a service's directory, by name. */
function filesOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(names.map((path) => [path, readFileSync(path).toString('hex')]));
}

/**
 * The directory that C tor made is hosted by Cepa, then by C tor again; clients that knew the service find it each time.
 * The schedule has to be regular: C tor starts with the consensus it has, and where that is the first one of another
 * schedule, HSDirs refuse its descriptors as older than Cepa's (set_descriptor_revision_counter).
 */
async function moveThereAndBack(t: ExecutionContext, test: OnionTest): Promise<void> {
  const address = await test.address('tor', 'closed');
  const open = await test.address('tor', 'open');
  const before = filesOf(test.folder('tor', 'open'));
  const tor = test.network.tor('tor');
  await tor.stop();
  const host = test.host('tor', 'open');
  const found = async (name: string, where: string) => {
    const began = performance.now();
    await test.reachable('cepa', where, PATIENCE, SMALL);
    t.log(`${name}: found again after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  };
  await found('moved to Cepa', open);
  await host.stop();
  t.deepEqual(filesOf(test.folder('tor', 'open')), before);
  test.restart('tor');
  await found('moved back', open);
  await found('restarted', address);
  t.deepEqual(filesOf(test.folder('tor', 'open')), before);
}

async function inNetworkOf(relays: Kind, body: (test: OnionTest) => Promise<void>): Promise<void> {
  const test = await OnionTest.start({ members: membersOf(relays, 5) });
  try {
    await body(test);
  } finally {
    await test.stop();
  }
}

interopTest(
  ['tor', 'tor-gencert'],
  'services and clients of both programs meet through Cepa relays; a service moves to Cepa and back',
  async (t) => {
    t.timeout(1_800_000);
    await inNetworkOf('cepa', async (test) => {
      await everyPair(t, test);
      await moveThereAndBack(t, test);
    });
  },
);

interopTest(
  ['tor', 'tor-gencert'],
  'services and clients of both programs meet through C tor relays, 10 MB each way, with and without authorization',
  async (t) => {
    t.timeout(600_000);
    await inNetworkOf('tor', (test) => everyPair(t, test));
  },
);
