import test from 'ava';
import { DestroyReason, EndReason, RelayCommand } from '../shared/cell/commands.js';
import { BEGIN, BeginFlag, RESOLVE, RESOLVED, type ResolvedAnswer } from '../shared/cell/relay-cells.js';
import { CircuitBuildError } from '../shared/circuit/build-error.js';
import { memoryLog } from '../shared/log/memory.js';
import type { Stream } from '../shared/onion/types.js';
import { SimWorld } from '../shared/runtime/sim/world.js';
import { BuildTimes, buildTimeoutParams } from './build-timeout.js';
import { CircuitManager } from './circuits.js';
import type { StreamError } from './failure.js';
import { guardParams } from './guard-params.js';
import { GuardManager } from './guards.js';
import { authKey, type Isolation } from './isolation.js';
import { pathRulesOf } from './path.js';
import { Predictor } from './predictor.js';
import { type StreamClient, StreamManager, type StreamTarget } from './streams.js';
import {
  clientOptions,
  EXIT,
  type FakeBuild,
  fakeFactory,
  GUARD,
  MIDDLE,
  type RelaySketch,
  sketchNetwork,
} from './testing.js';

const RELAYS: RelaySketch[] = [
  ...Array.from({ length: 5 }, () => ({ flags: GUARD })),
  ...Array.from({ length: 4 }, () => ({ flags: MIDDLE })),
  { flags: EXIT, policy: 'accept 80,443' },
  { flags: EXIT, policy: 'accept 80,443' },
  { flags: EXIT, policy: 'accept 80,443' },
];

/** The managers over a made-up network in which the test builds the circuits. */
function setUp(relays = RELAYS, ...torrc: string[]) {
  const world = new SimWorld('client streams', 1_700_000_000_000);
  const { clock, random } = world.host('127.8.0.1');
  const options = clientOptions(...torrc);
  const rules = pathRulesOf(options);
  const network = sketchNetwork(relays);
  const guards = new GuardManager(guardParams(network, options), random);
  guards.setNetwork(network, () => true, guardParams(network, options), clock.now(), true);
  const factory = fakeFactory();
  const buildTimes = new BuildTimes(
    buildTimeoutParams((name, fallback, min, max) => network.param(name, fallback, min, max), options),
  );
  const log = memoryLog();
  const common = {
    clock,
    random,
    log,
    options,
    rules,
    predictor: new Predictor(clock.monotonic(), () => 3_600_000),
  };
  const brokenExits = new Set<string>();
  const streams: StreamManager = new StreamManager(
    { ...common, longLivedPorts: rules.longLivedPorts, brokenExits },
    () => circuits,
  );
  const circuits: CircuitManager = new CircuitManager(
    { ...common, factory, guards, buildTimes },
    { changed: () => streams.changed(), built() {}, used() {}, gone() {}, hop() {} },
  );
  circuits.setNetwork(network);
  return { world, clock, streams, circuits, factory, network, log, buildTimes };
}

const fieldsOf = (auth: string): Isolation => ({
  fields: {
    auth: auth && authKey(auth, ''),
    destAddr: '',
    destPort: 0,
    clientAddr: '127.0.0.1',
    clientProtocol: 'socks5',
    sessionGroup: 'one',
  },
  by: new Set(['auth', 'clientAddr', 'sessionGroup']),
});

/** What came of a request. */
class Outcome implements StreamClient {
  stream: Stream | undefined;
  error: StreamError | undefined;
  answers: readonly ResolvedAnswer[] | undefined;
  connected(stream: Stream): void {
    this.stream = stream;
  }
  resolved(answers: readonly ResolvedAnswer[]): void {
    this.answers = answers;
  }
  failed(error: StreamError): void {
    this.error = error;
  }
}

const web = (port = 80): StreamTarget => ({
  kind: 'connect',
  host: { kind: 'name', text: 'site.example' },
  port,
  flags: 1,
});

type SetUp = ReturnType<typeof setUp>;

/** Makes a request and lets a moment pass. */
async function ask(
  { streams, world }: SetUp,
  target: StreamTarget = web(),
  auth = '',
): Promise<Outcome & { cancel(): void }> {
  const outcome = new Outcome();
  const { cancel } = streams.request(target, fieldsOf(auth), outcome);
  await world.advance(10);
  return Object.assign(outcome, { cancel });
}

/** Builds whatever waits to be built. */
async function succeed(set: SetUp, ...builds: FakeBuild[]): Promise<void> {
  for (const build of builds) build.succeed();
  await set.world.advance(10);
}

test('a request starts a circuit, goes out as BEGIN once that stands, and is told of CONNECTED', async (t) => {
  const set = setUp();
  const outcome = await ask(set);
  t.is(set.factory.builds.length, 1);
  const [build] = set.factory.builds as [FakeBuild];
  t.is(build.path.length, 3);
  await succeed(set, build);
  t.is(build.last.command, RelayCommand.BEGIN);
  t.deepEqual(BEGIN.decode(build.last.body), { host: 'site.example', port: 80, flags: 1 });
  build.last.stream.handlers.connected?.('93.184.216.34', 60);
  t.is(outcome.stream, build.last.stream);
  t.is(outcome.error, undefined);
});

test('streams share a circuit; isolated ones get their own, at once', async (t) => {
  const set = setUp();
  await ask(set);
  await ask(set, web(443));
  t.is(set.factory.builds.length, 1);
  for (const name of ['a', 'b', 'c']) await ask(set, web(), name);
  await ask(set, web(), 'a');
  t.is(set.factory.builds.length, 4);
  await succeed(set, ...set.factory.builds);
  t.deepEqual(set.factory.builds.map((build) => build.opened.length).sort(), [1, 1, 2, 2]);
});

test('no exit allows the port: refused at once, as not allowed', async (t) => {
  const outcome = await ask(setUp(), web(25));
  t.is(outcome.error?.kind, 'not-allowed');
});

test('MaxClientCircuitsPending bounds what is built at a time; requests wait', async (t) => {
  const set = setUp(RELAYS, 'MaxClientCircuitsPending 3');
  for (let i = 0; i < 6; i++) await ask(set, web(), `user ${i}`);
  t.is(set.factory.builds.length, 3);
  t.is(set.streams.waitingCount, 6);
  await succeed(set, ...set.factory.builds);
  t.is(set.factory.builds.length, 6);
});

test('an exit that refuses is not asked again; after three refusals the last reason is given', async (t) => {
  const set = setUp();
  const outcome = await ask(set);
  const exits = new Set<string>();
  for (let i = 0; i < 3; i++) {
    t.is(outcome.error, undefined);
    const build = set.factory.builds[i]!;
    exits.add(build.ids[2]!);
    await succeed(set, build);
    build.last.stream.remoteEnd(EndReason.RESOLVEFAILED);
    await set.world.advance(10);
  }
  t.is(exits.size, 3);
  t.is(outcome.error?.kind, 'host-unreachable');
  t.is(outcome.error?.endReason, EndReason.RESOLVEFAILED);
});

test("what is the destination's own answer is not retried", async (t) => {
  for (const [reason, kind] of [
    [EndReason.CONNECTREFUSED, 'connection-refused'],
    [EndReason.CONNRESET, 'connection-refused'],
    [EndReason.DONE, 'connection-refused'],
    [EndReason.TIMEOUT, 'timeout'],
  ] as const) {
    const set = setUp();
    const outcome = await ask(set);
    await succeed(set, set.factory.builds[0]!);
    set.factory.builds[0]!.last.stream.remoteEnd(reason);
    await set.world.advance(10);
    t.is(outcome.error?.kind, kind);
    t.is(set.factory.builds.length, 1);
  }
});

test('a circuit that dies under a request is replaced', async (t) => {
  const set = setUp();
  const outcome = await ask(set);
  const [first] = set.factory.builds as [FakeBuild];
  await succeed(set, first);
  first.hooks.closed(8);
  first.last.stream.remoteEnd(EndReason.DESTROY, true);
  await set.world.advance(10);
  const second = set.factory.builds[1]!;
  await succeed(set, second);
  second.last.stream.handlers.connected?.(undefined, 0);
  t.is(outcome.stream, second.last.stream);
});

test('no answer within ten seconds: the circuit is set aside, the request goes elsewhere', async (t) => {
  const set = setUp();
  const outcome = await ask(set);
  const [first] = set.factory.builds as [FakeBuild];
  await succeed(set, first);
  await set.world.advance(9_900);
  t.is(first.last.stream.aborted, undefined);
  await set.world.advance(200);
  t.is(first.last.stream.aborted, EndReason.MISC);
  t.not(first.closedWith, undefined);
  const second = set.factory.builds[1]!;
  await succeed(set, second);
  t.is(second.opened.length, 1);
  t.is(outcome.error, undefined);
});

test('a request that gets no circuit is given up after SocksTimeout', async (t) => {
  const set = setUp(RELAYS, 'SocksTimeout 20 seconds');
  set.circuits.setNetwork(undefined);
  const outcome = await ask(set);
  for (let i = 0; i < 21; i++) {
    set.streams.tick();
    await set.world.advance(1000);
  }
  t.is(outcome.error?.kind, 'timeout');
});

test('a request that is dropped ends its stream and is not called back', async (t) => {
  const set = setUp();
  const outcome = await ask(set);
  await succeed(set, set.factory.builds[0]!);
  const { stream } = set.factory.builds[0]!.last;
  outcome.cancel();
  t.is(stream.aborted, EndReason.MISC);
  stream.handlers.connected?.(undefined, 0);
  t.is(outcome.stream, undefined);
});

test('failed first hops cost the guard its place, later ones do not; a stuck build is hedged', async (t) => {
  const set = setUp();
  await ask(set);
  const guardOf = (n: number) => set.factory.builds[n]!.ids[0];
  set.factory.builds[0]!.fail(2);
  await set.world.advance(10);
  t.is(guardOf(1), guardOf(0));
  set.factory.builds[1]!.fail(1);
  await set.world.advance(10);
  t.not(guardOf(2), guardOf(0));
  await set.world.advance(5000);
  set.streams.tick();
  await set.world.advance(10);
  t.is(set.factory.builds.length, 4);
});

test('a first hop that answers DESTROY keeps its place; one whose channel closes does not', async (t) => {
  const set = setUp();
  await ask(set);
  const guardOf = (n: number) => set.factory.builds[n]!.ids[0];
  const destroyed = (reason: number) => new CircuitBuildError('destroyed', 1, 'destroyed', { reason });
  set.factory.builds[0]!.fail(1, destroyed(DestroyReason.RESOURCELIMIT));
  await set.world.advance(10);
  t.is(guardOf(1), guardOf(0));
  set.factory.builds[1]!.fail(1, destroyed(DestroyReason.CHANNEL_CLOSED));
  await set.world.advance(10);
  t.not(guardOf(2), guardOf(0));
});

test('after many failures building pauses, and goes on', async (t) => {
  const set = setUp();
  await ask(set);
  for (let i = 0; i < 12 && set.factory.builds[i]; i++) {
    set.factory.builds[i]!.fail(2);
    await set.world.advance(1);
  }
  const before = set.factory.builds.length;
  t.true(before < 12, `${before}`);
  for (let i = 0; i < 8; i++) {
    set.streams.tick();
    await set.world.advance(1000);
  }
  t.true(set.factory.builds.length > before);
});

test('lookups: RESOLVE out, RESOLVED back; transient errors go elsewhere, final ones come back', async (t) => {
  const set = setUp();
  const target: StreamTarget = { kind: 'resolve', name: 'site.example' };
  const outcome = await ask(set, target);
  const [first] = set.factory.builds as [FakeBuild];
  await succeed(set, first);
  t.deepEqual(RESOLVE.decode(first.last.body), { name: 'site.example' });
  first.last.stream.handlers.resolved?.(
    RESOLVED.encode({ answers: [{ type: 'error', transient: true, ttl: 0 }] }),
  );
  await set.world.advance(10);
  const second = set.factory.builds[1]!;
  await succeed(set, second);
  const answers: ResolvedAnswer[] = [{ type: 'address', address: '93.184.216.34', ttl: 60 }];
  second.last.stream.handlers.resolved?.(RESOLVED.encode({ answers }));
  t.deepEqual(outcome.answers, answers);

  const none = await ask(set, target);
  second.last.stream.handlers.resolved?.(
    RESOLVED.encode({ answers: [{ type: 'error', transient: false, ttl: 0 }] }),
  );
  t.like(none.answers?.[0], { type: 'error' });
});

test("a malformed RESOLVED is the exit's fault", async (t) => {
  const set = setUp();
  await ask(set, { kind: 'resolve', name: 'site.example' });
  await succeed(set, set.factory.builds[0]!);
  set.factory.builds[0]!.last.stream.handlers.resolved?.(Uint8Array.of(4, 9, 1));
  await set.world.advance(10);
  t.is(set.factory.builds.length, 2);
  t.not(set.factory.builds[1]!.ids[2], set.factory.builds[0]!.ids[2]);
});

test('two clean circuits are kept for the web, and replaced when they are used', async (t) => {
  const set = setUp(RELAYS, 'LearnCircuitBuildTimeout 0');
  set.circuits.tick();
  t.is(set.factory.builds.length, 2);
  set.circuits.tick();
  t.is(set.factory.builds.length, 2);
  await succeed(set, ...set.factory.builds);
  const outcome = await ask(set);
  t.is(set.factory.builds.length, 2, 'a clean one is at hand');
  set.factory.builds.flatMap((build) => build.opened)[0]!.stream.handlers.connected?.(undefined, 0);
  t.truthy(outcome.stream);
  set.circuits.tick();
  t.is(set.factory.builds.length, 3);
});

test('long-lived ports get Stable circuits', async (t) => {
  const relays = RELAYS.map((sketch) =>
    sketch.flags === MIDDLE ? { ...sketch, flags: 'Fast Running V2Dir Valid' } : sketch,
  );
  const set = setUp([...relays, { flags: MIDDLE }, { flags: EXIT, policy: 'accept 22' }]);
  await ask(set, web(22));
  t.true([...set.circuits.list][0]!.stable);
});

test('a name that must not be reached over IPv4 goes to an exit that allows the port for IPv6', async (t) => {
  const set = setUp([...RELAYS, { flags: EXIT, policy: 'reject 1-65535', policy6: 'accept 80' }]);
  const sixOnly = BeginFlag.IPV6_OK | BeginFlag.IPV4_NOT_OK;
  for (const [i, flags] of [sixOnly, BeginFlag.IPV6_OK].entries()) {
    await ask(set, { ...(web() as StreamTarget & { kind: 'connect' }), flags });
    const exit = set.network.get(set.factory.builds[i]!.ids[2]!)!;
    t.is(exit.micro!.ipv6Policy.allows(80), flags === sixOnly);
  }
});

test('an exit that connects over a family that was not allowed is not believed', async (t) => {
  for (const [flags, address, good] of [
    [BeginFlag.IPV6_OK | BeginFlag.IPV4_NOT_OK, '93.184.216.34', false],
    [BeginFlag.IPV6_OK | BeginFlag.IPV4_NOT_OK, '2001:db8::1', true],
    [0, '2001:db8::1', false],
    [0, '93.184.216.34', true],
  ] as const) {
    const set = setUp([...RELAYS, { flags: EXIT, policy: 'accept 80', policy6: 'accept 80' }]);
    const outcome = await ask(set, { ...(web() as StreamTarget & { kind: 'connect' }), flags });
    const [first] = set.factory.builds as [FakeBuild];
    await succeed(set, first);
    first.last.stream.handlers.connected?.(address, 60);
    t.is(outcome.stream !== undefined, good, address);
    t.is(outcome.error?.kind, good ? undefined : 'host-unreachable');
    t.is(first.last.stream.aborted !== undefined, !good);
  }
});

test('after MaxCircuitDirtiness a circuit takes no new streams, and closes with its last one', async (t) => {
  const set = setUp(RELAYS, 'LearnCircuitBuildTimeout 0', 'MaxCircuitDirtiness 60 seconds');
  await ask(set);
  const [first] = set.factory.builds as [FakeBuild];
  await succeed(set, first);
  const { stream } = first.last;
  stream.handlers.connected?.(undefined, 0);
  await set.world.advance(61_000);
  await ask(set);
  t.is(first.opened.length, 1);
  set.circuits.tick();
  t.is(first.closedWith, undefined, 'its stream goes on');
  stream.closed = true;
  set.circuits.tick();
  t.not(first.closedWith, undefined);
});

test('KeepAliveIsolateSOCKSAuth keeps a circuit with streams as good as new', async (t) => {
  const set = setUp(RELAYS, 'LearnCircuitBuildTimeout 0', 'MaxCircuitDirtiness 60 seconds');
  const outcome = new Outcome();
  set.streams.request(web(), { ...fieldsOf('a'), keepAlive: true }, outcome);
  await set.world.advance(10);
  const [first] = set.factory.builds as [FakeBuild];
  await succeed(set, first);
  first.last.stream.handlers.connected?.(undefined, 0);
  for (let i = 0; i < 5; i++) {
    await set.world.advance(30_000);
    set.circuits.tick();
  }
  t.is(first.closedWith, undefined);
  await ask(set, web(), 'a');
  t.is(first.opened.length, 2);
});

test('a port that no exit serves is not expected any more', async (t) => {
  const relays = RELAYS.map((sketch) =>
    sketch.flags === EXIT ? { ...sketch, policy: 'accept 80' } : sketch,
  );
  const set = setUp(relays, 'LearnCircuitBuildTimeout 0');
  set.circuits.tick();
  set.circuits.tick();
  t.is(set.log.lines.filter((line) => line.message.includes('no exit')).length, 1);
  t.is(set.factory.builds.length, 2);
});

test('a build that takes too long is given up, and counted', async (t) => {
  const set = setUp(RELAYS, 'CircuitBuildTimeout 10 seconds', 'LearnCircuitBuildTimeout 0');
  await ask(set);
  const [first] = set.factory.builds as [FakeBuild];
  first.hooks.hop(1);
  await set.world.advance(11_000);
  set.circuits.tick();
  t.not(first.closedWith, undefined);
});

test('clean circuits that nobody uses are closed within the hour', async (t) => {
  const set = setUp(RELAYS, 'LearnCircuitBuildTimeout 0');
  set.circuits.tick();
  await succeed(set, ...set.factory.builds);
  const [first] = set.factory.builds as [FakeBuild];
  await set.world.advance(29 * 60_000);
  set.circuits.tick();
  t.is(first.closedWith, undefined);
  await set.world.advance(32 * 60_000);
  set.circuits.tick();
  t.not(first.closedWith, undefined);
});

test('while the consensus says that nothing is learned, no circuits are built to learn from', async (t) => {
  const set = setUp();
  const { parameters } = set.buildTimes;
  const builds = async () => {
    const before = set.factory.builds.length;
    for (let i = 0; i < 6; i++) {
      set.circuits.tick();
      await succeed(set, ...set.factory.builds.slice(before));
      await set.world.advance(parameters.testInterval);
    }
    return set.factory.builds.length - before;
  };
  set.buildTimes.setParams({ ...parameters, disabled: true });
  await builds();
  t.is(await builds(), 0);
  set.buildTimes.setParams(parameters);
  t.true((await builds()) > 0);
});

test('when the client stops every request is told, on a circuit or not, and no circuit is begun', async (t) => {
  const set = setUp();
  const tried = await ask(set);
  const [first] = set.factory.builds as [FakeBuild];
  await succeed(set, first);
  const waiting = await ask(set, web(), 'other');
  const before = set.factory.builds.length;
  set.streams.stop();
  t.regex(waiting.error!.message, /stopping/);
  set.circuits.stop();
  first.last.stream.remoteEnd(EndReason.DESTROY, true);
  await set.world.advance(10);
  t.regex(tried.error!.message, /stopping/);
  const late = await ask(set);
  t.regex(late.error!.message, /stopping/);
  t.is(set.factory.builds.length, before);
});
