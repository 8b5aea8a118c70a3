import { createHash, createHmac } from 'node:crypto';
import test from 'ava';
import { bytesOf, fromHex, toHex } from '../bytes/text.js';
import { fc } from '../testing/properties.js';
import { vectors } from '../testing/vectors.js';
import { hmacSha256, sha1, sha3_256, sha256, sha512, shake256 } from './digest.js';
import { constantTimeEqual, isAllZero } from './equal.js';
import { fastAnswer, fastFinish } from './fast.js';
import { hkdfSha256, kdfTor } from './kdf.js';

const hex = (b: Uint8Array) => toHex(b).toLowerCase();

test('digests of "abc" (FIPS 180-4, FIPS 202), split over parts or not', (t) => {
  const [a, bc] = [bytesOf('a'), bytesOf('bc')];
  t.is(hex(sha1(a, bc)), 'a9993e364706816aba3e25717850c26c9cd0d89d');
  t.is(hex(sha256(a, bc)), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  t.is(hex(sha3_256(a, bc)), '3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532');
  t.true(hex(sha512(a, bc)).startsWith('ddaf35a193617abacc417349ae204131'));
  t.is(hex(shake256(16, a, bc)), '483366601360a8771c6863080cc4114d');
});

test('HMAC-SHA256 (RFC 4231 test case 2)', (t) => {
  const mac = hmacSha256(bytesOf('Jefe'), bytesOf('what do ya want '), bytesOf('for nothing?'));
  t.is(hex(mac), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
});

test('digests and HMACs of any length in any parts are those of node:crypto', (t) => {
  const parts = fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 4 });
  const whole = (algorithm: string, list: Uint8Array[]) =>
    createHash(algorithm).update(Buffer.concat(list)).digest('hex');
  fc.assert(
    fc.property(parts, fc.uint8Array({ maxLength: 200 }), (list, key) => {
      t.is(hex(sha1(...list)), whole('sha1', list));
      t.is(hex(sha256(...list)), whole('sha256', list));
      t.is(hex(sha3_256(...list)), whole('sha3-256', list));
      t.is(
        hex(hmacSha256(key, ...list)),
        createHmac('sha256', key).update(Buffer.concat(list)).digest('hex'),
      );
    }),
  );
});

test('constant-time comparison', (t) => {
  t.true(constantTimeEqual(bytesOf('same'), bytesOf('same')));
  t.false(constantTimeEqual(bytesOf('same'), bytesOf('some')));
  t.false(constantTimeEqual(bytesOf('same'), bytesOf('same ')));
  t.true(isAllZero(new Uint8Array(3)));
  t.false(isAllZero(Uint8Array.of(0, 0, 1)));
});

type KdfVector = Record<string, string> & { len: number };
const kdf = vectors<{ vectors: KdfVector[] }>('kdf.json').vectors;
const bytes = (v: KdfVector, name: string) => fromHex(v[name]!, name);

test('KDF-TOR', (t) => {
  const cases = kdf.filter((v) => v.kdf === 'KDF-TOR');
  t.true(cases.length > 0);
  for (const v of cases) t.is(hex(kdfTor(bytes(v, 'k0'), v.len)), v.out);
});

test('HKDF-SHA256, with tags and plain', (t) => {
  const ntor = kdf.filter((v) => v.kdf === 'KDF-RFC5869 (ntor)');
  t.true(ntor.length > 0);
  for (const v of ntor) {
    const out = hkdfSha256(bytes(v, 'secret'), bytesOf(v.salt_t_key!), bytesOf(v.info_m_expand!), v.len);
    t.is(hex(out), v.out);
  }
  const plain = kdf.filter((v) => v.kdf === 'HKDF-SHA256 (RFC5869)');
  t.true(plain.length > 0);
  for (const v of plain) {
    t.is(hex(hkdfSha256(bytes(v, 'ikm'), bytes(v, 'salt'), bytes(v, 'info'), v.len)), v.out);
  }
  t.throws(() => hkdfSha256(bytesOf('x'), bytesOf('y'), bytesOf('z'), 8161), { instanceOf: RangeError });
});

test('CREATE_FAST', (t) => {
  const cases = kdf.filter((v) => v.kdf === 'CREATE_FAST');
  t.true(cases.length > 0);
  for (const v of cases) {
    const { reply, keys } = fastAnswer(bytes(v, 'X'), bytes(v, 'Y'));
    t.is(hex(reply), v.Y! + v.KH_in_created_fast!);
    t.deepEqual(
      [keys.df, keys.db, keys.kf, keys.kb].map(hex),
      ['Df', 'Db', 'Kf', 'Kb'].map((name) => v[name]!),
    );
    t.deepEqual(fastFinish(bytes(v, 'X'), reply), keys);
    const damaged = Uint8Array.from(reply);
    damaged[25]! ^= 1;
    t.throws(() => fastFinish(bytes(v, 'X'), damaged), { code: 'protocol' });
    t.throws(() => fastFinish(bytes(v, 'X'), reply.subarray(1)), { code: 'protocol' });
    t.throws(() => fastAnswer(bytes(v, 'X').subarray(1), bytes(v, 'Y')), { code: 'protocol' });
  }
});
