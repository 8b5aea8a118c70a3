import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { generateRsa } from '../crypto/rsa.js';
import { vectors, vectorText } from '../testing/vectors.js';
import {
  buildAuthorityCertificate,
  parseAuthorityCertificate,
  parseAuthorityCertificates,
} from './authority-cert.js';

const REAL = vectorText('real-tor/authority-certs.txt');
const { documents: CERTS, errors } = parseAuthorityCertificates(REAL);

test('those of a real network', (t) => {
  const { keys } = vectors<{ keys: Record<string, { v3ident?: string }> }>('real-tor/index.json');
  const idents = Object.values(keys).flatMap((key) => key.v3ident ?? []);
  t.deepEqual(CERTS.map((cert) => cert.identity).sort(), idents.sort());
  t.deepEqual(errors, []);
  t.is(CERTS.map((cert) => cert.text).join(''), REAL);
  const [cert] = CERTS;
  t.is(cert?.address?.host, '127.0.0.1');
  t.is((cert?.expires ?? 0) - (cert?.published ?? 0), 365 * 86_400_000);
});

test('one of our own', async (t) => {
  const [identityKey, signingKey] = await Promise.all([generateRsa(1024), generateRsa(1024)]);
  const published = Date.UTC(2026, 0, 1);
  const input = { identityKey, signingKey, published, expires: published + 86_400_000 };
  for (const address of [undefined, { host: '127.0.0.1', port: 80 }]) {
    const text = buildAuthorityCertificate(address ? { ...input, address } : input);
    const cert = parseAuthorityCertificate(text);
    t.deepEqual(cert.address, address);
    t.is(cert.published, published);
    t.deepEqual(new Uint8Array(cert.signingKey), new Uint8Array(signingKey.publicDer));
    t.is(cert.text, text);
  }
});

const GOOD = CERTS[0]?.text ?? '';
const other = CERTS[1]?.text ?? '';
const section = (text: string, from: string, to: string) => text.slice(text.indexOf(from), text.indexOf(to));
const INVALID: readonly [name: string, text: string, keyword: string][] = [
  ['another version', GOOD.replace('version 3', 'version 4'), '.dir-key-certificate-version'],
  ['a changed date', GOOD.replace(/(dir-key-expires \d+)-11/, '$1-12'), '.dir-key-certification'],
  ['an impossible date', GOOD.replace(/(dir-key-expires \d+)-11/, '$1-13'), '.dir-key-expires'],
  ['no expiry', GOOD.replace(/dir-key-expires .*\n/, ''), '.dir-key-expires'],
  ['another fingerprint', GOOD.replace(/fingerprint .*/, `fingerprint ${'A'.repeat(40)}`), '.fingerprint'],
  ['a short fingerprint', GOOD.replace(/fingerprint .*/, 'fingerprint AAAA'), '.fingerprint'],
  [
    'another identity key',
    GOOD.replace(section(GOOD, 'dir-identity', 'dir-signing'), section(other, 'dir-identity', 'dir-signing')),
    '.fingerprint',
  ],
  [
    'another signing key',
    GOOD.replace(
      section(GOOD, 'dir-signing', 'dir-key-cross'),
      section(other, 'dir-signing', 'dir-key-cross'),
    ),
    '.dir-key-certification',
  ],
  ['an IPv6 address', GOOD.replace(/dir-address .*/, 'dir-address [::1]:80'), '.dir-address'],
  ['nothing', '', '.dir-key-certificate-version'],
  ['something after', `${GOOD}more\n`, '.dir-key-certification'],
  ['too much', `${GOOD}${'x\n'.repeat(70_000)}`, ''],
];
for (const [name, text, keyword] of INVALID)
  test(`refuses ${name}`, (t) => {
    t.is(
      t.throws(() => parseAuthorityCertificate(text), { instanceOf: DecodeError })?.field,
      `key-certificate${keyword}`,
    );
  });

test('one bad among good ones', (t) => {
  const bad = GOOD.replace('version 3', 'version 4');
  const { documents, errors } = parseAuthorityCertificates(`${other}\n${bad}@annotated\n${other}`);
  t.is(documents.length, 2);
  t.deepEqual(
    errors.map((e) => e.text),
    [bad],
  );
});
