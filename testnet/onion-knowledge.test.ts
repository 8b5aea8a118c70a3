/** What each relay between an onion service and its client could know: no more than its two neighbours. */
import test from 'ava';
import { toHex } from '../shared/bytes/text.js';
import { EndReason, RELAY_HEADER_SIZE, RelayCommand } from '../shared/cell/commands.js';
import { REND_COOKIE_SIZE } from '../shared/cell/hs-cells.js';
import { OriginCircuit } from '../shared/circuit/origin.js';
import { blindingParam, blindPublicKey } from '../shared/crypto/blinding.js';
import { parseOnionAddress } from '../shared/crypto/onion-address.js';
import type { Stream } from '../shared/onion/types.js';
import { type ClientSite, OnionNetwork } from './testing/sim-onion.js';
import {
  addressNeedle,
  bytesNeedle,
  type Needle,
  PLACES,
  type Place,
  reachable,
  textNeedle,
  Witness,
  writtenPlaces,
} from './testing/witness.js';

const START = Date.UTC(2026, 2, 1, 0, 10, 3);
/** One guard each, so that it is known who may see an address. */
const ONE_GUARD = ['NumEntryGuards 1', 'NumDirectoryGuards 1'];
/** Clients meet authorities when they start: paths are of relays only. */
const NO_AUTHORITIES = 'ExcludeNodes 127.10.0.1,127.11.0.1,127.12.0.1';
const LINES = [...ONE_GUARD, NO_AUTHORITIES];
/** Minutes of a period of this network. */
const PERIOD = 8;
const SECRET = 'what the two say to each other';

interface Relay {
  readonly name: string;
  readonly id: string;
  readonly witness: Witness;
  where(needle: Needle): Place[];
}

/** A network in which every relay is watched, with a client that is connected to a service. */
async function connected(seed: string) {
  const witnesses = new Map<string, Witness>();
  const net = await OnionNetwork.start(seed, START, {
    authorities: 3,
    relays: 12,
    watch: (site) => {
      const witness = new Witness(site.host);
      witnesses.set(site.name, witness);
      site.host = witness.host;
    },
  });
  const { site: service, address } = await net.service('service', LINES);
  if (!(await net.published(service, 6))) throw new Error(service.log.text());
  const client = await net.client('client', LINES);
  const stream = await net.world.until(client.node.connect(address, 80));
  const answer = await net.world.until(firstAnswer(stream, Buffer.from(SECRET)));
  if (answer !== SECRET) throw new Error(answer);
  const relays = net.network.relays.map((site): Relay => {
    const witness = witnesses.get(site.name)!;
    const where = (needle: Needle) => witness.places(needle, site);
    return { name: site.name, id: site.node!.status().fingerprint, witness, where };
  });
  return { net, service, address, client, stream, relays };
}

/** Writes, and resolves with as much as was written; the stream stays open. */
const firstAnswer = (stream: Stream, bytes: Buffer): Promise<string> =>
  new Promise((resolve, reject) => {
    let got = '';
    stream.handlers = {
      data(chunk) {
        got += chunk.toString();
        if (got.length >= bytes.length) resolve(got);
      },
      drain() {},
      end: (reason) => reject(new Error(`ended ${reason}`)),
    };
    stream.write(bytes);
  });

/** The circuit that is joined to the other side. */
function joinedCircuit(site: ClientSite): OriginCircuit {
  const circuits = reachable(site.node).filter((item) => item instanceof OriginCircuit);
  const joined = circuits.filter(({ hops, closed }) => !closed && hops.at(-1)?.target === undefined);
  if (joined.length !== 1) throw new Error(`${joined.length} joined circuits`);
  return joined[0]!;
}

/** Its relays, from the nearest on. */
const joinedPath = (site: ClientSite): string[] =>
  joinedCircuit(site)
    .hops.slice(0, -1)
    .map(({ target }) => toHex(target!.rsaId));

/** The relays that have a needle, those named excepted, and where. */
const unexpected = (relays: readonly Relay[], needle: Needle, allowed: readonly string[] = []): string[] =>
  relays
    .filter(({ id }) => !allowed.includes(id))
    .map((relay) => ({ relay, places: relay.where(needle) }))
    .filter(({ places }) => places.length > 0)
    .map(({ relay, places }) => `${relay.name} knows ${needle.name}: ${places}`);

const addressOf = (site: ClientSite) => addressNeedle(`the ${site.name}'s address`, site.host.address);

/** The cookies that a client left at a rendezvous point and a service brought. */
function cookiesAt({ witness }: Relay): Buffer[] {
  const brought = (command: number) =>
    witness.circuits
      .flat()
      .filter((cell) => cell[0] === command)
      .map((cell) => cell.subarray(RELAY_HEADER_SIZE, RELAY_HEADER_SIZE + REND_COOKIE_SIZE));
  const left = brought(RelayCommand.ESTABLISH_RENDEZVOUS);
  return brought(RelayCommand.RENDEZVOUS1).filter((cookie) => left.some((each) => each.equals(cookie)));
}

test.serial('no relay of a six-hop connection knows more than its two neighbours', async (t) => {
  const { net, service, address, client, stream, relays } = await connected('knowledge');
  const toService = joinedPath(service);
  const toClient = joinedPath(client);
  const rendezvous = toClient.at(-1)!;
  t.is(toService.at(-1), rendezvous);
  // The service puts a relay between its vanguard and what the client chose.
  t.deepEqual([toClient.length, toService.length], [3, 4]);
  const relay = (id: string) => relays.find((each) => each.id === id)!;

  // Addresses: at their guards only, and there not in the log nor on the disk.
  const guards = { [client.name]: toClient[0]!, [service.name]: toService[0]! };
  t.not(guards.client, guards.service);
  for (const site of [client, service]) {
    t.deepEqual(unexpected(relays, addressOf(site), [guards[site.name]!]), []);
    t.deepEqual(relay(guards[site.name]!).where(addressOf(site)), ['links', 'memory']);
  }

  // The service's name: nowhere. Its blinded keys: where its descriptors are.
  const identity = parseOnionAddress(address);
  const names = [bytesNeedle('the service', identity), textNeedle('its name', address.slice(0, 56))];
  for (const name of names) t.deepEqual(unexpected(relays, name), []);
  for (const { period, heldBy } of service.node.status().onionServices[0]!.descriptors) {
    const param = blindingParam(identity, { number: period, length: PERIOD });
    const blinded = bytesNeedle('a blinded key', blindPublicKey(identity, param));
    const holders = relays.filter(({ where }) => where(blinded).includes('memory')).map(({ id }) => id);
    t.is(holders.length, heldBy);
    t.deepEqual(unexpected(relays, blinded, holders), []);
    for (const id of holders)
      t.false(
        relay(id)
          .where(blinded)
          .some((place) => place === 'log' || place === 'disk'),
      );
  }

  // What is said: nowhere. The cookie: at the rendezvous point, on two circuits that name no relay.
  t.deepEqual(unexpected(relays, textNeedle('what is said', SECRET)), []);
  const [cookie, ...others] = cookiesAt(relay(rendezvous));
  t.deepEqual(others, []);
  t.deepEqual(unexpected(relays, bytesNeedle('the cookie', cookie!), [rendezvous]), []);
  const meeting = relay(rendezvous).witness.circuits.filter((cells) =>
    cells.some((cell) => cell.includes(cookie!)),
  );
  t.is(meeting.length, 2);
  for (const cells of meeting)
    for (const { id } of relays) t.false(Buffer.concat(cells).includes(Buffer.from(id, 'hex')));

  // The others are told, by each end, of the next hop; of no further one on that circuit.
  for (const half of [toClient, toService])
    for (const [i, id] of half.slice(0, -1).entries()) {
      const next = Buffer.from(half[i + 1]!, 'hex');
      const circuits = relay(id)
        .witness.circuits.map((cells) => Buffer.concat(cells))
        .filter((cells) => cells.includes(next));
      t.true(circuits.length > 0, `${relay(id).name} extends to ${relay(half[i + 1]!).name}`);
      for (const cells of circuits)
        for (const other of relays)
          if (other.id !== half[i + 1])
            t.false(
              cells.includes(Buffer.from(other.id, 'hex')),
              `${relay(id).name} is told of ${other.name}`,
            );
    }

  // The two ends write down nothing of each other, nor where they met.
  const secrets = [...names, bytesNeedle('the cookie', cookie!), textNeedle('what is said', SECRET)];
  for (const needle of [addressOf(service), ...secrets])
    t.deepEqual(writtenPlaces(needle, client), [], needle.name);
  for (const needle of [addressOf(client), ...secrets])
    t.deepEqual(writtenPlaces(needle, service), [], needle.name);

  stream.abort(EndReason.DONE);

  // And the eyes are open: what is given away is seen, in each place.
  const middle = relay(toClient[1]!);
  const site = net.network.relays.find(({ name }) => name === middle.name)!;
  const told = client.host.address;
  const leaks: readonly (readonly [Place, () => unknown])[] = [
    ['memory', () => Object.assign(site.node!, { from: [new Map([[1, told]])] })],
    // A log and a disk of this kind are in memory, too.
    ['disk', () => site.store.write('state', Buffer.from(`from ${told}`))],
    ['log', () => site.log.debug('a circuit', { from: told })],
    ['messages', () => joinedCircuit(client).sendMessage(RelayCommand.DROP, Buffer.from(told), 1)],
    ['links', () => writeTo(net, site.address, told)],
  ];
  const planted: Place[] = [];
  for (const [place, leak] of leaks) {
    await leak();
    await net.world.advance(1000);
    planted.push(place);
    const places = PLACES.filter((each) => planted.includes(each));
    t.deepEqual(unexpected(relays, addressOf(client), [guards.client!]), [
      `${middle.name} knows the client's address: ${places}`,
    ]);
  }
  await net.stop();
});

/** Bytes on a link that nobody asked for. */
async function writeTo({ world }: OnionNetwork, host: string, text: string): Promise<void> {
  const { transport } = world.host('127.99.0.1');
  const conn = await world.until(transport.dialTls({ host, port: 9001 }));
  conn.write(Buffer.from(text));
}
