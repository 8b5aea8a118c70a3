import test from 'ava';
import { createDirServer } from '../shared/dir/server.js';
import { memoryLog } from '../shared/log/memory.js';
import type { NodeEvent } from '../shared/runtime/env.js';
import { SimWorld } from '../shared/runtime/sim/world.js';
import type { DirAuthorityOption } from '../shared/torrc/options.js';
import { Authorities } from './authorities.js';
import { PUBLIC_TIMES, Publisher } from './publish.js';

const HOUR = 3_600_000;

/** A relay and two authorities; `status` is what they answer. */
async function publishing() {
  const world = new SimWorld('publish', Date.UTC(2026, 0, 1));
  const uploads: { to: string; body: string }[] = [];
  const state = {
    status: 200,
    observed: 1000,
    complaint: undefined as string | undefined,
    address: true,
    may: true,
  };
  const options: DirAuthorityOption[] = [];
  const hosts = [];
  for (const n of [1, 2]) {
    const host = world.host(`127.${n}.0.1`);
    hosts.push(host);
    const server = createDirServer(
      {
        get: () => ({ status: 404 }),
        post: (path, body) => {
          uploads.push({ to: `${n} ${path}`, body: Buffer.from(body).toString('latin1') });
          return { status: state.status, reason: state.status === 200 ? 'OK' : 'Not like this' };
        },
      },
      { log: memoryLog(), clock: host.clock },
    );
    await server.listen(host.transport, { host: host.address, port: 7000 });
    options.push({
      nickname: `auth${n}`,
      address: host.address,
      dirPort: 7000,
      orPort: 9001,
      v3Ident: undefined,
      fingerprint: `${n}`.repeat(40),
      ipv6: undefined,
    });
  }
  const own = world.host('127.3.0.1');
  const log = memoryLog();
  const events: NodeEvent[] = [];
  let made = 0;
  const publisher = new Publisher({
    ...own,
    log,
    authorities: new Authorities(options, { ...own, localHost: undefined, timeout: 10_000 }),
    upload: () => state.may,
    times: PUBLIC_TIMES,
    build: () => (state.address ? { descriptor: `router ${++made}\n`, extraInfo: 'extra\n' } : undefined),
    observed: () => state.observed,
    complaint: () => state.complaint,
    report: (event) => void events.push(event),
  });
  return { world, publisher, uploads, state, events, log, hosts };
}

test('uploads both documents in one POST to every authority, and reports each that took them', async (t) => {
  const { world, publisher, uploads, events } = await publishing();
  publisher.start();
  await world.advance(5_000);
  t.deepEqual(uploads.map(({ to }) => to).sort(), ['1 /tor/', '2 /tor/']);
  t.is(uploads[0]!.body, 'router 1\nextra\n');
  t.deepEqual(events, [
    { type: 'published', authorities: 1 },
    { type: 'published', authorities: 2 },
  ]);
  t.is(publisher.acceptedBy.size, 2);
  publisher.stop();
});

test('makes a new one after 18 hours, on change, and when the bandwidth is another', async (t) => {
  const { world, publisher, uploads, state } = await publishing();
  publisher.start();
  await world.advance(17 * HOUR);
  t.is(uploads.length, 2);
  await world.advance(2 * HOUR);
  t.is(uploads.length, 4);
  publisher.changed('something');
  await world.advance(5_000);
  t.is(uploads.length, 6);
  state.observed = 5000;
  await world.advance(HOUR);
  t.is(uploads.length, 6);
  await world.advance(3 * HOUR);
  t.is(uploads.length, 8);
  // At once where it was tested, and nothing where the test shows what is told already.
  publisher.tested();
  await world.advance(5_000);
  t.is(uploads.length, 8);
  state.observed = 50_000;
  publisher.tested();
  await world.advance(5_000);
  t.is(uploads.length, 10);
  publisher.stop();
});

test('a consensus that misses the relay makes it publish again, not at once', async (t) => {
  const { world, publisher, uploads, state } = await publishing();
  publisher.start();
  state.complaint = 'not listed';
  await world.advance(HOUR);
  t.is(uploads.length, 2);
  await world.advance(HOUR);
  t.is(uploads.length, 4);
  publisher.stop();
});

test('tries an authority again that cannot be reached', async (t) => {
  const { world, publisher, uploads, hosts, events } = await publishing();
  world.cut('127.3.0.1', '127.2.0.1');
  publisher.start();
  await world.advance(60_000);
  t.is(uploads.length, 1);
  world.mend('127.3.0.1', '127.2.0.1');
  await world.advance(20 * 60_000);
  t.is(uploads.length, 2);
  t.is(events.length, 2);
  t.is(hosts.length, 2);
  publisher.stop();
});

test('tries no authority again while nothing is to be published', async (t) => {
  const { world, publisher, uploads, state } = await publishing();
  world.cut('127.3.0.1', '127.2.0.1');
  publisher.start();
  await world.advance(60_000);
  t.is(uploads.length, 1);
  state.may = false;
  world.mend('127.3.0.1', '127.2.0.1');
  await world.advance(4 * HOUR);
  t.is(uploads.length, 1);
  state.may = true;
  await world.advance(2 * HOUR);
  t.is(uploads.length, 2);
  publisher.stop();
});

test('a refusal is a warning with the authority’s reason, and is not pressed', async (t) => {
  const { world, publisher, uploads, state, log, events } = await publishing();
  state.status = 400;
  publisher.start();
  await world.advance(30 * 60_000);
  t.is(uploads.length, 2);
  t.true(log.has('warn', 'auth1 refused our descriptor: 400 Not like this'));
  t.deepEqual(events, []);
  publisher.stop();
});

test('waits for an address', async (t) => {
  const { world, publisher, uploads, state } = await publishing();
  state.address = false;
  publisher.start();
  await world.advance(60_000);
  t.is(uploads.length, 0);
  state.address = true;
  publisher.changed('the address is known');
  await world.advance(5_000);
  t.is(uploads.length, 2);
  publisher.stop();
});
