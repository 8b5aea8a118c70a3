import test from 'ava';
import { fromBase64, fromHex, toHex } from '../bytes/text.js';
import { fc } from '../testing/properties.js';
import { vectors } from '../testing/vectors.js';
import { disasterSrv, hsdirIndex, hsIndex } from './indexes.js';
import {
  type HsConsensus,
  periodAt,
  periodHasBegun,
  periodRules,
  periodStart,
  ringKeys,
  srvRunStart,
} from './periods.js';
import { HsDirRing } from './ring.js';

interface Vector {
  readonly kind: string;
  readonly blinded_public: string;
  readonly node_ed25519_id: string;
  readonly srv: string;
  readonly replica: number;
  readonly period_num: number;
  readonly period_len: number;
  readonly out: string;
  readonly time_period_num: number;
  readonly time_period_len_minutes: number;
  readonly srv_base64: string;
  readonly disaster_srv: boolean;
  readonly spread_store: number;
  readonly hsdirs_sorted_by_index: { nick: string; ed25519: string; index: string }[];
  readonly uploads_seen: string[];
}

const all = vectors<{ vectors: Vector[] }>('hsdir-index.json').vectors;
const hex = (text: string) => fromHex(text, 'vector');
const lower = (bytes: Uint8Array) => toHex(bytes).toLowerCase();

test('indexes and stand-in values are C tor’s', (t) => {
  for (const vector of all) {
    const period = { number: vector.period_num, length: vector.period_len };
    if (vector.kind === 'hs_index')
      t.is(lower(hsIndex(hex(vector.blinded_public), vector.replica, period)), vector.out);
    else if (vector.kind === 'hsdir_index')
      t.is(lower(hsdirIndex(hex(vector.node_ed25519_id), hex(vector.srv), period)), vector.out);
    else if (vector.kind === 'disaster_srv') t.is(lower(disasterSrv(period)), vector.out);
  }
});

test('descriptors go where C tor’s services sent them', (t) => {
  const live = all.filter(({ kind }) => kind === 'live_ring');
  t.true(live.length > 0);
  for (const vector of live) {
    const period = { number: vector.time_period_num, length: vector.time_period_len_minutes };
    const srv = vector.disaster_srv ? disasterSrv(period) : fromBase64(vector.srv_base64, 'srv');
    const nodes = vector.hsdirs_sorted_by_index.map(({ nick, ed25519 }) => ({
      nick,
      ed25519Id: hex(ed25519),
    }));
    for (const { ed25519, index } of vector.hsdirs_sorted_by_index)
      t.is(lower(hsdirIndex(hex(ed25519), srv, period)), index);
    const ring = new HsDirRing(nodes.reverse(), { period, srv });
    const chosen = ring.responsible(hex(vector.blinded_public), 2, vector.spread_store);
    t.deepEqual(chosen.map(({ nick }) => nick).sort(), [...vector.uploads_seen].sort());
  }
});

test('nobody is chosen twice, and a small ring gives all it has', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 30 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 8 }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      (n, replicas, spread, key) => {
        const nodes = Array.from({ length: n }, (_, i) => ({ ed25519Id: new Uint8Array(32).fill(i) }));
        const ring = new HsDirRing(nodes, {
          period: { number: 5, length: 1440 },
          srv: new Uint8Array(32),
        });
        const chosen = ring.responsible(key, replicas, spread);
        return chosen.length === Math.min(n, replicas * spread) && new Set(chosen).size === chosen.length;
      },
    ),
  );
  t.pass();
});

const HOUR = 3_600_000;
const value = (byte: number) => ({ value: new Uint8Array(32).fill(byte) });

/** An hourly consensus of the public network. */
const hourly = (at: string): HsConsensus => ({
  validAfter: Date.parse(at),
  freshUntil: Date.parse(at) + HOUR,
  params: new Map(),
  sharedRandPrevious: value(1),
  sharedRandCurrent: value(2),
});

test('periods begin at noon, and the specification’s example is period 16903', (t) => {
  const rules = periodRules(hourly('2016-04-13T11:00:00Z'), false);
  t.deepEqual(rules, { length: 1440, offset: 12 * HOUR });
  const period = periodAt(Date.parse('2016-04-13T11:15:00Z'), rules);
  t.is(period.number, 16_903);
  t.is(periodStart(period, rules), Date.parse('2016-04-12T12:00:00Z'));
  t.is(periodAt(Date.parse('2016-04-13T11:59:59Z'), rules).number, 16_903);
  t.is(periodAt(Date.parse('2016-04-13T12:00:00Z'), rules).number, 16_904);
});

test('before noon the previous value counts, and both periods are published', (t) => {
  const consensus = hourly('2016-04-13T09:00:00Z');
  t.is(srvRunStart(consensus), Date.parse('2016-04-13T00:00:00Z'));
  t.false(periodHasBegun(consensus, periodRules(consensus, false)));
  const { fetch, store } = ringKeys(consensus, false);
  t.deepEqual([fetch.period.number, fetch.srv[0]], [16_903, 1]);
  t.deepEqual(
    store.map((key) => [key.period.number, key.srv[0]]),
    [
      [16_903, 1],
      [16_904, 2],
    ],
  );
});

test('after noon the current one does', (t) => {
  const consensus = hourly('2016-04-13T12:00:00Z');
  const { fetch, store } = ringKeys(consensus, false);
  t.deepEqual([fetch.period.number, fetch.srv[0]], [16_904, 2]);
  t.deepEqual(
    store.map((key) => [key.period.number, key.srv[0]]),
    [
      [16_903, 1],
      [16_904, 2],
    ],
  );
});

test('a client finds what was stored, at any hour, an hour behind or ahead of the service', (t) => {
  const start = Date.parse('2016-04-13T00:00:00Z');
  // The value of a day is made at its midnight.
  const at = (time: number): HsConsensus => ({
    ...hourly(new Date(time).toISOString()),
    sharedRandCurrent: value(Math.floor(time / (24 * HOUR)) % 251),
    sharedRandPrevious: value((Math.floor(time / (24 * HOUR)) - 1) % 251),
  });
  const name = ({ period, srv }: { period: { number: number }; srv: Uint8Array }) =>
    `${period.number} ${srv[0]}`;
  for (let hour = 0; hour < 72; hour++) {
    const stored = ringKeys(at(start + hour * HOUR), false).store.map(name);
    for (const skew of [-3, -1, 0, 1, 3])
      t.true(stored.includes(name(ringKeys(at(start + (hour + skew) * HOUR), false).fetch)));
  }
});

test('a testing network’s period is a run of the shared-random protocol', (t) => {
  const validAfter = Date.parse('2026-11-21T11:00:00Z');
  const consensus = { ...hourly('2026-11-21T11:00:00Z'), validAfter, freshUntil: validAfter + 20_000 };
  const rules = periodRules(consensus, true);
  t.deepEqual(rules, { length: 8, offset: 4 * 60_000 });
  t.is(periodAt(validAfter, rules).number, 3_740_122);
});

test('without shared random values a stand-in is used', (t) => {
  const consensus = {
    ...hourly('2016-04-13T12:00:00Z'),
    sharedRandCurrent: undefined,
    sharedRandPrevious: undefined,
  };
  const { fetch, store } = ringKeys(consensus, false);
  t.deepEqual(fetch.srv, disasterSrv(fetch.period));
  t.deepEqual(store[0].srv, disasterSrv(store[0].period));
});
