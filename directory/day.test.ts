import test from 'ava';
import type { NodeEvent } from '../shared/runtime/env.js';
import { Network } from './simulation.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const START = Date.UTC(2026, 2, 1, 0, 10);

const HOURLY = ['DirAllowPrivateAddresses 1', 'ExtendAllowPrivateAddresses 1', 'AssumeReachable 1'];

/** valid-after of what an authority published. */
const publishedBy = (events: readonly NodeEvent[]): number[] =>
  events
    .filter((e) => e.type === 'voting' && e.step === 'published')
    .map((e) => (e.type === 'voting' ? e.validAfter : 0));

test('a day of hourly votes, with an authority that dies and returns, a wrong clock, and relays that come and go', async (t) => {
  const network = new Network('a day', START, ...HOURLY);
  const { world, authorities } = network;
  await network.makeAuthorities(3);
  const [first, second, third] = authorities;
  // Half a minute off is within what the schedule bears.
  third!.host.skew = 30_000;
  for (const site of authorities) await network.startAuthority(site);
  const early = await network.startRelay('early');
  await network.startRelay('steady', 'ExitRelay 1', 'ExitPolicy accept *:*');

  await world.advance(5 * HOUR);
  await network.startRelay('late');
  await world.advance(2 * HOUR);
  const listed = () =>
    first!
      .node!.cache.consensus('ns')!
      .routers.map(({ nickname }) => nickname)
      .sort();
  t.deepEqual(listed(), ['auth0', 'auth1', 'auth2', 'early', 'late', 'steady']);

  early.host.crash();
  early.node = undefined;
  second!.host.crash();
  second!.node = undefined;
  await world.advance(3 * HOUR);
  const without = first!.node!.cache.consensus('ns')!;
  t.is(without.signatures.length, 2);
  t.deepEqual(listed(), ['auth0', 'auth2', 'late', 'steady']);

  network.revive(second!);
  await network.startAuthority(second!);
  await world.advance(15 * HOUR);
  const last = first!.node!.cache.consensus('ns')!;
  t.is(last.validAfter, Date.UTC(2026, 2, 2, 1));
  t.is(last.signatures.length, 3);
  t.deepEqual(listed(), ['auth0', 'auth1', 'auth2', 'late', 'steady']);
  for (const site of authorities) t.is(site.node!.cache.consensus('ns')!.text, last.text);
  // Every hour of the day, and the first half hour, had its consensus.
  const hours = new Set(publishedBy(first!.events));
  for (let hour = 2; hour <= 25; hour++) t.true(hours.has(Date.UTC(2026, 2, 1, hour)), `hour ${hour}`);
  // Midnight brought a value from the reveals of those that took part from the start.
  t.true(last.sharedRandCurrent!.reveals >= 2);
  await network.stop();
});
