import test from 'ava';
import { toHex } from '../bytes/text.js';
import { testRandom } from '../testing/random.js';
import { sha256 } from './digest.js';
import { rsaFromPem, rsaPublic } from './rsa.js';
import { seededRsa } from './rsa-seeded.js';

test('the same seed gives the same key, another one another', (t) => {
  const [a, b, c] = ['a', 'a', 'c'].map((label) => seededRsa(1024, testRandom(label)));
  t.is(toHex(a!.id), toHex(b!.id));
  t.not(toHex(a!.id), toHex(c!.id));
});

test('it is an RSA key like any other', (t) => {
  const key = seededRsa(1024, testRandom('key'));
  t.is(key.bits, 1024);
  const pub = rsaPublic(key.publicDer);
  t.is(pub.exponent, 65537n);
  const digest = sha256(Uint8Array.of(1));
  t.true(pub.verifyRaw(key.signRaw(digest), digest));
  t.deepEqual(rsaFromPem(key.toPem()).id, key.id);
});
