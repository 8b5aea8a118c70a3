import test from 'ava';
import { OnionNetwork } from './testing/sim-onion.js';

const START = Date.UTC(2026, 2, 1, 0, 10, 3);

test('a client reaches a service, and a service that knows it not', async (t) => {
  const net = await OnionNetwork.start('reach', START, { authorities: 3, relays: 9 });
  const { site, address } = await net.service('service');
  t.true(await net.published(site, 6), site.log.text());
  const client = await net.client('client');
  t.is(await net.echo(client, address, 'hello there'), 'hello there', client.log.text());
  await net.stop();
});
