import test from 'ava';
import { Reader } from '../bytes/reader.js';
import { bytesOf, fromHex, toBase64Bare, toHex } from '../bytes/text.js';
import { memoryLog } from '../log/log.js';
import type { Clock } from '../runtime/types.js';
import { type MemoryStore, memoryStore } from '../store/memory.js';
import { testRandom } from '../testing/random.js';
import { vectors } from '../testing/vectors.js';
import { CertKeyType, CertType, checkEd25519Cert, parseEd25519Cert } from './certs.js';
import { checkRsaEdCrossCert } from './crosscert.js';
import { sha256 } from './digest.js';
import { ed25519Verify } from './ed25519.js';
import { IDENTITY_FILES as ID } from './identity-keys.js';
import { KeyFileError } from './keyfiles.js';
import { checkRsaIdCert } from './link-cert.js';
import { ONION_FILES } from './onion-key-files.js';
import { loadOrCreateRelayKeys, type RelayKeyOptions } from './relay-keys.js';
import { rsaPublic } from './rsa.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = Date.UTC(2031, 0, 5, 3);

interface World {
  store: MemoryStore;
  now: number;
  log: ReturnType<typeof memoryLog>;
  load(options?: RelayKeyOptions): ReturnType<typeof loadOrCreateRelayKeys>;
}

function world(label: string): World {
  const random = testRandom(label);
  const it: World = {
    store: memoryStore(),
    now: START,
    log: memoryLog(),
    load: (options) => {
      const clock = { now: () => it.now } as Clock;
      return loadOrCreateRelayKeys(it.store, { random, clock, log: it.log }, options);
    },
  };
  return it;
}

const fails = async (
  t: import('ava').ExecutionContext,
  w: World,
  message: RegExp,
  options?: RelayKeyOptions,
) => {
  const before = new Map(w.store.files);
  await t.throwsAsync(w.load(options), { instanceOf: KeyFileError, message });
  t.deepEqual(w.store.files, before, 'nothing was changed');
};

test('makes all keys, in the files C tor has, and finds them again', async (t) => {
  const w = world('fresh');
  const keys = await w.load();
  t.deepEqual(
    [...w.store.files.keys()].sort(),
    [
      ...Object.values(ID).filter((f) => !f.endsWith('_encrypted')),
      ONION_FILES.tap,
      ONION_FILES.ntor,
      ONION_FILES.state,
    ].sort(),
  );
  const message = bytesOf('descriptor');
  t.true(ed25519Verify(keys.signing.signer.publicKey, message, keys.signing.signer.sign(message)));
  const again = await w.load();
  t.deepEqual(again.rsaId, keys.rsaId);
  t.deepEqual(again.ed25519Id, keys.ed25519Id);
  t.deepEqual(Buffer.from(again.signing.cert), Buffer.from(keys.signing.cert));
  t.deepEqual(again.tap.publicDer, keys.tap.publicDer);
  t.deepEqual(again.ntor.current.publicKey, keys.ntor.current.publicKey);
  t.is(again.ntor.previous, undefined);
  t.deepEqual(
    Buffer.from(again.signing.signer.sign(message)),
    Buffer.from(keys.signing.signer.sign(message)),
  );
});

test('a data directory of C tor works as it is, and nothing in it is changed', async (t) => {
  const v = vectors<{
    made: number;
    fingerprint: string;
    fingerprint_ed25519: string;
    files: Record<string, string>;
  }>('tor-keys.json');
  const w = world('tor');
  w.now = v.made + DAY;
  for (const [name, hex] of Object.entries(v.files)) w.store.files.set(name, fromHex(hex, name));
  const keys = await w.load();
  t.is(toHex(keys.rsaId), v.fingerprint);
  t.is(toBase64Bare(keys.ed25519Id), v.fingerprint_ed25519);
  for (const [name, hex] of Object.entries(v.files))
    t.is(toHex(w.store.files.get(name)!).toLowerCase(), hex, name);
  t.true(keys.signing.expires > w.now);
  // One that did not run for long gets a new signing key, by the master key that is there.
  w.now = v.made + 40 * DAY;
  const later = await w.load();
  t.deepEqual(later.ed25519Id, keys.ed25519Id);
  t.not(toHex(later.signing.cert), toHex(keys.signing.cert));
});

for (const file of [
  ID.rsa,
  ID.masterSecret,
  ID.masterPublic,
  ID.signingSecret,
  ID.signingCert,
  ONION_FILES.tap,
  ONION_FILES.ntor,
]) {
  test(`a damaged ${file} stops the relay and is left alone`, async (t) => {
    const w = world(`damaged ${file}`);
    await w.load();
    const good = w.store.files.get(file)!;
    for (const bad of [
      new Uint8Array(0),
      good.subarray(0, good.length >> 1),
      good.map((b, i) => (i === 40 ? b ^ 0x55 : b)),
    ]) {
      w.store.files.set(file, bad);
      await fails(t, w, new RegExp(`${file}\\b`));
    }
  });
}

test('offline master key: works until the signing key expires, then says what to do', async (t) => {
  const w = world('offline');
  const keys = await w.load();
  w.store.files.delete(ID.masterSecret);
  w.now += 5 * DAY;
  const offline = await w.load();
  t.deepEqual(offline.ed25519Id, keys.ed25519Id);
  t.is(w.log.lines.filter((line) => line.level === 'warn').length, 0);
  // A day before the end it warns, once an hour at most.
  w.now = keys.signing.expires - HOUR;
  const lifetimes = { rotation: 90 * DAY, grace: 7 * DAY };
  t.false(await offline.rotate(w.now, lifetimes));
  t.false(await offline.rotate(w.now + 1, lifetimes));
  const warnings = w.log.lines.filter((line) => line.level === 'warn');
  t.is(warnings.length, 1);
  t.regex(warnings[0]!.message, /--keygen/);
  w.now = keys.signing.expires + 1;
  await fails(t, w, /signing_secret_key: has expired.*--keygen/);
});

test('offline master key: the public key is inferred from the certificate', async (t) => {
  const w = world('inferred');
  const keys = await w.load();
  w.store.files.delete(ID.masterSecret);
  w.store.files.delete(ID.masterPublic);
  const again = await w.load();
  t.deepEqual(again.ed25519Id, keys.ed25519Id);
  t.true(w.store.files.has(ID.masterPublic));
});

test('OfflineMasterKey: no master key is read or made', async (t) => {
  const w = world('OfflineMasterKey');
  const options = { offlineMaster: true };
  await t.throwsAsync(w.load(options), { instanceOf: KeyFileError, message: /OfflineMasterKey is set/ });
  t.false(w.store.files.has(ID.masterSecret));
  const keys = await w.load();
  w.store.files.set(ID.masterSecret, new Uint8Array(3));
  t.deepEqual((await w.load(options)).ed25519Id, keys.ed25519Id);
});

test('OfflineMasterKey: a signing key and its certificate are enough, and are renewed by copying them over', async (t) => {
  // Where the master key is kept.
  const home = world('home');
  const { ed25519Id } = await home.load();
  const w = world('relay of an offline key');
  const copy = () => {
    for (const file of [ID.signingSecret, ID.signingCert])
      w.store.files.set(file, home.store.files.get(file)!);
  };
  copy();
  const options = { offlineMaster: true };
  const keys = await w.load(options);
  t.deepEqual(keys.ed25519Id, ed25519Id);
  t.false(w.store.files.has(ID.masterSecret));
  const { expires } = keys.signing;

  // Early enough nobody complains; then once an hour.
  const warnings = () => w.log.text().match(/copy keys\/ed25519_signing_secret_key and/g)?.length ?? 0;
  w.now = expires - 25 * HOUR;
  await keys.rotate(w.now);
  t.is(warnings(), 0);
  for (let minutes = 0; minutes < 120; minutes += 10) {
    w.now = expires - 23 * HOUR + minutes * 60_000;
    t.false(await keys.rotate(w.now));
  }
  t.is(warnings(), 2);

  // A new one made at home is taken while the relay runs, and the descriptor is to be published again.
  home.now = w.now;
  await home.load({ signingSlop: Number.POSITIVE_INFINITY });
  copy();
  t.true(await keys.rotate(w.now));
  t.true(keys.signing.expires > expires);
  t.regex(w.log.text(), /Took the new ed25519 signing key/);
  t.deepEqual(keys.ed25519Id, ed25519Id);
  const cert = parseEd25519Cert(keys.signing.cert);
  checkEd25519Cert(cert, { type: CertType.SIGNING, signedBy: ed25519Id, now: w.now });
  // What vouches for the links is signed by it, too.
  t.is(keys.link().made, w.now);

  // One of another relay is no renewal.
  const stranger = world('stranger');
  stranger.now = keys.signing.expires - HOUR;
  await stranger.load();
  for (const file of [ID.signingSecret, ID.signingCert])
    w.store.files.set(file, stranger.store.files.get(file)!);
  w.now = stranger.now;
  await t.throwsAsync(keys.rotate(w.now), {
    instanceOf: KeyFileError,
    message: /not signed by the identity/,
  });
  copy();
  w.now = keys.signing.expires + HOUR;
  await t.throwsAsync(w.load(options), {
    instanceOf: KeyFileError,
    message: /has expired.*cepa keygen relay/s,
  });
});

test('an encrypted master key counts as offline', async (t) => {
  const w = world('encrypted');
  await w.load();
  w.store.files.set(ID.masterEncrypted, bytesOf('boxed'));
  for (const file of [ID.masterSecret, ID.signingSecret, ID.signingCert]) w.store.files.delete(file);
  await fails(t, w, /encrypted/);
  w.store.files.delete(ID.masterPublic);
  await fails(t, w, /passphrase/);
});

test('keys of two relays mixed up are refused', async (t) => {
  const [w, other] = [world('one'), world('other')];
  await w.load();
  await other.load();
  const take = (file: string) => w.store.files.set(file, other.store.files.get(file)!);
  const own = new Map(w.store.files);
  const restore = () => {
    for (const [file, bytes] of own) w.store.files.set(file, bytes);
  };
  take(ID.masterPublic);
  await fails(t, w, /master_id_secret_key: does not belong/);
  restore();
  take(ID.signingSecret);
  take(ID.signingCert);
  await fails(t, w, /signing_cert: is not signed by the identity/);
  restore();
  take(ID.signingCert);
  await fails(t, w, /signing_cert: is not signed by the identity/);
  restore();
  const first = own.get(ID.signingSecret)!;
  w.now += 29 * DAY;
  await w.load();
  w.store.files.set(ID.signingSecret, first);
  await fails(t, w, /signing_cert: does not belong to keys.ed25519_signing_secret_key/);
});

test('a crash between the signing key and its certificate is mended with the master key', async (t) => {
  const w = world('crash');
  const keys = await w.load();
  w.now = keys.signing.expires - HOUR;
  const write = w.store.write;
  w.store.write = async (name, bytes) => {
    if (name === ID.signingCert) throw new Error('power cut');
    await write(name, bytes);
  };
  await t.throwsAsync(keys.rotate(w.now), { message: 'power cut' });
  w.store.write = write;
  const mended = await w.load();
  t.not(toHex(mended.signing.signer.publicKey), toHex(keys.signing.signer.publicKey));
  const rules = { type: CertType.SIGNING, signedBy: keys.ed25519Id, now: w.now };
  checkEd25519Cert(parseEd25519Cert(mended.signing.cert), rules);
  t.deepEqual((await w.load()).signing.signer.publicKey, mended.signing.signer.publicKey);
});

test('the signing key is renewed a day before it expires, the link keys with it', async (t) => {
  const w = world('renew');
  const keys = await w.load();
  const [old, link] = [keys.signing, keys.link()];
  t.is(old.expires, START + 30 * DAY);
  w.now = old.expires - DAY - 1;
  t.false(await keys.rotate(w.now, { rotation: 90 * DAY, grace: 7 * DAY }));
  w.now = old.expires - DAY;
  t.true(await keys.rotate(w.now, { rotation: 90 * DAY, grace: 7 * DAY }));
  t.not(toHex(keys.signing.cert), toHex(old.cert));
  t.not(keys.link(), link);
});

test('onion keys rotate after 28 days, the old ones are answered for 7 more', async (t) => {
  const w = world('onion');
  const keys = await w.load();
  const { current } = keys.ntor;
  const { tap } = keys;
  w.now = START + 28 * DAY - 1;
  t.false(await keys.rotate(w.now));
  w.now = START + 28 * DAY;
  t.true(await keys.rotate(w.now));
  t.not(keys.ntor.current, current);
  t.not(toHex(keys.tap.publicDer), toHex(tap.publicDer));
  t.is(keys.ntor.previous, current);
  t.is(keys.ntor.onionKeys.find(current.publicKey), current);
  t.is(keys.ntor.onionKeys.find(keys.ntor.current.publicKey), keys.ntor.current);
  t.is(keys.onionKeysSince, w.now);

  // A restart in between keeps both, and the age.
  w.now += DAY;
  const restarted = await w.load();
  t.deepEqual(restarted.ntor.previous?.publicKey, current.publicKey);
  t.is(restarted.onionKeysSince, keys.onionKeysSince);
  t.deepEqual(
    new Set(['keys/secret_onion_key.old', 'keys/secret_onion_key_ntor.old'].map((f) => w.store.files.has(f))),
    new Set([true]),
  );

  w.now = keys.onionKeysSince + 7 * DAY;
  await restarted.rotate(w.now);
  t.is(restarted.ntor.previous, undefined);
  t.is(restarted.ntor.onionKeys.find(current.publicKey), undefined);
  t.false(w.store.files.has(ONION_FILES.ntorOld));
  t.false(w.store.files.has(ONION_FILES.tapOld));
});

test('a crash while the onion keys rotate costs no key that clients know', async (t) => {
  for (let writes = 0; writes < 5; writes++) {
    const w = world('onion crash');
    const keys = await w.load();
    const published = keys.ntor.current.publicKey;
    w.now += 28 * DAY;
    const { store } = w;
    const write = store.write.bind(store);
    let left = writes;
    store.write = (...args) => (--left < 0 ? Promise.reject(new Error('power cut')) : write(...args));
    await t.throwsAsync(keys.rotate(w.now), { message: 'power cut' });
    store.write = write;
    const again = await w.load();
    await again.rotate(w.now + 1);
    t.truthy(again.ntor.onionKeys.find(published), `after ${writes} writes`);
  }
});

test('a damaged rotation time is set aside, the keys stay', async (t) => {
  const w = world('state');
  const keys = await w.load();
  w.store.files.set(ONION_FILES.state, bytesOf('garbage'));
  w.now += DAY;
  const again = await w.load();
  t.deepEqual(again.ntor.current.publicKey, keys.ntor.current.publicKey);
  t.is(again.onionKeysSince, w.now);
  t.true(
    [...w.store.files.keys()].some(
      (name) => name !== ONION_FILES.state && name.startsWith(ONION_FILES.state),
    ),
  );
});

function readCerts(body: Uint8Array): Map<number, Uint8Array> {
  const reader = new Reader(body);
  const certs = new Map<number, Uint8Array>();
  for (let left = reader.u8('count'); left > 0; left--) {
    const type = reader.u8('type');
    certs.set(type, reader.slice(reader.u16('length'), 'cert'));
  }
  reader.end('CERTS');
  return certs;
}

test('link credentials prove what they should', async (t) => {
  const w = world('link');
  const keys = await w.load();
  const link = keys.link();
  const responder = readCerts(link.certs);
  const initiator = readCerts(link.initiatorCerts);
  t.deepEqual([...responder.keys()], [2, 4, 5, 7]);
  t.deepEqual([...initiator.keys()], [2, 4, 6, 7]);
  for (const certs of [responder, initiator]) {
    const rsa = checkRsaIdCert(certs.get(2)!, w.now);
    t.deepEqual(rsa.id, keys.rsaId);
    t.deepEqual(rsa.sha256Id, link.rsaIdSha256);
    const signing = parseEd25519Cert(certs.get(4)!);
    checkEd25519Cert(signing, { type: 4, signedBy: keys.ed25519Id, now: w.now });
    t.truthy(signing.signedWith, 'C tor wants the master key inside');
    checkRsaEdCrossCert(certs.get(7)!, rsa.der, keys.ed25519Id, w.now);
  }
  const signedBy = keys.signing.signer.publicKey;
  const tls = parseEd25519Cert(responder.get(5)!);
  checkEd25519Cert(tls, { type: 5, keyType: CertKeyType.X509_SHA256, signedBy, now: w.now });
  t.deepEqual(Buffer.from(tls.key), Buffer.from(sha256(link.tls.certDer)));
  const auth = parseEd25519Cert(initiator.get(6)!);
  checkEd25519Cert(auth, { type: 6, signedBy, now: w.now });
  t.deepEqual(Buffer.from(auth.key), Buffer.from(link.linkAuthSigner.publicKey));
  t.is(rsaPublic(keys.rsa.publicDer).bits, 1024);
});

test('link keys change every two hours, or when the clock was set back', async (t) => {
  const w = world('links');
  const keys = await w.load();
  const first = keys.link();
  w.now = START + 2 * HOUR - 1;
  await keys.rotate(w.now);
  t.is(keys.link(), first);
  w.now = START + 2 * HOUR;
  await keys.rotate(w.now);
  const second = keys.link();
  t.not(second, first);
  w.now = START - HOUR;
  await keys.rotate(w.now);
  t.not(keys.link(), second);
});
