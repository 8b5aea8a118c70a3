import test from 'ava';
import { CREATE_FAST, CREATE2, VERSIONS } from '../shared/cell/channel-cells.js';
import { BODY_SIZE, Command, DestroyReason, HandshakeType } from '../shared/cell/commands.js';
import { encodeFixed, encodeNarrow, encodeVariable } from '../shared/cell/frame.js';
import type { LinkCredentials } from '../shared/crypto/link-credentials.js';
import { createChannelManager } from '../shared/link/manager.js';
import type { Channel, Leg, LegHandler } from '../shared/link/types.js';
import { batchOf } from '../shared/onion/testing.js';
import { testLinkCredentials } from '../shared/testing/link-credentials.js';
import { begin, fountain, listen, network, START } from './testing/network.js';

const DAY = 86_400_000;
const NOTHING = new Uint8Array(0);

/** A network in which somebody downloads all the time, and what of it arrived. */
async function busyNetwork() {
  const at = await network();
  await listen(at.world, fountain(at.world.host('127.9.0.1').clock));
  const circuit = await at.build(true);
  const { reading } = begin(circuit, 'site.example');
  await at.world.advance(2_000);
  return { ...at, circuit, reading };
}

const versions = (...list: number[]) => encodeNarrow(Command.VERSIONS, VERSIONS.encode({ versions: list }));
const certs = (body: Uint8Array) => encodeVariable(0, Command.CERTS, body);
const netinfo = encodeFixed(0, Command.NETINFO, Buffer.from('00000000' + '04047f090001' + '00', 'hex'));

type Broken = (own: LinkCredentials, late: LinkCredentials) => Uint8Array[];

/** What a peer may get wrong before a link stands; the relay closes the connection (tor-spec 4). */
const HANDSHAKES: Record<string, Broken> = {
  'no cells at all': () => [Buffer.from('GET / HTTP/1.0\r\n\r\n'.padEnd(600))],
  'no link protocol in common': () => [versions(1, 2, 3)],
  'VERSIONS twice': () => [versions(4, 5), encodeVariable(0, Command.VERSIONS, Buffer.of(0, 5))],
  'CERTS before VERSIONS': (own) => [certs(own.initiatorCerts)],
  'CERTS twice': (own) => [versions(5), certs(own.initiatorCerts), certs(own.initiatorCerts)],
  "CERTS with a responder's certificates": (own) => [versions(5), certs(own.certs)],
  'CERTS that expired': (_, late) => [versions(5), certs(late.initiatorCerts)],
  'CERTS with a forged byte': (own) => {
    const forged = own.initiatorCerts.slice();
    forged[forged.length - 1]! ^= 1;
    return [versions(5), certs(forged)];
  },
  'AUTHENTICATE before CERTS': () => [
    versions(5),
    encodeVariable(0, Command.AUTHENTICATE, Buffer.alloc(356)),
  ],
  'AUTHENTICATE of another connection': (own) => {
    const body = Buffer.alloc(356, 7);
    body.writeUInt16BE(3, 0);
    body.writeUInt16BE(352, 2);
    body.write('AUTH0003', 4, 'latin1');
    return [versions(5), certs(own.initiatorCerts), encodeVariable(0, Command.AUTHENTICATE, body)];
  },
  'AUTH_CHALLENGE to a responder': () => [
    versions(5),
    encodeVariable(0, Command.AUTH_CHALLENGE, Buffer.alloc(38)),
  ],
  'CREATE2 before NETINFO': () => [versions(5), encodeFixed(0x80000001, Command.CREATE2, NOTHING)],
  'RELAY before NETINFO': () => [versions(5), encodeFixed(0x80000001, Command.RELAY, NOTHING)],
  'a cell of 64 KB': () => [versions(5), encodeVariable(0, Command.CERTS, Buffer.alloc(65_535))],
  'NETINFO of nonsense': () => [versions(5), encodeFixed(0, Command.NETINFO, Buffer.alloc(BODY_SIZE, 255))],
  'NETINFO twice': () => [versions(5), netinfo, netinfo],
};

test('whoever breaks the link handshake is closed, and a transfer through the same relay goes on', async (t) => {
  const { world, relays, circuit, reading } = await busyNetwork();
  const [own, late] = await Promise.all([
    testLinkCredentials('hostile', START),
    testLinkCredentials('late', START - 60 * DAY),
  ]);
  const { transport } = world.host('127.66.0.1');
  const { node } = relays[0]!;
  const links = node.channels.count;
  for (const [name, broken] of Object.entries(HANDSHAKES)) {
    const before = reading.text.length;
    const conn = await world.until(transport.dialTls({ host: '127.1.0.1', port: 9001 }));
    let closed = false;
    conn.start({
      data() {},
      end() {
        closed = true;
      },
      drain() {},
      close() {
        closed = true;
      },
    });
    for (const cell of broken(own, late)) conn.write(cell);
    await world.advance(1_000);
    t.true(closed, `${name}: still open`);
    t.is(node.channels.count, links, name);
    t.true(
      reading.text.length - before > 150_000,
      `${name}: only ${reading.text.length - before} bytes came`,
    );
  }
  t.is(circuit.failure, undefined);
  for (const { log } of relays)
    t.deepEqual(
      log.lines.filter(({ level }) => level === 'err'),
      [],
    );
});

/** What a peer may get wrong once the link stands, and the reason its circuit ends with (tor-spec 5.4). */
const CIRCUITS: Record<string, (leg: Leg) => void> = {
  'CREATE, which is obsolete': (leg) => leg.control(Command.CREATE, Buffer.alloc(186)),
  'CREATE2 of an unknown type': (leg) =>
    leg.control(Command.CREATE2, CREATE2.encode({ type: 77, data: Buffer.alloc(84) })),
  'CREATE2 with half a handshake': (leg) =>
    leg.control(Command.CREATE2, CREATE2.encode({ type: HandshakeType.NTOR, data: Buffer.alloc(40) })),
  'an ntor for another relay': (leg) =>
    leg.control(Command.CREATE2, CREATE2.encode({ type: HandshakeType.NTOR, data: Buffer.alloc(84, 9) })),
  'a cell with a bad digest at the last hop': (leg) => {
    leg.control(Command.CREATE_FAST, CREATE_FAST.encode({ x: Buffer.alloc(20, 1) }));
    leg.send(batchOf([Buffer.alloc(BODY_SIZE, 3)]));
  },
};

test('a circuit that breaks the rules ends with PROTOCOL, and no other on the relay or the link', async (t) => {
  const { world, relays, hops, env, circuit, reading } = await busyNetwork();
  const bad = { ...world.host('127.66.0.1'), log: env.log };
  const channels = createChannelManager(bad, { handler: { create() {}, closed() {} } });
  const { addresses, rsaId } = hops[0]!;
  const channel: Channel = await world.until(channels.get({ addresses, rsaId }));
  const open = () => {
    const seen: { destroyed: number[]; answers: number[] } = { destroyed: [], answers: [] };
    const handler: LegHandler = {
      relayCells() {},
      writable() {},
      control: (_, command) => void seen.answers.push(command),
      destroyed: (_, reason) => void seen.destroyed.push(reason),
    };
    return { leg: channel.openLeg(handler), seen };
  };
  const good = open();
  good.leg.control(Command.CREATE_FAST, CREATE_FAST.encode({ x: Buffer.alloc(20, 5) }));
  for (const [name, act] of Object.entries(CIRCUITS)) {
    const before = reading.text.length;
    const { leg, seen } = open();
    act(leg);
    await world.advance(1_000);
    t.deepEqual(seen.destroyed, [DestroyReason.PROTOCOL], name);
    t.true(
      reading.text.length - before > 150_000,
      `${name}: only ${reading.text.length - before} bytes came`,
    );
  }
  // For a circuit that is there it is dropped, as C tor does [command_process_create_cell].
  good.leg.control(Command.CREATE_FAST, CREATE_FAST.encode({ x: Buffer.alloc(20, 6) }));
  await world.advance(1_000);
  t.deepEqual(good.seen, { destroyed: [], answers: [Command.CREATED_FAST] });
  t.true(channel.open);
  t.is(circuit.failure, undefined);
  for (const { log } of relays)
    t.deepEqual(
      log.lines.filter(({ level }) => level === 'err'),
      [],
    );
});
