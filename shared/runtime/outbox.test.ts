import test from 'ava';
import { Outbox, type Outlet } from './outbox.js';

const KB = 1024;

/** A socket that takes what it is given when `take` is called. */
class FakeSocket implements Outlet {
  writable = true;
  writableLength = 0;
  ended = false;
  corks = 0;
  /** The buffers themselves, as a real one keeps them. */
  private held: { bytes: Uint8Array; done: ((error?: Error | null) => void) | undefined }[] = [];
  readonly writes: Buffer[] = [];

  write(bytes: Uint8Array, done?: (error?: Error | null) => void): boolean {
    this.writableLength += bytes.length;
    this.held.push({ bytes, done });
    return false;
  }
  cork(): void {
    this.corks++;
  }
  uncork(): void {
    this.corks--;
  }
  end(): void {
    this.ended = true;
  }
  take(error?: Error): void {
    const { held } = this;
    this.held = [];
    for (const { bytes, done } of held) {
      this.writableLength -= bytes.length;
      this.writes.push(Buffer.from(bytes));
      done?.(error);
    }
  }
  get text(): string {
    return Buffer.concat(this.writes).toString('latin1');
  }
}

function outboxOf() {
  const socket = new FakeSocket();
  const deferred: (() => void)[] = [];
  const count = { drains: 0 };
  const outbox = new Outbox(
    socket,
    (run) => deferred.push(run),
    () => count.drains++,
  );
  const turn = () => {
    for (const run of deferred.splice(0)) run();
  };
  return { socket, outbox, turn, count, deferred };
}

test('what is written in a turn goes out as one, and the writer may use its buffer again', (t) => {
  const { socket, outbox, turn, deferred } = outboxOf();
  const mine = Buffer.from('one ');
  t.true(outbox.write(mine));
  mine.write('two ');
  t.true(outbox.write(mine));
  mine.fill('x');
  t.is(deferred.length, 1);
  t.is(outbox.length, 8);
  turn();
  t.is(outbox.length, 8);
  socket.take();
  t.deepEqual(socket.writes.map(String), ['one two ']);
  t.is(outbox.length, 0);
});

test('what comes while a write is under way follows it, and fills blocks', (t) => {
  const { socket, outbox, turn } = outboxOf();
  outbox.write(Buffer.from('a'));
  turn();
  for (let i = 0; i < 1000; i++) {
    outbox.write(Buffer.from('b'));
    turn();
  }
  t.is(outbox.length, 1001);
  socket.take();
  socket.take();
  t.deepEqual(
    socket.writes.map((bytes) => bytes.length),
    [1, 1000],
  );
});

test('many blocks keep their order, and are not used again before they went', (t) => {
  const { socket, outbox, turn } = outboxOf();
  let expected = '';
  for (let round = 0; round < 20; round++) {
    const text = String.fromCharCode(97 + round).repeat(20_000 + round * 7919);
    expected += text;
    outbox.write(Buffer.from(text));
    turn();
    if (round % 3 === 0) socket.take();
  }
  while (outbox.length > 0) socket.take();
  t.is(socket.corks, 0);
  t.true(socket.text === expected);
});

test('write says no when too much is held, and drain follows, once', (t) => {
  const { socket, outbox, turn, count } = outboxOf();
  t.true(outbox.write(Buffer.alloc(255 * KB)));
  t.false(outbox.write(Buffer.alloc(KB)));
  turn();
  t.false(outbox.write(Buffer.alloc(100 * KB)));
  t.is(count.drains, 0);
  socket.take();
  // The 100 KB are on their way now.
  t.is(count.drains, 0);
  socket.take();
  t.is(count.drains, 1);
  t.true(outbox.write(Buffer.alloc(KB)));
  turn();
  socket.take();
  t.is(count.drains, 1);
});

test('the end comes behind everything, also behind what waits for a write', (t) => {
  const { socket, outbox, turn } = outboxOf();
  outbox.write(Buffer.from('a'));
  turn();
  outbox.write(Buffer.from('b'));
  outbox.end();
  t.true(socket.ended);
  t.false(outbox.write(Buffer.from('c')));
  socket.take();
  turn();
  t.is(socket.text, 'ab');
  t.is(outbox.length, 0);
});

test('a socket that failed gets nothing more', (t) => {
  const { socket, outbox, turn, count } = outboxOf();
  outbox.write(Buffer.alloc(300 * KB));
  turn();
  socket.writable = false;
  socket.take(new Error('EPIPE'));
  t.false(outbox.write(Buffer.from('x')));
  turn();
  t.is(count.drains, 0);
});
