import test from 'ava';
import { DecodeError, ProtocolError } from '../bytes/errors.js';
import { CellBatch } from '../cell/batch.js';
import { BODY_SIZE, CELL_SIZE, Command, DestroyReason } from '../cell/commands.js';
import { encodeFixed } from '../cell/frame.js';
import { memoryLog } from '../log/log.js';
import type { Clock, TlsConn } from '../runtime/types.js';
import { fc } from '../testing/properties.js';
import { testRandom } from '../testing/random.js';
import { LinkChannel } from './channel.js';
import { HIGH_MARK, LOW_MARK } from './leg.js';
import { newLinkStats } from './stats.js';
import type { ChannelHandler, Leg, LegHandler } from './types.js';

/** A clock that stands still, and turns that end when told. */
class HandClock implements Clock {
  time = 0;
  private deferred: (() => void)[] = [];
  now = () => this.time;
  hold = <T>(work: Promise<T>) => work;
  monotonic = () => this.time;
  setTimer = () => ({ cancel() {} });
  keepAlive = () => ({ cancel() {} });
  defer = (run: () => void) => {
    this.deferred.push(run);
  };
  turn() {
    for (const run of this.deferred.splice(0)) run();
  }
}

interface Written {
  circuitId: number;
  command: number;
  first: number;
}

interface SetUp {
  initiator?: boolean;
  accepts?: boolean;
  maxQueue?: number;
  maxQueueOut?: number;
  maxCircuits?: number;
  halflife?: number;
}

function setUp(options: SetUp = {}) {
  const clock = new HandClock();
  const stats = newLinkStats();
  const log = memoryLog();
  const writes: Buffer[] = [];
  const state = { room: true, ended: false, destroyed: false, stopped: '' };
  const conn = {
    remote: { host: '127.0.0.2', port: 9001 },
    local: { host: '127.0.0.1', port: 1 },
    writableLength: 0,
    write(this: { writableLength: number }, bytes: Uint8Array) {
      writes.push(Buffer.from(bytes));
      if (!state.room) this.writableLength += bytes.length;
      return state.room;
    },
    end: () => {
      state.ended = true;
    },
    destroy: () => {
      state.destroyed = true;
    },
  } as unknown as TlsConn;
  const created: { leg: Leg; command: number }[] = [];
  const closed: string[] = [];
  const handler: ChannelHandler = {
    create: (leg, command) => created.push({ leg, command }),
    closed: (_, reason) => closed.push(reason),
  };
  const channel = new LinkChannel({
    id: 1,
    conn,
    clock,
    random: testRandom('channel'),
    log,
    stats,
    handler,
    limits: () => ({
      maxQueue: options.maxQueue ?? 50_000,
      maxQueueOut: options.maxQueueOut ?? options.maxQueue ?? 50_000,
      maxCircuits: options.maxCircuits ?? 100,
      halflife: options.halflife ?? 30_000,
    }),
    peer: { rsaId: undefined, ed25519Id: undefined },
    initiator: options.initiator ?? true,
    linkProtocol: 5,
    authenticated: false,
    canonical: false,
    canonicalToPeer: false,
    accepts: options.accepts ?? true,
    stopped: (reason) => {
      state.stopped = reason;
    },
  });
  const written = (): Written[] => {
    const all = Buffer.concat(writes.splice(0));
    return Array.from({ length: all.length / CELL_SIZE }, (_, i) => ({
      circuitId: all.readUInt32BE(i * CELL_SIZE),
      command: all[i * CELL_SIZE + 4]!,
      first: all[i * CELL_SIZE + 5]!,
    }));
  };
  return { channel, clock, stats, log, writes, written, state, created, closed };
}

function record() {
  const events: string[] = [];
  const handler: LegHandler = {
    relayCells: (_, batch) => events.push(`cells ${batch.n}`),
    control: (_, command) => events.push(`control ${command}`),
    destroyed: (_, reason) => events.push(`destroyed ${reason}`),
    writable: () => events.push('writable'),
  };
  return { events, handler };
}

/** Cells whose bodies begin with their number. */
function batchOf(cells: number, circuitId = 9): CellBatch {
  const batch = new CellBatch(
    Buffer.concat(
      Array.from({ length: cells }, (_, i) =>
        encodeFixed(circuitId, Command.RELAY, Buffer.alloc(BODY_SIZE, i & 255)),
      ),
    ),
  );
  batch.n = cells;
  for (let i = 0; i < cells; i++) batch.at[i] = i * CELL_SIZE + 5;
  return batch;
}

test('what a turn brings is one write, under the id of the leg', (t) => {
  const { channel, clock, writes, written } = setUp();
  const leg = channel.openLeg(record().handler);
  leg.control(Command.CREATE2, Buffer.of(7));
  leg.send(batchOf(3));
  leg.send(batchOf(5), 2, 4);
  t.is(leg.queued, 6);
  t.is(writes.length, 0);
  clock.turn();
  t.is(writes.length, 1);
  t.deepEqual(
    written().map(({ circuitId, command, first }) => [circuitId === leg.circuitId, command, first]),
    [
      [true, Command.CREATE2, 7],
      [true, Command.RELAY, 0],
      [true, Command.RELAY, 1],
      [true, Command.RELAY, 2],
      [true, Command.RELAY, 2],
      [true, Command.RELAY, 3],
    ],
  );
  t.is(channel.queued, 0);
});

test('the side that dialled sets the top bit, the other clears it', (t) => {
  const ours = setUp({ initiator: true }).channel;
  const theirs = setUp({ initiator: false }).channel;
  for (let i = 0; i < 20; i++) {
    t.true(ours.openLeg(record().handler).circuitId >= 0x8000_0000);
    const low = theirs.openLeg(record().handler).circuitId;
    t.true(low > 0 && low < 0x8000_0000);
  }
});

test('a CREATE needs the right top bit, an id that is free and is not zero', (t) => {
  const { channel, clock, created, written, stats } = setUp({ initiator: true });
  channel.fixed(5, Command.CREATE2, Buffer.alloc(BODY_SIZE));
  channel.fixed(5, Command.CREATE2, Buffer.alloc(BODY_SIZE));
  channel.fixed(0, Command.CREATE2, Buffer.alloc(BODY_SIZE));
  channel.fixed(0x8000_0005, Command.CREATE_FAST, Buffer.alloc(BODY_SIZE));
  clock.turn();
  t.is(created.length, 1);
  t.is(created[0]!.leg.circuitId, 5);
  t.is(stats.strayCells, 2);
  t.deepEqual(written(), [
    { circuitId: 0x8000_0005, command: Command.DESTROY, first: DestroyReason.PROTOCOL },
  ]);
});

test('a client takes no circuits, and nobody takes more than the bound', (t) => {
  const client = setUp({ accepts: false });
  client.channel.fixed(5, Command.CREATE2, Buffer.alloc(BODY_SIZE));
  client.clock.turn();
  t.is(client.written()[0]?.first, DestroyReason.PROTOCOL);
  const full = setUp({ maxCircuits: 2 });
  for (const id of [1, 2, 3]) full.channel.fixed(id, Command.CREATE2, Buffer.alloc(BODY_SIZE));
  full.clock.turn();
  t.is(full.created.length, 2);
  t.deepEqual(full.written(), [
    { circuitId: 3, command: Command.DESTROY, first: DestroyReason.RESOURCELIMIT },
  ]);
  t.throws(() => full.channel.openLeg(record().handler), { code: 'limit' });
});

test('cells go to their leg; those for nobody are counted and dropped', (t) => {
  const { channel, stats } = setUp();
  const { events, handler } = record();
  const leg = channel.openLeg(handler);
  channel.relay(leg.circuitId, batchOf(4));
  channel.fixed(leg.circuitId, Command.CREATED2, Buffer.alloc(BODY_SIZE));
  channel.fixed(leg.circuitId, Command.DESTROY, Buffer.alloc(BODY_SIZE, 6));
  channel.relay(leg.circuitId, batchOf(2));
  channel.fixed(leg.circuitId, Command.CREATED2, Buffer.alloc(BODY_SIZE));
  channel.fixed(leg.circuitId, Command.DESTROY, Buffer.alloc(BODY_SIZE));
  t.deepEqual(events, ['cells 4', `control ${Command.CREATED2}`, 'destroyed 6']);
  t.true(leg.dead);
  t.is(stats.strayCells, 3);
  t.is(stats.cellsIn[Command.RELAY], 6);
  t.false(leg.send(batchOf(1)));
});

test('DESTROY takes back what is queued, goes first, and frees the id but not at once', (t) => {
  const { channel, clock, written, stats } = setUp();
  const { events, handler } = record();
  const other = channel.openLeg(record().handler);
  const leg = channel.openLeg(handler);
  other.send(batchOf(1));
  leg.send(batchOf(100));
  t.true(stats.queuedBytes > 100 * CELL_SIZE);
  leg.destroy(DestroyReason.FINISHED);
  leg.destroy(DestroyReason.FINISHED);
  clock.turn();
  t.deepEqual(
    written().map(({ circuitId, command }) => [circuitId, command]),
    [
      [leg.circuitId, Command.DESTROY],
      [other.circuitId, Command.RELAY],
    ],
  );
  t.deepEqual(events, []);
  t.is(stats.queuedBytes, 0);
  t.is(channel.circuits, 1);
});

test('a full connection stops the picking; a drained one is filled again', (t) => {
  const { channel, clock, writes, state } = setUp();
  const leg = channel.openLeg(record().handler);
  for (let i = 0; i < 10; i++) leg.send(batchOf(100));
  state.room = false;
  clock.turn();
  t.is(writes.length, 1);
  t.is(leg.queued, 1000 - 310);
  leg.send(batchOf(1));
  clock.turn();
  t.is(writes.length, 1);
  state.room = true;
  channel.drained();
  t.is(leg.queued, 0);
});

test('a quiet circuit passes a busy one, and equals share', (t) => {
  const { channel, clock, written, state } = setUp();
  const busy = channel.openLeg(record().handler);
  const quiet = channel.openLeg(record().handler);
  for (let i = 0; i < 20; i++) busy.send(batchOf(100));
  state.room = false;
  clock.turn();
  written();
  quiet.send(batchOf(2));
  channel.drained();
  t.deepEqual(
    written()
      .slice(0, 3)
      .map(({ circuitId }) => circuitId),
    [quiet.circuitId, quiet.circuitId, busy.circuitId],
  );
  // From here on both have much to send: the quiet one catches up, then they take turns.
  for (let i = 0; i < 10; i++) quiet.send(batchOf(100));
  for (let i = 0; i < 4; i++) channel.drained();
  const ids = written().slice(-100);
  const share = ids.filter(({ circuitId }) => circuitId === busy.circuitId).length;
  t.true(share >= 40 && share <= 60, `${share} of 100`);
});

test('what was sent long ago no longer counts against a circuit', (t) => {
  const { channel, clock, written, state } = setUp();
  const early = channel.openLeg(record().handler);
  early.send(batchOf(100));
  clock.turn();
  written();
  clock.time += 3_600_000;
  const late = channel.openLeg(record().handler);
  state.room = false;
  late.send(batchOf(60));
  clock.turn();
  written();
  early.send(batchOf(100));
  late.send(batchOf(100));
  channel.drained();
  t.true(
    written()
      .slice(0, 50)
      .every(({ circuitId }) => circuitId === early.circuitId),
  );
});

test('how long what was sent counts is up to the limits, down to nothing', (t) => {
  for (const [halflife, first] of [
    [30_000, 'late'],
    [1000, 'early'],
    [1, 'early'],
  ] as const) {
    const { channel, clock, written, state } = setUp({ halflife });
    const early = channel.openLeg(record().handler);
    early.send(batchOf(100));
    clock.turn();
    clock.time += 10_000;
    const late = channel.openLeg(record().handler);
    state.room = false;
    late.send(batchOf(60));
    clock.turn();
    written();
    early.send(batchOf(100));
    late.send(batchOf(100));
    channel.drained();
    t.is(written()[0]!.circuitId, (first === 'early' ? early : late).circuitId, `${halflife}`);
  }
});

test('a channel that is closed while a write is under way hands over what waits, up to a bound', (t) => {
  const { channel, clock, writes, state } = setUp();
  const leg = channel.openLeg(record().handler);
  state.room = false;
  leg.send(batchOf(1));
  clock.turn();
  t.is(writes.length, 1);
  for (let i = 0; i < 20; i++) leg.send(batchOf(100));
  channel.close('enough');
  t.deepEqual(
    writes.map(({ length }) => length / CELL_SIZE),
    [1, 310, 310],
  );
  t.true(state.ended);
});

test('full and writable: once over the high mark, once below the low mark', (t) => {
  const { channel, clock, state } = setUp();
  const { events, handler } = record();
  const leg = channel.openLeg(handler);
  while (leg.queued <= HIGH_MARK) {
    t.false(leg.full);
    leg.send(batchOf(50));
  }
  t.true(leg.full);
  // More than goes in one write and may be left.
  leg.send(batchOf(100));
  state.room = false;
  clock.turn();
  t.true(leg.queued > LOW_MARK);
  t.deepEqual(events, []);
  t.true(leg.full);
  channel.drained();
  channel.drained();
  t.deepEqual(events, ['writable']);
  t.false(leg.full);
});

test('a queue has a hard bound', (t) => {
  const { channel, stats } = setUp({ maxQueue: 150 });
  const leg = channel.openLeg(record().handler);
  t.true(leg.send(batchOf(100)));
  t.false(leg.send(batchOf(100)));
  t.is(leg.queued, 100);
  t.is(stats.queueOverflows, 1);
});

test('a queue away from the client has a bound of its own', (t) => {
  const { channel, created } = setUp({ initiator: false, maxQueue: 150, maxQueueOut: 50 });
  channel.fixed(0x8000_0001, Command.CREATE2, Buffer.alloc(BODY_SIZE));
  const { leg } = created[0]!;
  t.true(leg.send(batchOf(100)));
  const onward = channel.openLeg(record().handler);
  t.false(onward.send(batchOf(100)));
  t.true(onward.send(batchOf(50)));
});

test('an owner that throws loses its circuit, and no other', (t) => {
  const { channel, clock, written, log } = setUp();
  const { events, handler } = record();
  const bad: LegHandler = {
    ...handler,
    control() {
      throw new DecodeError('CREATED2.length', 'too much');
    },
    relayCells() {
      throw new TypeError('a bug');
    },
  };
  const first = channel.openLeg(bad);
  const second = channel.openLeg(bad);
  const third = channel.openLeg(record().handler);
  channel.fixed(first.circuitId, Command.CREATED2, Buffer.alloc(BODY_SIZE));
  channel.relay(second.circuitId, batchOf(1));
  clock.turn();
  t.deepEqual(
    written().map(({ circuitId, first: reason }) => [circuitId, reason]),
    [
      [first.circuitId, DestroyReason.PROTOCOL],
      [second.circuitId, DestroyReason.INTERNAL],
    ],
  );
  t.deepEqual(events, [`destroyed ${DestroyReason.PROTOCOL}`, `destroyed ${DestroyReason.INTERNAL}`]);
  t.false(third.dead);
  t.is(log.lines.filter(({ level }) => level === 'err').length, 1);
});

test('cells of the handshake have no place on an open channel', (t) => {
  const { channel } = setUp();
  for (const command of [Command.VERSIONS, Command.CERTS, Command.AUTH_CHALLENGE, Command.AUTHENTICATE])
    t.throws(() => channel.variable(command), { instanceOf: ProtocolError });
  t.throws(() => channel.fixed(0, Command.NETINFO, Buffer.alloc(BODY_SIZE)), { instanceOf: ProtocolError });
  for (const command of [Command.VPADDING, Command.AUTHORIZE, 222])
    t.notThrows(() => channel.variable(command));
  for (const command of [Command.PADDING, 77])
    t.notThrows(() => channel.fixed(0, command, Buffer.alloc(BODY_SIZE)));
});

test('closing writes what is queued, then tells every leg and the handler', (t) => {
  const { channel, written, state, closed, stats } = setUp();
  const { events, handler } = record();
  const leg = channel.openLeg(handler);
  leg.send(batchOf(3));
  channel.close('enough');
  channel.close('again');
  channel.gone('and again');
  t.is(written().length, 3);
  t.true(state.ended);
  t.is(state.stopped, 'enough');
  t.deepEqual(events, [`destroyed ${DestroyReason.CHANNEL_CLOSED}`]);
  t.deepEqual(closed, ['enough']);
  t.is(stats.queuedBytes, 0);
  t.throws(() => channel.openLeg(handler), { code: 'closed' });
});

test('retired circuit ids are not given out again at once', (t) => {
  const low = [0, 0, 0, 1];
  const clock = new HandClock();
  const { channel } = setUp();
  const random = { ...testRandom('x'), below: () => low.shift() ?? 2 };
  const same = new LinkChannel({ ...partsOf(channel), random, clock });
  const first = same.openLeg(record().handler);
  first.destroy(0);
  const second = same.openLeg(record().handler);
  t.not(first.circuitId, second.circuitId);
});

const partsOf = (channel: LinkChannel) =>
  (channel as unknown as { parts: ConstructorParameters<typeof LinkChannel>[0] }).parts;

test('any cells at all leave the channel whole', (t) => {
  const cell = fc.tuple(
    fc.oneof(fc.constantFrom(0, 1, 2, 0x8000_0001), fc.nat(0xffff_ffff)),
    fc.oneof(fc.constantFrom(1, 4, 5, 6, 10, 11, 12), fc.nat(255)),
    fc.uint8Array({ minLength: BODY_SIZE, maxLength: BODY_SIZE }),
    fc.boolean(),
  );
  fc.assert(
    fc.property(fc.array(cell, { maxLength: 40 }), (cells) => {
      const { channel, clock, created, stats, closed } = setUp({ initiator: false });
      for (const [circuitId, command, body, answered] of cells) {
        try {
          if (command === Command.RELAY) channel.relay(circuitId, batchOf(2, circuitId));
          else if (command === Command.VERSIONS || command >= 128) channel.variable(command);
          else channel.fixed(circuitId, command, Buffer.from(body));
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
        if (answered) created.at(-1)?.leg.control(Command.CREATED2, body);
        clock.turn();
      }
      channel.close('enough');
      t.is(channel.circuits, 0);
      t.is(channel.queued, 0);
      t.is(stats.queuedBytes, 0);
      t.deepEqual(closed, ['enough']);
    }),
    { numRuns: 200 },
  );
});

test('a peer that makes DESTROYs and reads none is given up', (t) => {
  const { channel, state } = setUp({ accepts: false });
  state.room = false;
  for (let i = 1; channel.open && i < 100_000; i++)
    channel.fixed(i, Command.CREATE2, Buffer.alloc(BODY_SIZE));
  t.false(channel.open);
  t.is(state.stopped, 'the peer reads nothing');
});
