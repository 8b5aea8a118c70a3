import test from 'ava';
import { sameFamily, sameSubnet } from './family.js';
import type { Network, Relay } from './network.js';
import {
  chooseLast,
  chooseMiddle,
  choosePath,
  chooseUnguardedFirst,
  type GuardChooser,
  type Path,
  type PathNeed,
  type PathRules,
  pathRulesOf,
} from './path.js';
import {
  EXIT,
  GUARD,
  idOf,
  MIDDLE,
  type RelaySketch,
  seededRandom,
  sketchNetwork,
  sketchRules,
} from './testing.js';

const need = (port = 80): PathNeed => ({ purpose: { kind: 'exit', port, host: 'name' }, stable: false });
const random = seededRandom(1);

/** The first relay with the Guard flag that obeys. */
const firstGuard = (network: Network, rules: PathRules): GuardChooser<string> => ({
  choose: (obeys) => {
    const relay = chooseUnguardedFirst(
      network,
      rules,
      random,
      (r) => r.status.flags.has('Guard') && obeys(r),
    );
    return relay && { relay, guard: relay.id };
  },
  release: () => {},
});

/** Many paths through a network; an empty list when none can be built. */
function paths(network: Network, rules: PathRules = sketchRules(), what = need(), n = 200): Path[] {
  const found: Path[] = [];
  for (let i = 0; i < n; i++) {
    const result = choosePath(network, rules, what, random, firstGuard(network, rules));
    if ('path' in result) found.push(result.path);
  }
  return found;
}

const guards = (n: number): RelaySketch[] => Array.from({ length: n }, () => ({ flags: GUARD }));
const ids = (relays: readonly Relay[]) => new Set(relays.map((relay) => relay.id));

test('exit first by policy, guard first in the path, three different relays', (t) => {
  const network = sketchNetwork([
    ...guards(3),
    { flags: MIDDLE },
    { flags: EXIT, policy: 'accept 80' },
    { flags: EXIT, policy: 'accept 443' },
  ]);
  const found = paths(network);
  t.is(found.length, 200);
  for (const path of found) {
    t.is(path[2].id, idOf(4));
    t.true(path[0].status.flags.has('Guard'));
    t.is(ids(path).size, 3);
  }
  t.deepEqual(ids(paths(network, sketchRules(), need(443)).map((path) => path[2])), new Set([idOf(5)]));
  t.is(chooseLast(network, sketchRules(), need(25), random), undefined);
});

test('an IPv6 destination is judged by the IPv6 policy', (t) => {
  const network = sketchNetwork([{ flags: EXIT }, { flags: EXIT, policy6: 'accept 80' }]);
  const what: PathNeed = { purpose: { kind: 'exit', port: 80, host: 'ipv6' }, stable: false };
  for (let i = 0; i < 20; i++) t.is(chooseLast(network, sketchRules(), what, random)?.id, idOf(1));
});

test('exits are chosen by weight', (t) => {
  const network = sketchNetwork(
    [
      { flags: EXIT, bandwidth: 9000 },
      { flags: EXIT, bandwidth: 1000 },
      { flags: EXIT, bandwidth: 0 },
    ],
    {
      weights: {
        Wee: 10000,
        Wem: 10000,
        Wed: 10000,
        Weg: 10000,
        Wgb: 10000,
        Wmb: 10000,
        Web: 10000,
        Wdb: 10000,
      },
    },
  );
  const counts = [0, 0, 0];
  for (let i = 0; i < 5000; i++)
    counts[network.relays.indexOf(chooseLast(network, sketchRules(), need(), random)!)]!++;
  t.is(counts[2], 0);
  t.true(counts[0]! > 4300 && counts[0]! < 4700, `${counts}`);
});

test('a bad exit, and one that exits nowhere, is no exit', (t) => {
  const network = sketchNetwork([
    { flags: `BadExit ${EXIT}` },
    { flags: EXIT, policy: 'reject 1-65535' },
    { flags: EXIT, unknown: true },
  ]);
  t.is(chooseLast(network, sketchRules(), need(), random), undefined);
  t.is(
    chooseLast(network, sketchRules(), { purpose: { kind: 'resolve' }, stable: false }, random),
    undefined,
  );
});

test('lookups go to any relay that exits anywhere', (t) => {
  const network = sketchNetwork([{ flags: MIDDLE }, { flags: EXIT, policy: 'accept 9999' }]);
  t.is(
    chooseLast(network, sketchRules(), { purpose: { kind: 'resolve' }, stable: false }, random)?.id,
    idOf(1),
  );
});

test('never the same relay twice', (t) => {
  const network = sketchNetwork([
    { flags: `${GUARD} Exit`, policy: 'accept 1-65535' },
    { flags: `${GUARD} Exit`, policy: 'accept 1-65535' },
  ]);
  t.deepEqual(paths(network), []);
});

test('never two of one family: both must list each other', (t) => {
  const both: RelaySketch[] = [
    { flags: GUARD, family: [`$${idOf(2)}`] },
    { flags: MIDDLE },
    { flags: EXIT, family: [`$${idOf(0)}=relay0`] },
  ];
  t.deepEqual(paths(sketchNetwork(both)), []);
  const oneSided = [{ flags: GUARD, family: [`$${idOf(2)}`] }, both[1]!, { flags: EXIT }];
  t.is(paths(sketchNetwork(oneSided)).length, 200);
  const byName = [{ flags: GUARD, family: ['RELAY2'] }, both[1]!, { flags: EXIT, family: ['relay0'] }];
  t.deepEqual(paths(sketchNetwork(byName)), []);
});

test('never two that share a family id', (t) => {
  const sketch = [
    { flags: GUARD, familyIds: ['ed25519:AAA', 'ed25519:BBB'] },
    { flags: MIDDLE },
    { flags: EXIT, familyIds: ['ed25519:BBB'] },
  ];
  t.deepEqual(paths(sketchNetwork(sketch)), []);
  t.is(paths(sketchNetwork(sketch, { params: { 'use-family-ids': 0 } })).length, 200);
  const middleToo = sketchNetwork([
    { flags: GUARD },
    { flags: MIDDLE, familyIds: ['x'] },
    { flags: EXIT, familyIds: ['x'] },
  ]);
  t.deepEqual(paths(middleToo), []);
});

test('never two of a family that the configuration knows, whatever they say', (t) => {
  const network = sketchNetwork([{ flags: GUARD }, { flags: MIDDLE }, { flags: EXIT }]);
  const pathsWith = (...NodeFamily: string[]) => paths(network, sketchRules({ NodeFamily })).length;
  t.is(pathsWith(`$${idOf(0)},relay2`), 0);
  t.is(pathsWith('relay1,192.0.2.0/24', 'relay2'), 200);
  t.throws(() => sketchRules({ NodeFamily: ['relay0,{de}'] }), { message: /NodeFamily: "\{de\}"/ });
});

test('use-family-lists 0 turns family lines off', (t) => {
  const network = sketchNetwork([{ family: ['relay1'] }, { family: ['relay0'] }]);
  const [a, b] = network.relays as [Relay, Relay];
  t.true(sameFamily(a, b, { distinctSubnets: true, familyLists: true, familyIds: true, families: [] }));
  t.false(sameFamily(a, b, { distinctSubnets: true, familyLists: false, familyIds: true, families: [] }));
});

test('never two in one /16, unless EnforceDistinctSubnets is 0', (t) => {
  const network = sketchNetwork([
    { flags: GUARD, address: '10.1.2.3' },
    { flags: MIDDLE, address: '10.2.0.1' },
    { flags: EXIT, address: '10.1.200.3' },
  ]);
  t.deepEqual(paths(network), []);
  t.is(paths(network, sketchRules({ EnforceDistinctSubnets: false })).length, 200);
});

test('never two in one IPv6 /32', (t) => {
  const network = sketchNetwork([
    { flags: GUARD, ipv6: '2001:db8:1::1' },
    { flags: MIDDLE },
    { flags: EXIT, ipv6: '2001:db8:2::1' },
  ]);
  t.deepEqual(paths(network), []);
  const [a, b] = sketchNetwork([{ ipv6: '2001:db8::1' }, { ipv6: '2001:db9::1' }]).relays as [Relay, Relay];
  t.false(sameSubnet(a, b));
});

test('relays that do not run are not used anywhere', (t) => {
  const network = sketchNetwork([
    { flags: 'Fast Guard Stable V2Dir Valid' },
    { flags: 'Fast Stable V2Dir Valid' },
    { flags: 'Exit Fast Stable V2Dir Valid' },
  ]);
  t.is(chooseLast(network, sketchRules(), need(), random), undefined);
  t.is(chooseMiddle(network, sketchRules(), [], false, random), undefined);
  t.is(
    chooseUnguardedFirst(network, sketchRules(), random, () => true),
    undefined,
  );
});

test('relays that are not Valid serve in the middle only, and only while allowed', (t) => {
  const noValid = (flags: string) => flags.replace(' Valid', '');
  const network = sketchNetwork([
    { flags: noValid(GUARD) },
    { flags: noValid(MIDDLE) },
    { flags: noValid(EXIT) },
  ]);
  const strict = sketchRules({ AllowInvalidNodes: [] });
  t.is(chooseLast(network, sketchRules(), need(), random), undefined);
  t.is(
    chooseUnguardedFirst(network, sketchRules(), random, () => true),
    undefined,
  );
  t.truthy(chooseMiddle(network, sketchRules(), [], false, random));
  t.is(chooseMiddle(network, strict, [], false, random), undefined);
  t.truthy(chooseLast(network, sketchRules({ AllowInvalidNodes: ['exit'] }), need(), random));
});

test('a relay without a microdescriptor, or without EXTEND2, is not used', (t) => {
  const network = sketchNetwork([{ unknown: true }, { protocols: 'Link=4' }]);
  t.is(chooseMiddle(network, sketchRules(), [], false, random), undefined);
});

test('ExcludeNodes keeps relays out of every place, ExcludeExitNodes out of the last', (t) => {
  const network = sketchNetwork([
    ...guards(2),
    { flags: MIDDLE },
    { flags: MIDDLE },
    { flags: EXIT },
    { flags: EXIT },
  ]);
  const rules = sketchRules({ ExcludeNodes: [idOf(0), 'relay2'], ExcludeExitNodes: [`$${idOf(4)}`] });
  const found = paths(network, rules);
  t.is(found.length, 200);
  for (const path of found) {
    t.is(path[0].id, idOf(1));
    t.not(path[1].id, idOf(2));
    t.is(path[2].id, idOf(5));
  }
});

test('EntryNodes, MiddleNodes and ExitNodes name the only ones', (t) => {
  const network = sketchNetwork([
    ...guards(2),
    { flags: MIDDLE },
    { flags: MIDDLE },
    { flags: EXIT },
    { flags: EXIT },
  ]);
  const rules = sketchRules({ EntryNodes: ['relay1'], MiddleNodes: ['relay3'], ExitNodes: ['relay5'] });
  for (const path of paths(network, rules))
    t.deepEqual(
      path.map((relay) => relay.id),
      [idOf(1), idOf(3), idOf(5)],
    );
  t.deepEqual(paths(network, sketchRules({ ExitNodes: ['nobody'] })), []);
});

test('country codes are refused with the option they stand in', (t) => {
  const options = { ...optionsLists, ExitNodes: ['{us}'] };
  t.throws(() => pathRulesOf(options), { message: /ExitNodes: "\{us\}".*GeoIP/ });
});

test('Stable relays carry long-lived connections, Fast ones the rest, as far as there are any', (t) => {
  const network = sketchNetwork([
    { flags: 'Exit Fast Running V2Dir Valid' },
    { flags: EXIT },
    { flags: 'Exit Running V2Dir Valid' },
  ]);
  const stable: PathNeed = { ...need(22), stable: true };
  for (let i = 0; i < 50; i++) {
    t.is(chooseLast(network, sketchRules(), stable, random)?.id, idOf(1));
    t.not(chooseLast(network, sketchRules(), need(), random)?.id, idOf(2));
  }
  const slow = sketchNetwork([{ flags: 'Exit Running V2Dir Valid' }]);
  t.is(chooseLast(slow, sketchRules(), stable, random)?.id, idOf(0));
});

test('exits that broke their promise are passed over', (t) => {
  const network = sketchNetwork([{ flags: EXIT }, { flags: EXIT }]);
  for (let i = 0; i < 20; i++)
    t.is(
      chooseLast(network, sketchRules(), { ...need(), avoidExits: new Set([idOf(0)]) }, random)?.id,
      idOf(1),
    );
});

test('when every guard is close to one exit, another exit is taken', (t) => {
  const network = sketchNetwork([
    { flags: GUARD, address: '10.1.0.1' },
    { flags: MIDDLE, address: '10.4.0.1' },
    { flags: EXIT, address: '10.1.0.2' },
    { flags: EXIT, address: '10.3.0.1' },
  ]);
  const found = paths(network);
  t.true(found.length > 150);
  for (const path of found) t.is(path[2].id, idOf(3));
});

test('a guard whose path has no middle is given back', (t) => {
  const network = sketchNetwork([{ flags: GUARD }, { flags: EXIT }]);
  const rules = sketchRules();
  let held = 0;
  const chooser = firstGuard(network, rules);
  const counting: GuardChooser<string> = {
    choose: (obeys) => {
      held++;
      return chooser.choose(obeys);
    },
    release: () => held--,
  };
  t.deepEqual(choosePath(network, rules, need(), random, counting), { missing: 'middle' });
  t.is(held, 0);
});

test('internal paths end in a middle relay', (t) => {
  const network = sketchNetwork([...guards(2), ...Array.from({ length: 3 }, () => ({ flags: MIDDLE }))]);
  const found = paths(network, sketchRules(), { purpose: { kind: 'internal' }, stable: true });
  t.is(found.length, 200);
  for (const path of found) t.is(ids(path).size, 3);
});

const optionsLists = {
  ExcludeNodes: [],
  ExcludeExitNodes: [],
  EntryNodes: [],
  MiddleNodes: [],
  ExitNodes: [],
  AllowInvalidNodes: [],
  LongLivedPorts: [],
} as unknown as Parameters<typeof pathRulesOf>[0];
