import test from 'ava';
import { Network } from './simulation.js';

const START = Date.UTC(2026, 2, 1, 0, 0, 3);
const SECOND = 1000;

const PACE = [
  'V3AuthVotingInterval 20 seconds',
  'V3AuthVoteDelay 4 seconds',
  'V3AuthDistDelay 4 seconds',
  'TestingV3AuthInitialVotingInterval 20 seconds',
  'TestingV3AuthInitialVoteDelay 4 seconds',
  'TestingV3AuthInitialDistDelay 4 seconds',
];

test('three authorities and two relays make a consensus', async (t) => {
  const network = new Network('three', START, ...PACE);
  await network.makeAuthorities(3);
  for (const site of network.authorities) await network.startAuthority(site);
  await network.startRelay('exit', 'ExitRelay 1', 'ExitPolicy accept *:*');
  await network.startRelay('middle');
  await network.world.advance(40 * SECOND);
  const texts = network.authorities.map(({ node }) => node!.cache.consensus('ns')?.text);
  t.truthy(texts[0], network.authorities[0]!.log.text());
  t.is(texts[1], texts[0]);
  t.is(texts[2], texts[0]);
  const consensus = network.authorities[0]!.node!.cache.consensus('ns')!;
  t.is(consensus.signatures.length, 3);
  t.is(consensus.routers.length, 5);
  await network.stop();
});
