import test from 'ava';
import { concat } from '../shared/bytes/text.js';
import { memoryStore } from '../shared/store/memory.js';
import { type ClientSite, OnionNetwork } from './testing/sim-onion.js';

const START = Date.UTC(2026, 2, 1, 0, 10, 3);
const SECOND = 1000;
const SIZE = { authorities: 3, relays: 9 };

/** Asks until it is answered, for two minutes: relays that just died are chosen until it is known. */
async function patient(net: OnionNetwork, client: ClientSite, address: string): Promise<string> {
  for (let tries = 1; ; tries++)
    try {
      return await net.echo(client, address, 'patient', `try ${tries}`);
    } catch (error) {
      if (tries > 8) throw error;
      await net.world.advance(15 * SECOND);
    }
}

test.serial('a service stays reachable when introduction points and half of its HSDirs die', async (t) => {
  const net = await OnionNetwork.start('losses', START, { authorities: 3, relays: 14 });
  const { site, address } = await net.service('service');
  t.true(await net.published(site, 7), site.log.text());
  const before = await net.client('before');
  t.is(await net.echo(before, address, 'whole'), 'whole');

  // Introduction points and HSDirs are drawn from all relays: of six that die, some are each.
  for (const relay of net.network.relays.slice(0, 6)) {
    relay.host.crash();
    relay.node = undefined;
  }
  await net.world.advance(150 * SECOND);
  const after = await net.client('after');
  t.is(await patient(net, after, address), 'patient', after.log.text());
  t.is(await patient(net, before, address), 'patient', before.log.text());
  await net.stop();
});

test.serial('keys and address live in the service’s directory through a restart', async (t) => {
  const net = await OnionNetwork.start('restart', START, SIZE);
  const directory = memoryStore();
  const { site, address } = await net.service('service', [], directory);
  t.true(await net.published(site, 6));
  t.is(Buffer.from(directory.files.get('hostname')!).toString(), `${address}\n`);
  const kept = concat(directory.files.get('hs_ed25519_secret_key')!);
  site.host.crash();
  net.clients.splice(net.clients.indexOf(site), 1);
  await net.world.advance(10 * SECOND);
  const again = await net.service('again', [], directory);
  t.is(again.address, address);
  t.deepEqual(concat(directory.files.get('hs_ed25519_secret_key')!), kept);
  t.true(await net.published(again.site, 6), again.site.log.text());
  const client = await net.client('client');
  t.is(await net.echo(client, address, 'hello again'), 'hello again', client.log.text());
  await net.stop();
});
