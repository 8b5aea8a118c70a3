import test from 'ava';
import { toHex } from '../bytes/text.js';
import { SimWorld } from '../runtime/sim/world.js';
import { ephemeralX25519, keepX25519Ahead } from './key-pool.js';

test('pairs made ahead are handed out once each, and made when none is left', async (t) => {
  const world = new SimWorld('key pool', 0);
  const { clock, random } = world.host('127.1.0.1');
  let drawn = 0;
  const counted = {
    ...random,
    bytes(n: number) {
      drawn++;
      return random.bytes(n);
    },
  };
  keepX25519Ahead(clock, counted, 1000);
  keepX25519Ahead(clock, counted, 1000);
  await world.advance(999);
  t.is(drawn, 0);
  await world.advance(100);
  const ahead = drawn;
  t.true(ahead > 5 && ahead < 50);
  const seen = new Set<string>();
  for (let i = 0; i < ahead; i++) seen.add(toHex(ephemeralX25519(counted).publicKey));
  t.is(drawn, ahead);
  for (let i = 0; i < 3; i++) seen.add(toHex(ephemeralX25519(counted).publicKey));
  t.is(drawn, ahead + 3);
  t.is(seen.size, ahead + 3);
});

test('the pool is bounded, and filled again', async (t) => {
  const world = new SimWorld('bounded key pool', 0);
  const { clock, random } = world.host('127.1.0.1');
  let drawn = 0;
  const counted = {
    ...random,
    bytes(n: number) {
      drawn++;
      return random.bytes(n);
    },
  };
  keepX25519Ahead(clock, counted);
  await world.advance(60_000);
  const full = drawn;
  t.true(full >= 100 && full <= 1000);
  await world.advance(60_000);
  t.is(drawn, full);
  for (let i = 0; i < 10; i++) ephemeralX25519(counted);
  await world.advance(60_000);
  t.is(drawn, full + 10);
});
