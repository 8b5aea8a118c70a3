import test from 'ava';
import { DestroyReason, EndReason, RelayCommand } from '../shared/cell/commands.js';
import { RESOLVE, RESOLVED } from '../shared/cell/relay-cells.js';
import { buildCircuit } from '../shared/circuit/build.js';
import type { HopTarget } from '../shared/circuit/hop.js';
import { defaultCeiling, type Holder, MemoryCeiling } from '../shared/limits/memory-ceiling.js';
import { consensusLimits } from '../shared/link/limits.js';
import { createChannelManager } from '../shared/link/manager.js';
import { memoryLog } from '../shared/log/memory.js';
import { HandClock } from '../shared/onion/testing.js';
import type { Conn } from '../shared/runtime/types.js';
import { testRandom } from '../shared/testing/random.js';
import { DosDefences } from './dos.js';
import { DosParams } from './dos-params.js';
import { begin, echo, fountain, listen, network, Reading, SITE } from './testing/network.js';
import { optionsOf } from './testing.js';

const MB = 1024 ** 2;

test('MaxMemInQueues by the memory there is', (t) => {
  t.is(defaultCeiling(128 * MB), 256 * MB);
  t.is(defaultCeiling(4096 * MB), 3072 * MB);
  t.is(defaultCeiling(16_384 * MB), Math.floor((16_384 * MB * 2) / 5));
  t.is(defaultCeiling(1024 * 1024 * MB), 8192 * MB);
});

test('idle links and turns of circuits go by the consensus', (t) => {
  const limits = (params: Record<string, number>) => {
    const { idleRelay, halflife } = consensusLimits((name, fallback, min, max) =>
      Math.min(max, Math.max(min, params[name] ?? fallback)),
    );
    return [idleRelay, halflife];
  };
  t.deepEqual(limits({}), [3_600_000, 30_000]);
  t.deepEqual(limits({ nf_conntimeout_relays: 90, CircuitPriorityHalflifeMsec: 250 }), [90_000, 250]);
  t.deepEqual(limits({ nf_conntimeout_relays: 1, CircuitPriorityHalflifeMsec: 0 }), [60_000, 1]);
});

test('a circuit queues as many cells as with C tor, onward and back', (t) => {
  const limits = (params: Record<string, number>) => {
    const { maxQueue, maxQueueOut } = consensusLimits((name, fallback, min, max) =>
      Math.min(max, Math.max(min, params[name] ?? fallback)),
    );
    return [maxQueue, maxQueueOut];
  };
  t.deepEqual(limits({}), [2500, 2500]);
  t.deepEqual(limits({ circ_max_cell_queue_size: 500 }), [500, 500]);
  t.deepEqual(limits({ circ_max_cell_queue_size: 1250, circ_max_cell_queue_size_out: 1000 }), [1250, 1000]);
});

test('whoever holds the oldest data goes first, until a tenth is free', (t) => {
  const killed: string[] = [];
  const holders = new Map<string, { memory: number; waitingSince: number | undefined }>([
    ['young and large', { memory: 60, waitingSince: 9 }],
    ['old and small', { memory: 1, waitingSince: 1 }],
    ['empty', { memory: 0, waitingSince: undefined }],
    ['older', { memory: 40, waitingSince: 5 }],
  ]);
  const made = (name: string): Holder => ({
    get memory() {
      return holders.get(name)!.memory;
    },
    waitingSince: holders.get(name)!.waitingSince,
    kill() {
      killed.push(name);
      holders.get(name)!.memory = 0;
    },
  });
  const log = memoryLog();
  const ceiling = new MemoryCeiling({
    clock: new HandClock(),
    log,
    ceiling: () => 100,
    used: () => [...holders.values()].reduce((sum, { memory }) => sum + memory, 0),
    circuits: () => [made('young and large'), made('old and small'), made('empty')],
    links: () => [made('older')],
    streams: () => [],
  });
  ceiling.check();
  t.deepEqual(killed, ['old and small', 'older']);
  t.deepEqual(ceiling.counts, { circuitsKilled: 1, linksKilled: 1, streamsKilled: 0, bytesFreed: 41 });
  ceiling.check();
  t.is(killed.length, 2);
  t.regex(log.text(), /MaxMemInQueues was reached/);
});

test('a client that never reads is cut off when memory runs out, and others go on', async (t) => {
  const { world, build, env, hops, relays } = await network((n) =>
    n === 1 ? ['MaxMemInQueues 1 MBytes'] : [],
  );
  await listen(world, fountain(world.host(SITE).clock));
  // The one that never reads: its link to the guard is paused behind the client's back.
  const conns: Conn[] = [];
  const host = world.host('127.7.0.1');
  const transport = {
    ...host.transport,
    dialTls: async (...args: Parameters<typeof host.transport.dialTls>) => {
      const conn = await host.transport.dialTls(...args);
      conns.push(conn);
      return conn;
    },
  };
  const quiet = { create() {}, closed() {} };
  const greedyEnv = { ...host, transport, log: env.log };
  const channels = createChannelManager(greedyEnv, { handler: quiet });
  const greedy = [];
  for (let i = 0; i < 12; i++) {
    const circuit = await world.until(
      buildCircuit(greedyEnv, channels, hops as [HopTarget, ...HopTarget[]], { carries: true }),
    );
    greedy.push(circuit);
  }
  for (const circuit of greedy) for (let i = 0; i < 4; i++) begin(circuit, SITE);
  await world.advance(300);
  for (const conn of conns) conn.pause();

  const fair = await build(true);
  const { reading } = begin(fair, SITE);
  await world.advance(5_000);
  const before = reading.text.length;
  await world.advance(5_000);
  const { node, log } = relays[0]!;
  t.true(reading.text.length - before > 900_000, `${reading.text.length - before}`);
  t.true(node.channels.memory <= MB, `${node.channels.memory}`);
  t.regex(log.text(), /MaxMemInQueues was reached/);
  t.is(fair.failure, undefined);
  t.true(node.status().circuits.circuits < 13);
});

test('what servers do not take counts, and the circuit whose streams hold it is cut off', async (t) => {
  const { world, build, relays } = await network((n) => (n === 3 ? ['MaxMemInQueues 1 MBytes'] : []));
  // Only the first connection is read from.
  let [accepted, gone] = [0, 0];
  await listen(world, (conn) => {
    if (++accepted === 1) {
      echo(conn);
      return;
    }
    conn.start({ data() {}, end() {}, drain() {}, close: () => void gone++ });
    conn.pause();
  });
  const { node, log } = relays[2]!;
  const fair = await build(true);
  const { stream, reading } = begin(fair, SITE);
  const stuck = await build(true);
  await world.advance(1_000);
  for (let i = 0; i < 8; i++) begin(stuck, SITE).stream.write(Buffer.alloc(400_000));
  await world.advance(3_000);
  t.truthy(stuck.failure);
  t.regex(log.text(), /MaxMemInQueues was reached/);
  // At once, and not after the while that a server has when its stream ended.
  t.is(gone, 8);
  t.is(node.status().exitStreams, 1);
  stream.write(Buffer.from('fair'));
  await world.advance(1_000);
  t.is(reading.text, 'FAIR');
});

test('what ended streams left for servers that do not take it counts, and goes first', async (t) => {
  const { world, build, relays } = await network((n) => (n === 3 ? ['MaxMemInQueues 1 MBytes'] : []));
  let gone = 0;
  await listen(world, (conn) => {
    conn.start({ data() {}, end() {}, drain() {}, close: () => void gone++ });
    conn.pause();
  });
  const { node, log } = relays[2]!;
  const circuit = await build(true);
  await world.advance(1_000);
  for (let i = 0; i < 8; i++) {
    const { stream } = begin(circuit, SITE);
    stream.write(Buffer.alloc(200_000));
    await world.advance(200);
    stream.end(EndReason.MISC);
    await world.advance(200);
  }
  t.regex(log.text(), /MaxMemInQueues was reached/);
  t.true(gone > 0);
  t.true(node.status().memory.streamsKilled > 0);
  t.is(circuit.failure, undefined);
  await world.advance(20_000);
  t.is(gone, 8);
});

/** Dials the first relay as a client from one address; what it may do. */
async function attacker(at: Awaited<ReturnType<typeof network>>, host: string) {
  const { world, env, hops } = at;
  const bad = { ...world.host(host), log: env.log };
  const managers: ReturnType<typeof createChannelManager>[] = [];
  const { addresses } = hops[0]!;
  const open = async () => {
    const channels = createChannelManager(bad, { handler: { create() {}, closed() {} } });
    managers.push(channels);
    return channels.get({ addresses, rsaId: hops[0]!.rsaId });
  };
  return { open, bad, managers };
}

test('2,000 idle connections and 200 circuits a second from one address are held off while a transfer goes on', async (t) => {
  const lines = ['DoSConnectionEnabled 1', 'DoSCircuitCreationEnabled 1'];
  const at = await network((n) => (n === 1 ? lines : []));
  const { world, build, relays, hops } = at;
  await listen(world, fountain(world.host(SITE).clock));
  const fair = await build(true);
  const { reading } = begin(fair, SITE);
  await world.advance(3_000);
  const { open, bad } = await attacker(at, '127.66.0.1');

  // Some connections before the rate is too high, and then 2,000 that say nothing.
  const channels = [];
  for (let i = 0; i < 5; i++) channels.push(await world.until(open()));
  const outcomes = { refused: 0, silent: 0 };
  for (let i = 0; i < 2_000; i++)
    bad.transport.dialTls(hops[0]!.addresses[0]!).then(
      () => outcomes.silent++,
      () => outcomes.refused++,
    );
  const start = reading.text.length;
  await world.advance(5_000);
  const { node } = relays[0]!;
  t.true(node.channels.stats.halfOpen <= 128, `${node.channels.stats.halfOpen} half open`);
  t.true(node.channels.count < 120, `${node.channels.count} links`);
  // The silent ones are timed out.
  await world.advance(60_000);
  t.is(node.channels.stats.halfOpen, 0);
  // More links than the rate allows mark the address; from then on it is turned away at the door.
  const opened = Array.from({ length: 60 }, () =>
    open().then(
      () => true,
      () => false,
    ),
  );
  await world.until(Promise.all(opened));
  await world.advance(1_000);
  t.is(
    await world.until(
      open().then(
        () => 'open',
        () => 'refused',
      ),
    ),
    'refused',
  );
  t.true(node.status().defences.connectionsRefused > 0);
  t.true(
    node.channels.stats.connections['received ipv4'].rejected >= node.status().defences.connectionsRefused,
  );

  // 200 circuits a second over the links that stand.
  const { addresses } = hops[0]!;
  t.true(addresses.length > 0);
  const before = node.status();
  let destroyed = 0;
  let made = 0;
  const quiet = {
    relayCells() {},
    writable() {},
    control: () => void made++,
    destroyed: () => void destroyed++,
  };
  for (let second = 0; second < 10; second++) {
    for (let i = 0; i < 200; i++) {
      const channel = channels[i % channels.length]!;
      if (!channel.open) continue;
      channel.openLeg(quiet).control(5, Buffer.alloc(20, i));
    }
    await world.advance(1_000);
  }
  const after = node.status();
  t.is(made + destroyed, 2_000);
  t.true(made <= 90 + 30 + 5, `${made} were made`);
  t.true(after.defences.circuitsRefused - before.defences.circuitsRefused >= 1_800);
  t.is(after.defences.marked, 1);
  t.true(reading.text.length - start > 70 * 190_000, `${reading.text.length - start}`);
  t.is(fair.failure, undefined);

  // Another address is as welcome as before.
  const friend = await attacker(at, '127.67.0.1');
  const channel = await world.until(friend.open());
  t.true(channel.open);
});

test('connections that never come to a link count towards the rate of connecting', async (t) => {
  const at = await network((n) =>
    n === 1 ? ['DoSConnectionEnabled 1', 'DoSConnectionConnectBurst 10'] : [],
  );
  const { world, relays, hops } = at;
  const { node } = relays[0]!;
  const { open, bad } = await attacker(at, '127.66.0.1');
  const dials = Array.from({ length: 10 }, () => bad.transport.dialTls(hops[0]!.addresses[0]!));
  for (const conn of await world.until(Promise.all(dials))) conn.destroy();
  const outcome = (dialled: Promise<unknown>) =>
    world.until(
      dialled.then(
        () => 'open',
        () => 'refused',
      ),
    );
  t.is(await outcome(open()), 'refused');
  t.is(node.status().defences.connectionsRefused, 1);
  const friend = await attacker(at, '127.67.0.1');
  t.is(await outcome(friend.open()), 'open');
});

test('a relay may connect as often as it likes', (t) => {
  const clock = new HandClock();
  const dos = new DosParams(
    optionsOf('ORPort 9001', 'DoSConnectionEnabled 1'),
    (_name, fallback) => fallback,
  );
  const isRelay = (host: string) => host === '127.2.0.1';
  const defences = new DosDefences({ clock, random: testRandom('dos'), log: memoryLog(), dos, isRelay });
  const admitted = (host: string) => Array.from({ length: 50 }, () => defences.admit(host)).filter(Boolean);
  t.is(admitted('127.2.0.1').length, 50);
  t.is(admitted('127.66.0.1').length, 40);
  t.is(defences.counts.connectionsRefused, 10);
});

test('an exit holds off circuits that ask for streams too fast', async (t) => {
  const { world, build } = await network((n) =>
    n === 3 ? ['DoSStreamCreationEnabled 1', 'DoSStreamCreationRate 5', 'DoSStreamCreationBurst 10'] : [],
  );
  await listen(world, echo);
  const circuit = await build(true);
  const all = Array.from({ length: 15 }, () => begin(circuit, SITE).reading);
  await world.advance(1_000);
  t.is(all.filter((reading) => reading.address === SITE).length, 10);
  t.is(all.filter((reading) => reading.ended?.reason === EndReason.MISC).length, 5);
  await world.advance(1_000);
  for (let i = 0; i < 10; i++) begin(circuit, SITE);
  const reading = new Reading();
  circuit.openStream(RelayCommand.RESOLVE, RESOLVE.encode({ name: 'site.example' }), reading);
  await world.advance(200);
  t.deepEqual(RESOLVED.decode(reading.answers!).answers, [{ type: 'error', transient: true, ttl: 0 }]);
});

test('a circuit that asks too fast is closed where the option says so', async (t) => {
  let closed: number | undefined;
  const { world, build } = await network((n) =>
    n === 3
      ? ['DoSStreamCreationEnabled 1', 'DoSStreamCreationBurst 3', 'DoSStreamCreationDefenseType 3']
      : [],
  );
  const circuit = await build(true, (reason) => {
    closed = reason;
  });
  for (let i = 0; i < 4; i++) begin(circuit, SITE);
  await world.advance(1_000);
  t.is(closed, DestroyReason.DESTROYED);
});
