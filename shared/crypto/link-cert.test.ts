import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import test from 'ava';
import { CepaError, DecodeError } from '../bytes/errors.js';
import { Reader } from '../bytes/reader.js';
import { fromHex, toHex } from '../bytes/text.js';
import type { Clock, Random } from '../runtime/types.js';
import { fc } from '../testing/properties.js';
import { testRandom } from '../testing/random.js';
import { testTlsIdentity } from '../testing/tls-identity.js';
import { vectors } from '../testing/vectors.js';
import { CertKeyType, CertType, checkEd25519Cert, parseEd25519Cert } from './certs.js';
import { checkRsaEdCrossCert } from './crosscert.js';
import { checkRsaIdCert, makeRsaIdCert, makeTlsIdentity, rsaKeyOfX509 } from './link-cert.js';
import { generateRsa } from './rsa.js';

const DAY = 86_400_000;
const NOW = Date.UTC(2031, 4, 17, 13, 7);
const clockAt = (now: number) => ({ now: () => now }) as Clock;

const shortKey = () => generateRsa(1024);

test('TLS identity: a key of 2048 bits', async (t) => {
  const { certPem } = await makeTlsIdentity(testRandom('long'), clockAt(NOW));
  t.is(new X509Certificate(certPem).publicKey.asymmetricKeyDetails!.modulusLength, 2048);
});

test('TLS identity: RSA, self-signed in fact, in its dates for at least a day', async (t) => {
  for (let i = 0; i < 20; i++) {
    const random = testRandom(`tls ${i}`);
    const { certDer, certPem, keyPem } = await makeTlsIdentity(random, clockAt(NOW), shortKey);
    const cert = new X509Certificate(certPem);
    t.deepEqual(new Uint8Array(cert.raw), new Uint8Array(certDer));
    t.true(cert.verify(cert.publicKey));
    t.true(cert.checkPrivateKey(createPrivateKey(keyPem)));
    t.is(cert.publicKey.asymmetricKeyType, 'rsa');
    t.regex(cert.subject, /^CN=www\.[a-z2-7]{8,20}\.net$/);
    t.regex(cert.issuer, /^CN=www\.[a-z2-7]{8,20}\.com$/);
    t.true(Date.parse(cert.validFrom) <= NOW - DAY);
    t.true(Date.parse(cert.validTo) >= NOW + DAY);
    t.is(Date.parse(cert.validFrom) % DAY, 0);
    t.false(cert.ca);
  }
});

test('whatever the serial number comes out as, OpenSSL reads the certificate', async (t) => {
  const rsa = await generateRsa(1024);
  for (const byte of [0, 1, 0x7f, 0x80, 0xff]) {
    const random = {
      bytes: (size: number) => new Uint8Array(size).fill(byte),
      below: () => 0,
    } as unknown as Random;
    t.deepEqual(rsaKeyOfX509(await makeRsaIdCert(rsa, random, clockAt(NOW))), rsa.publicDer);
  }
});

test('dates after 2049 are GeneralizedTime', async (t) => {
  const { certPem } = await makeTlsIdentity(testRandom('late'), clockAt(Date.UTC(2060, 0, 1)), shortKey);
  t.true(new X509Certificate(certPem).validTo.endsWith('GMT'));
  t.true(Date.parse(new X509Certificate(certPem).validTo) > Date.UTC(2060, 0, 1));
});

test('RSA identity certificate', async (t) => {
  const rsa = await generateRsa(1024);
  const der = await makeRsaIdCert(rsa, testRandom('id'), clockAt(NOW));
  t.deepEqual(rsaKeyOfX509(der), rsa.publicDer);
  const key = checkRsaIdCert(der, NOW);
  t.deepEqual(key.id, rsa.id);
  const { validFrom, validTo } = new X509Certificate(der);
  t.notThrows(() => checkRsaIdCert(der, Date.parse(validFrom) - 29 * DAY));
  t.throws(() => checkRsaIdCert(der, Date.parse(validFrom) - 31 * DAY), { message: /not valid before/ });
  t.notThrows(() => checkRsaIdCert(der, Date.parse(validTo) + DAY));
  t.throws(() => checkRsaIdCert(der, Date.parse(validTo) + 3 * DAY), { message: /expired/ });
});

test('refused: other bits, another signer, a key that is not RSA, bytes behind', async (t) => {
  const [big, rsa] = [await generateRsa(2048), await generateRsa(1024)];
  const tooBig = await makeRsaIdCert(big, testRandom('big'), clockAt(NOW));
  t.throws(() => checkRsaIdCert(tooBig, NOW), { message: /2048 bits/ });
  const forged = { ...rsa, keyObject: big.keyObject };
  const notOwn = await makeRsaIdCert(forged, testRandom('forged'), clockAt(NOW));
  t.throws(() => checkRsaIdCert(notOwn, NOW), { message: /not signed by its own key/ });
  t.throws(() => rsaKeyOfX509(testTlsIdentity.certDer), { instanceOf: DecodeError, message: /not RSA/ });
  const der = await makeRsaIdCert(rsa, testRandom('id'), clockAt(NOW));
  t.throws(() => rsaKeyOfX509(Buffer.concat([der, Buffer.of(0)])), { instanceOf: DecodeError });
  t.throws(() => rsaKeyOfX509(new Uint8Array(5000)), { message: /too many/ });
});

test('any bytes: a CepaError', async (t) => {
  const der = await makeRsaIdCert(await generateRsa(1024), testRandom('any'), clockAt(NOW));
  const mutated = fc
    .tuple(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }))
    .map(([at, flip]) => der.map((byte, i) => (i === at ? byte ^ flip : byte)));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (bytes) => {
      try {
        checkRsaIdCert(bytes, NOW);
        return false;
      } catch (error) {
        return error instanceof CepaError;
      }
    }),
    { numRuns: 300 },
  );
  t.pass();
});

interface Captured {
  kind: string;
  responder_certs_cell?: string;
  tls_peer_cert_der?: string;
  relay_fingerprint?: string;
  relay_ed?: string;
}

test('the CERTS cell of a C tor relay holds', (t) => {
  const all = vectors<{ vectors: Captured[] }>('link-handshake.json').vectors;
  const v = all.find((it) => it.kind === 'tor_is_responder')!;
  const certs = new Map<number, Uint8Array>();
  const reader = new Reader(fromHex(v.responder_certs_cell!, 'cell').subarray(7));
  for (let left = reader.u8('n'); left > 0; left--) {
    const type = reader.u8('type');
    certs.set(type, reader.slice(reader.u16('length'), 'cert'));
  }
  // The private network ran at some hour in 2026; its signing certificate tells which.
  const signing = parseEd25519Cert(certs.get(CertType.SIGNING)!);
  const now = signing.expires - 29 * DAY;
  const rsa = checkRsaIdCert(certs.get(CertType.X509_RSA_ID)!, now);
  t.is(toHex(rsa.id), v.relay_fingerprint!);
  checkEd25519Cert(signing, { type: CertType.SIGNING, now });
  t.is(toHex(signing.signedWith!).toLowerCase(), v.relay_ed!);
  const link = parseEd25519Cert(certs.get(CertType.LINK)!);
  const keyType = CertKeyType.X509_SHA256;
  checkEd25519Cert(link, { type: CertType.LINK, keyType, signedBy: signing.key, now });
  const shown = createHash('sha256').update(fromHex(v.tls_peer_cert_der!, 'der')).digest();
  t.deepEqual(Buffer.from(link.key), shown);
  checkRsaEdCrossCert(certs.get(CertType.RSA_CROSS)!, rsa.der, signing.signedWith!, now);
});
