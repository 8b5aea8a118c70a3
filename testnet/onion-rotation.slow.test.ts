/** Introduction points over time: they go after so many introductions or so long a life, and clients do not notice. */
import test from 'ava';
import { ServiceIntroPoint } from '../client/hs/service-intro.js';
import { toHex } from '../shared/bytes/text.js';
import { type ClientSite, OnionNetwork } from './testing/sim-onion.js';
import { reachable } from './testing/witness.js';

const START = Date.UTC(2026, 2, 1, 0, 10, 3);
const SECOND = 1000;

const sizeWith = (params: string) => ({
  authorities: 1,
  relays: 12,
  authorityLines: [`ConsensusParams ${params}`],
});

/** The authentication keys of a service's introduction points. */
const introKeys = (site: ClientSite): string[] =>
  reachable(site.node)
    .filter((item) => item instanceof ServiceIntroPoint)
    .filter(({ state }) => state === 'established')
    .map(({ keys }) => toHex(keys.authKey));

test.serial('an introduction point that has introduced enough clients makes room for another', async (t) => {
  const params = 'hs_intro_min_introduce2=2 hs_intro_max_introduce2=2';
  const net = await OnionNetwork.start('spent', START, sizeWith(params));
  const { site, address } = await net.service('service');
  t.true(await net.published(site, 6), site.log.text());
  const keys = new Set(introKeys(site));
  t.is(keys.size, 6);
  const client = await net.client('client');
  const visits = 10;
  for (let i = 0; i < visits; i++) {
    t.is(await net.echo(client, address, `visit ${i}`, `${i}`), `visit ${i}`, client.log.text());
    await net.world.advance(20 * SECOND);
    for (const key of introKeys(site)) keys.add(key);
  }
  // Each of one period's points introduced two clients at most.
  t.true(keys.size >= 3 + visits / 2, `${keys.size} introduction points`);
  t.is(introKeys(site).length, 6);
  await net.stop();
});

test.serial('an introduction point whose time is over makes room for another', async (t) => {
  const params = 'hs_intro_min_lifetime=120 hs_intro_max_lifetime=180';
  const net = await OnionNetwork.start('aged', START, sizeWith(params));
  const { site, address } = await net.service('service');
  t.true(await net.published(site, 6), site.log.text());
  const first = introKeys(site);
  const client = await net.client('client');
  for (let i = 0; i < 8; i++) {
    t.is(await net.echo(client, address, `visit ${i}`, `${i}`), `visit ${i}`, client.log.text());
    await net.world.advance(30 * SECOND);
  }
  const now = introKeys(site);
  t.is(now.length, 6);
  t.deepEqual(
    now.filter((key) => first.includes(key)),
    [],
  );
  await net.stop();
});

test.serial('a service tells its introduction points what it wants to be spared', async (t) => {
  const net = await OnionNetwork.start('spared', START, { authorities: 1, relays: 9 });
  const { site } = await net.service('service', [
    'HiddenServiceEnableIntroDoSDefense 1',
    'HiddenServiceEnableIntroDoSRatePerSec 9',
    'HiddenServiceEnableIntroDoSBurstPerSec 11',
    'HiddenServiceNumIntroductionPoints 4',
  ]);
  t.true(await net.published(site, 6), site.log.text());
  const { relays, authorities } = net.network;
  const asked = [...relays, ...authorities].flatMap(({ node }) =>
    reachable(node).flatMap((item) => ('asked' in item && 'tokens' in item ? [item.asked] : [])),
  );
  // Four for each of the two periods.
  t.deepEqual(
    asked,
    Array.from({ length: 8 }, () => ({ limit: { rate: 9, burst: 11 } })),
  );
  await net.stop();
});
