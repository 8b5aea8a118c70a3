import test from 'ava';
import { CREATED2 } from '../shared/cell/channel-cells.js';
import { Command, DestroyReason, HandshakeType, RelayCommand } from '../shared/cell/commands.js';
import { specifiersOf } from '../shared/cell/link-specifiers.js';
import { EXTEND2, EXTENDED2 } from '../shared/cell/relay-cells.js';
import { startFast } from '../shared/crypto/handshake.js';
import type { RelayKeys } from '../shared/crypto/relay-keys.js';
import { linkError } from '../shared/link/errors.js';
import type { Channel } from '../shared/link/types.js';
import { memoryLog } from '../shared/log/memory.js';
import { batchOf, HandClock } from '../shared/onion/testing.js';
import type { IncomingStream } from '../shared/onion/types.js';
import { testRandom } from '../shared/testing/random.js';
import { CircuitSwitch, type SwitchEnv } from './switch.js';
import { FakeChannel, noDefences, OneHop, RelayLeg } from './testing.js';

const rsaId = Buffer.alloc(20, 5);
const extend2 = EXTEND2.encode({
  specifiers: specifiersOf({ ipv4: { host: '203.0.113.5', port: 9001 }, rsaId }),
  type: HandshakeType.NTOR,
  data: Buffer.alloc(84, 7),
});

/** A relay with one circuit made by CREATE_FAST, and the client's end of it. */
function relay(more: Partial<SwitchEnv> = {}) {
  const random = testRandom('relay circuit');
  const next = new FakeChannel({ rsaId });
  const streams: IncomingStream[] = [];
  const clock = new HandClock();
  const env: SwitchEnv = {
    clock,
    random,
    defences: noDefences(clock, random),
    log: memoryLog(),
    keys: {} as RelayKeys,
    param: (_name, fallback) => fallback,
    channels: { get: async () => next },
    extendRules: { allowPrivate: false, ipv6: false, ed25519Of: () => undefined },
    stream: (stream) => void streams.push(stream),
    hibernating: () => false,
    ...more,
  };
  const circuits = new CircuitSwitch(env);
  const leg = new RelayLeg(new FakeChannel());
  const fast = startFast(random);
  circuits.create(leg, Command.CREATE_FAST, fast.data);
  const answer = leg.controls[0];
  const client = answer && new OneHop(leg, fast.finish(answer.body).keys);
  return { circuits, leg, client: client!, next, streams, clock: env.clock as HandClock };
}

/** The same, extended to the next relay. */
async function extended(more: Partial<SwitchEnv> = {}) {
  const made = relay(more);
  made.client.send(RelayCommand.EXTEND2, 0, extend2, Command.RELAY_EARLY);
  await null;
  const onward = made.next.opened[0]!;
  onward.handler.control(onward, Command.CREATED2, CREATED2.encode({ data: Buffer.alloc(64, 3) }));
  made.client.read();
  return { ...made, onward };
}

test('EXTEND2 becomes CREATE2, CREATED2 becomes EXTENDED2', async (t) => {
  const { client, next } = relay();
  client.send(RelayCommand.EXTEND2, 0, extend2, Command.RELAY_EARLY);
  await null;
  const onward = next.opened[0]!;
  t.is(onward.controls[0]!.command, Command.CREATE2);
  t.deepEqual(onward.controls[0]!.body.subarray(4), Buffer.alloc(84, 7));
  onward.handler.control(onward, Command.CREATED2, CREATED2.encode({ data: Buffer.alloc(64, 3) }));
  const [message] = client.read();
  t.is(message!.command, RelayCommand.EXTENDED2);
  t.deepEqual(Buffer.from(EXTENDED2.decode(message!.data).data), Buffer.alloc(64, 3));
});

test('EXTEND2 in a plain RELAY cell is dropped, and is no DROP', async (t) => {
  const { client, next, leg, circuits } = relay();
  client.send(RelayCommand.EXTEND2, 0, extend2);
  await null;
  t.is(next.opened.length, 0);
  t.is(circuits.status().drops, 0);
  client.send(RelayCommand.DROP, 0, Buffer.alloc(0));
  t.is(circuits.status().drops, 1);
  t.false(leg.dead);
});

test('cells not for us go on unchanged but for our layer, and come back under it', async (t) => {
  const { client, onward, leg } = await extended();
  client.sendOnward(3);
  const batch = onward.take();
  t.is(batch.n, 3);
  t.deepEqual(
    [1, 2, 3].map((n) => batch.buf[batch.at[n - 1]!]),
    [1, 2, 3],
  );
  onward.handler.relayCells(onward, batchOf([Buffer.alloc(509, 8)]));
  t.deepEqual(client.read(), [undefined]);
  t.false(leg.dead);
});

test('RELAY_EARLY stays RELAY_EARLY, and the ninth ends the circuit', async (t) => {
  const { client, onward, leg } = await extended();
  client.sendOnward(7, Command.RELAY_EARLY);
  const batch = onward.take();
  t.is(batch.buf[batch.at[0]! - 1], Command.RELAY_EARLY);
  client.sendOnward(1, Command.RELAY_EARLY);
  t.is(leg.destroyReason, DestroyReason.PROTOCOL);
  t.is(onward.destroyReason, DestroyReason.PROTOCOL);
});

test('RELAY_EARLY from further out ends the circuit', async (t) => {
  const { onward, leg } = await extended();
  const batch = batchOf([Buffer.alloc(509)]);
  batch.buf[batch.at[0]! - 1] = Command.RELAY_EARLY;
  onward.handler.relayCells(onward, batch);
  t.is(leg.destroyReason, DestroyReason.PROTOCOL);
});

test('a circuit that went on while it waited for a service is not joined to it: both end, and what lies beyond', async (t) => {
  const { circuits, leg, client, next } = relay({
    param: (name, fallback) => (name === 'DoSRefuseSingleHopClientRendezvous' ? 0 : fallback),
  });
  const cookie = Buffer.alloc(20, 9);
  client.send(RelayCommand.ESTABLISH_RENDEZVOUS, 0, cookie);
  t.is(client.read()[0]!.command, RelayCommand.RENDEZVOUS_ESTABLISHED);
  client.send(RelayCommand.EXTEND2, 0, extend2, Command.RELAY_EARLY);
  await null;
  const onward = next.opened[0]!;
  onward.handler.control(onward, Command.CREATED2, CREATED2.encode({ data: Buffer.alloc(64, 3) }));

  const serviceLeg = new RelayLeg(new FakeChannel());
  const fast = startFast(testRandom('service'));
  circuits.create(serviceLeg, Command.CREATE_FAST, fast.data);
  const service = new OneHop(serviceLeg, fast.finish(serviceLeg.controls[0]!.body).keys);
  service.send(RelayCommand.RENDEZVOUS1, 0, Buffer.concat([cookie, Buffer.alloc(64)]));
  t.is(onward.destroyReason, DestroyReason.PROTOCOL);
  t.is(leg.destroyReason, DestroyReason.PROTOCOL);
  t.is(serviceLeg.destroyReason, DestroyReason.PROTOCOL);
  t.is(circuits.status().circuits, 0);
});

test('an unrecognised cell at the last hop ends the circuit', (t) => {
  const { client, leg, circuits } = relay();
  client.sendOnward(1);
  t.is(leg.destroyReason, DestroyReason.PROTOCOL);
  t.is(circuits.status().circuits, 0);
});

test('a second EXTEND2, and EXTEND, end the circuit', async (t) => {
  const first = await extended();
  first.client.send(RelayCommand.EXTEND2, 0, extend2, Command.RELAY_EARLY);
  t.is(first.leg.destroyReason, DestroyReason.PROTOCOL);
  const second = relay();
  second.client.send(RelayCommand.EXTEND, 0, Buffer.alloc(200), Command.RELAY_EARLY);
  t.is(second.leg.destroyReason, DestroyReason.PROTOCOL);
});

test('a next relay that cannot be reached, or is somebody else, is told as such', async (t) => {
  for (const [code, reason] of [
    ['connect', DestroyReason.CONNECTFAILED],
    ['identity', DestroyReason.OR_IDENTITY],
  ] as const) {
    const { client, leg } = relay({ channels: { get: () => Promise.reject(linkError(code, 'no')) } });
    client.send(RelayCommand.EXTEND2, 0, extend2, Command.RELAY_EARLY);
    await null;
    await null;
    t.is(leg.destroyReason, reason);
  }
});

test('TRUNCATE cuts off what is further out and leaves the circuit open', async (t) => {
  const { client, onward, leg, next } = await extended();
  client.send(RelayCommand.TRUNCATE, 0, Buffer.of(DestroyReason.FINISHED));
  t.is(onward.destroyReason, DestroyReason.FINISHED);
  const [message] = client.read();
  t.is(message!.command, RelayCommand.TRUNCATED);
  t.deepEqual([...message!.data], [DestroyReason.REQUESTED]);
  client.send(RelayCommand.EXTEND2, 0, extend2, Command.RELAY_EARLY);
  await null;
  t.is(next.opened.length, 2);
  t.false(leg.dead);
});

test('a link that is there only after TRUNCATE or DESTROY is left alone', async (t) => {
  let arrive!: (channel: Channel) => void;
  const dial = () =>
    new Promise<Channel>((resolve) => {
      arrive = resolve;
    });
  const truncated = relay({ channels: { get: dial } });
  truncated.client.send(RelayCommand.EXTEND2, 0, extend2, Command.RELAY_EARLY);
  truncated.client.send(RelayCommand.TRUNCATE, 0, Buffer.of(0));
  arrive(truncated.next);
  await null;
  t.is(truncated.next.opened.length, 0);
  t.is(truncated.client.read()[0]!.command, RelayCommand.TRUNCATED);
});

test('DESTROY goes on both ways without the reason that came', async (t) => {
  const fromClient = await extended();
  fromClient.leg.handler.destroyed(fromClient.leg, DestroyReason.TIMEOUT);
  t.is(fromClient.onward.destroyReason, DestroyReason.DESTROYED);
  const fromNext = await extended();
  fromNext.onward.handler.destroyed(fromNext.onward, DestroyReason.HIBERNATING);
  t.is(fromNext.leg.destroyReason, DestroyReason.DESTROYED);
  const gone = await extended();
  gone.onward.handler.destroyed(gone.onward, DestroyReason.CHANNEL_CLOSED);
  t.is(gone.leg.destroyReason, DestroyReason.CHANNEL_CLOSED);
  t.is(gone.circuits.status().circuits, 0);
});

test('a queue past its bound ends the circuit', async (t) => {
  const out = await extended();
  out.onward.hard = 10;
  out.client.sendOnward(11);
  t.is(out.leg.destroyReason, DestroyReason.RESOURCELIMIT);
  const back = await extended();
  back.leg.hard = 0;
  back.onward.handler.relayCells(back.onward, batchOf([Buffer.alloc(509)]));
  t.is(back.onward.destroyReason, DestroyReason.RESOURCELIMIT);
});

test('a stream is asked for once, and again ends the circuit', (t) => {
  const { client, leg, streams } = relay();
  client.send(RelayCommand.BEGIN_DIR, 7, Buffer.alloc(0));
  t.is(streams.length, 1);
  t.is(streams[0]!.command, RelayCommand.BEGIN_DIR);
  client.send(RelayCommand.BEGIN_DIR, 7, Buffer.alloc(0));
  t.is(leg.destroyReason, DestroyReason.PROTOCOL);
});

test('cells that control nothing here end the circuit', async (t) => {
  const early = relay();
  early.leg.handler.control(early.leg, Command.CREATED2, CREATED2.encode({ data: Buffer.alloc(64) }));
  t.is(early.leg.destroyReason, DestroyReason.PROTOCOL);
  const twice = await extended();
  twice.onward.handler.control(twice.onward, Command.CREATED2, CREATED2.encode({ data: Buffer.alloc(64) }));
  t.is(twice.leg.destroyReason, DestroyReason.PROTOCOL);
});

test('CREATE, unknown handshakes and nonsense are refused', (t) => {
  const { circuits, clock } = relay();
  const tryOne = (command: number, body: Uint8Array) => {
    const leg = new RelayLeg(new FakeChannel());
    circuits.create(leg, command, body);
    clock.pass(10);
    return leg.destroyReason;
  };
  t.is(tryOne(Command.CREATE, Buffer.alloc(509)), DestroyReason.PROTOCOL);
  t.is(tryOne(Command.CREATE2, Buffer.alloc(509)), DestroyReason.PROTOCOL);
  t.is(tryOne(Command.CREATE2, Buffer.alloc(509, 255)), DestroyReason.PROTOCOL);
  t.is(tryOne(Command.CREATE2, Buffer.from([0, HandshakeType.NTOR_V3, 0, 10, 1])), DestroyReason.PROTOCOL);
  t.is(tryOne(Command.CREATE2, Buffer.alloc(3)), DestroyReason.PROTOCOL);
});

test('a relay that goes down refuses circuits', (t) => {
  t.is(relay({ hibernating: () => true }).leg.destroyReason, DestroyReason.HIBERNATING);
});

test('cells before the handshake is answered end the circuit', (t) => {
  const { circuits, clock } = relay();
  const leg = new RelayLeg(new FakeChannel());
  circuits.create(leg, Command.CREATE2, Buffer.alloc(509));
  leg.handler.relayCells(leg, batchOf([Buffer.alloc(509)]));
  t.is(leg.destroyReason, DestroyReason.PROTOCOL);
  clock.pass(10);
  t.is(circuits.status().onionskins.answered, 0);
});
