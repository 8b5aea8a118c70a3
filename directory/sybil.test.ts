import test from 'ava';
import { findSybils, uniqueByEd25519 } from './sybil.js';
import { viewOf } from './testing.js';

const at = (address: string) => ({ address });

test('of too many relays on an address the best stay', (t) => {
  const slow = viewOf({ measured: 1, descriptor: at('1.1.1.1') });
  const fast = viewOf({ measured: 900, descriptor: at('1.1.1.1') });
  const down = viewOf({ measured: 999, running: false, descriptor: at('1.1.1.1') });
  const authority = viewOf({ measured: 0, authority: true, running: false, descriptor: at('1.1.1.1') });
  const elsewhere = viewOf({ descriptor: at('1.1.1.2') });
  const all = [slow, fast, down, authority, elsewhere];
  t.deepEqual([...findSybils(all, 2)].sort(), [slow, down].map((r) => r.descriptor.id).sort());
  t.deepEqual([...findSybils(all, 3)], [down.descriptor.id]);
  t.is(findSybils(all, 4).size, 0);
  t.is(findSybils(all, 0).size, 0);
});

test('IPv6 addresses count too', (t) => {
  const six = (n: number) => ({ address: `1.1.1.${n}`, orAddresses: [{ host: '2001:db8::1', port: 9001 }] });
  const relays = [1, 2, 3].map((n) => viewOf({ measured: 10 - n, descriptor: six(n) }));
  t.deepEqual([...findSybils(relays, 2)], [relays[2]!.descriptor.id]);
});

test('one ed25519 identity, one relay: the newer, else the smaller digest', (t) => {
  const ed25519Id = new Uint8Array(32).fill(7);
  const old = viewOf({ descriptor: { ed25519Id, published: 1000 } });
  const big = viewOf({ descriptor: { ed25519Id, published: 2000, digest: new Uint8Array(20).fill(9) } });
  const small = viewOf({ descriptor: { ed25519Id, published: 2000, digest: new Uint8Array(20).fill(1) } });
  const other = viewOf();
  for (const order of [
    [old, big, small, other],
    [small, other, big, old],
  ])
    t.deepEqual(new Set(uniqueByEd25519(order)), new Set([small, other]));
});
