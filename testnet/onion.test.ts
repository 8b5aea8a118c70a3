import test from 'ava';
import { encodeAuthorizedClient, encodeClientAuthorization } from '../shared/crypto/hs-keyfiles.js';
import { parseOnionAddress } from '../shared/crypto/onion-address.js';
import { generateX25519, type X25519KeyPair } from '../shared/crypto/x25519.js';
import type { Random } from '../shared/runtime/types.js';
import { type MemoryStore, memoryStore } from '../shared/store/memory.js';
import { exchange, OnionNetwork } from './testing/sim-onion.js';

const START = Date.UTC(2026, 2, 1, 0, 10, 3);
const SIZE = { authorities: 3, relays: 9 };

test.serial('a client reaches a service, both ways, several streams over one circuit', async (t) => {
  const net = await OnionNetwork.start('reach', START, SIZE);
  const { site, address } = await net.service('service');
  t.true(await net.published(site, 6), site.log.text());
  const client = await net.client('client');
  t.is(await net.echo(client, address, 'hello there'), 'hello there', client.log.text());
  t.is(await net.echo(client, address.toUpperCase(), 'again'), 'again');
  t.is(await net.echo(client, `www.${address}`, 'a label in front'), 'a label in front');
  t.is(site.node.status().onionServices[0]!.clients, 1);

  const bytes = Buffer.alloc(1_000_000, 'onion');
  const stream = await net.world.until(client.node.connect(address, 80));
  const back = await net.world.until(exchange(stream, bytes));
  t.true(back.equals(bytes));
  const { traffic } = site.node.status().onionServices[0]!.counts;
  const words = 'hello there'.length + 'again'.length + 'a label in front'.length;
  t.deepEqual([...traffic], [[80, { read: bytes.length + words, written: bytes.length + words }]]);

  // Another isolation token is another circuit.
  t.is(await net.echo(client, address, 'apart', 'other'), 'apart');
  const { clients, counts } = site.node.status().onionServices[0]!;
  t.is(clients, 2);
  t.is(counts.rendezvousBuildTimes.count, 2);
  t.true(counts.introBuildTimes.count >= 6 && counts.introBuildTimes.sum > 0);
  await net.stop();
});

test.serial('what is wrong with a request is told apart', async (t) => {
  const net = await OnionNetwork.start('wrong', START, SIZE);
  const { site, address } = await net.service('service');
  t.true(await net.published(site, 6));
  const client = await net.client('client');
  const fails = async (host: string, port: number, code: string) =>
    void (await t.throwsAsync(net.world.until(client.node.connect(host, port)), { code }, host));

  await fails('short.onion', 80, 'client/onion-bad-address');
  const mistyped = `${address[0] === 'a' ? 'b' : 'a'}${address.slice(1)}`;
  await fails(mistyped, 80, 'client/onion-bad-address');
  await fails(`${'a'.repeat(55)}d.onion`, 80, 'client/onion-bad-address');
  // Somebody's address, but nobody's descriptor.
  await fails('knmwr6xer6goznk6vaaciu2ozjoxney3lzb6euzt5uv5hthe3qmgq5ad.onion', 80, 'client/onion-not-found');
  await fails(address, 81, 'client/connection-refused');

  // The service goes on for the others.
  t.is(await net.echo(client, address, 'still here'), 'still here');
  await net.stop();
});

/** Directories of a service that lets one client in, and of clients with keys. */
function authorization(random: Random) {
  const pair = generateX25519(random);
  const service = memoryStore();
  service.files.set('authorized_clients/alice.auth', Buffer.from(encodeAuthorizedClient(pair.publicKey)));
  const keysFor = (address: string, key: X25519KeyPair): Map<string, MemoryStore> => {
    const store = memoryStore();
    const identity = parseOnionAddress(address);
    store.files.set('one.auth_private', Buffer.from(encodeClientAuthorization({ identity, key })));
    return new Map([['/keys', store]]);
  };
  return { pair, service, keysFor };
}

test.serial(
  'a service that asks for authorization lets in who has a key, and tells the others why not',
  async (t) => {
    const net = await OnionNetwork.start('authorization', START, SIZE);
    const random = net.world.host('127.190.0.1').random;
    const { pair, service, keysFor } = authorization(random);
    const { site, address } = await net.service('service', [], service);
    t.true(await net.published(site, 6));
    const lines = ['ClientOnionAuthDir /keys'];
    const alice = await net.client('alice', lines, keysFor(address, pair));
    t.is(await net.echo(alice, address, 'let me in'), 'let me in');
    const nobody = await net.client('nobody');
    await t.throwsAsync(net.world.until(nobody.node.connect(address, 80)), {
      code: 'client/onion-auth-missing',
    });
    const mallory = await net.client('mallory', lines, keysFor(address, generateX25519(random)));
    await t.throwsAsync(net.world.until(mallory.node.connect(address, 80)), {
      code: 'client/onion-auth-wrong',
    });
    await net.stop();
  },
);
