import test from 'ava';
import { bytesOf } from '../shared/bytes/text.js';
import { memoryStore } from '../shared/store/memory.js';
import {
  AuthorityKeyError,
  CERTIFICATE_FILE,
  expiryWarning,
  IDENTITY_KEY_FILE,
  keygenAuthority,
  loadAuthorityKeys,
  SIGNING_KEY_FILE,
} from './keys.js';
import { NOW } from './testing.js';

const DAY = 24 * 3600 * 1000;
const HOUR = 3600 * 1000;
const small = { identityBits: 1024, signingBits: 1024, now: NOW };
const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes!).toString();

test('keys are made under their names and load again', async (t) => {
  const store = memoryStore();
  const made = await keygenAuthority(store, { ...small, address: { host: '192.0.2.1', port: 80 } });
  t.true(made.newIdentity);
  t.deepEqual([...store.files.keys()].sort(), [CERTIFICATE_FILE, IDENTITY_KEY_FILE, SIGNING_KEY_FILE].sort());
  t.true(text(store.files.get(IDENTITY_KEY_FILE)).startsWith('-----BEGIN RSA PRIVATE KEY-----'));
  const { certificate } = await loadAuthorityKeys(store, NOW);
  t.is(certificate.identity, made.certificate.identity);
  t.is(certificate.expires, Date.UTC(2027, 2, 1, 12));
  t.deepEqual(certificate.address, { host: '192.0.2.1', port: 80 });
});

test('a certificate for some months ends on a day there is', async (t) => {
  const now = Date.UTC(2026, 0, 31);
  const { certificate } = await keygenAuthority(memoryStore(), { ...small, now, months: 1 });
  t.is(certificate.expires, Date.UTC(2026, 1, 28));
});

test('nothing that is there is replaced unless asked, and then it is kept', async (t) => {
  const store = memoryStore();
  const first = await keygenAuthority(store, small);
  await t.throwsAsync(keygenAuthority(store, small), { instanceOf: AuthorityKeyError, message: /already/ });
  const identity = text(store.files.get(IDENTITY_KEY_FILE));
  const renewed = await keygenAuthority(store, { ...small, renew: true });
  t.false(renewed.newIdentity);
  t.is(text(store.files.get(IDENTITY_KEY_FILE)), identity);
  t.is(renewed.certificate.identity, first.certificate.identity);
  t.not(renewed.certificate.signingKeyDigest, first.certificate.signingKeyDigest);
  t.is([...store.files.keys()].filter((name) => name.startsWith(SIGNING_KEY_FILE)).length, 2);
});

test('the identity key may be kept elsewhere, and encrypted', async (t) => {
  const vault = memoryStore();
  const { certificate } = await keygenAuthority(vault, { ...small, passphrase: 'open sesame' });
  const pem = text(vault.files.get(IDENTITY_KEY_FILE));
  t.true(pem.includes('ENCRYPTED'));
  const online = memoryStore();
  const from = (passphrase: string | undefined) =>
    keygenAuthority(online, { ...small, identityPem: pem, passphrase });
  await t.throwsAsync(from('wrong'), { instanceOf: AuthorityKeyError });
  await t.throwsAsync(from(undefined), { instanceOf: AuthorityKeyError });
  const made = await from('open sesame');
  t.is(made.certificate.identity, certificate.identity);
  t.false(online.files.has(IDENTITY_KEY_FILE));
});

test('what keeps an authority from starting', async (t) => {
  const store = memoryStore();
  const load = (now = NOW) => loadAuthorityKeys(store, now);
  await t.throwsAsync(load(), { instanceOf: AuthorityKeyError, message: /cepa keygen authority/ });
  await keygenAuthority(store, small);
  await t.throwsAsync(load(NOW + 366 * DAY), { instanceOf: AuthorityKeyError, message: /expired.*--renew/ });
  const other = memoryStore();
  await keygenAuthority(other, small);
  await store.write(SIGNING_KEY_FILE, other.files.get(SIGNING_KEY_FILE)!);
  await t.throwsAsync(load(), { instanceOf: AuthorityKeyError, message: /another key/ });
  await store.write(CERTIFICATE_FILE, bytesOf('nonsense\n'));
  await t.throwsAsync(load(), { instanceOf: AuthorityKeyError, message: /cannot be read/ });
});

test('warnings begin 30 days before the end and grow more frequent', (t) => {
  const warning = (left: number) => expiryWarning(NOW + left, NOW);
  t.is(warning(30 * DAY + 1), undefined);
  t.like(warning(30 * DAY), { level: 'warn', repeatAfter: 5 * DAY });
  t.like(warning(7 * DAY), { level: 'warn', repeatAfter: DAY });
  t.like(warning(DAY), { level: 'warn', repeatAfter: HOUR });
  t.like(warning(0), { level: 'error', repeatAfter: HOUR });
});
