/** A day of a whole network on virtual time. `CEPA_SEED` chooses another one, or repeats one that failed. */
import test, { type ExecutionContext } from 'ava';
import type { Site } from '../directory/simulation.js';
import { verifyConsensus } from '../shared/dir/verify.js';
import type { Consensus } from '../shared/netdoc/types.js';
import { Simulation } from './simulation.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** The looks at the network are ten minutes past the hour. */
const START = Date.UTC(2026, 2, 1, 0, 10);
const SEED = process.env.CEPA_SEED ?? 'a day';

const RELAYS = ['guard1', 'guard2', 'middle', 'exit1', 'exit2'];
const EXIT = ['ExitRelay 1', 'ExitPolicy accept *:*'];
const linesOf = (name: string) => (name.startsWith('exit') ? EXIT : []);

async function begin(seed: string): Promise<Simulation> {
  const simulation = new Simulation(seed, START);
  const { network } = simulation;
  await network.makeAuthorities(3);
  // Half a minute off is within what the schedule bears.
  network.authorities[2]!.host.skew = 30_000;
  for (const site of network.authorities) await network.startAuthority(site);
  for (const name of RELAYS) await network.startRelay(name, ...linesOf(name));
  await simulation.openSite();
  await simulation.startClient();
  return simulation;
}

/** Who has been up or down since when, hours. */
class Attendance {
  readonly up = new Map<string, number>();
  readonly down = new Map<string, number>();

  came(name: string, hour: number): void {
    this.up.set(name, hour);
    this.down.delete(name);
  }
  left(name: string, hour: number): void {
    this.down.set(name, hour);
    this.up.delete(name);
  }
}

function checkConsensus(
  t: ExecutionContext,
  simulation: Simulation,
  attendance: Attendance,
  hour: number,
): Consensus {
  const { authorities } = simulation.network;
  const alive = authorities.filter(({ node }) => node !== undefined);
  const consensus = alive[0]!.node!.cache.consensus('ns')!;
  const at = `hour ${hour}`;
  t.is(consensus.validAfter, START - 10 * MINUTE + hour * HOUR, at);

  // All who live serve the same, in both flavours.
  for (const { node, name } of alive) {
    t.is(node!.cache.consensus('ns')!.text, consensus.text, `${at}, ${name}`);
    t.is(node!.cache.consensus('microdesc')!.validAfter, consensus.validAfter, `${at}, ${name}`);
  }
  const trusted = {
    identities: authorities.map((site) => identityOf(simulation, site)),
    certificate: (identity: string, key: string) => alive[0]!.node!.cache.certificates.get(identity, key),
  };
  const verdict = verifyConsensus(consensus, trusted, simulation.world.now);
  t.true(verdict.ok, at);
  const voted = authorities.filter(({ name }) => (attendance.up.get(name) ?? hour) < hour);
  t.is(verdict.ok ? verdict.signers.length : 0, voted.length, `${at}: signatures`);

  const listed = new Map(consensus.routers.map((router) => [router.nickname, router.flags]));
  for (const [name, since] of attendance.up)
    if (since < hour) t.true(listed.has(name), `${at}: ${name} is up`);
  // Reachability is believed for 45 minutes after the last test.
  for (const [name, since] of attendance.down)
    if (since < hour - 1) t.false(listed.has(name), `${at}: ${name} is down`);
  for (const [name, flags] of listed) {
    t.true(flags.has('Running') && flags.has('Valid') && flags.has('V2Dir'), `${at}: ${name}`);
    t.is(flags.has('Exit'), name.startsWith('exit'), `${at}: ${name}`);
    t.is(flags.has('Authority'), name.startsWith('auth'), `${at}: ${name}`);
  }
  t.true(
    [...listed.values()].some((flags) => flags.has('Guard')),
    at,
  );
  // By then every relay has tested what it can carry; a thousand cells in ten seconds are 51 kB/s.
  for (const { nickname, bandwidth } of consensus.routers)
    if ((attendance.up.get(nickname) ?? hour) < hour - 1)
      t.true(bandwidth >= 50, `${at}: ${nickname}: ${bandwidth}`);
  return consensus;
}

const identities = new WeakMap<Simulation, Map<string, string>>();

/** The identity of an authority, also while it is down. */
function identityOf(simulation: Simulation, site: Site<{ readonly v3ident: string }>): string {
  const known = identities.get(simulation) ?? new Map<string, string>();
  identities.set(simulation, known);
  if (site.node) known.set(site.name, site.node.v3ident);
  return known.get(site.name)!;
}

test('a day: 24 hourly votes, an authority that dies and returns, a wrong clock, relays that come and go', async (t) => {
  t.timeout(900_000);
  t.log(`seed: ${SEED}`);
  const simulation = await begin(SEED);
  const { network, world } = simulation;
  const attendance = new Attendance();
  for (const { name } of [...network.authorities, ...network.relays]) attendance.came(name, 0);

  const relay = (name: string) => network.relays.find((site) => site.name === name)!;
  const crash = (site: Site<unknown>, hour: number) => {
    site.host.crash();
    site.node = undefined;
    attendance.left(site.name, hour);
  };
  const [, auth1, auth2] = network.authorities;
  const revive = async (name: string, hour: number) => {
    network.revive(relay(name));
    await network.startRelayAt(relay(name), ...linesOf(name));
    attendance.came(name, hour);
  };
  const happenings = new Map<number, (hour: number) => unknown>([
    [3, (hour) => crash(relay('middle'), hour)],
    [6, (hour) => crash(auth1!, hour)],
    [7, (hour) => revive('middle', hour)],
    [
      9,
      async (hour) => {
        network.revive(auth1!);
        await network.startAuthority(auth1!);
        attendance.came(auth1!.name, hour);
      },
    ],
    [10, (hour) => crash(relay('exit1'), hour)],
    [
      12,
      async (hour) => {
        await network.startRelay('late');
        attendance.came('late', hour);
      },
    ],
    [13, (hour) => revive('exit1', hour)],
    [
      15,
      () => {
        auth2!.host.skew = -40_000;
      },
    ],
    [17, (hour) => crash(relay('guard1'), hour)],
  ]);

  let last: Consensus | undefined;
  for (let hour = 1; hour <= 25; hour++) {
    await world.advance(START + hour * HOUR - world.now);
    last = checkConsensus(t, simulation, attendance, hour);
    const since = simulation.told.length;
    t.true(
      await simulation.fetch(50_000),
      `hour ${hour}: the page comes as it is\n${simulation.clientLog.text()}`,
    );
    const used = simulation.told
      .slice(since)
      .flatMap(({ event }) => (event.type === 'circuit' && event.state === 'used' ? [event.path] : []));
    t.true(used.length > 0 && used.every((path) => new Set(path).size === 3), `hour ${hour}: three hops`);
    await happenings.get(hour)?.(hour);
  }
  // Midnight brought a value all agree on, out of what was revealed.
  t.true(last!.sharedRandCurrent!.reveals >= 2);
  await simulation.stop();
});

test('the same seed gives the same run, another one another', async (t) => {
  t.timeout(900_000);
  const runOf = async (seed: string) => {
    const simulation = await begin(seed);
    await simulation.world.advance(80 * MINUTE);
    t.true(await simulation.fetch(20_000));
    await simulation.stop();
    return simulation.trace;
  };
  const first = await runOf('again');
  t.true(first.length > 50);
  t.deepEqual(await runOf('again'), first);
  t.notDeepEqual(await runOf('other'), first);
});
