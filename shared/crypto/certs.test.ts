import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { fromHex, toHex } from '../bytes/text.js';
import { fc } from '../testing/properties.js';
import { testRandom } from '../testing/random.js';
import { vectors } from '../testing/vectors.js';
import { CertKeyType, CertType, checkEd25519Cert, makeEd25519Cert, parseEd25519Cert } from './certs.js';
import { ed25519FromSeed, generateEd25519 } from './ed25519.js';

const hex = (b: Uint8Array) => toHex(b).toLowerCase();
const HOUR = 3_600_000;

interface CertVector {
  cert_type: number;
  now: number;
  lifetime_s: number;
  include_signing_key_ext: number;
  signing_seed: string;
  signing_public: string;
  subject: string;
  cert: string;
  expiration_hours: number;
  key_type: number;
}
const cases = vectors<{ vectors: CertVector[] }>('ed25519-certs.json').vectors;

for (const v of cases) {
  test(`certificate of C tor, type ${v.cert_type}, key type ${v.key_type}, extension ${v.include_signing_key_ext}`, (t) => {
    const signer = ed25519FromSeed(fromHex(v.signing_seed, 'seed'));
    const made = makeEd25519Cert({
      type: v.cert_type,
      keyType: v.key_type,
      key: fromHex(v.subject, 'subject'),
      expires: (v.now + v.lifetime_s) * 1000,
      signer,
      includeSigner: v.include_signing_key_ext === 1,
    });
    t.is(hex(made), v.cert);
    const cert = parseEd25519Cert(fromHex(v.cert, 'cert'));
    t.is(cert.type, v.cert_type);
    t.is(cert.keyType, v.key_type);
    t.is(cert.expires, v.expiration_hours * HOUR);
    t.is(hex(cert.key), v.subject);
    t.is(cert.signedWith && hex(cert.signedWith), v.include_signing_key_ext ? v.signing_public : undefined);
    const signedBy = fromHex(v.signing_public, 'public');
    const rules = { type: v.cert_type, keyType: v.key_type, signedBy, now: v.now * 1000 };
    t.notThrows(() => checkEd25519Cert(cert, rules));
  });
}

const random = testRandom('certs');
const signer = generateEd25519(random);
const key = random.bytes(32);
const expires = 500_000 * HOUR;
const good = makeEd25519Cert({ type: CertType.SIGNING, key, expires, signer, includeSigner: true });
const bare = makeEd25519Cert({ type: CertType.LINK, key, expires, signer, includeSigner: false });
const rules = { type: CertType.SIGNING, now: expires - 1 };

test('the last second counts, the one after does not', (t) => {
  const cert = parseEd25519Cert(good);
  t.notThrows(() => checkEd25519Cert(cert, { ...rules, now: expires }));
  t.throws(() => checkEd25519Cert(cert, { ...rules, now: expires + 1000 }), { message: /expired/ });
});

test('what does not hold is a ProtocolError that says why', (t) => {
  const cert = parseEd25519Cert(good);
  const other = generateEd25519(random).publicKey;
  const expect = (change: Partial<Parameters<typeof checkEd25519Cert>[1]>, message: RegExp) =>
    t.throws(() => checkEd25519Cert(cert, { ...rules, ...change }), { code: 'protocol', message });
  expect({ type: CertType.LINK }, /wanted type 5/);
  expect({ keyType: CertKeyType.X509_SHA256 }, /key of type 1/);
  expect({ signedBy: other }, /another key/);
  const alone = parseEd25519Cert(bare);
  t.throws(() => checkEd25519Cert(alone, { ...rules, type: CertType.LINK }), { message: /which key/ });
  const wrong = { ...rules, type: CertType.LINK, signedBy: other };
  t.throws(() => checkEd25519Cert(alone, wrong), { message: /bad signature/ });
});

test('a change of any byte is noticed', (t) => {
  for (let at = 0; at < good.length; at++) {
    const changed = Uint8Array.from(good);
    changed[at]! ^= 1;
    t.throws(
      () => checkEd25519Cert(parseEd25519Cert(changed), { ...rules, signedBy: signer.publicKey }),
      undefined,
      `byte ${at}`,
    );
  }
});

const head = hex(good).slice(0, 78);
const ext = hex(good).slice(80, 88 + 64);
const signature = hex(good).slice(-128);
const BAD = {
  empty: '',
  'version 2': `02${hex(good).slice(2)}`,
  'cut in the key': hex(good).slice(0, 60),
  'cut in the signature': hex(good).slice(0, -2),
  'one byte more': `${hex(good)}00`,
  'signing key twice': `${head}02${ext}${ext}${signature}`,
  'signing key of 31 bytes': `${head}01001f0400${ext.slice(10)}${signature}`,
  'unknown extension that affects validation': `${head}0100007701${signature}`,
  'more extensions than bytes': `${head}ff${ext}${signature}`,
};

for (const [name, bytes] of Object.entries(BAD)) {
  test(`refused: ${name}`, (t) => {
    t.throws(() => parseEd25519Cert(fromHex(bytes, 'cert')), { instanceOf: DecodeError });
  });
}

test('an unknown extension that does not affect validation is skipped', (t) => {
  const cert = parseEd25519Cert(fromHex(`${head}0100027700aabb${signature}`, 'cert'));
  t.is(cert.signedWith, undefined);
});

test('any bytes are a certificate or a DecodeError', (t) => {
  const mutated = fc
    .tuple(fc.nat(good.length - 1), fc.nat(255))
    .map(([at, value]) => good.map((byte, i) => (i === at ? value : byte)));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (bytes) => {
      try {
        parseEd25519Cert(bytes);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
  );
  t.pass();
});

test('a key that is not 32 bytes is our own mistake', (t) => {
  const input = { type: 4, key: new Uint8Array(20), expires, signer, includeSigner: true };
  t.throws(() => makeEd25519Cert(input), { instanceOf: RangeError });
});
