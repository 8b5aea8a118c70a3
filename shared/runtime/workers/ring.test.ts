import test from 'ava';
import { fc } from '../../testing/properties.js';
import { Ring, ringMemory } from './ring.js';
import { Wire } from './wire.js';

const CAPACITY = 4096;

interface Sent {
  readonly kind: number;
  readonly id: number;
  readonly body: Buffer;
}

const frame = fc.record({
  kind: fc.integer({ min: 1, max: 254 }),
  id: fc.integer({ min: 0, max: 0xffff_ffff }),
  body: fc.uint8Array({ maxLength: CAPACITY / 8 }).map((bytes) => Buffer.from(bytes)),
});

const copied = (into: Sent[]) => (kind: number, id: number, body: Buffer) => {
  into.push({ kind, id, body: Buffer.from(body) });
};

test('a ring hands over what was pushed, in order, whole, however full it was', (t) => {
  const frames = fc.array(fc.record({ frame, drain: fc.boolean() }), { maxLength: 200 });
  fc.assert(
    fc.property(frames, (steps) => {
      const memory = ringMemory(CAPACITY);
      const [writer, reader] = [new Ring(memory), new Ring(memory)];
      const sent: Sent[] = [];
      const got: Sent[] = [];
      for (const { frame, drain } of steps) {
        if (writer.push(frame.kind, frame.id, frame.body)) sent.push(frame);
        else t.true(reader.drain(copied(got)), 'no room, and nothing to read');
        if (drain) reader.drain(copied(got));
      }
      reader.drain(copied(got));
      t.deepEqual(got, sent);
      t.false(reader.drain(copied(got)));
    }),
  );
});

test('positions that wrap at 2^32 are positions like any other', (t) => {
  const memory = ringMemory(CAPACITY);
  const words = new Int32Array(memory);
  // Head and tail, one frame before the end of what a word counts.
  words[0] = -64;
  words[16] = -64;
  const [writer, reader] = [new Ring(memory), new Ring(memory)];
  const got: Sent[] = [];
  for (let i = 0; i < 40; i++) {
    t.true(writer.push(7, i, Buffer.alloc(100, i)));
    reader.drain(copied(got));
  }
  t.deepEqual(
    got.map(({ id, body }) => [id, body.length, body[99]]),
    Array.from({ length: 40 }, (_, i) => [i, 100, i]),
  );
});

test('a sink that throws has had its frame', (t) => {
  const memory = ringMemory(CAPACITY);
  const [writer, reader] = [new Ring(memory), new Ring(memory)];
  writer.push(1, 1, Buffer.from('bad'));
  writer.push(1, 2, Buffer.from('good'));
  const got: Sent[] = [];
  t.throws(
    () =>
      reader.drain(() => {
        throw new Error('no');
      }),
    { message: 'no' },
  );
  reader.drain(copied(got));
  t.deepEqual(
    got.map(({ id }) => id),
    [2],
  );
});

/** Two ends in one thread; bells are rung by hand. */
function wires(sink: (kind: number, id: number, body: Buffer) => void, relieved: () => void = () => {}) {
  const [there, back] = [ringMemory(CAPACITY), ringMemory(CAPACITY)];
  const bells = { near: 0, far: 0 };
  const near = new Wire({
    incoming: back,
    outgoing: there,
    sink: () => {},
    bell: () => void bells.far++,
    relieved,
  });
  const far = new Wire({ incoming: there, outgoing: back, sink, bell: () => void bells.near++ });
  return { near, far, bells };
}

test('what finds no room waits, says so, and comes in order when there is room', (t) => {
  const got: number[] = [];
  let relieved = 0;
  const { near, far, bells } = wires(
    (_, id) => got.push(id),
    () => void relieved++,
  );
  for (let i = 0; i < 100; i++) near.send(1, i, Buffer.alloc(500));
  t.true(near.congested);
  t.is(bells.far, 1, 'the sleeper was woken once');
  for (let rounds = 0; near.congested && rounds < 100; rounds++) {
    const before = bells.near;
    far.pump();
    t.is(bells.near, before + 1, 'who waits is told of room');
    near.pump();
  }
  far.pump();
  t.deepEqual(
    got,
    Array.from({ length: 100 }, (_, i) => i),
  );
  t.is(relieved, 1);
  t.false(near.congested);
});

test('a reader that went to sleep is woken by the next frame, and not by a quiet one', async (t) => {
  const got: number[] = [];
  const { near, far, bells } = wires((_, id) => got.push(id));
  near.send(1, 1, Buffer.alloc(8), true);
  t.is(bells.far, 0);
  near.send(1, 2, Buffer.alloc(8));
  t.is(bells.far, 1);
  far.pump();
  // It looks again at the end of the turn, finds nothing, and sleeps.
  await new Promise((resolve) => setImmediate(resolve));
  near.send(1, 3, Buffer.alloc(8));
  t.is(bells.far, 2);
  t.deepEqual(got, [1, 2]);
  far.pump();
  t.deepEqual(got, [1, 2, 3]);
});
