import test from 'ava';
import { votingSchedule } from '../directory/schedule.js';
import { fc } from '../shared/testing/properties.js';
import { loadOptions } from '../shared/torrc/parse.js';
import type { Role } from '../shared/torrc/table-types.js';
import { planNetwork } from './plan.js';
import { firstVotes, noVotes } from './schedule.js';
import { nodeTorrc, type TorrcContext, type VotingTimes } from './torrc-of.js';

const plan = planNetwork({ authorities: 3, relays: 9, exits: 3 }, 20_000);
const id = { fingerprint: 'A'.repeat(40), v3ident: 'B'.repeat(40) };

const contextOf = (voting: VotingTimes): TorrcContext => ({
  plan,
  directory: '/tmp/net',
  authorities: new Map(plan.nodes.map(({ name }) => [name, id])),
  voting,
  socks: '127.0.0.1:9050',
});

/** The options of a node, as it reads them. */
function optionsOf(role: Role, voting: VotingTimes) {
  const node = plan.nodes.find((each) => each.role === role)!;
  return loadOptions({ files: [{ name: node.name, text: nodeTorrc(node, contextOf(voting)) }], role });
}

const times = fc.integer({ min: 0, max: 2 ** 42 });

test('authorities with the first times vote within the second, and publish two seconds later', (t) => {
  fc.assert(
    fc.property(times, fc.integer({ min: 0, max: 1000 }), (now, late) => {
      const { options } = optionsOf('authority', firstVotes(now));
      const { voteAt, computeAt, validAfter } = votingSchedule(now, options, undefined);
      t.true(voteAt >= now + 200 && voteAt < now + 1200, `${voteAt - now} ms after`);
      t.deepEqual([computeAt - voteAt, validAfter - voteAt], [1000, 2000]);
      // Whoever reads them late votes for the same consensus.
      t.is(votingSchedule(now + late, options, undefined).validAfter, validAfter);
    }),
  );
});

test('the second vote leaves time for the first consensus', (t) => {
  const gaps: number[] = [];
  for (let now = Date.UTC(2026, 1, 1); now < Date.UTC(2026, 1, 2); now += 97_003) {
    const { options } = optionsOf('authority', firstVotes(now));
    const { validAfter } = votingSchedule(now, options, undefined);
    const freshUntil = validAfter + options.V3AuthVotingInterval;
    const first = { validAfter, freshUntil, validUntil: freshUntil, votingDelay: { vote: 4, dist: 4 } };
    gaps.push(votingSchedule(validAfter, options, first).validAfter - validAfter);
  }
  t.true(Math.min(...gaps) >= 5_000 && Math.max(...gaps) <= 40_000);
  t.true(gaps.filter((gap) => gap < 10_000).length < gaps.length / 50);
});

test('authorities that wait for relays have no vote for a quarter of an hour', (t) => {
  fc.assert(
    fc.property(times, (now) => {
      const { options } = optionsOf('authority', noVotes(now));
      t.true(votingSchedule(now, options, undefined).voteAt >= now + 14 * 60_000);
    }),
  );
});

test('every torrc of a testnet is one that Cepa takes', (t) => {
  for (const voting of [noVotes(1_700_000_000_123), firstVotes(1_700_000_000_123)])
    for (const role of ['authority', 'relay', 'client'] as const)
      t.deepEqual(optionsOf(role, voting).warnings, [], role);
});
