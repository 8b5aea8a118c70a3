import { once } from 'node:events';
import test from 'ava';
import { EndReason } from '../shared/cell/commands.js';
import { memoryLog } from '../shared/log/memory.js';
import { realClock } from '../shared/runtime/real.js';
import { SimWorld } from '../shared/runtime/sim/world.js';
import { memoryStore } from '../shared/store/memory.js';
import { failureOfEnd, HTTP_STATUS, SOCKS5_CODE, StreamError } from './failure.js';
import { HeldStream } from './held-stream.js';
import { duplexOf, startClient } from './index.js';
import { clientOptions, FakeStream } from './testing.js';

const fake = () => new FakeStream(1, { data() {}, drain() {}, end() {} });

test('what a stream brings can be read, and its end is the end', async (t) => {
  const stream = fake();
  const duplex = duplexOf(stream);
  stream.handlers.data(Buffer.from('one '));
  stream.handlers.data(Buffer.from('two'));
  stream.handlers.end(EndReason.DONE, false);
  const read: Buffer[] = [];
  for await (const chunk of duplex) read.push(chunk as Buffer);
  t.is(Buffer.concat(read).toString(), 'one two');
});

test('writing waits for a full stream; the end of writing is END with DONE, and reading goes on', async (t) => {
  const stream = fake();
  stream.room = false;
  const duplex = duplexOf(stream);
  let written = false;
  duplex.write('a', () => {
    written = true;
  });
  await new Promise(setImmediate);
  t.false(written);
  stream.handlers.drain();
  await new Promise(setImmediate);
  t.true(written);
  duplex.end();
  await once(duplex, 'finish');
  t.is(stream.text, 'a');
  t.is(stream.ended, EndReason.DONE);
  stream.handlers.data(Buffer.from('late'));
  const [chunk] = (await once(duplex, 'data')) as [Buffer];
  t.is(chunk.toString(), 'late');
});

test("a written chunk is the program's again once its callback was called", async (t) => {
  const stream = fake();
  const kept: Uint8Array[] = [];
  stream.write = (bytes) => kept.push(bytes) > 0;
  stream.lend = (bytes) => kept.push(Uint8Array.from(bytes)) > 0;
  const chunk = Buffer.from('first');
  await new Promise((resolve) => duplexOf(stream).write(chunk, resolve));
  chunk.fill('x');
  t.is(Buffer.from(kept[0]!).toString(), 'first');
});

test('whoever waits for a write is told when the stream breaks', async (t) => {
  const stream = fake();
  stream.room = false;
  const duplex = duplexOf(stream);
  let told: Error | null | undefined;
  duplex.write('a', (error) => {
    told = error;
  });
  stream.remoteEnd(EndReason.CONNRESET);
  await once(duplex, 'error');
  await new Promise(setImmediate);
  t.true(told instanceof StreamError);
  const given = duplexOf(stream);
  const written = new Promise((resolve) => given.write('a', resolve));
  given.destroy();
  await once(given, 'close');
  t.true((await written) instanceof StreamError);
});

test('an exit that answers our end with nothing, as those of C tor, is no error', async (t) => {
  const stream = fake();
  const duplex = duplexOf(stream);
  duplex.end('bye');
  await once(duplex, 'finish');
  duplex.resume();
  stream.remoteEnd(EndReason.TIMEOUT, true);
  await once(duplex, 'close');
  t.is(duplex.errored, null);
  const other = fake();
  const idle = duplexOf(other);
  other.remoteEnd(EndReason.TIMEOUT, true);
  await t.throwsAsync(once(idle, 'close'), { code: 'client/timeout' });
});

test('a reader that does not read pauses the stream', (t) => {
  const stream = fake();
  const duplex = duplexOf(stream);
  for (let i = 0; i < 64 && !stream.paused; i++) stream.handlers.data(Buffer.alloc(4096));
  t.true(stream.paused);
  duplex.resume();
  return new Promise<void>((resolve) => {
    setImmediate(() => {
      t.false(stream.paused);
      resolve();
    });
  });
});

test('a stream that breaks is an error with its cause; a duplex that is destroyed aborts the stream', async (t) => {
  const stream = fake();
  const duplex = duplexOf(stream);
  stream.remoteEnd(EndReason.CONNRESET);
  const [error] = (await once(duplex, 'error')) as [StreamError];
  t.true(error instanceof StreamError);
  t.is(error.kind, 'connection-refused');
  const other = fake();
  duplexOf(other).destroy();
  t.is(other.aborted, EndReason.DONE);
});

test('a held stream keeps what comes until somebody listens', (t) => {
  const inner = fake();
  const held = new HeldStream(inner);
  inner.handlers.data(Buffer.from('a'));
  inner.handlers.data(Buffer.from('b'));
  inner.handlers.end(EndReason.DONE, false);
  const got: string[] = [];
  held.handlers = {
    data: (bytes) => got.push(bytes.toString()),
    drain() {},
    end: (reason, local) => got.push(`end ${reason} ${local}`),
  };
  inner.handlers.data(Buffer.from('c'));
  t.deepEqual(got, ['a', 'b', `end ${EndReason.DONE} false`, 'c']);
});

test('a held stream that nobody listens to is paused, and goes on unless its owner pauses it', (t) => {
  for (const own of [false, true]) {
    const inner = fake();
    const held = new HeldStream(inner);
    t.true(inner.paused, 'what comes is bounded by the window');
    held.resume();
    t.true(inner.paused, 'there is still nobody');
    held.handlers = { data() {}, drain() {}, end() {} };
    t.false(inner.paused);
    const second = new HeldStream(inner);
    inner.handlers.data(Buffer.from('a'));
    second.handlers = {
      data() {
        if (own) second.pause();
      },
      drain() {},
      end() {},
    };
    t.is(inner.paused, own);
  }
});

test.serial(
  'a client keeps the process alive until it is stopped, whether it has ports or not',
  async (t) => {
    const world = new SimWorld('embedded client', 1_700_000_000_000);
    const host = world.host('127.8.0.1');
    const clock = { ...host.clock, keepAlive: realClock.keepAlive };
    const env = { ...host, clock, log: memoryLog(), store: memoryStore() };
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    const client = await world.until(startClient(clientOptions('SocksPort 0'), env));
    t.is(timers(), before + 1);
    await world.until(client.stop());
    t.is(timers(), before);
    await t.throwsAsync(world.until(startClient({ ...clientOptions(), DirAuthority: [] }, env)));
    t.is(timers(), before);
  },
);

test('every END reason has a failure, every failure a code and a status', (t) => {
  for (const reason of [...Object.values(EndReason), 0, 99]) {
    const kind = failureOfEnd(reason);
    t.true(SOCKS5_CODE[kind] >= 1);
    t.regex(HTTP_STATUS[kind], /^[45]\d\d /);
  }
  t.is(new StreamError('timeout', 'x').code, 'client/timeout');
});
