import test from 'ava';
import fc from 'fast-check';
import { loadOptions } from '../shared/torrc/parse.js';
import { planNetwork } from './plan.js';
import { firstVotes, startEstimate } from './schedule.js';
import { nodeTorrc, type TorrcContext } from './torrc-of.js';

test('the first vote comes right after the estimate, and none before', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 42 }),
      fc.double({ min: 0.1, max: 50, noNaN: true }),
      (now, estimate) => {
        const voting = firstVotes(now, estimate);
        const start = now / 1000;
        // The vote is two delays before the start of an interval.
        const before = 2 * voting.firstDelay;
        const votes = [-2, -1, 0, 1, 2].map(
          (n) => (Math.floor((start + estimate) / voting.first) + n) * voting.first + voting.offset - before,
        );
        const next = votes.filter((vote) => vote >= start + estimate).sort((a, b) => a - b)[0] as number;
        t.true(next - (start + estimate) <= 1, `${next - start} s after the start, estimate ${estimate}`);
        t.true(next - voting.first <= start + 1, 'an earlier vote falls before there is anybody to vote');
      },
    ),
  );
});

test('the estimate grows with the network, and shrinks with cores', (t) => {
  t.is(startEstimate(0, 13, 2), 3.5);
  t.true(startEstimate(0.5, 50, 2) > startEstimate(0.5, 13, 2));
  t.true(startEstimate(0.5, 50, 8) < startEstimate(0.5, 50, 2));
});

test('every torrc of a testnet is one that Cepa takes, whatever the estimate', (t) => {
  const plan = planNetwork({ authorities: 3, relays: 9, exits: 3 }, 20_000);
  const id = { fingerprint: 'A'.repeat(40), v3ident: 'B'.repeat(40) };
  for (const estimate of [1, 5, 9, 14, 25, 100]) {
    const context: TorrcContext = {
      plan,
      directory: '/tmp/net',
      authorities: new Map(plan.nodes.map(({ name }) => [name, id])),
      voting: firstVotes(1_700_000_000_123, estimate),
      socks: '127.0.0.1:9050',
    };
    for (const node of plan.nodes) {
      const files = [{ name: node.name, text: nodeTorrc(node, context) }];
      const { options, warnings } = loadOptions({ files, role: node.role });
      t.is(options.DataDirectory, `/tmp/net/nodes/${node.name}`);
      t.deepEqual(warnings, [], node.name);
    }
  }
});
