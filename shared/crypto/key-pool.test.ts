import test from 'ava';
import { toHex } from '../bytes/text.js';
import { SimWorld } from '../runtime/sim/world.js';
import type { Random } from '../runtime/types.js';
import { ephemeralX25519, keepX25519Ahead } from './key-pool.js';

/** A clock, and randomness that counts the keys drawn from it. */
function counting(seed: string) {
  const world = new SimWorld(seed, 0);
  const { clock, random } = world.host('127.1.0.1');
  const counts = { drawn: 0 };
  const counted: Random = {
    ...random,
    bytes(n) {
      counts.drawn++;
      return random.bytes(n);
    },
  };
  return { world, clock, counted, counts };
}

test('pairs made ahead are handed out once each, and made when none is left', async (t) => {
  const { world, clock, counted, counts } = counting('key pool');
  keepX25519Ahead(clock, counted, 1000);
  keepX25519Ahead(clock, counted, 1000);
  await world.advance(999);
  t.is(counts.drawn, 0);
  await world.advance(100);
  const ahead = counts.drawn;
  t.true(ahead > 5 && ahead < 50);
  const seen = new Set<string>();
  for (let i = 0; i < ahead; i++) seen.add(toHex(ephemeralX25519(counted).publicKey));
  t.is(counts.drawn, ahead);
  for (let i = 0; i < 3; i++) seen.add(toHex(ephemeralX25519(counted).publicKey));
  t.is(counts.drawn, ahead + 3);
  t.is(seen.size, ahead + 3);
});

test('the pool is bounded, and filled again', async (t) => {
  const { world, clock, counted, counts } = counting('bounded key pool');
  keepX25519Ahead(clock, counted);
  await world.advance(60_000);
  const full = counts.drawn;
  t.true(full >= 100 && full <= 1000);
  await world.advance(60_000);
  t.is(counts.drawn, full);
  for (let i = 0; i < 20; i++) ephemeralX25519(counted);
  await world.advance(60_000);
  t.true(counts.drawn >= full + 16 && counts.drawn <= full + 24, `${counts.drawn} drawn`);
});

test('no pair is made between handshakes while there are enough', async (t) => {
  const { world, clock, counted, counts } = counting('busy key pool');
  keepX25519Ahead(clock, counted);
  await world.advance(60_000);
  const full = counts.drawn;
  const handshakes = async (n: number) => {
    for (let i = 0; i < n; i++) {
      ephemeralX25519(counted);
      await world.advance(10);
    }
  };
  await handshakes(50);
  t.is(counts.drawn, full);
  await handshakes(full);
  t.true(counts.drawn > full);
});
