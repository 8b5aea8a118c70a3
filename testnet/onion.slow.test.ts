import test, { type ExecutionContext } from 'ava';
import { DescriptorCache, type KnownService } from '../client/hs/descriptors.js';
import { HsDirectory } from '../client/hs/directory.js';
import { concat, toHex } from '../shared/bytes/text.js';
import { memoryStore } from '../shared/store/memory.js';
import { type ClientSite, OnionNetwork } from './testing/sim-onion.js';
import { reachable } from './testing/witness.js';

const START = Date.UTC(2026, 2, 1, 0, 10, 3);
const SECOND = 1000;
/** Its introduction points are not authorities: those are not to die here. */
const RELAYS_ONLY = ['ExcludeNodes 127.10.0.1'];
const SIZE = { authorities: 3, relays: 9 };

/** What a client has of the one service it knows. */
function known({ node }: ClientSite): { service: KnownService; directory: HsDirectory } {
  const items = reachable(node);
  const cache = items.find((item) => item instanceof DescriptorCache)!;
  const [service] = reachable(cache).filter(
    (item): item is KnownService => 'revision' in item && 'names' in item,
  );
  const directory = items.findLast((item) => item instanceof HsDirectory)!;
  return { service: service!, directory };
}

/** Fingerprints of its introduction points. */
const introPointsOf = (client: ClientSite): string[] =>
  known(client).service.content.introPoints.map(({ linkSpecifiers }) => {
    const rsa = linkSpecifiers.find((each) => each.type === 'rsa') as { id: Uint8Array } | undefined;
    return toHex(rsa!.id);
  });

/** Fingerprints of the HSDirs that have, or may have, its descriptor. */
function hsDirsOf(client: ClientSite): string[] {
  const { service, directory } = known(client);
  const slot = directory.keys.store.findIndex(({ period }) => period.number === service.names.period.number);
  return directory.storeAt(slot as 0 | 1, service.names.blindedKey).map(({ id }) => id);
}

const siteOf = (net: OnionNetwork, id: string) =>
  net.network.relays.find(({ node }) => node?.status().fingerprint === id);

/** Asks until it is answered: a relay that just died may be next to our guard, too. */
async function patient(net: OnionNetwork, client: ClientSite, address: string): Promise<string> {
  for (let tries = 1; ; tries++)
    try {
      return await net.echo(client, address, 'patient', `${client.name} ${tries}`);
    } catch (error) {
      if (tries > 3) throw error;
      await net.world.advance(15 * SECOND);
    }
}

/** Relays die; who knows the service and who does not find it; the relays come back. */
async function without(
  t: ExecutionContext,
  net: OnionNetwork,
  address: string,
  choose: (client: ClientSite) => readonly string[],
): Promise<void> {
  const turn = Math.round((net.world.now - START) / SECOND);
  const before = await net.client(`before${turn}`);
  t.is(await net.echo(before, address, 'whole'), 'whole', before.log.text());
  const dying = choose(before).map((id) => siteOf(net, id)!);
  t.true(dying.length > 0 && dying.every((site) => site !== undefined), 'all are relays');
  for (const site of dying) net.crash(site);
  t.is(await patient(net, before, address), 'patient', before.log.text());
  const after = await net.client(`after${turn}`);
  t.is(await patient(net, after, address), 'patient', after.log.text());
  for (const site of [before, after]) await net.leave(site);
  for (const site of dying) {
    net.network.revive(site);
    await net.network.startRelayAt(site, 'ExitRelay 0');
  }
  // Until the next votes have them.
  await net.world.advance(60 * SECOND);
}

test.serial('a service stays reachable when any one or two of its introduction points die', async (t) => {
  t.timeout(600_000);
  const net = await OnionNetwork.start('introduction points', START, { authorities: 1, relays: 14 });
  const { site, address } = await net.service('service', RELAYS_ONLY);
  for (const chosen of [[0], [1], [2], [0, 1], [0, 2], [1, 2]]) {
    t.true(await net.published(site, 6), site.log.text());
    await without(t, net, address, (client) => {
      const points = introPointsOf(client);
      t.is(points.length, 3);
      return points.filter((_, i) => chosen.includes(i));
    });
  }
  await net.stop();
});

test.serial('a service stays reachable when half of its HSDirs die, either half', async (t) => {
  t.timeout(600_000);
  const net = await OnionNetwork.start('HSDirs', START, { authorities: 1, relays: 14 });
  const { site, address } = await net.service('service', RELAYS_ONLY);
  for (const rest of [0, 1]) {
    t.true(await net.published(site, 8), site.log.text());
    await without(t, net, address, (client) => {
      const directories = hsDirsOf(client);
      t.is(directories.length, 8);
      return directories.filter((_, i) => i % 2 === rest);
    });
  }
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
