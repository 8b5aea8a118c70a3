/**
 * What the nodes of a network do first, done once in this process on virtual time, so that V8 has compiled it and the
 * bundle's code cache holds it (testnet/bin/start.cjs): nodes then start with a tenth less CPU time.
 *
 * @module
 */
import { SITE_ADDRESS, Simulation } from '../simulation.js';

const SECOND = 1000;
const START = Date.UTC(2026, 0, 1);
/** Votes every ten seconds. */
const TORRC = [
  'TestingTorNetwork 1',
  'AssumeReachable 1',
  'V3AuthVotingInterval 10 seconds',
  'V3AuthVoteDelay 2 seconds',
  'V3AuthDistDelay 2 seconds',
  'TestingV3AuthInitialVotingInterval 10 seconds',
  'TestingV3AuthInitialVoteDelay 2 seconds',
  'TestingV3AuthInitialDistDelay 2 seconds',
];

/**
 * Starts authorities, relays and a client with an onion service, and fetches a page once there is a consensus, and another
 * through the service. Whether both came.
 */
export async function rehearse(): Promise<boolean> {
  const simulation = new Simulation('rehearsal', START, TORRC);
  const { network, world } = simulation;
  await network.makeAuthorities(2);
  for (const site of network.authorities)
    await network.startAuthority(site, 'TestingDirAuthVoteGuard *', 'TestingDirAuthVoteHSDir *');
  for (const name of ['relay1', 'relay2', 'relay3']) await network.startRelay(name);
  await network.startRelay('exit', 'ExitRelay 1', 'ExitPolicy accept *:*');
  await simulation.openSite();
  await simulation.startClient('HiddenServiceDir /service', `HiddenServicePort 80 ${SITE_ADDRESS}:80`);
  await world.advance(60 * SECOND);
  const came = await simulation.fetch(50_000);
  const [service] = simulation.client.status().onionServices;
  const cameByService = await simulation.fetch(50_000, service!.address);
  await simulation.stop();
  return came && cameByService;
}
