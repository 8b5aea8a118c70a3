import test from 'ava';
import { RelayCommand } from '../shared/cell/commands.js';
import { SimWorld } from '../shared/runtime/sim/world.js';
import { DirSources } from './dir-sources.js';
import { guardParams } from './guard-params.js';
import { GuardManager } from './guards.js';
import { pathRulesOf } from './path.js';
import {
  clientOptions,
  fakeFactory,
  GUARD,
  idOf,
  MIDDLE,
  type RelaySketch,
  sketchNetwork,
} from './testing.js';

const AUTHORITIES = ['1', '2'].map(
  (d) =>
    `DirAuthority auth${d} orport=5000 v3ident=${d.repeat(40)} auth${d}.example:7000 ${idOf(100 + Number(d))}`,
);
const FALLBACK = `FallbackDir 127.3.0.1:80 orport=9001 id=${idOf(103)}`;
const NONE: ReadonlySet<string> = new Set();
const REQUEST = { method: 'GET', path: '/tor/keys/all.z' } as const;

function setUp(...torrc: string[]) {
  const world = new SimWorld('dir sources', 1_700_000_000_000);
  world.names.set('auth1.example', ['127.1.0.1']);
  world.names.set('auth2.example', ['127.2.0.1']);
  const { clock, random, resolver } = world.host('127.8.0.1');
  const own = torrc.some((line) => line.startsWith('DirAuthority'));
  const options = clientOptions(...(own ? [] : AUTHORITIES), ...torrc);
  const guards = new GuardManager(guardParams(undefined, options), random);
  const factory = fakeFactory();
  const rules = pathRulesOf(options);
  let hops = 0;
  const onHop = () => hops++;
  const sources = new DirSources({ clock, random, resolver, options, rules, guards, factory, onHop });
  const join = (relays: RelaySketch[]) => {
    const network = sketchNetwork(relays);
    guards.setNetwork(network, () => true, guardParams(network, options), clock.now(), true);
    sources.setNetwork(network);
    return network;
  };
  return { world, sources, factory, guards, join, hops: () => hops };
}

const guardsOnly = (n: number): RelaySketch[] => Array.from({ length: n }, () => ({ flags: GUARD }));

test('before there is a network: authorities and fallbacks, names resolved, by CREATE_FAST over one hop', async (t) => {
  const { world, sources, factory, hops } = setUp(FALLBACK);
  t.is(sources.configuredCount, 3);
  const seen = new Set<string>();
  for (let i = 0; i < 40; i++) seen.add(sources.pick(new Set([idOf(103)]), false)!.id);
  t.deepEqual([...seen].sort(), [idOf(101), idOf(102)]);
  t.is(sources.pick(new Set([...seen, idOf(103)]), false), undefined);
  const source = sources.pick(new Set([idOf(102), idOf(103)]), false)!;
  const asked = sources.ask(source, REQUEST, 1000, 10_000);
  await world.advance(10);
  const [build] = factory.builds;
  t.deepEqual(
    build!.path.map((hop) => [hop.addresses, hop.ntorKey]),
    [[[{ host: '127.1.0.1', port: 5000 }], undefined]],
  );
  build!.succeed();
  await world.advance(10);
  t.is(hops(), 1);
  t.is(build!.last.command, RelayCommand.BEGIN_DIR);
  build!.last.stream.handlers.data(Buffer.from('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi'));
  const response = await world.until(asked);
  t.is(Buffer.from(response.body).toString(), 'hi');
});

test('a fallback is asked before an authority, and with one that was tried an authority may be', (t) => {
  const { sources } = setUp(FALLBACK, FALLBACK.replace(idOf(103), idOf(104)));
  const picked = (avoid: ReadonlySet<string>) =>
    new Set(Array.from({ length: 60 }, () => sources.pick(avoid, false)!.id));
  t.deepEqual([...picked(NONE)].sort(), [idOf(103), idOf(104)]);
  t.deepEqual([...picked(new Set([idOf(103)]))].sort(), [idOf(101), idOf(102), idOf(104)]);
  const anybody = new Set(Array.from({ length: 60 }, () => sources.pick(NONE, true)!.id));
  t.is(anybody.size, 4, 'where the fallbacks are of no use');
});

test('without guards: any directory of the network but an authority, by bandwidth', (t) => {
  const { sources, join } = setUp(
    'UseEntryGuards 0',
    FALLBACK,
    `ExcludeNodes ${idOf(5)}`,
    AUTHORITIES[0]!.replace(idOf(101), idOf(6)),
    AUTHORITIES[1]!,
  );
  const relays = [
    ...guardsOnly(3),
    { flags: MIDDLE },
    { flags: MIDDLE.replace('V2Dir ', '') },
    ...guardsOnly(2),
  ];
  const ids = join(relays).relays.map((relay) => relay.id);
  const picked = (avoid: ReadonlySet<string>) =>
    new Set(Array.from({ length: 80 }, () => sources.pick(avoid, false)!.id));
  t.deepEqual([...picked(NONE)].sort(), ids.slice(0, 4).sort());
  t.deepEqual([...picked(new Set(ids.slice(1)))], [ids[0]]);
  t.deepEqual([...picked(new Set(ids))].sort(), [idOf(102), idOf(103)], 'where no other is left');
});

test('with a network: directory guards, without their onion keys; the configured ones when asked for', async (t) => {
  const { world, sources, factory, guards, join } = setUp();
  const network = join(guardsOnly(10));
  const primaries = guards.primaries().map((relay) => relay.id);
  const seen = new Set<string>();
  for (let i = 0; i < 60; i++) seen.add(sources.pick(NONE, false)!.id);
  t.deepEqual([...seen].sort(), [...primaries].sort());
  t.truthy(sources.pick(NONE, true)!.id.match(/6[67]$/));
  const asked = sources.ask(sources.pick(NONE, false)!, REQUEST, 1000, 10_000);
  asked.catch(() => {});
  await world.advance(10);
  t.is(factory.builds[0]!.path[0]!.ntorKey, undefined);
  t.truthy(network.get(factory.builds[0]!.ids[0]!)!.micro, 'though it is known');
});

test('one circuit serves requests to one source until it lies idle for a minute', async (t) => {
  const { world, sources, factory, join } = setUp();
  join(guardsOnly(1));
  const first = sources.ask(sources.pick(NONE, false)!, REQUEST, 1000, 10_000);
  const second = sources.ask(sources.pick(NONE, false)!, REQUEST, 1000, 10_000);
  await world.advance(10);
  t.is(factory.builds.length, 1);
  factory.builds[0]!.succeed();
  await world.advance(10);
  for (const { stream } of factory.builds[0]!.opened)
    stream.handlers.data(Buffer.from('HTTP/1.0 404 Not found\r\nContent-Length: 0\r\n\r\n'));
  t.is((await world.until(first)).status, 404);
  t.is((await world.until(second)).status, 404);
  await world.advance(59_000);
  sources.tick();
  t.is(factory.builds[0]!.closedWith, undefined);
  await world.advance(2000);
  sources.tick();
  await world.advance(10);
  t.not(factory.builds[0]!.closedWith, undefined);
});

test('a guard that cannot be reached is passed over', async (t) => {
  const { world, sources, factory, guards, join } = setUp();
  join(guardsOnly(5));
  const source = sources.pick(NONE, false)!;
  const asked = sources.ask(source, REQUEST, 1000, 10_000);
  await world.advance(10);
  factory.builds[0]!.fail(1);
  await t.throwsAsync(world.until(asked), { message: /hop 1 failed/ });
  for (let i = 0; i < 20; i++) t.not(sources.pick(NONE, false)!.id, source.id);
  t.is(guards.primaries().length, 3);
});

test('a silent directory times out and costs its circuit, and the circuit alone', async (t) => {
  const { world, sources, factory, join } = setUp();
  join(guardsOnly(1));
  const asked = sources.ask(sources.pick(NONE, false)!, REQUEST, 1000, 10_000);
  await world.advance(10);
  factory.builds[0]!.succeed();
  await t.throwsAsync(world.until(asked), { message: /within 1000 ms/ });
  await world.advance(10);
  t.not(factory.builds[0]!.closedWith, undefined);
  const again = sources.ask(sources.pick(NONE, false)!, REQUEST, 1000, 10_000);
  again.catch(() => {});
  await world.advance(10);
  t.is(factory.builds.length, 2);
});

test('ExcludeNodes keeps directories out while others are left; StrictNodes always', (t) => {
  const relays: RelaySketch[] = [];
  const lax = setUp(`ExcludeNodes ${idOf(101)}`);
  relays[101] = {};
  relays[102] = {};
  const network = lax.join(Array.from({ length: 103 }, () => ({})));
  t.truthy(network.get(idOf(101)));
  for (let i = 0; i < 20; i++) t.is(lax.sources.pick(NONE, true)!.id, idOf(102));
  t.is(lax.sources.pick(new Set([idOf(102)]), true)!.id, idOf(101));
  const strict = setUp(`ExcludeNodes ${idOf(101)}`, 'StrictNodes 1');
  strict.join(Array.from({ length: 103 }, () => ({})));
  t.is(strict.sources.pick(new Set([idOf(102)]), true), undefined);
});
