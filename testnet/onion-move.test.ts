/** A service whose directory moves to another machine is found there, whatever time of its period it is. */
import test from 'ava';
import { ServicePeriod } from '../client/hs/service-period.js';
import { memoryStore } from '../shared/store/memory.js';
import { type ClientSite, OnionNetwork } from './testing/sim-onion.js';
import { reachable } from './testing/witness.js';

const START = Date.UTC(2026, 2, 1, 0, 10, 3);
const SECOND = 1000;
/** Between moves: 7 of them go over a period of 8 minutes. */
const STEP = 71 * SECOND;
const MOVES = 7;
/** Milliseconds by which the clock of every other host is ahead: its successor's descriptors are not newer at first. */
const AHEAD = 5 * SECOND;

/** Asks once a second until the service answers, until the next move. */
async function found(net: OnionNetwork, client: ClientSite, address: string, name: string): Promise<boolean> {
  const until = net.world.now + STEP - 5 * SECOND;
  for (let tries = 0; net.world.now < until; tries++)
    try {
      return (await net.echo(client, address, name, `${name} ${tries}`)) === name;
    } catch {
      await net.world.advance(SECOND);
    }
  return false;
}

test('a service that moves is found at its new host, also when the old one published by a clock that is ahead', async (t) => {
  const net = await OnionNetwork.start('moves', START, { authorities: 1, relays: 5 });
  const directory = memoryStore();
  let { site, address } = await net.service('host', [], directory, AHEAD);
  t.true(await net.published(site, 5), site.log.text());
  const client = await net.client('client');
  t.true(await found(net, client, address, 'first'), client.log.text());
  for (let i = 1; i <= MOVES; i++) {
    const began = net.world.now;
    // What it publishes is as new as can be.
    for (const item of reachable(site.node)) if (item instanceof ServicePeriod) item.republish();
    await net.world.advance(2 * SECOND);
    site.host.crash();
    net.clients.splice(net.clients.indexOf(site), 1);
    ({ site } = await net.service(`host${i}`, [], directory, i % 2 === 0 ? AHEAD : 0));
    t.true(await found(net, client, address, `move ${i}`), `${site.log.text()}\n${client.log.text()}`);
    if (i % 2 === 1) t.true(site.log.has('info', 'an HSDir refused a descriptor'), site.log.text());
    await net.world.advance(Math.max(0, began + STEP - net.world.now));
  }
  await net.stop();
});
