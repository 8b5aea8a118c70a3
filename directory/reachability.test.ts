import test from 'ava';
import { DirCache } from '../shared/dir/cache.js';
import { memoryLog } from '../shared/log/memory.js';
import { downSince, dueInSlot, dueInTesting, isRunning, needsTestNow } from './reachability.js';
import { relaySet } from './relay-set.js';
import { Roster } from './roster.js';
import { RouterHistory } from './router-history.js';
import { descriptorOf, HOUR, NOW } from './testing.js';

const MINUTE = 60_000;

test('each relay has one slot of 128', (t) => {
  const ids = Array.from({ length: 256 }, (_, i) =>
    i.toString(16).padStart(2, '0').toUpperCase().padEnd(40, '0'),
  );
  const seen = new Map<string, number>();
  for (let slot = 1000; slot < 1128; slot++)
    for (const id of dueInSlot(ids, slot)) seen.set(id, (seen.get(id) ?? 0) + 1);
  t.is(seen.size, 256);
  t.true([...seen.values()].every((times) => times === 1));
});

test('a relay that is new, awake again or moved is tested at once', (t) => {
  const old = descriptorOf();
  t.true(needsTestNow(old, undefined));
  t.false(needsTestNow({ ...old, uptime: 1 }, old));
  t.true(needsTestNow({ ...old, orPort: 1 }, old));
  t.true(needsTestNow({ ...old, address: '10.9.9.9' }, old));
  t.true(needsTestNow(old, { ...old, hibernating: true }));
  t.false(needsTestNow({ ...old, hibernating: true }, old));
});

test('who runs: reached within 45 minutes, and not asleep', (t) => {
  const relay = descriptorOf();
  const rules = { testing: true, own: 'F'.repeat(40) };
  const runs = (lastReachable: number, over = {}, more = {}) =>
    isRunning({ ...relay, ...over }, lastReachable, { ...rules, ...more }, NOW);
  t.true(runs(NOW - 45 * MINUTE + 1));
  t.false(runs(NOW - 45 * MINUTE));
  t.false(runs(0));
  t.true(runs(0, {}, { testing: false }));
  t.true(runs(0, {}, { own: relay.id }));
  t.false(runs(NOW, { hibernating: true }, { own: relay.id }));
  t.false(runs(NOW, { hibernating: true, published: NOW - HOUR + 1 }));
  t.true(runs(NOW, { hibernating: true, published: NOW - HOUR }));
});

test('down since the test after the last good one', (t) => {
  t.is(downSince(0, NOW), NOW);
  t.is(downSince(NOW - MINUTE, NOW), NOW);
  t.is(downSince(NOW - HOUR, NOW), NOW - HOUR + 1_280_000);
});

test('in a testing network a relay not reached for a minute is tested again', (t) => {
  t.true(dueInTesting(0, NOW));
  t.true(dueInTesting(NOW - MINUTE, NOW));
  t.false(dueInTesting(NOW - MINUTE + 1, NOW));
});

test('sets of relays: by fingerprint, nickname, address, all', (t) => {
  const relay = descriptorOf({ nickname: 'Moria', address: '192.0.2.7', orPort: 9001 });
  t.false(relaySet([])(relay));
  t.true(relaySet([`$${relay.id.toLowerCase()}`])(relay));
  t.true(relaySet([`other,${relay.id}=Moria`])(relay));
  t.true(relaySet(['moria'])(relay));
  t.false(relaySet(['mori'])(relay));
  t.true(relaySet(['192.0.2.0/24'])(relay));
  t.false(relaySet(['192.0.2.0/24:80'])(relay));
  t.true(relaySet(['*'])(relay));
  t.throws(() => relaySet(['not/a/thing']));
});

test('when a relay was reached is forgotten with its last descriptor', (t) => {
  const cache = new DirCache();
  const roster = new Roster({
    cache,
    history: new RouterHistory(),
    admission: undefined as never,
    running: { testing: true, own: '' },
    authorities: new Set(),
    log: memoryLog(),
    testNow: () => {},
    pinned: () => {},
  });
  const [stays, goes] = [descriptorOf(), descriptorOf({ published: NOW - 49 * HOUR })];
  for (const descriptor of [stays, goes]) {
    cache.addDescriptor(descriptor);
    roster.reachedNow(descriptor, NOW, 0);
  }
  roster.forgetGone();
  t.is(roster.reached().length, 2);
  cache.prune(NOW);
  roster.forgetGone();
  t.deepEqual(roster.reached(), [[stays.id, NOW]]);
  t.is(roster.lastReachableOf(goes.id), 0);
});
