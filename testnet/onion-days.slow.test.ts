/**
 * Three days of an onion service on virtual time, with the public network's intervals: hourly votes, periods of a day
 * from noon to noon, a new shared random value every midnight. `CEPA_SEED` chooses another run, or repeats one.
 */
import test from 'ava';
import { type ClientSite, OnionNetwork, PUBLIC } from './testing/sim-onion.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const MIDNIGHT = Date.UTC(2026, 2, 1);
const START = MIDNIGHT + 10 * MINUTE;
const SEED = process.env.CEPA_SEED ?? 'three days';
const HOURS = 74;
/** Virtual milliseconds a page may take: less than any wait for somebody who is not there. */
const SWIFT = 10_000;
/** The same while a relay that has died is still in the consensus: the service may have tried in vain to come. */
const PATIENT = 100_000;
/** And for how long that is. */
const MOURNING = 2 * HOUR;
/** Clients do not measure circuits all day long: it would double the cost of the run. */
const QUIET = ['LearnCircuitBuildTimeout 0'];

/** Clients that come knowing nothing, around noon and midnight, and their clocks' errors in hours. */
const NEWCOMERS: readonly (readonly [hour: number, minute: number, skew: number])[] = [
  [11, 50, 0],
  [12, 2, 0],
  [12, 58, 0],
  [23, 50, 0],
  [24, 2, 0],
  [24, 58, 0],
  // A period later, with clocks that are wrong: two hours ahead (a consensus that has expired is refused), hours behind.
  [35, 50, 2],
  [36, 5, -2],
  [36, 30, -20],
  [47, 50, 2],
  [48, 5, -2],
  [48, 30, -12],
  [60, 10, 0],
  [71, 59, 0],
];

/** Relays that come (a new name) and go, and when. */
const CHANGES: readonly (readonly [hour: number, relay: string])[] = [
  [8, 'relay1'],
  [15, 'late1'],
  [27, 'relay2'],
  [33, 'late2'],
  [50, 'late1'],
  [56, 'late3'],
];

test('three days: a service is found through new periods, new random values, relays that come and go', async (t) => {
  t.timeout(900_000);
  t.log(`seed: ${SEED}`);
  const net = await OnionNetwork.start(SEED, START, { authorities: 1, relays: 9 }, PUBLIC, 5000);
  const { world, network } = net;
  const at = (hour: number, minute: number) =>
    world.advance(MIDNIGHT + hour * HOUR + minute * MINUTE - world.now);
  await at(1, 10);
  const { site, address } = await net.service('service', QUIET);
  t.true(await net.published(site, 6), site.log.text());
  const steady = await net.client('steady', QUIET);

  let died = Number.NEGATIVE_INFINITY;
  const fetch = async (client: ClientSite, when: string) => {
    const before = world.now;
    const answer = await net.echo(client, address, when, when).catch((error: Error) => error.message);
    t.is(answer, when, `${client.name}\n${client.log.text()}\n${site.log.text()}`);
    const took = world.now - before;
    t.true(
      took < (before - died < MOURNING ? PATIENT : SWIFT),
      `${when}: ${client.name} took ${Math.round(took)} ms\n${client.log.text()}`,
    );
  };
  const newcomer = async (hour: number, minute: number, skew: number) => {
    const fresh = await net.client(`fresh${hour}h${minute}`, QUIET, undefined, skew * HOUR);
    t.true(await net.ready(fresh), fresh.log.text());
    await fetch(fresh, fresh.name);
    await net.leave(fresh);
  };
  const change = async (name: string) => {
    const there = network.relays.find((relay) => relay.name === name);
    if (!there) {
      await network.startRelay(name);
      return;
    }
    net.crash(there);
    died = world.now;
  };

  const periods = new Set<number>();
  const plan: { hour: number; minute: number; run(): Promise<void> }[] = [];
  // At another minute each hour: consensuses are fetched at times of their own.
  for (let hour = 2; hour <= HOURS; hour += 2)
    plan.push({ hour, minute: (hour * 7) % 60, run: () => fetch(steady, `hour ${hour}`) });
  for (const [hour, minute, skew] of NEWCOMERS)
    plan.push({ hour, minute, run: () => newcomer(hour, minute, skew) });
  for (const [hour, relay] of CHANGES) plan.push({ hour, minute: 30, run: () => change(relay) });
  plan.sort((a, b) => a.hour - b.hour || a.minute - b.minute);
  for (const { hour, minute, run } of plan) {
    await at(hour, minute);
    for (const { period } of site.node.status().onionServices[0]!.descriptors) periods.add(period);
    await run();
  }
  // Two at a time, another one from each midnight on.
  t.is(periods.size, 5);
  await net.stop();
});
