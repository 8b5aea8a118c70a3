import test from 'ava';
import { CellBatch } from '../cell/batch.js';
import { BODY_SIZE, CELL_SIZE, Command } from '../cell/commands.js';
import { encodeNarrow } from '../cell/frame.js';
import type { LinkCredentials } from '../crypto/link-credentials.js';
import { memoryLog } from '../log/log.js';
import { type SimHost, SimWorld } from '../runtime/sim/world.js';
import type { Conn } from '../runtime/types.js';
import { testLinkCredentials } from '../testing/link-credentials.js';
import {
  type ChannelManagerConfig,
  createChannelManager,
  type LinkManager,
  type PeerNews,
} from './manager.js';
import { DEFAULT_PADDING_TIMES, type PaddingConfig } from './padding.js';
import type { Channel, ChannelHandler, ChannelTarget, Leg, LegHandler } from './types.js';

const START = Date.UTC(2026, 10, 21, 12);
const PORT = 9001;

let made: Promise<LinkCredentials[]> | undefined;
const identities = () => {
  made ??= Promise.all(['a', 'b', 'c'].map((label) => testLinkCredentials(label, START)));
  return made;
};

interface Node {
  host: SimHost;
  links: LinkManager;
  opened: { channel: Channel; news: PeerNews }[];
  closed: string[];
  created: { leg: Leg; command: number }[];
}

function node(
  host: SimHost,
  credentials: LinkCredentials | undefined,
  config: Partial<ChannelManagerConfig> = {},
): Node {
  const opened: Node['opened'] = [];
  const closed: string[] = [];
  const created: Node['created'] = [];
  const handler: ChannelHandler = {
    create: (leg, command) => created.push({ leg, command }),
    closed: (_, reason) => closed.push(reason),
  };
  const links = createChannelManager(
    { clock: host.clock, random: host.random, transport: host.transport, log: memoryLog() },
    {
      handler,
      ...(credentials ? { credentials: () => credentials } : {}),
      ownAddresses: () => [{ host: host.address, port: PORT }],
      opened: (channel, news) => opened.push({ channel, news }),
      ...config,
    },
  );
  return { host, links, opened, closed, created };
}

async function relayAt(world: SimWorld, address: string, credentials: LinkCredentials, config = {}) {
  const relay = node(world.host(address), credentials, config);
  await relay.links.listen({ host: address, port: PORT });
  return relay;
}

const targetOf = (address: string, { rsaId, ed25519Id }: LinkCredentials): ChannelTarget => ({
  addresses: [{ host: address, port: PORT }],
  rsaId,
  ed25519Id,
});

const silent: LegHandler = { relayCells() {}, control() {}, destroyed() {}, writable() {} };
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'nothing',
    (error: { code?: string }) => error.code,
  );

test('those who ask at once share a dial, those who ask later the channel', async (t) => {
  const world = new SimWorld('share', START);
  const [a, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.2.0.1', b);
  const other = await relayAt(world, '127.1.0.1', a);
  const target = targetOf('127.2.0.1', b);
  const [one, two] = await world.until(
    Promise.all([other.links.get(target), other.links.get({ ...target })]),
  );
  t.is(one, two);
  t.is(await other.links.get(target), one);
  t.true(one.initiator && one.authenticated && one.canonical && one.open);
  t.is(one.linkProtocol, 5);
  await world.advance(1000);
  // The relay at the other end uses the same channel the other way.
  const back = await world.until(relay.links.get(targetOf('127.1.0.1', a)));
  t.false(back.initiator);
  t.true(back.authenticated && back.canonical);
  t.is(relay.links.count, 1);
  t.is(other.links.stats.handshakesDone, 1);
  t.is(relay.opened[0]?.news.observedHost, '127.2.0.1');
});

test('who asks for an address that leads nowhere keeps nobody waiting who knows a better one', async (t) => {
  const world = new SimWorld('elsewhere', START);
  const [a, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  await relayAt(world, '127.2.0.1', b);
  const other = await relayAt(world, '127.1.0.1', a);
  world.host('127.3.0.1');
  world.cut('127.1.0.1', '127.3.0.1');
  const nowhere = failure(other.links.get(targetOf('127.3.0.1', b)));
  const channel = await world.until(other.links.get(targetOf('127.2.0.1', b)), 10_000);
  t.is(channel.remote.host, '127.2.0.1');
  t.is(await world.until(nowhere), 'connect');
});

/** Counts what is dialled. */
function counting(host: SimHost) {
  const dialled: string[] = [];
  const transport = Object.create(host.transport, {
    dialTls: {
      value: (...what: Parameters<SimHost['transport']['dialTls']>) => {
        dialled.push(what[0].host);
        return host.transport.dialTls(...what);
      },
    },
  }) as SimHost['transport'];
  return { dialled, host: Object.create(host, { transport: { value: transport } }) as SimHost };
}

test('a relay does not dial again for a minute what it could not reach; other addresses and identities it does', async (t) => {
  const world = new SimWorld('dead', START);
  const [a, b, c] = (await identities()) as [LinkCredentials, LinkCredentials, LinkCredentials];
  const { dialled, host } = counting(world.host('127.1.0.1'));
  const relay = node(host, a);
  world.host('127.2.0.1');
  const target = targetOf('127.2.0.1', b);
  for (let i = 0; i < 3; i++) t.is(await world.until(failure(relay.links.get(target))), 'connect');
  t.deepEqual(dialled, ['127.2.0.1']);
  await world.until(failure(relay.links.get(targetOf('127.2.0.1', c))));
  await world.until(failure(relay.links.probe(target)));
  t.is(dialled.length, 3);
  await relayAt(world, '127.3.0.1', b);
  const addresses = ['127.2.0.1', '127.3.0.1'].map((at) => ({ host: at, port: PORT }));
  const channel = await world.until(relay.links.get({ ...target, addresses }));
  t.is(channel.remote.host, '127.3.0.1');
  t.is(dialled.length, 4);
  channel.close('enough');
  await world.advance(60_000);
  await world.until(failure(relay.links.get(target)));
  t.is(dialled.length, 5);
  // A client has its own ways to leave a relay alone.
  const client = counting(world.host('127.9.0.1'));
  const { links } = node(client.host, undefined);
  for (let i = 0; i < 2; i++) await world.until(failure(links.get(target)));
  t.is(client.dialled.length, 2);
});

test('a relay makes no link to itself', async (t) => {
  const world = new SimWorld('self', START);
  const [a, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.1.0.1', a);
  const { addresses, rsaId, ed25519Id } = targetOf('127.1.0.1', a);
  for (const self of [
    { addresses, rsaId },
    { addresses, rsaId: b.rsaId, ed25519Id },
  ])
    t.is(await world.until(failure(relay.links.get(self))), 'connect');
  t.is(relay.links.stats.handshakesStarted, 0);
});

test('a second link to a relay takes no circuits from the first, however many are on it', async (t) => {
  const world = new SimWorld('second', START);
  const [a, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.2.0.1', b);
  const other = await relayAt(world, '127.1.0.1', a);
  const [at, back] = [targetOf('127.2.0.1', b), targetOf('127.1.0.1', a)];
  // Either dials before it knows of the other's link.
  const [first] = await world.until(Promise.all([other.links.get(at), relay.links.get(back)]));
  await world.advance(1000);
  t.is(other.links.count, 2);
  const [older, newer] = [...other.links.channels].sort((x, y) => x.openedAt - y.openedAt);
  t.true(first.open && older!.openedAt < newer!.openedAt);
  newer!.openLeg(silent);
  t.is(await other.links.get(at), older);
});

test('of two links that are canonical here, circuits go on the one that is so there, too', async (t) => {
  const world = new SimWorld('both canonical', START);
  const [a, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const other = await relayAt(world, '127.2.0.1', b);
  const relay = await relayAt(world, '127.1.0.1', a, { localHost: '127.5.0.1' });
  const first = await world.until(relay.links.get(targetOf('127.2.0.1', b)));
  await world.until(other.links.get(targetOf('127.1.0.1', a)));
  await world.advance(1000);
  const best = await relay.links.get(targetOf('127.2.0.1', b));
  t.true(first.canonical && best.canonical && best !== first);
});

test('a client is nobody to a relay, and takes no circuits', async (t) => {
  const world = new SimWorld('client', START);
  const [, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.2.0.1', b);
  const client = node(world.host('127.9.0.1'), undefined);
  const channel = await world.until(client.links.get(targetOf('127.2.0.1', b)));
  await world.advance(1000);
  const there = relay.opened[0]!.channel;
  t.false(there.authenticated || there.canonical);
  t.is(relay.opened[0]!.news.skew, undefined);
  const events: string[] = [];
  const leg = channel.openLeg(silent);
  leg.control(Command.CREATE_FAST, Buffer.alloc(20));
  const back = there.openLeg({ ...silent, destroyed: (_, reason) => events.push(`destroyed ${reason}`) });
  back.control(Command.CREATE2, Buffer.alloc(20));
  await world.advance(1000);
  t.is(relay.created.length, 1);
  t.is(relay.created[0]!.leg.circuitId, leg.circuitId);
  t.deepEqual(events, ['destroyed 1']);
  t.is(client.created.length, 0);
});

test('somebody else at the address is refused; the next address is tried', async (t) => {
  const world = new SimWorld('identity', START);
  const [a, b, c] = (await identities()) as [LinkCredentials, LinkCredentials, LinkCredentials];
  await relayAt(world, '127.2.0.1', b);
  await relayAt(world, '127.3.0.1', c);
  const client = node(world.host('127.9.0.1'), a);
  t.is(await world.until(failure(client.links.get(targetOf('127.3.0.1', b)))), 'identity');
  const wrongEd = { ...targetOf('127.2.0.1', b), ed25519Id: c.ed25519Id };
  t.is(await world.until(failure(client.links.get(wrongEd))), 'identity');
  t.is(await world.until(failure(client.links.get(targetOf('127.4.0.1', b)))), 'connect');
  t.is(await world.until(failure(client.links.get({ addresses: [] }))), 'connect');
  const addresses = ['127.4.0.1', '127.3.0.1', '127.2.0.1'].map((host) => ({ host, port: PORT }));
  const channel = await world.until(client.links.get({ ...targetOf('', b), addresses }));
  t.is(channel.remote.host, '127.2.0.1');
});

test('a channel to another address than asked for is used only when it is canonical', async (t) => {
  const world = new SimWorld('canonical', START);
  const [a, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const listed = { ownAddresses: () => [{ host: '127.7.0.1', port: PORT }] };
  await relayAt(world, '127.2.0.1', b, listed);
  const relay = node(world.host('127.1.0.1'), a);
  const first = await world.until(relay.links.get(targetOf('127.2.0.1', b)));
  t.false(first.canonical);
  t.is(await world.until(relay.links.get(targetOf('127.2.0.1', b))), first);
  t.is(await world.until(failure(relay.links.get(targetOf('127.7.0.1', b)))), 'connect');
});

test('a probe dials anew and leaves nothing behind', async (t) => {
  const world = new SimWorld('probe', START);
  const [a, b, c] = (await identities()) as [LinkCredentials, LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.2.0.1', b);
  const authority = node(world.host('127.1.0.1'), a);
  const target = targetOf('127.2.0.1', b);
  const kept = await world.until(authority.links.get(target));
  await world.until(authority.links.probe(target));
  await world.advance(20_000);
  t.is(authority.links.count, 1);
  t.true(kept.open);
  t.is(relay.links.count, 1);
  t.is(authority.links.stats.handshakesDone, 2);
  t.is(await world.until(failure(authority.links.probe({ ...target, rsaId: c.rsaId }))), 'identity');
  relay.host.crash();
  await world.advance(1000);
  t.is(await world.until(failure(authority.links.probe(target))), 'connect');
});

test('a dead peer takes its circuits with it', async (t) => {
  const world = new SimWorld('crash', START);
  const [a, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.2.0.1', b);
  const client = node(world.host('127.1.0.1'), a);
  const channel = await world.until(client.links.get(targetOf('127.2.0.1', b)));
  const reasons: number[] = [];
  channel.openLeg({ ...silent, destroyed: (_, reason) => reasons.push(reason) });
  relay.host.crash();
  await world.advance(1000);
  t.deepEqual(reasons, [8]);
  t.false(channel.open);
  t.is(client.closed.length, 1);
  t.is(client.links.count, 0);
});

async function dialRaw(world: SimWorld, from: string, to: string) {
  const conn = (await world.until(
    world.host(from).transport.dialTls({ host: to, port: PORT }),
  )) as unknown as Conn;
  const state = { closed: false, heard: 0 };
  conn.start({
    data: (chunk) => {
      state.heard += chunk.length;
    },
    end() {},
    drain() {},
    close: () => {
      state.closed = true;
    },
  });
  return { conn, state };
}

test('handshakes that do not end are given up, and only so many may be open', async (t) => {
  const world = new SimWorld('slow', START);
  const [, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const limits = () => ({ handshakeTimeout: 10_000, maxHalfOpen: 3, maxHalfOpenPerHost: 2 });
  const relay = await relayAt(world, '127.2.0.1', b, { limits });
  const same = [];
  for (let i = 0; i < 3; i++) same.push(await dialRaw(world, '127.9.0.1', '127.2.0.1'));
  const others = [];
  for (let i = 0; i < 2; i++) others.push(await dialRaw(world, `127.8.0.${i + 1}`, '127.2.0.1'));
  await world.advance(1000);
  t.deepEqual(
    [...same, ...others].map(({ state }) => state.closed),
    [false, false, true, false, true],
  );
  t.is(relay.links.stats.refused, 2);
  t.is(relay.links.stats.halfOpen, 3);
  await world.advance(10_000);
  t.true([...same, ...others].every(({ state }) => state.closed));
  t.is(relay.links.stats.halfOpen, 0);
  t.is(relay.links.stats.handshakesFailed, 3);
  t.deepEqual(relay.links.stats.connections['received ipv4'], { created: 3, failed: 3, rejected: 2 });
  const again = await dialRaw(world, '127.9.0.1', '127.2.0.1');
  await world.advance(1000);
  t.false(again.state.closed);
});

test('a circuit keeps to the bounds of queues as they are when it is made, not when its channel was', async (t) => {
  const world = new SimWorld('bounds', START);
  const [, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  await relayAt(world, '127.2.0.1', b);
  let maxQueueOut = 100;
  const client = node(world.host('127.1.0.1'), undefined, { limits: () => ({ maxQueueOut }) });
  const channel = await world.until(client.links.get(targetOf('127.2.0.1', b)));
  const cells = 60;
  const fits = () => {
    const batch = new CellBatch(Buffer.alloc(cells * CELL_SIZE));
    batch.n = cells;
    for (let i = 0; i < cells; i++) batch.at[i] = i * CELL_SIZE + 5;
    return channel.openLeg(silent).send(batch, 0, cells);
  };
  t.true(fits());
  maxQueueOut = 50;
  t.false(fits());
});

test('whoever speaks another language is closed at once', async (t) => {
  const world = new SimWorld('http', START);
  const [, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.2.0.1', b);
  const { conn, state } = await dialRaw(world, '127.9.0.1', '127.2.0.1');
  conn.write(Buffer.from('GET / HTTP/1.0\r\n\r\n'));
  await world.advance(1000);
  t.true(state.closed);
  t.is(relay.links.stats.handshakesFailed, 1);
  const old = await dialRaw(world, '127.9.0.1', '127.2.0.1');
  old.conn.write(encodeNarrow(Command.VERSIONS, Buffer.of(0, 3)));
  await world.advance(1000);
  t.true(old.state.closed);
  t.is(old.state.heard, 0);
});

test('a channel without circuits ends, one with circuits is kept awake', async (t) => {
  const world = new SimWorld('idle', START);
  const [, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.2.0.1', b);
  const client = node(world.host('127.9.0.1'), undefined);
  const channel = await world.until(client.links.get(targetOf('127.2.0.1', b)));
  const leg = channel.openLeg(silent);
  leg.control(Command.CREATE_FAST, Buffer.alloc(20));
  await world.advance(890_000);
  t.true(channel.open);
  t.true(client.links.stats.cellsOut[Command.PADDING]! >= 2);
  t.is(client.links.stats.cellsOut[Command.PADDING], relay.links.stats.cellsIn[Command.PADDING]);
  leg.destroy(0);
  await world.advance(150_000);
  t.true(channel.open);
  await world.advance(200_000);
  t.false(channel.open);
  t.is(relay.links.count, 0);
  t.is(relay.created[0]?.leg.dead, true);
});

const padding = (mode: PaddingConfig['mode']): PaddingConfig => ({
  mode,
  times: () => DEFAULT_PADDING_TIMES,
});

async function padded(mode: PaddingConfig['mode'], ...commands: number[]) {
  const world = new SimWorld(`padding ${mode}`, START);
  const [, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.2.0.1', b, { padding: padding('on') });
  const client = node(world.host('127.9.0.1'), undefined, { padding: padding(mode) });
  const channel = await world.until(client.links.get(targetOf('127.2.0.1', b)));
  const leg = channel.openLeg(silent);
  for (const command of commands) leg.control(command, Buffer.alloc(20));
  await world.advance(100_000);
  const sent = (links: LinkManager) => links.stats.cellsOut[Command.PADDING]!;
  return { client: sent(client.links), relay: sent(relay.links) };
}

test('an idle client link is padded from both ends', async (t) => {
  const counts = await padded('on', Command.CREATE2, Command.RELAY_EARLY);
  // Either end waits the larger of two draws out of 1.5 - 9.5 s and starts again when the other was quicker.
  t.true(counts.client >= 5 && counts.relay >= 5, JSON.stringify(counts));
  t.true(counts.client + counts.relay >= 15 && counts.client + counts.relay <= 45, JSON.stringify(counts));
});

test('a client that asks for less gets less, one that wants none gets none', async (t) => {
  const reduced = await padded('reduced', Command.CREATE2, Command.RELAY_EARLY);
  t.is(reduced.relay, 0);
  t.true(reduced.client >= 6 && reduced.client <= 11, JSON.stringify(reduced));
  t.deepEqual(await padded('off', Command.CREATE2, Command.RELAY_EARLY), { client: 0, relay: 0 });
});

test('a link for directory requests alone is not padded', async (t) => {
  t.deepEqual(await padded('on', Command.CREATE_FAST, Command.RELAY), { client: 0, relay: 0 });
  // Who knows the relay's onion key asks with CREATE2; what a circuit goes on with is RELAY_EARLY.
  t.is((await padded('on', Command.CREATE2, Command.RELAY)).relay, 0);
});

test('a relay that the network does not list is a client for padding and idle time, until it does', async (t) => {
  const world = new SimWorld('unlisted', START);
  const [a, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  let listed = false;
  const isRelay = (rsaId: Uint8Array) => listed && Buffer.from(rsaId).equals(a.rsaId);
  const relay = await relayAt(world, '127.2.0.1', b, { padding: padding('on'), isRelay });
  const bridge = node(world.host('127.1.0.1'), a);
  const link = async () => {
    const channel = await world.until(bridge.links.get(targetOf('127.2.0.1', b)));
    const leg = channel.openLeg(silent);
    leg.control(Command.CREATE2, Buffer.alloc(20));
    return leg;
  };
  const sent = () => relay.links.stats.cellsOut[Command.PADDING]!;
  const leg = await link();
  await world.advance(100_000);
  const padded = sent();
  listed = true;
  await world.advance(100_000);
  t.true(padded >= 5 && sent() <= padded + 1, `${padded} ${sent()}`);
  // How long a link may be idle is decided when it opens.
  leg.destroy(0);
  await world.advance(310_000);
  t.is(relay.links.count, 0);
  (await link()).destroy(0);
  await world.advance(310_000);
  t.is(relay.links.count, 1);
});

test('cells cross the channel both ways', async (t) => {
  const world = new SimWorld('cells', START);
  const [a, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.2.0.1', b);
  const other = node(world.host('127.1.0.1'), a);
  const channel = await world.until(other.links.get(targetOf('127.2.0.1', b)));
  const got: string[] = [];
  const leg = channel.openLeg({
    ...silent,
    control: (_, command, body) => got.push(`${command} ${body.length} ${body[0]}`),
    relayCells: (_, batch) => got.push(`cells ${batch.n}`),
  });
  leg.control(Command.CREATE2, Buffer.of(1));
  await world.advance(500);
  const { leg: far } = relay.created[0]!;
  // What comes goes straight back.
  far.handler = { ...silent, relayCells: (from, batch) => t.true(from.send(batch)) };
  far.control(Command.CREATED2, Buffer.of(9));
  await world.advance(500);
  for (let i = 0; i < 20; i++) leg.control(Command.RELAY, Buffer.alloc(BODY_SIZE, i));
  await world.advance(500);
  t.deepEqual(got, [`${Command.CREATED2} ${BODY_SIZE} 9`, 'cells 20']);
  t.is(relay.links.stats.cellsIn[Command.RELAY], 20);
  t.is(other.links.stats.cellsIn[Command.RELAY], 20);
});

test('a port that opens while the node stops is closed again', async (t) => {
  const world = new SimWorld('opening', START);
  const [a] = (await identities()) as [LinkCredentials];
  const { links } = node(world.host('127.1.0.1'), a);
  const opening = failure(links.listen({ host: '127.1.0.1', port: PORT }));
  await world.until(links.close());
  t.is(await world.until(opening), 'closed');
  t.is(world.listeners.size, 0);
  t.is(await world.until(failure(links.listen({ host: '127.1.0.1', port: PORT }))), 'closed');
  t.is(world.listeners.size, 0);
});

test('what is being dialled is hung up, too; who asks then has it dialled anew', async (t) => {
  const world = new SimWorld('hang up', START);
  const [a, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.2.0.1', b);
  const { dialled, host } = counting(world.host('127.1.0.1'));
  const other = node(host, a);
  const target = targetOf('127.2.0.1', b);
  const before = failure(other.links.get(target));
  const probe = failure(other.links.probe(target));
  other.links.hangUp('hibernating');
  const after = other.links.get(target);
  t.is(await world.until(before), 'closed');
  t.is(await world.until(probe), 'closed');
  t.true((await world.until(after)).open);
  await world.advance(10_000);
  t.is(dialled.length, 3);
  t.is(other.links.count, 1);
  t.is(relay.links.count, 1);
});

test('a node that stops closes all, and dials no more', async (t) => {
  const world = new SimWorld('stop', START);
  const [a, b] = (await identities()) as [LinkCredentials, LinkCredentials];
  const relay = await relayAt(world, '127.2.0.1', b);
  const other = node(world.host('127.1.0.1'), a);
  await world.until(other.links.get(targetOf('127.2.0.1', b)));
  await world.until(other.links.close());
  await world.advance(10_000);
  t.is(other.links.count, 0);
  t.is(relay.links.count, 0);
  t.is(await world.until(failure(other.links.get(targetOf('127.2.0.1', b)))), 'closed');
});
