import test from 'ava';
import { MAX_BATCH } from '../cell/batch.js';
import { Command, DestroyReason, EndReason, HandshakeType, RelayCommand } from '../cell/commands.js';
import { EXTENDED2 } from '../cell/relay-cells.js';
import { memoryLog } from '../log/log.js';
import { windowFlow } from '../onion/flow.js';
import { batchOf, Sink } from '../onion/testing.js';
import { tor1Hs } from '../onion/tor1-hs.js';
import { seededRandom } from '../runtime/sim/random.js';
import { fc } from '../testing/properties.js';
import { buildCircuit } from './build.js';
import { CircuitBuildError } from './build-error.js';
import type { HopTarget } from './hop.js';
import { createOriginCircuit, type OriginCircuit, type OriginOptions } from './origin.js';
import { TestNet } from './testing.js';

const PLAIN = 'Link=4-5 Relay=2 FlowCtrl=1';
const MODERN = 'Link=4-5 Relay=2-4 FlowCtrl=1-2';

function network(...protocols: string[]) {
  const net = new TestNet();
  const relays = protocols.map((text) => net.add(text));
  const env = { clock: net.clock, random: net.random, log: memoryLog() };
  const path = relays.map((relay) => relay.target) as unknown as [HopTarget, ...HopTarget[]];
  return { net, relays, env, path };
}

async function standing(
  options: OriginOptions = {},
  protocols = [PLAIN, PLAIN, MODERN],
): Promise<ReturnType<typeof network> & { circuit: OriginCircuit }> {
  const made = network(...protocols);
  const build = buildCircuit(made.env, made.net.channels, made.path, { carries: true, ...options });
  return { ...made, circuit: await made.net.until(build) };
}

const failure = async (net: TestNet, build: Promise<unknown>): Promise<CircuitBuildError> => {
  const error = await net.until(build).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CircuitBuildError)) throw new Error(`built, or failed otherwise: ${String(error)}`);
  return error;
};

test('three hops, congestion control at the last, a stream both ways', async (t) => {
  const { net, relays, circuit } = await standing();
  t.is(circuit.hops.length, 3);
  t.deepEqual(
    relays.map((relay) => relay.handshakes),
    [[HandshakeType.NTOR], [HandshakeType.NTOR], [HandshakeType.NTOR_V3]],
  );
  t.is(net.dialled.length, 1);
  const sink = new Sink();
  const stream = circuit.openStream(RelayCommand.BEGIN, Buffer.from('a:80\0'), sink);
  stream.write(Buffer.from('early'));
  await net.settle();
  const far = relays[2]!.asked[0]!;
  const there = new Sink();
  far.handlers = there;
  far.accept(new Uint8Array(0));
  stream.write(Buffer.from('more'));
  far.write(Buffer.from('answer'));
  await net.settle();
  t.is(there.bytes.toString(), 'more');
  t.is(sink.bytes.toString(), 'answer');
  circuit.close();
  await net.settle();
  t.deepEqual(sink.ends, [{ reason: EndReason.DESTROY, local: true }]);
});

test('EXTEND2 and the first cells further out are RELAY_EARLY, never more than eight', async (t) => {
  const { net, relays, circuit } = await standing();
  const stream = circuit.openStream(RelayCommand.BEGIN, Buffer.from('a:80\0'), new Sink());
  stream.write(Buffer.alloc(20_000));
  await net.settle();
  const early = relays[0]!.seen.filter((command) => command === Command.RELAY_EARLY).length;
  t.true(early === 7 || early === 8);
  t.deepEqual(
    relays[0]!.seen.slice(0, early),
    Array.from({ length: early }, () => Command.RELAY_EARLY),
  );
  t.true(relays[0]!.seen.length > early + 10);
  // No more hops can be made then.
  const error = await failure(net, circuit.extend(relays[1]!.target));
  t.is(error.kind, 'unable');
  t.false(circuit.closed);
});

test('messages to the first hop are not RELAY_EARLY', async (t) => {
  const { net, env, relays, path } = network(PLAIN);
  const circuit = await net.until(createOriginCircuit(env, net.channels, path[0]));
  circuit.openDir(new Sink());
  await net.settle();
  t.deepEqual(relays[0]!.seen, [Command.RELAY]);
  t.is(relays[0]!.asked[0]!.command, RelayCommand.BEGIN_DIR);
});

test('a relay whose onion key is not known is asked with CREATE_FAST', async (t) => {
  const { net, env, path, relays } = network(PLAIN, PLAIN);
  const circuit = await net.until(createOriginCircuit(env, net.channels, { ...path[0], ntorKey: undefined }));
  t.deepEqual(relays[0]!.handshakes, []);
  const sink = new Sink();
  circuit.openDir(sink);
  await net.settle();
  relays[0]!.asked[0]!.accept(new Uint8Array(0));
  relays[0]!.asked[0]!.write(Buffer.from('HTTP/1.0 200 OK'));
  await net.settle();
  t.is(sink.bytes.toString(), 'HTTP/1.0 200 OK');
  t.is((await failure(net, circuit.extend({ ...path[1]!, ntorKey: undefined }))).kind, 'unable');
});

test('a relay with an IPv6 address alone is reached through those that extend so', async (t) => {
  const six = { addresses: [{ host: '2001:db8::2', port: 9001 }] };
  for (const [protocols, reached] of [
    [PLAIN, false],
    [MODERN, true],
  ] as const) {
    const { net, env, relays, path } = network(protocols, PLAIN);
    const circuit = await net.until(createOriginCircuit(env, net.channels, path[0]));
    const extending = circuit.extend({ ...path[1]!, ...six });
    if (reached) await net.until(extending);
    else t.is((await failure(net, extending)).kind, 'unable');
    t.is(relays[1]!.handshakes.length, reached ? 1 : 0);
    t.is((await failure(net, circuit.extend({ ...path[1]!, addresses: [] }))).kind, 'unable');
  }
});

test('nothing is left of a build whose next hop cannot be asked for', async (t) => {
  const { net, env, path } = network(PLAIN, PLAIN);
  const error = await failure(
    net,
    buildCircuit(env, net.channels, [path[0], { ...path[1]!, addresses: [] }]),
  );
  t.is(error.kind, 'unable');
  t.is(net.legs.length, 2);
  t.true(net.legs.every(({ dead }) => dead));
});

test('no congestion control where the relay, the consensus or the caller does not want it', async (t) => {
  const cases: [string, OriginOptions, number][] = [
    ['Relay=2-4 FlowCtrl=1', {}, HandshakeType.NTOR],
    ['Relay=2-3 FlowCtrl=1-2', {}, HandshakeType.NTOR],
    [MODERN, { carries: false }, HandshakeType.NTOR],
    [MODERN, { param: (name, value) => (name === 'cc_alg' ? 0 : value) }, HandshakeType.NTOR],
    [MODERN, {}, HandshakeType.NTOR_V3],
  ];
  for (const [protocols, options, type] of cases) {
    const { relays } = await standing(options, [PLAIN, protocols]);
    t.deepEqual(relays[1]!.handshakes, [type]);
  }
});

test('megabytes through three real hops, several streams, a few cells at a time', async (t) => {
  const { net, relays, circuit } = await standing();
  const random = seededRandom(3, 'bulk');
  const blob = Buffer.from(random.bytes(700_000));
  const sinks = [0, 1, 2].map(() => {
    const sink = new Sink();
    const stream = circuit.openStream(RelayCommand.BEGIN, Buffer.from('a:80\0'), sink);
    stream.write(blob.subarray(0, 300_000));
    stream.end(EndReason.DONE);
    return sink;
  });
  const uploads: Sink[] = [];
  relays[2]!.onStream = (stream) => {
    const up = new Sink();
    uploads.push(up);
    stream.handlers = up;
    stream.accept(new Uint8Array(0));
    stream.write(blob);
    stream.end(EndReason.DONE);
  };
  await net.settle(() => 1 + random.below(MAX_BATCH));
  for (const sink of sinks) {
    t.true(sink.bytes.equals(blob));
    t.deepEqual(sink.ends, [{ reason: EndReason.DONE, local: false }]);
  }
  for (const up of uploads) t.true(up.bytes.equals(blob.subarray(0, 300_000)));
  t.is(circuit.streams, 0);
  t.false(circuit.closed);
});

test('no link to the first hop', async (t) => {
  const { net, env, path } = network(PLAIN);
  net.refuse = new Error('ECONNREFUSED');
  const error = await failure(net, createOriginCircuit(env, net.channels, path[0]));
  t.like(error, { kind: 'channel', hop: 1, code: 'circuit-build' });
});

test('a wrong answer fails the hop that gave it', async (t) => {
  for (const bad of [0, 1]) {
    const { net, env, path, relays } = network(PLAIN, PLAIN);
    const { answer } = relays[bad]!;
    relays[bad]!.answer = (command, body) => {
      const answered = answer(command, body);
      answered.reply[40]! ^= 1;
      return answered;
    };
    const error = await failure(net, buildCircuit(env, net.channels, path));
    t.like(error, { kind: 'handshake', hop: bad + 1 });
    await net.settle();
    t.true(relays[0]!.back!.dead);
  }
});

test('DESTROY and TRUNCATED during a build name the hop and the reason', async (t) => {
  for (const bad of [0, 1, 2]) {
    const { net, env, path, relays } = network(PLAIN, PLAIN, PLAIN);
    const closed: number[] = [];
    relays[bad]!.answer = () => {
      relays[bad]!.back!.destroy(DestroyReason.OR_IDENTITY);
      throw new Error('destroyed');
    };
    const build = buildCircuit(env, net.channels, path, { onClosed: (reason) => closed.push(reason) });
    build.catch(() => {});
    const moving = async () => {
      for (;;)
        try {
          await net.settle();
          return;
        } catch {
          // The relay's answer.
        }
    };
    await moving();
    const error = await failure(net, build);
    t.like(error, { kind: 'destroyed', hop: bad + 1, reason: DestroyReason.OR_IDENTITY });
    t.deepEqual(closed, []);
  }
});

test('giving up a build, at the channel and later', async (t) => {
  const { net, env, path } = network(PLAIN, PLAIN);
  const early = new AbortController();
  const first = buildCircuit(env, net.channels, path, { signal: early.signal });
  early.abort();
  t.is((await failure(net, first)).kind, 'aborted');
  const hanging = new AbortController();
  const dial = createOriginCircuit(env, { get: () => new Promise(() => {}) }, path[0], {
    signal: hanging.signal,
  });
  hanging.abort();
  t.is((await failure(net, dial)).kind, 'aborted');
  const late = new AbortController();
  const second = buildCircuit(env, net.channels, path, { signal: late.signal, onHop: () => late.abort() });
  t.like(await failure(net, second), { kind: 'aborted', hop: 2 });
  t.is((await failure(net, buildCircuit(env, net.channels, path, { signal: late.signal }))).kind, 'aborted');
});

test('a circuit that dies from afar tells its owner and its streams', async (t) => {
  const closed: number[] = [];
  const { net, relays, circuit } = await standing({ onClosed: (reason) => closed.push(reason) });
  const sink = new Sink();
  circuit.openStream(RelayCommand.BEGIN, Buffer.from('a:80\0'), sink);
  await net.settle();
  relays[1]!.end!.send(RelayCommand.TRUNCATED, 0, Buffer.of(DestroyReason.CHANNEL_CLOSED));
  await net.settle();
  t.deepEqual(closed, [DestroyReason.CHANNEL_CLOSED]);
  t.deepEqual(sink.ends, [{ reason: EndReason.DESTROY, local: true }]);
  t.true(circuit.closed);
  t.throws(() => circuit.openStream(RelayCommand.BEGIN, new Uint8Array(0), new Sink()), { code: 'circuit' });
  circuit.close();
  t.deepEqual(closed, [DestroyReason.CHANNEL_CLOSED]);
});

test('what comes before TRUNCATED is delivered, though another hop sent it', async (t) => {
  const { net, relays, circuit } = await standing();
  const sink = new Sink();
  circuit.openStream(RelayCommand.BEGIN, Buffer.from('a:80\0'), sink);
  await net.settle();
  relays[2]!.asked[0]!.accept(new Uint8Array(0));
  relays[2]!.asked[0]!.write(Buffer.from('the last words'));
  // Everything up to the first relay, so that one batch brings data and TRUNCATED to the client.
  relays[2]!.back!.deliver(10);
  relays[1]!.back!.deliver(10);
  relays[0]!.end!.send(RelayCommand.TRUNCATED, 0, Buffer.of(DestroyReason.FINISHED));
  await net.settle();
  t.is(sink.bytes.toString(), 'the last words');
  t.true(circuit.closed);
});

test('answers nobody waits for, cells of no hop and inbound RELAY_EARLY close the circuit', async (t) => {
  const acts: Record<string, (made: Awaited<ReturnType<typeof standing>>) => void> = {
    EXTENDED2: ({ relays }) =>
      relays[2]!.end!.send(RelayCommand.EXTENDED2, 0, EXTENDED2.encode({ data: Buffer.alloc(64) })),
    'EXTENDED2 from the middle': ({ relays }) =>
      relays[1]!.end!.send(RelayCommand.EXTENDED2, 0, EXTENDED2.encode({ data: Buffer.alloc(64) })),
    CREATED2: ({ relays }) => relays[0]!.back!.control(Command.CREATED2, Buffer.alloc(509)),
    'a cell of no hop': ({ circuit }) =>
      circuit.relayCells(circuit.firstLeg!, batchOf([Buffer.alloc(509, 7)])),
    'inbound RELAY_EARLY': ({ circuit }) => {
      const batch = batchOf([Buffer.alloc(509)]);
      batch.buf[4] = Command.RELAY_EARLY;
      circuit.relayCells(circuit.firstLeg!, batch);
    },
  };
  for (const [name, act] of Object.entries(acts)) {
    const closed: number[] = [];
    const made = await standing({ onClosed: (reason) => closed.push(reason) });
    act(made);
    await made.net.settle();
    t.deepEqual(closed, [DestroyReason.PROTOCOL], name);
    t.true(made.relays[0]!.back!.dead, name);
  }
});

test('messages this room does not know go to the owner, with their hop', async (t) => {
  const got: { hop: number; command: number }[] = [];
  const { net, relays, circuit } = await standing({
    onMessage: ({ hop, command }) => got.push({ hop, command }),
  });
  relays[1]!.end!.send(RelayCommand.PADDING_NEGOTIATED, 0, Buffer.alloc(8));
  relays[2]!.end!.send(RelayCommand.RENDEZVOUS2, 0, Buffer.alloc(64));
  await net.settle();
  t.deepEqual(
    got.sort((a, b) => a.hop - b.hop),
    [
      { hop: 1, command: RelayCommand.PADDING_NEGOTIATED },
      { hop: 2, command: RelayCommand.RENDEZVOUS2 },
    ],
  );
  circuit.sendMessage(RelayCommand.ESTABLISH_RENDEZVOUS, Buffer.alloc(20));
  t.throws(() => circuit.sendMessage(RelayCommand.DROP, new Uint8Array(0), 7), { instanceOf: RangeError });
});

test('a virtual hop: two circuits joined at a rendezvous point, a stream asked for by the client', async (t) => {
  const keys = Buffer.from(seededRandom(9, 'hs').bytes(128));
  const client = await standing({}, [PLAIN, PLAIN]);
  const service = await standing({}, [PLAIN, PLAIN]);
  client.circuit.addVirtualHop(tor1Hs(keys, 'client'), windowFlow());
  const there = new Sink();
  service.circuit.addVirtualHop(tor1Hs(keys, 'service'), windowFlow(), (stream) => {
    stream.handlers = there;
    stream.accept(new Uint8Array(0));
    stream.write(Buffer.from('hello from the onion'));
  });
  // Each rendezvous point hands on what it does not recognise, as if it came from further out.
  for (const [from, to] of [
    [client, service],
    [service, client],
  ] as const) {
    const end = from.relays[1]!;
    end.onward = {
      send: (batch: Parameters<NonNullable<typeof end.back>['send']>[0], i: number, j: number) => {
        const body = Buffer.from(batch.buf.subarray(batch.at[i]!, batch.at[i]! + 509));
        const cell = batchOf([body]);
        cell.buf[4] = Command.RELAY;
        to.relays[1]!.layer!.wrapBackward(cell);
        to.relays[1]!.back!.send(cell);
        return j > i;
      },
    } as unknown as NonNullable<typeof end.onward>;
  }
  const here = new Sink();
  client.circuit.openStream(RelayCommand.BEGIN, Buffer.from(':80\0'), here);
  for (let i = 0; i < 5; i++) {
    await client.net.settle();
    await service.net.settle();
  }
  t.deepEqual(here.connectedTo, [undefined]);
  t.is(here.bytes.toString(), 'hello from the onion');
  t.is(client.circuit.hops.length, 3);
  t.is(client.circuit.hops[2]!.target, undefined);
});

test('random cells and controls from the first hop never crash a circuit', async (t) => {
  const bodies = fc.array(fc.uint8Array({ minLength: 509, maxLength: 509 }), { minLength: 1, maxLength: 5 });
  await t.notThrowsAsync(() =>
    fc.assert(
      fc.asyncProperty(bodies, fc.nat(255), fc.boolean(), async (cells, command, control) => {
        const { circuit } = await standing({}, [PLAIN]);
        if (control) circuit.control(circuit.firstLeg!, command, cells[0]!);
        else circuit.relayCells(circuit.firstLeg!, batchOf(cells));
        return circuit.closed;
      }),
      { numRuns: 30 },
    ),
  );
});

test('the next hop is prepared while one is made, and another may be asked for all the same', async (t) => {
  const { net, env, relays, path } = network(PLAIN, PLAIN, MODERN);
  const next = { target: path[1]!, carries: false };
  const making = createOriginCircuit(env, net.channels, path[0], { next });
  await null;
  await null;
  // The turn in which CREATE2 went out ends.
  net.clock.pass(0);
  const circuit = await net.until(making);
  const extended = circuit.extend(path[1]!, { next: { target: path[0]!, carries: false } });
  net.clock.pass(0);
  await net.until(extended);
  // Not the one that was prepared.
  await net.until(circuit.extend(path[2]!, { carries: true }));
  t.is(circuit.hops.length, 3);
  t.deepEqual(
    relays.map((relay) => relay.handshakes),
    [[HandshakeType.NTOR], [HandshakeType.NTOR], [HandshakeType.NTOR_V3]],
  );
});

test('an onion key of low order ends a circuit where it is asked for, not where it is prepared', async (t) => {
  for (const carries of [false, true]) {
    const { net, env, path } = network(PLAIN, MODERN);
    const bad = { ...path[1]!, ntorKey: new Uint8Array(32) };
    const making = createOriginCircuit(env, net.channels, path[0], { next: { target: bad, carries } });
    await null;
    await null;
    net.clock.pass(0);
    const circuit = await net.until(making);
    t.false(circuit.closed);
    const error = await failure(net, circuit.extend(bad, { carries }));
    t.is(error.hop, 2);
    t.true(circuit.closed);
  }
});
