import { ed25519 } from '@noble/curves/ed25519.js';
import test from 'ava';
import { bytesOf, fromHex, toHex } from '../bytes/text.js';
import { testRandom } from '../testing/random.js';
import { vectors } from '../testing/vectors.js';
import {
  ed25519FromExpanded,
  ed25519FromSeed,
  ed25519Verify,
  expandEd25519Seed,
  generateEd25519,
} from './ed25519.js';

const hex = (b: Uint8Array) => toHex(b).toLowerCase();
const cases = vectors<{ vectors: Record<string, string>[] }>('ed25519-blinding.json').vectors.filter(
  (v) => v.seed !== undefined,
);

test('seed, expanded form and public key as C tor has them', (t) => {
  t.true(cases.length > 0);
  for (const v of cases) {
    const key = ed25519FromSeed(fromHex(v.seed!, 'seed'));
    t.is(hex(key.publicKey), v.public);
    t.is(hex(key.expanded), v.expanded_secret);
    t.is(hex(expandEd25519Seed(key.seed)), v.expanded_secret);
    t.is(hex(ed25519FromExpanded(key.expanded).publicKey), v.public);
  }
});

test('a signature is the same from the seed, from the expanded key, and by noble', (t) => {
  const random = testRandom('ed25519');
  for (let i = 0; i < 5; i++) {
    const key = generateEd25519(random);
    const message = random.bytes(i * 33);
    const signature = key.sign(message);
    t.is(hex(signature), hex(ed25519.sign(message, key.seed)));
    t.is(hex(ed25519FromExpanded(key.expanded).sign(message)), hex(signature));
    t.true(ed25519Verify(key.publicKey, message, signature));
  }
});

test('verification refuses what is not a signature', (t) => {
  const key = generateEd25519(testRandom('refuse'));
  const message = bytesOf('consensus');
  const signature = key.sign(message);
  const changed = (bytes: Uint8Array, at: number) => {
    const copy = Uint8Array.from(bytes);
    copy[at]! ^= 1;
    return copy;
  };
  t.false(ed25519Verify(key.publicKey, bytesOf('consensuS'), signature));
  for (const at of [0, 31, 32, 63]) t.false(ed25519Verify(key.publicKey, message, changed(signature, at)));
  t.false(ed25519Verify(changed(key.publicKey, 3), message, signature));
  t.false(ed25519Verify(key.publicKey.subarray(1), message, signature));
  t.false(ed25519Verify(key.publicKey, message, signature.subarray(1)));
  t.false(ed25519Verify(new Uint8Array(32).fill(255), message, signature));
  // S + L instead of S (RFC 8032 5.1.7: S must be below L).
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const s = BigInt(`0x${hex(Uint8Array.from(signature.subarray(32)).reverse())}`) + order;
  const malleated = Uint8Array.from(signature);
  malleated.set(Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse(), 32);
  t.false(ed25519Verify(key.publicKey, message, malleated));
});

test('wrong sizes of own keys are our own mistake', (t) => {
  t.throws(() => ed25519FromSeed(new Uint8Array(31)), { instanceOf: RangeError });
  t.throws(() => ed25519FromExpanded(new Uint8Array(32)), { instanceOf: RangeError });
  t.throws(() => ed25519FromExpanded(new Uint8Array(64)), { message: /zero/ });
});
