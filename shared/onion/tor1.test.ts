import { createCipheriv } from 'node:crypto';
import test from 'ava';
import { takeArena } from '../bytes/arena.js';
import { BODY_SIZE, CELL_SIZE } from '../cell/commands.js';
import { fc } from '../testing/properties.js';
import { vectors } from '../testing/vectors.js';
import { Keystream } from './keystream.js';
import { batchOf, bodiesOf, inPlace, keysOf } from './testing.js';
import { tor1Client, tor1Relay } from './tor1.js';
import { tor1Hs } from './tor1-hs.js';
import type { HopKeys } from './types.js';

interface Vector {
  direction: 'client_to_relay' | 'relay_to_client' | 'client_to_service' | 'service_to_client';
  target_hop?: number;
  source_hop?: number;
  cell_body_digest_zeroed: string;
  digest_field: string;
  running_digest_full?: string;
  sendme_digest_first20?: string;
  wire_body_from_client?: string;
  wire_body_from_source?: string;
  wire_body_to_client?: string;
  wire_body?: string;
}
const file = vectors<{ hop_key_material_72: string[]; hs_keys_128: string; vectors: Vector[] }>(
  'relay-crypto-tor1.json',
);
const hex = (text: string) => Buffer.from(text, 'hex');
const hopKeys = file.hop_key_material_72.map((text): HopKeys => {
  const k = hex(text);
  return {
    df: k.subarray(0, 20),
    db: k.subarray(20, 40),
    kf: k.subarray(40, 56),
    kb: k.subarray(56, 72),
    kh: Buffer.alloc(20),
  };
});
const withDigest = (v: Vector) => {
  const body = hex(v.cell_body_digest_zeroed);
  hex(v.digest_field).copy(body, 5);
  return body;
};
const mine = new Uint8Array(128);

test('tor1: cells of C tor, client to relays', (t) => {
  const client = hopKeys.map(tor1Client);
  const relays = hopKeys.map(tor1Relay);
  for (const v of file.vectors.filter((x) => x.direction === 'client_to_relay')) {
    const target = v.target_hop!;
    const batch = batchOf([hex(v.cell_body_digest_zeroed)]);
    client[target]!.sealForward(batch);
    t.is(Buffer.from(client[target]!.sealTag(0)).toString('hex'), v.running_digest_full!);
    for (let hop = target - 1; hop >= 0; hop--) client[hop]!.wrapForward(batch);
    t.is(bodiesOf(batch)[0]!.toString('hex'), v.wire_body_from_client!);
    for (let hop = 0; hop < target; hop++) t.is(relays[hop]!.openForward(batch, mine), 0);
    t.is(relays[target]!.openForward(batch, mine), 1);
    t.is(mine[0], 1);
    t.is(Buffer.from(relays[target]!.openTag(0)).toString('hex'), v.running_digest_full!);
    t.is(bodiesOf(batch)[0]!.toString('hex'), v.cell_body_digest_zeroed);
  }
});

test('tor1: cells of C tor, relays to client', (t) => {
  const client = hopKeys.map(tor1Client);
  const relays = hopKeys.map(tor1Relay);
  for (const v of file.vectors.filter((x) => x.direction === 'relay_to_client')) {
    const source = v.source_hop!;
    const batch = batchOf([hex(v.cell_body_digest_zeroed)], 3);
    relays[source]!.sealBackward(batch);
    t.is(Buffer.from(relays[source]!.sealTag(0)).toString('hex'), v.running_digest_full!);
    t.is(bodiesOf(batch)[0]!.toString('hex'), v.wire_body_from_source!);
    for (let hop = source - 1; hop >= 0; hop--) relays[hop]!.wrapBackward(batch);
    t.is(bodiesOf(batch)[0]!.toString('hex'), v.wire_body_to_client!);
    for (let hop = 0; hop < source; hop++) t.is(client[hop]!.openBackward(batch, mine), 0);
    t.is(client[source]!.openBackward(batch, mine), 1);
    t.is(Buffer.from(client[source]!.openTag(0)).toString('hex'), v.running_digest_full!);
    t.is(bodiesOf(batch)[0]!.toString('hex'), v.cell_body_digest_zeroed);
  }
});

test('tor1-hs: cells of C tor, both ways', (t) => {
  const keys = hex(file.hs_keys_128);
  const client = tor1Hs(keys, 'client');
  const service = tor1Hs(keys, 'service');
  for (const v of file.vectors.filter((x) => x.wire_body !== undefined)) {
    const [from, to] = v.direction === 'client_to_service' ? [client, service] : [service, client];
    const batch = batchOf([hex(v.cell_body_digest_zeroed)]);
    from.sealForward(batch);
    t.is(bodiesOf(batch)[0]!.toString('hex'), v.wire_body!);
    t.is(Buffer.from(from.sealTag(0)).toString('hex'), v.sendme_digest_first20!);
    t.is(to.openBackward(batch, mine), 1);
    t.is(Buffer.from(to.openTag(0)).toString('hex'), v.sendme_digest_first20!);
    t.is(bodiesOf(batch)[0]!.toString('hex'), v.cell_body_digest_zeroed);
    t.deepEqual(withDigest(v).subarray(5, 9), hex(v.digest_field));
  }
});

test('the key stream is the cipher’s, whatever the batches and wherever they lie', (t) => {
  const room = takeArena(8 + 40 * CELL_SIZE);
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 }),
        fc.constantFrom(16, 32),
        fc.nat(5),
        fc.boolean(),
        (sizes, keySize, shift, there) => {
          const key = Buffer.alloc(keySize, 9);
          const stream = new Keystream(key);
          const whole = createCipheriv(`aes-${keySize * 8}-ctr`, key, Buffer.alloc(16));
          for (const size of sizes) {
            const bodies = Array.from({ length: size }, (_, i) => Buffer.alloc(BODY_SIZE, i));
            const batch = inPlace(batchOf(bodies, shift), there ? room : undefined);
            const around = Buffer.from(batch.buf);
            stream.apply(batch);
            const want = bodies.map((body) => whole.update(body));
            if (!Buffer.concat(bodiesOf(batch)).equals(Buffer.concat(want))) return false;
            // Nothing but the bodies changed.
            for (const at of batch.at.subarray(0, size)) around.fill(0, at, at + BODY_SIZE);
            for (const at of batch.at.subarray(0, size)) batch.buf.fill(0, at, at + BODY_SIZE);
            if (!around.equals(batch.buf)) return false;
          }
          return true;
        },
      ),
      { numRuns: 40 },
    ),
  );
});

for (const [name, pair] of [
  ['tor1', () => [tor1Client(keysOf(1)), tor1Relay(keysOf(1))] as const],
  [
    'tor1-hs',
    () => {
      const service = tor1Hs(Buffer.alloc(128, 4), 'service');
      return [
        tor1Hs(Buffer.alloc(128, 4), 'client'),
        {
          openForward: service.openBackward.bind(service),
          openTag: service.openTag.bind(service),
        },
      ] as const;
    },
  ],
] as const) {
  test(`${name}: cells that are not ours, or were tampered with, leave the digest as it was`, (t) => {
    const [client, relay] = pair();
    const plain = (fill: number) => {
      const body = Buffer.alloc(BODY_SIZE, fill);
      body.fill(0, 1, 3);
      body.fill(0, 5, 9);
      return body;
    };
    const first = batchOf([plain(1), plain(2), plain(3)]);
    client.sealForward(first);
    const tags = [0, 1, 2].map((i) => Buffer.from(client.sealTag(i)).toString('hex'));
    // The middle one is damaged in its data: recognised, but of a wrong digest.
    first.buf[first.at[1]! + 100]! ^= 1;
    t.is(relay.openForward(first, mine), 1);
    t.deepEqual([...mine.subarray(0, 3)], [1, 0, 0]);
    t.is(Buffer.from(relay.openTag(0)).toString('hex'), tags[0]);
    // What it saw is as if the second and third had never been: a client that never sent them agrees.
    const [again, relayAgain] = pair();
    const only = batchOf([plain(1)]);
    again.sealForward(only);
    relayAgain.openForward(only, mine);
    const skipped = batchOf([plain(7), plain(8)]);
    again.wrapForward(skipped);
    relayAgain.openForward(skipped, mine);
    const next = batchOf([plain(4)]);
    again.sealForward(next);
    const copy = batchOf(bodiesOf(next));
    t.is(relayAgain.openForward(next, mine), 1);
    t.is(relay.openForward(copy, mine), 1);
    t.deepEqual(Buffer.from(relay.openTag(0)), Buffer.from(relayAgain.openTag(0)));
  });
}

test('random bodies are never recognised by chance alone', (t) => {
  const relay = tor1Relay(keysOf(3));
  for (let round = 0; round < 50; round++) {
    const batch = batchOf(Array.from({ length: 16 }, (_, i) => Buffer.alloc(BODY_SIZE, round * 16 + i)));
    t.is(relay.openForward(batch, mine), 0);
  }
});
