import test from 'ava';
import { DecodeError } from '../shared/bytes/errors.js';
import { fc } from '../shared/testing/properties.js';
import { guardParams, retryDelay } from './guard-params.js';
import { GuardManager, guardStateKind, type SavedGuards } from './guards.js';
import type { Network, Relay } from './network.js';
import { GUARD, idOf, MIDDLE, type RelaySketch, seededRandom, sketchNetwork } from './testing.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = 1_700_000_000_000;
const options = { NumEntryGuards: 0, NumDirectoryGuards: 0, GuardLifetime: 0 };
const all = () => true;

const guardsOnly = (n: number): RelaySketch[] => Array.from({ length: n }, () => ({ flags: GUARD }));

/** A manager over a network, with the time it is. */
function setUp(network: Network, saved?: SavedGuards, passes: (relay: Relay) => boolean = all) {
  const params = guardParams(network, options);
  const guards = new GuardManager(params, seededRandom(5), saved);
  const update = (next: Network, now: number, filter = passes) =>
    guards.setNetwork(next, filter, params, now, true);
  update(network, START);
  return { guards, params, update };
}

const sampled = (guards: GuardManager): SavedGuards['default'] => {
  const changes = guards.takeChanges();
  if (!changes) throw new Error('nothing changed');
  return changes.default;
};

test('the sample: 20 usable guards, never more than 20 % or 60, dated back by up to a tenth of the lifetime', (t) => {
  const small = sampled(setUp(sketchNetwork([...guardsOnly(8), { flags: MIDDLE }])).guards);
  t.is(small.length, 8);
  const large = sampled(setUp(sketchNetwork(guardsOnly(200))).guards);
  t.is(large.length, 20);
  for (const guard of large) {
    t.true(guard.addedOn <= START && guard.addedOn >= START - 12 * DAY);
    t.is(guard.confirmedOn, null);
    t.true(guard.listed);
  }
  // 450 guards would allow 90, but with only a few usable the sample stops at 60.
  const { guards } = setUp(sketchNetwork(guardsOnly(450)), undefined, ({ id }) => /[05AC]$/.test(id));
  t.is(sampled(guards).length, 60);
});

test('only relays with Guard, Stable, Fast, Valid and V2Dir are sampled', (t) => {
  const network = sketchNetwork([
    { flags: GUARD.replace(' V2Dir', '') },
    { flags: GUARD.replace(' Stable', '') },
    { flags: GUARD.replace('Fast ', '') },
    { flags: GUARD.replace(' Valid', '') },
    { flags: MIDDLE },
    { flags: GUARD },
  ]);
  t.deepEqual(
    sampled(setUp(network).guards).map((guard) => guard.id),
    [idOf(5)],
  );
  t.false(setUp(sketchNetwork([{ flags: MIDDLE }])).guards.any);
});

test('traffic sticks to the first primary guard, directory requests spread over three', (t) => {
  const { guards } = setUp(sketchNetwork(guardsOnly(30)));
  const primaries = guards.primaries().map((relay) => relay.id);
  t.is(primaries.length, 3);
  const traffic = new Set(Array.from({ length: 30 }, () => guards.choose('traffic', all, START)!.relay.id));
  t.deepEqual([...traffic], [primaries[0]]);
  const dir = new Set(Array.from({ length: 60 }, () => guards.choose('dir', all, START)!.relay.id));
  t.deepEqual([...dir].sort(), [...primaries].sort());
});

test('a circuit through a primary guard is complete at once, and confirms the guard', (t) => {
  const { guards } = setUp(sketchNetwork(guardsOnly(30)));
  const { ticket, relay } = guards.choose('traffic', all, START)!;
  t.is(ticket.state, 'usable-on-completion');
  t.is(guards.succeeded(ticket, START + 1000), 'now');
  const saved = sampled(guards).find((guard) => guard.id === relay.id)!;
  t.true(saved.confirmedOn! <= START + 1000 && saved.confirmedOn! >= START - 13 * DAY);
});

test('a failing primary gives way to the next; a restriction too', (t) => {
  const { guards } = setUp(sketchNetwork(guardsOnly(30)));
  const [first, second, third] = guards.primaries().map((relay) => relay.id);
  guards.failed(guards.choose('traffic', all, START)!.ticket, START);
  t.is(guards.choose('traffic', all, START)!.relay.id, second);
  t.is(guards.choose('traffic', (relay) => relay.id !== second, START)!.relay.id, third);
  t.not(first, second);
});

test('retry schedules', (t) => {
  t.deepEqual([retryDelay(0, true), retryDelay(0, false)], [HOUR / 6, HOUR]);
  t.deepEqual([retryDelay(7 * HOUR, true), retryDelay(7 * HOUR, false)], [1.5 * HOUR, 4 * HOUR]);
  t.deepEqual([retryDelay(5 * DAY, true), retryDelay(5 * DAY, false)], [4 * HOUR, 18 * HOUR]);
  t.deepEqual([retryDelay(8 * DAY, true), retryDelay(8 * DAY, false)], [9 * HOUR, 36 * HOUR]);
});

test('a failed primary is tried again after ten minutes', (t) => {
  const { guards } = setUp(sketchNetwork(guardsOnly(30)));
  const { ticket, relay } = guards.choose('traffic', all, START)!;
  guards.failed(ticket, START);
  t.not(guards.choose('traffic', all, START + HOUR / 6 - 1)!.relay.id, relay.id);
  t.is(guards.choose('traffic', all, START + HOUR / 6)!.relay.id, relay.id);
});

/** Fails every primary guard. */
function failPrimaries(guards: GuardManager, now: number): void {
  for (let i = 0; i < 3; i++) guards.failed(guards.choose('traffic', all, now)!.ticket, now);
}

test('beyond the primaries a circuit waits until no better one can come', (t) => {
  const { guards } = setUp(sketchNetwork(guardsOnly(30)));
  // Having been on the internet just now, and with confirmed primaries that stay so.
  const confirmed = guards.primaries().map((relay) => relay.id);
  for (const id of confirmed)
    guards.succeeded(guards.choose('traffic', (relay) => relay.id === id, START)!.ticket, START);
  failPrimaries(guards, START + 1);
  const a = guards.choose('traffic', all, START + 2)!;
  const b = guards.choose('traffic', all, START + 3)!;
  t.not(a.relay.id, b.relay.id, 'a guard being tried is not tried twice');
  t.is(a.ticket.state, 'usable-if-no-better');
  t.is(guards.succeeded(b.ticket, START + 1000), 'later');
  const both = [a.ticket, b.ticket];
  // b is confirmed now and outranks a, which is still building.
  t.deepEqual(guards.upgrade(both, START + 1000), [b.ticket]);
  t.is(b.ticket.state, 'complete');
  t.is(guards.succeeded(a.ticket, START + 2000), 'later');
});

test('a primary that comes back keeps waiting circuits waiting; they end after ten minutes', (t) => {
  const { guards } = setUp(sketchNetwork(guardsOnly(30)));
  for (const { id } of guards.primaries())
    guards.succeeded(guards.choose('traffic', (relay) => relay.id === id, START)!.ticket, START);
  failPrimaries(guards, START + 1);
  const { ticket } = guards.choose('traffic', all, START + 2)!;
  t.is(guards.succeeded(ticket, START + 3), 'later');
  const later = START + HOUR / 6 + 2;
  t.deepEqual(guards.upgrade([ticket], later), [], 'the primaries are worth another try');
  t.false(guards.waitedTooLong(ticket, START + HOUR / 6));
  t.true(guards.waitedTooLong(ticket, START + HOUR / 6 + 4));
});

test('after a long silence the primaries are tried again first', (t) => {
  const { guards } = setUp(sketchNetwork(guardsOnly(30)));
  const first = guards.primaries()[0]!.id;
  for (const { id } of guards.primaries())
    guards.succeeded(guards.choose('traffic', (relay) => relay.id === id, START)!.ticket, START);
  const late = START + 2 * HOUR;
  failPrimaries(guards, late);
  const { ticket } = guards.choose('traffic', all, late)!;
  t.is(guards.succeeded(ticket, late), 'later');
  t.is(guards.choose('traffic', all, late)!.relay.id, first);
});

test('a circuit that waits only for guards its restriction rules out is used', (t) => {
  const { guards } = setUp(sketchNetwork(guardsOnly(30)));
  const primaries = new Set(guards.primaries().map((relay) => relay.id));
  for (const id of primaries)
    guards.succeeded(guards.choose('traffic', (relay) => relay.id === id, START)!.ticket, START);
  const { ticket } = guards.choose('traffic', (relay) => !primaries.has(relay.id), START)!;
  t.is(ticket.state, 'usable-if-no-better');
  t.is(guards.succeeded(ticket, START + 1), 'later');
  t.deepEqual(guards.upgrade([ticket], START + 1), [ticket]);
});

test('when all have failed, all are tried again', (t) => {
  const { guards } = setUp(sketchNetwork(guardsOnly(4)));
  for (let i = 0; i < 4; i++) guards.failed(guards.choose('traffic', all, START)!.ticket, START);
  t.is(guards.choose('traffic', all, START), undefined);
  t.truthy(guards.choose('traffic', all, START));
});

test('a choice given back leaves no trace', (t) => {
  const { guards } = setUp(sketchNetwork(guardsOnly(5)));
  failPrimaries(guards, START);
  const { ticket, relay } = guards.choose('traffic', all, START)!;
  guards.release(ticket);
  t.is(guards.choose('traffic', all, START)!.relay.id, relay.id);
});

test('traffic needs the microdescriptor of its guard, directory requests do not', (t) => {
  const { guards } = setUp(sketchNetwork(guardsOnly(3).map((sketch) => ({ ...sketch, unknown: true }))));
  t.is(guards.choose('traffic', all, START), undefined);
  t.truthy(guards.choose('dir', all, START));
  t.is(guards.missingDescriptors().length, 1);
});

test('guards outlive restarts, and are pinned while their lifetime lasts', (t) => {
  const network = sketchNetwork(guardsOnly(50));
  const { guards } = setUp(network);
  const first = guards.choose('traffic', all, START)!;
  guards.succeeded(first.ticket, START);
  const saved = guardStateKind.check(structuredClone(guards.takeChanges()!));
  t.is(guards.takeChanges(), undefined);
  const again = setUp(network, saved);
  t.is(again.guards.choose('traffic', all, START)!.relay.id, first.relay.id);
  again.update(network, START + 84 * DAY);
  t.is(again.guards.choose('traffic', all, START)!.relay.id, first.relay.id, 'twelve weeks later');
  again.update(network, START + 121 * DAY);
  t.not(again.guards.choose('traffic', all, START)!.relay.id, first.relay.id);
});

test('a guard that is no longer listed is not used, and goes after twenty days', (t) => {
  const network = sketchNetwork(guardsOnly(8));
  const { guards, update } = setUp(network);
  const { relay } = guards.choose('traffic', all, START)!;
  const without = sketchNetwork(network.relays.map((r) => ({ flags: r.id === relay.id ? MIDDLE : GUARD })));
  update(without, START + HOUR);
  t.not(guards.choose('traffic', all, START)!.relay.id, relay.id);
  t.false(sampled(guards).find((guard) => guard.id === relay.id)!.listed);
  update(without, START + 21 * DAY);
  t.is(
    sampled(guards).find((guard) => guard.id === relay.id),
    undefined,
  );
});

test('a restriction that leaves few guards gets a sample of its own; the usual one waits', (t) => {
  const network = sketchNetwork(guardsOnly(40));
  const { guards, update } = setUp(network);
  const usual = guards.takeChanges()!.default.map((guard) => guard.id);
  const only = new Set([idOf(3), idOf(7)]);
  update(network, START, (relay) => only.has(relay.id));
  t.true(only.has(guards.choose('traffic', all, START)!.relay.id));
  t.true(guards.takeChanges()!.restricted.some((guard) => only.has(guard.id)));
  update(network, START, all);
  const { ticket } = guards.choose('traffic', all, START)!;
  guards.succeeded(ticket, START);
  t.deepEqual(
    guards.takeChanges()!.default.map((guard) => guard.id),
    usual,
  );
});

test('one in five guards is few; the sample in use stays until that share moved by a twentieth', (t) => {
  const network = sketchNetwork(guardsOnly(400));
  const first = (n: number) => new Set(network.relays.slice(0, n).map((relay) => relay.id));
  const { guards, update } = setUp(network, undefined, (relay) => first(79).has(relay.id));
  const restricted = () => guards.takeChanges(true)!.restricted;
  t.is(restricted().length, 20, 'below a fifth at first');
  const usesRestricted = (n: number): boolean => {
    update(network, START, (relay) => first(n).has(relay.id));
    const ids = new Set(restricted().map((guard) => guard.id));
    return guards.primaries().every((relay) => ids.has(relay.id));
  };
  t.deepEqual([83, 84, 76, 75].map(usesRestricted), [true, false, false, true]);
});

test('a few EntryNodes among many guards are all sampled: the filter comes before the draw', (t) => {
  const only = new Set([idOf(17), idOf(230), idOf(431)]);
  const network = sketchNetwork(guardsOnly(450));
  const { guards, update } = setUp(network, undefined, (relay) => only.has(relay.id));
  t.deepEqual(new Set(guards.primaries().map((relay) => relay.id)), only);
  t.true(only.has(guards.choose('traffic', all, START)!.relay.id));
  t.deepEqual(new Set(guards.takeChanges()!.restricted.map((guard) => guard.id)), only);
  const others = (relay: Relay) => !only.has(relay.id) && relay.id.endsWith('7');
  update(network, START, others);
  t.true(others(guards.choose('traffic', all, START)!.relay));
  update(network, START, (relay) => relay.id === idOf(300));
  t.is(guards.choose('traffic', all, START)!.relay.id, idOf(300), 'those of before take no places');
});

test('damaged state is refused by name', (t) => {
  const good = {
    id: idOf(0),
    nickname: 'a',
    addedOn: 1,
    addedBy: 'x',
    listed: true,
    unlistedSince: null,
    confirmedOn: 2,
  };
  const check = (value: unknown) => () => guardStateKind.check(value);
  t.notThrows(check({ default: [good], restricted: [] }));
  t.throws(check(null), { message: /guards/ });
  t.throws(check({ default: [] }), { message: /guards\.restricted/ });
  for (const wrong of [
    { id: 'x' },
    { addedOn: 'now' },
    { listed: 1 },
    { confirmedOn: undefined },
    { nickname: 3 },
  ])
    t.throws(check({ default: [good, { ...good, ...wrong }], restricted: [] }), {
      message: /guards\.default\[1\]/,
    });
});

test('any value is guards, or a DecodeError', (t) => {
  const guard = fc.record(
    {
      id: fc.oneof(fc.constant(idOf(1)), fc.string()),
      nickname: fc.anything(),
      addedOn: fc.anything(),
      listed: fc.anything(),
    },
    { requiredKeys: [] },
  );
  const saved = fc.record({ default: fc.array(fc.oneof(guard, fc.anything())), restricted: fc.anything() });
  fc.assert(
    fc.property(fc.oneof(saved, fc.anything()), (value) => {
      try {
        guardStateKind.check(value);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
  );
  t.pass();
});
