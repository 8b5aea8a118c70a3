import { x25519 } from '@noble/curves/ed25519.js';
import test from 'ava';
import { fromHex, toHex } from '../bytes/text.js';
import { testRandom } from '../testing/random.js';
import { agreeAll, generateX25519, x25519FromSecret } from './x25519.js';

const hex = (b: Uint8Array) => toHex(b).toLowerCase();

test('RFC 7748 6.1', (t) => {
  const secret = '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb';
  const alice = fromHex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a', 'alice');
  const bob = x25519FromSecret(fromHex(secret, 'bob'));
  t.is(hex(bob.publicKey), 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
  t.is(hex(bob.agree(alice)), '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');
});

test('agrees with noble', (t) => {
  const random = testRandom('x25519');
  for (let i = 0; i < 10; i++) {
    const [a, b] = [generateX25519(random), generateX25519(random)];
    t.deepEqual(a.publicKey.length, 32);
    t.is(hex(a.publicKey), hex(x25519.getPublicKey(a.secret)));
    t.is(hex(a.agree(b.publicKey)), hex(x25519.getSharedSecret(a.secret, b.publicKey)));
    t.is(hex(a.agree(b.publicKey)), hex(b.agree(a.publicKey)));
    const c = generateX25519(random);
    t.deepEqual(
      agreeAll([a, c], b.publicKey).map(hex),
      [a, c].map((k) => hex(k.agree(b.publicKey))),
    );
  }
});

test('secrets are clamped', (t) => {
  const pair = x25519FromSecret(new Uint8Array(32).fill(255));
  t.deepEqual([pair.secret[0], pair.secret[31]], [248, 127]);
});

/** Points of order 1, 2, 4, 8 in canonical and non-canonical form: whatever the secret, the result is zero. */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
];

test('a peer key of low order or wrong size is the peer’s fault', (t) => {
  const pair = generateX25519(testRandom('low order'));
  for (const point of LOW_ORDER) {
    t.throws(() => pair.agree(fromHex(point, 'point')), { code: 'protocol' }, point);
    t.throws(() => agreeAll([pair, pair], fromHex(point, 'point')), { code: 'protocol' });
  }
  t.throws(() => pair.agree(new Uint8Array(31).fill(9)), { code: 'protocol' });
  t.throws(() => x25519FromSecret(new Uint8Array(31)), { instanceOf: RangeError });
});
