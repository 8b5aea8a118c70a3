/** What a client takes over at SIGHUP: who may come to its services, which services there are, keys for others'. */
import test from 'ava';
import { encodeAuthorizedClient, encodeClientAuthorization } from '../shared/crypto/hs-keyfiles.js';
import { parseOnionAddress } from '../shared/crypto/onion-address.js';
import { generateX25519 } from '../shared/crypto/x25519.js';
import { memoryStore } from '../shared/store/memory.js';
import { type ClientSite, echo, OnionNetwork } from './testing/sim-onion.js';

const START = Date.UTC(2026, 2, 1, 0, 10, 3);
const SIZE = { authorities: 3, relays: 9 };
const SECOND = 1000;

const file = (text: string) => Buffer.from(text);
const servicesOf = (site: ClientSite) => site.node.status().onionServices;

test('SIGHUP: clients are let in and shut out, keys are learnt, services come and go', async (t) => {
  const net = await OnionNetwork.start('reload', START, SIZE);
  const { world } = net;
  const directory = memoryStore();
  const { site, address } = await net.service('service', [], directory);
  const port = `${site.host.address}:7000`;
  await site.host.transport.listenTcp({ host: site.host.address, port: 7000 }, echo);
  const lines = ['HiddenServiceDir /service', `HiddenServicePort 80 ${port}`];
  t.true(await net.published(site, 6), site.log.text());
  const guest = await net.client('guest');
  t.is(await net.echo(guest, address, 'open to all'), 'open to all');

  // A client is authorized: the descriptors say so at once; who was here stays, who comes anew needs a key.
  const pair = generateX25519(site.host.random);
  directory.files.set('authorized_clients/alice.auth', file(encodeAuthorizedClient(pair.publicKey)));
  await net.reload(site, lines);
  await world.advance(10 * SECOND);
  t.true(await net.published(site, 6), site.log.text());
  t.is(await net.echo(guest, address, 'on the circuit that stands'), 'on the circuit that stands');
  const alice = await net.client('alice', ['ClientOnionAuthDir /keys']);
  const missing = { code: 'client/onion-auth-missing' };
  await t.throwsAsync(world.until(alice.node.connect(address, 80)), missing);
  const authorization = { identity: parseOnionAddress(address), key: pair };
  const keys = alice.directories.get('/keys')!;
  keys.files.set('it.auth_private', file(encodeClientAuthorization(authorization)));
  await t.throwsAsync(world.until(alice.node.connect(address, 80)), missing);
  await net.reload(alice, ['ClientOnionAuthDir /keys']);
  t.is(await net.echo(alice, address, 'let me in'), 'let me in');

  // What cannot be read changes nothing.
  directory.files.set('authorized_clients/alice.auth', file('nonsense'));
  await net.reload(site, lines);
  t.true(site.log.has('err', 'stay as they were'), site.log.text());
  t.is(await net.echo(alice, address, 'still served', 'anew'), 'still served');

  // Nobody needs a key any more; a second service; another port of the first.
  directory.files.delete('authorized_clients/alice.auth');
  const more = [
    ...lines,
    `HiddenServicePort 81 ${port}`,
    'HiddenServiceDir /second',
    `HiddenServicePort 80 ${port}`,
  ];
  await net.reload(site, more);
  await world.advance(10 * SECOND);
  t.true(await net.published(site, 6), site.log.text());
  t.true(await net.published(site, 6, 120, 1), site.log.text());
  const [first, second] = servicesOf(site);
  t.is(first!.address, address);
  const late = await net.client('late');
  t.is(await net.echo(late, address, 'no key'), 'no key');
  t.is(await net.echo(late, second!.address, 'the second'), 'the second');
  t.truthy(await world.until(alice.node.connect(address, 81)));

  // The first is taken away: its circuits end, the second goes on.
  await net.reload(site, ['HiddenServiceDir /second', `HiddenServicePort 80 ${port}`]);
  t.deepEqual(
    servicesOf(site).map((each) => each.address),
    [second!.address],
  );
  t.is(await net.echo(late, second!.address, 'goes on'), 'goes on');
  await t.throwsAsync(world.until(late.node.connect(address, 80, 'anew')), { message: /onion|introduction/ });
  await net.stop();
});
