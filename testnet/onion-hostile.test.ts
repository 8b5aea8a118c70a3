/** Onion services among relays and clients that do not do as they should: what is wrong is told, others are served. */
import test from 'ava';
import { HsCircuitBuilder } from '../client/hs/circuit-builder.js';
import { DescriptorCache, type KnownService } from '../client/hs/descriptors.js';
import { namedTarget } from '../client/hs/paths.js';
import { ServicePeriod } from '../client/hs/service-period.js';
import { RelayCircuit } from '../relay/circuit.js';
import { HsDirStore } from '../relay/hs-dir.js';
import { HsRoles } from '../relay/hs-roles.js';
import { RelayCommand } from '../shared/cell/commands.js';
import { ESTABLISH_RENDEZVOUS } from '../shared/cell/hs-cells.js';
import { hopSpecifiers } from '../shared/circuit/hop.js';
import { parseOnionAddress } from '../shared/crypto/onion-address.js';
import { introduce } from '../shared/hs/introduce.js';
import { type ClientSite, OnionNetwork, serviceLines } from './testing/sim-onion.js';
import { reachable } from './testing/witness.js';

const START = Date.UTC(2026, 2, 1, 0, 10, 3);
const SECOND = 1000;
const SIZE = { authorities: 1, relays: 9 };

/** What all relays do wrong now. */
const mischief: {
  /** Relay commands that are not answered. */
  swallow: number | undefined;
  /** Whether introduction points pass everything on twice. */
  repeat: boolean;
  /** What HSDirs make of a descriptor. */
  alter: ((text: string) => string) | undefined;
} = { swallow: undefined, repeat: false, alter: undefined };

test.afterEach.always(() => {
  Object.assign(mischief, { swallow: undefined, repeat: false, alter: undefined });
});

const { message } = HsRoles.prototype;
HsRoles.prototype.message = function (circuit, command, data) {
  return command === mischief.swallow || message.call(this, circuit, command, data);
};
const { send } = RelayCircuit.prototype;
RelayCircuit.prototype.send = function (command, data) {
  send.call(this, command, data);
  if (mischief.repeat && command === RelayCommand.INTRODUCE2) send.call(this, command, data);
};
const { get } = HsDirStore.prototype;
HsDirStore.prototype.get = function (path, peer) {
  const answer = get.call(this, path, peer);
  if (!mischief.alter || answer?.status !== 200) return answer;
  return { ...answer, body: Buffer.from(mischief.alter(Buffer.from(answer.body as Uint8Array).toString())) };
};

async function served(seed: string, lines: readonly string[] = []) {
  const net = await OnionNetwork.start(seed, START, SIZE);
  const { site, address } = await net.service('service', lines);
  if (!(await net.published(site, 6))) throw new Error(site.log.text());
  const connect = (client: ClientSite, isolation = '') =>
    net.world.until(client.node.connect(address, 80, isolation));
  return { net, site, address, connect };
}

test.serial('a rendezvous point that does not answer, and one to which nobody comes', async (t) => {
  const { net, site, address, connect } = await served('silent rendezvous');
  const client = await net.client('client');
  const other = await net.client('other');
  const failed = { code: 'client/onion-rendezvous-failed' };

  mischief.swallow = RelayCommand.ESTABLISH_RENDEZVOUS;
  await t.throwsAsync(connect(client), failed, client.log.text());

  // The service comes, and its word gets lost; meanwhile it serves another.
  mischief.swallow = RelayCommand.RENDEZVOUS1;
  const lost = t.throwsAsync(connect(client, 'lost'), failed);
  await net.world.advance(10 * SECOND);
  mischief.swallow = undefined;
  t.is(await net.echo(other, address, 'served meanwhile'), 'served meanwhile');
  mischief.swallow = RelayCommand.RENDEZVOUS1;
  await lost;
  mischief.swallow = undefined;
  t.is(await net.echo(client, address, 'and served again'), 'and served again', client.log.text());
  // The service keeps circuits without streams for a while, in case somebody comes, not for ever.
  const clients = () => site.node.status().onionServices[0]!.clients;
  t.true(clients() > 2);
  await net.world.advance(11 * 60 * SECOND);
  t.is(clients(), 0);
  await net.stop();
});

test.serial('a rendezvous point that the service cannot reach', async (t) => {
  const { net, site, address } = await served('no such rendezvous');
  const client = await net.client('client');
  t.is(await net.echo(client, address, 'before'), 'before');
  const { clients } = site.node.status().onionServices[0]!;
  // A relay that is not there.
  const { random } = client.host;
  await introduceAt(net, client, (hop) => ({
    ...hop,
    addresses: [{ host: '127.77.0.1', port: 9001 }],
    rsaId: random.bytes(20),
    ed25519Id: random.bytes(32),
  }));
  await net.world.advance(5 * SECOND);
  t.is(await net.echo(client, address, 'others are served', 'meanwhile'), 'others are served');
  await net.world.advance(60 * SECOND);
  t.true(site.log.has('info', 'a rendezvous failed'), site.log.text());
  t.is(site.node.status().onionServices[0]!.clients, clients + 1);
  await net.stop();
});

test.serial('an introduction that is repeated, and a cookie that is used twice, are dropped', async (t) => {
  const { net, site, address } = await served('replays');
  const client = await net.client('client');
  mischief.repeat = true;
  t.is(await net.echo(client, address, 'once'), 'once');
  mischief.repeat = false;
  t.true(site.log.has('warn', 'An introduction point repeats an introduction'), site.log.text());
  t.is(site.node.status().onionServices[0]!.clients, 1);

  const { cookie, came } = await introduceAt(net, client);
  await net.world.advance(10 * SECOND);
  t.is(came(), 1);
  await introduceAt(net, client, undefined, cookie);
  await net.world.advance(10 * SECOND);
  t.regex(site.log.text(), /dropping an introduction.*its cookie was used before/);
  t.is(came(), 1);
  t.is(await net.echo(client, address, 'others are served', 'anew'), 'others are served');
  await net.stop();
});

/** A client that takes each step by hand: it waits under a cookie (a new one, or none of its own) and introduces itself. */
async function introduceAt(
  net: OnionNetwork,
  client: ClientSite,
  place: (hop: Parameters<typeof hopSpecifiers>[0]) => Parameters<typeof hopSpecifiers>[0] = (hop) => hop,
  again?: Uint8Array,
): Promise<{ cookie: Uint8Array; came(): number }> {
  const items = reachable(client.node);
  const builder = items.find((item) => item instanceof HsCircuitBuilder)!;
  const cache = items.find((item) => item instanceof DescriptorCache)!;
  const [service] = reachable(cache).filter(
    (item): item is KnownService => 'revision' in item && 'names' in item,
  );
  const { random } = client.host;
  const waiting = await net.world.until(builder.build('client-rendezvous', builder.rendezvousPoint));
  const cookie = again ?? random.bytes(20);
  let arrivals = 0;
  waiting.onMessage = (command) => {
    if (command === RelayCommand.RENDEZVOUS2) arrivals++;
  };
  if (!again) waiting.send(RelayCommand.ESTABLISH_RENDEZVOUS, ESTABLISH_RENDEZVOUS.encode({ cookie }));
  await net.world.advance(SECOND);
  const point = service!.content.introPoints[0]!;
  const hop = place(waiting.target.hop);
  const { introduce1 } = introduce(
    {
      target: point,
      subcredential: service!.names.subcredential,
      cookie,
      point: { specifiers: hopSpecifiers(hop), onionKey: hop.ntorKey! },
      congestionControl: false,
    },
    random,
  );
  const target = namedTarget(point.linkSpecifiers, point.onionKey, true);
  if ('refused' in target) throw new Error(target.refused);
  const circuit = await net.world.until(builder.build('client-introduction', target));
  circuit.send(RelayCommand.INTRODUCE1, introduce1);
  return { cookie, came: () => arrivals };
}

test.serial('descriptors that are forged, oversized, garbled or of somebody else are refused', async (t) => {
  const { net, address, connect } = await served('descriptors');
  const { address: another } = await net.service('another');
  await net.world.advance(60 * SECOND);
  const invalid = { code: 'client/onion-invalid' };
  let elses = '';
  mischief.alter = (text) => {
    elses = text;
    return text;
  };
  const client = await net.client('client');
  t.is(await net.echo(client, another, 'another'), 'another');
  const alterations: Record<string, (text: string) => string> = {
    'somebody else’s': () => elses,
    forged: (text) =>
      text.replace(/revision-counter (\d)/, (_, digit) => `revision-counter ${digit === '9' ? 8 : 9}`),
    oversized: (text) => text.replace('hs-descriptor 3\n', `hs-descriptor 3\nx ${'x'.repeat(50_000)}\n`),
    'far too large': (text) => text + 'x'.repeat(200_000),
    garbled: (text) => text.slice(0, text.length / 2),
    empty: () => '',
  };
  for (const [name, alter] of Object.entries(alterations)) {
    mischief.alter = alter;
    await t.throwsAsync(connect(client, name), invalid, name);
  }
  mischief.alter = undefined;
  t.is(await net.echo(client, address, 'as it should be'), 'as it should be');

  await net.stop();
});

test.serial('HSDirs that keep to an old descriptor do not take a client back to it', async (t) => {
  const { net, site, address } = await served('stale');
  const client = await net.client('client');
  t.is(await net.echo(client, address, 'first'), 'first');
  const cache = reachable(client.node).find((item) => item instanceof DescriptorCache)!;
  const fetched = () => net.world.until(cache.fetch(parseOnionAddress(address)));
  let old = '';
  mischief.alter = (text) => {
    old = text;
    return text;
  };
  const before = (await fetched()).revision;
  mischief.alter = undefined;
  for (const item of reachable(site.node)) if (item instanceof ServicePeriod) item.republish();
  await net.world.advance(30 * SECOND);
  const { revision } = await fetched();
  t.true(revision > before);
  mischief.alter = () => old;
  t.is((await fetched()).revision, revision);
  t.is(await net.echo(client, address, 'found by the newest', 'anew'), 'found by the newest');
  await net.stop();
});

test.serial('HiddenServiceMaxStreams bounds what a client opens, and may cost it its circuit', async (t) => {
  const { net, site, address, connect } = await served('streams', ['HiddenServiceMaxStreams 2']);
  const client = await net.client('client');
  const first = await connect(client);
  await connect(client);
  await t.throwsAsync(connect(client));
  t.false(first.closed);
  const other = await net.client('other');
  t.is(await net.echo(other, address, 'each its own'), 'each its own');

  await net.reload(site, [
    ...serviceLines(site.host.address),
    'HiddenServiceMaxStreams 2',
    'HiddenServiceMaxStreamsCloseCircuit 1',
  ]);
  await t.throwsAsync(connect(client));
  await net.world.advance(10 * SECOND);
  t.true(first.closed);
  t.is(await net.echo(other, address, 'others stay'), 'others stay');
  await net.stop();
});
