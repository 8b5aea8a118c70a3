import { createPrivateKey, createVerify, generateKeyPairSync } from 'node:crypto';
import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { fromBase64, fromHex, toHex } from '../bytes/text.js';
import { fc } from '../testing/properties.js';
import { sha1, sha256 } from './digest.js';
import { generateRsa, pemOfPublic, pkcs1Of, rsaFromPem, rsaPublic } from './rsa.js';

test('generates, signs raw digests, survives PEM', async (t) => {
  const key = await generateRsa(1024);
  t.is(key.bits, 1024);
  t.deepEqual(key.id, sha1(key.publicDer));
  const pub = rsaPublic(key.publicDer);
  t.is(pub.bits, 1024);
  t.is(pub.exponent, 65537n);
  t.deepEqual(pub.id, key.id);
  t.deepEqual(pub.sha256Id, sha256(key.publicDer));

  const digest = sha256(Uint8Array.of(1, 2, 3));
  const signature = key.signRaw(digest);
  t.is(signature.length, 128);
  t.true(pub.verifyRaw(signature, digest));
  t.false(pub.verifyRaw(signature, digest.subarray(0, 20)));
  t.false(pub.verifyRaw(signature, sha256(Uint8Array.of(1, 2))));
  t.false(pub.verifyRaw(signature.subarray(1), digest));
  const damaged = Uint8Array.from(signature);
  damaged[7]! ^= 4;
  t.false(pub.verifyRaw(damaged, digest));
  t.throws(() => key.signRaw(new Uint8Array(118)), { code: 'rsa-digest-size' });

  const pem = key.toPem();
  t.true(pem.startsWith('-----BEGIN RSA PRIVATE KEY-----\n'));
  const again = rsaFromPem(pem);
  t.deepEqual(again.publicDer, key.publicDer);
  t.deepEqual(again.signRaw(digest), signature);
});

test('no DigestInfo: such a signature is not what RSA-SHA256 is', async (t) => {
  const key = await generateRsa(1024);
  const data = Buffer.from('text');
  const verifier = createVerify('RSA-SHA256').update(data);
  t.false(verifier.verify(key.keyObject, key.signRaw(sha256(data))));
});

test('PKCS1 of a public key, whatever its length and whatever it was read from', (t) => {
  for (const modulusLength of [512, 1024, 2048, 3072]) {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength });
    const der = publicKey.export({ format: 'der', type: 'pkcs1' });
    t.deepEqual(Buffer.from(pkcs1Of(publicKey)), der);
    t.deepEqual(Buffer.from(rsaPublic(der).der), der);
  }
});

test('public PEM as in documents', async (t) => {
  const key = await generateRsa(1024);
  const lines = pemOfPublic(key.publicDer).split('\n');
  t.is(lines[0], '-----BEGIN RSA PUBLIC KEY-----');
  t.deepEqual(
    lines.slice(1, 4).map((line) => line.length),
    [64, 64, 60],
  );
  t.deepEqual(lines.slice(4), ['-----END RSA PUBLIC KEY-----', '']);
  t.deepEqual(Uint8Array.from(fromBase64(lines.slice(1, 4).join(''), 'pem')), key.publicDer);
});

test('refuses PEM that is damaged, of another kind or another exponent', async (t) => {
  const pem = (await generateRsa(1024)).toPem();
  const { privateKey: ec } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { privateKey: three } = generateKeyPairSync('rsa', { modulusLength: 1024, publicExponent: 3 });
  const bad = [
    '',
    pem.slice(0, 300),
    pem.replace('RSA PRIVATE', 'RSA PUBLIC'),
    ec.export({ format: 'pem', type: 'pkcs8' }) as string,
    three.export({ format: 'pem', type: 'pkcs1' }) as string,
  ];
  for (const text of bad) {
    t.throws(() => rsaFromPem(text, 'keys/secret_id_key'), {
      instanceOf: DecodeError,
      message: /^keys\/secret_id_key: /,
    });
  }
});

test('a public key must be DER and nothing else', async (t) => {
  const { publicDer } = await generateRsa(1024);
  t.throws(() => rsaPublic(Buffer.concat([publicDer, Buffer.from([0])])), { instanceOf: DecodeError });
  t.throws(() => rsaPublic(publicDer.subarray(0, 100)), { instanceOf: DecodeError });
  // The same key with the outer length in more bytes than needed: BER, another SHA-1.
  const ber = fromHex(`308200${toHex(publicDer.subarray(2, 3))}${toHex(publicDer.subarray(3))}`, 'ber');
  t.throws(() => rsaPublic(ber), { instanceOf: DecodeError });
  t.throws(() => rsaPublic(new Uint8Array(2000)), { message: /too many/ });
});

test('any bytes as a public key: a key or a DecodeError', async (t) => {
  const { publicDer } = await generateRsa(1024);
  const mutated = fc
    .tuple(fc.nat(publicDer.length - 1), fc.nat(255))
    .map(([at, value]) => publicDer.map((byte, i) => (i === at ? value : byte)));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (der) => {
      try {
        rsaPublic(der).verifyRaw(new Uint8Array(128).fill(7), new Uint8Array(20));
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
  );
  t.pass();
});

test('a private key with a wrong bit is refused, though it can be read', async (t) => {
  const { keyObject } = await generateRsa(1024);
  const numbers = keyObject.export({ format: 'jwk' });
  // The modulus, and the secret exponent with what stands for it.
  for (const names of [['n'], ['d', 'dp']] as const) {
    const wrong = { ...numbers };
    for (const name of names) {
      const bytes = Buffer.from(wrong[name]!, 'base64url');
      bytes[bytes.length - 1]! ^= 8;
      wrong[name] = bytes.toString('base64url');
    }
    const pem = createPrivateKey({ key: wrong, format: 'jwk' }).export({ format: 'pem', type: 'pkcs1' });
    t.throws(() => rsaFromPem(pem as string), { instanceOf: DecodeError, message: /belong together/ });
  }
});
