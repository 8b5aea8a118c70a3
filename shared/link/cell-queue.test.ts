import test from 'ava';
import { CellBatch } from '../cell/batch.js';
import { BODY_SIZE, CELL_SIZE, Command } from '../cell/commands.js';
import { encodeFixed } from '../cell/frame.js';
import { fc } from '../testing/properties.js';
import { CellQueue } from './cell-queue.js';
import { type Turn, TurnHeap } from './ewma.js';

const CIRCUIT = 0x8123_4567;

/** Cells numbered from `first`, some side by side and some apart. */
function batchOf(first: number, cells: number, apart: boolean): CellBatch {
  const stride = apart ? CELL_SIZE + 3 : CELL_SIZE;
  const batch = new CellBatch(Buffer.alloc(cells * stride + 7));
  for (let i = 0; i < cells; i++) {
    const body = Buffer.alloc(BODY_SIZE);
    body.writeUInt32BE(first + i);
    encodeFixed(1, Command.RELAY_EARLY, body).copy(batch.buf, i * stride);
    batch.at[i] = i * stride + 5;
  }
  batch.n = cells;
  return batch;
}

const step = fc.oneof(
  fc.record({ do: fc.constant('batch' as const), n: fc.integer({ min: 1, max: 90 }), apart: fc.boolean() }),
  fc.record({ do: fc.constant('one' as const) }),
  fc.record({ do: fc.constant('take' as const), n: fc.integer({ min: 1, max: 124 }) }),
  fc.record({ do: fc.constant('clear' as const) }),
);

test('a queue gives back what it got, in order, and no memory stays counted', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const account = { queuedBytes: 0 };
      const queue = new CellQueue(account);
      const model: number[] = [];
      let next = 0;
      for (const action of steps) {
        if (action.do === 'batch') {
          const batch = batchOf(next, action.n, action.apart);
          const from = action.n >> 2;
          queue.pushCells(CIRCUIT, batch, from, batch.n, 0);
          for (let i = from; i < action.n; i++) model.push(next + i);
          next += action.n;
        } else if (action.do === 'one') {
          const body = Buffer.alloc(4);
          body.writeUInt32BE(next);
          queue.push(CIRCUIT, Command.RELAY_EARLY, body, 0);
          model.push(next++);
        } else if (action.do === 'take') {
          const out = Buffer.alloc(action.n * CELL_SIZE);
          const taken = queue.take(action.n, out, 0);
          const wanted = model.splice(0, action.n);
          t.is(taken, wanted.length);
          wanted.forEach((number, i) => {
            const at = i * CELL_SIZE;
            t.is(out.readUInt32BE(at), CIRCUIT);
            t.is(out[at + 4], Command.RELAY_EARLY);
            t.is(out.readUInt32BE(at + 5), number);
          });
        } else {
          queue.clear();
          model.length = 0;
        }
        t.is(queue.length, model.length);
        t.true(account.queuedBytes >= queue.length * CELL_SIZE);
        t.is(queue.since === undefined, queue.length === 0);
      }
      queue.clear();
      t.is(account.queuedBytes, 0);
    }),
    { numRuns: 100 },
  );
});

test('a few cells take little memory', (t) => {
  const account = { queuedBytes: 0 };
  const queue = new CellQueue(account);
  queue.push(1, Command.CREATED2, new Uint8Array(0), 0);
  t.true(account.queuedBytes <= 4 * CELL_SIZE);
});

interface Sender extends Turn {
  readonly name: number;
}

test('whoever sent least is first, whatever comes and goes', (t) => {
  const actions = fc.array(
    fc.tuple(
      fc.constantFrom('add', 'remove', 'charge', 'advance'),
      fc.nat(9),
      fc.integer({ min: 1, max: 50 }),
    ),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(actions, (list) => {
      const senders = Array.from({ length: 10 }, (_, name): Sender => ({ name, sent: 0, place: -1 }));
      const heap = new TurnHeap<Sender>(0, 1000);
      let now = 0;
      for (const [action, who, amount] of list) {
        now += amount * 1000;
        if (action === 'add') heap.add(senders[who]!);
        else if (action === 'remove') heap.remove(senders[who]!);
        else if (action === 'advance') heap.advance(now, senders);
        else if (heap.first) heap.charge(heap.first, amount);
        const waiting = senders.filter(({ place }) => place >= 0);
        t.is(heap.size, waiting.length);
        const least = Math.min(...waiting.map(({ sent }) => sent));
        if (waiting.length > 0) t.is(heap.first!.sent, least);
        t.true(heap.allowance() >= 1);
        t.true(senders.every(({ sent }) => Number.isFinite(sent) && sent >= 0));
      }
    }),
    { numRuns: 200 },
  );
});
