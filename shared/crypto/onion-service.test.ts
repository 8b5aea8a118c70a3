import test from 'ava';
import { DecodeError, ProtocolError } from '../bytes/errors.js';
import { bytesOf, fromHex, toBase32, toHex } from '../bytes/text.js';
import { memoryStore } from '../store/memory.js';
import { fc } from '../testing/properties.js';
import { testRandom } from '../testing/random.js';
import { vectors } from '../testing/vectors.js';
import {
  blindingParam,
  blindKey,
  blindPublicKey,
  checkEd25519Point,
  credential,
  subcredential,
} from './blinding.js';
import { ed25519FromExpanded, ed25519Verify, generateEd25519 } from './ed25519.js';
import {
  encodeAuthorizedClient,
  encodeClientAuthorization,
  HS_FILES,
  loadOrCreateHsIdentity,
  parseAuthorizedClient,
  parseClientAuthorization,
} from './hs-keyfiles.js';
import { hsIntroduceKeys, hsNtorAnswer, hsNtorFinish, hsServiceIntroduceKeys } from './hs-ntor.js';
import { encodeEd25519Secret, encodeTagged, KeyFileError } from './keyfiles.js';
import { isOnionName, onionAddress, parseOnionAddress } from './onion-address.js';
import { generateX25519, x25519FromSecret } from './x25519.js';

const hex = (b: Uint8Array) => toHex(b).toLowerCase();
const random = testRandom('onion service');
type Vector = Record<string, string>;
const read = <T = Vector>(file: string) => vectors<{ vectors: T[] }>(file).vectors;
const bytes = (v: Vector, name: string) => fromHex(v[name]!, name);

test('blinding: vectors of C tor', (t) => {
  const cases = read('ed25519-blinding.json').filter((v) => v.blinding_param_unclamped !== undefined);
  t.true(cases.length > 5);
  for (const v of cases) {
    const param = bytes(v, 'blinding_param_unclamped');
    t.is(hex(blindPublicKey(bytes(v, 'public'), param)), v.blinded_public!);
    const blinded = blindKey(ed25519FromExpanded(bytes(v, 'expanded_secret')), param);
    t.is(hex(blinded.expanded), v.blinded_secret_expanded!);
    t.is(hex(blinded.publicKey), v.blinded_public!);
    t.true(ed25519Verify(blinded.publicKey, param, blinded.sign(param)));
  }
});

test('blinding for a time period: vectors of C tor', (t) => {
  const cases = read<Vector & { time_period_num: number; time_period_len_minutes: number }>(
    'hs-blinding.json',
  );
  t.true(cases.length > 0);
  for (const v of cases) {
    const identity = bytes(v, 'identity_public');
    const period = { number: v.time_period_num, length: v.time_period_len_minutes };
    const param = blindingParam(identity, period);
    t.is(hex(param), v.param_before_clamp!);
    const blinded = blindPublicKey(identity, param);
    t.is(hex(blinded), v.blinded_public!);
    const secret = ed25519FromExpanded(bytes(v, 'identity_secret_expanded'));
    t.is(hex(blindKey(secret, param).expanded), v.blinded_secret_expanded!);
    t.is(hex(credential(identity)), v.credential!);
    t.is(hex(subcredential(identity, blinded)), v.subcredential!);
  }
});

test('points off the main group are refused', (t) => {
  const bad = {
    identity: `01${'00'.repeat(31)}`,
    'order 4': '00'.repeat(32),
    'no point': `02${'00'.repeat(31)}`,
    short: '00'.repeat(31),
  };
  for (const [name, point] of Object.entries(bad)) {
    t.throws(() => checkEd25519Point(fromHex(point, 'p'), 'key'), { instanceOf: DecodeError }, name);
    t.throws(() => blindPublicKey(fromHex(point, 'p'), new Uint8Array(32)), { instanceOf: DecodeError });
  }
});

for (const [i, v] of read('hs-ntor.json').entries()) {
  test(`hs-ntor: vector ${i} of C tor`, (t) => {
    const [x, b, y] = ['x', 'b', 'y'].map((name) => x25519FromSecret(bytes(v, name)));
    const target = { authKey: bytes(v, 'AUTH_KEY'), encKey: bytes(v, 'B') };
    const service = { authKey: target.authKey, encKey: b! };
    const sub = bytes(v, 'subcredential');
    const client = hsIntroduceKeys(target, x!, sub);
    t.deepEqual([hex(client.encKey), hex(client.macKey)], [v.ENC_KEY, v.MAC_KEY]);
    const other = new Uint8Array(32);
    t.deepEqual(hsServiceIntroduceKeys(service, x!.publicKey, [other, sub])[1], client);
    const { reply, keys } = hsNtorAnswer(service, x!.publicKey, y!);
    t.is(hex(reply), v.Y! + v.AUTH_INPUT_MAC!);
    t.is(hex(keys), v.hs_circuit_keys_128!);
    t.deepEqual(hsNtorFinish(target, x!, reply), keys);
    t.deepEqual(hsNtorFinish(target, x!, Buffer.concat([reply, random.bytes(50)])), keys);
  });
}

test('hs-ntor: what does not fit is refused', (t) => {
  const [b, x] = [generateX25519(random), generateX25519(random)];
  const target = { authKey: random.bytes(32), encKey: b.publicKey };
  const service = { authKey: target.authKey, encKey: b };
  const { reply } = hsNtorAnswer(service, x.publicKey, generateX25519(random));
  fc.assert(
    fc.property(fc.nat(63), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Uint8Array.from(reply);
      changed[at]! ^= flip;
      try {
        hsNtorFinish(target, x, changed);
        return false;
      } catch (error) {
        return error instanceof ProtocolError;
      }
    }),
    { numRuns: 50 },
  );
  t.throws(() => hsNtorFinish(target, x, reply.subarray(1)), { code: 'protocol' });
  t.throws(() => hsServiceIntroduceKeys(service, new Uint8Array(32), []), { code: 'protocol' });
  t.throws(() => hsIntroduceKeys({ ...target, encKey: new Uint8Array(32) }, x, target.authKey), {
    code: 'protocol',
  });
});

type AddressVector = { public?: string; onion_address: string; valid?: boolean; reason?: string };
for (const v of read<AddressVector>('onion-address.json')) {
  test(`onion address: ${v.onion_address.slice(0, 6)} ${v.reason ?? ''}`, (t) => {
    if (v.public === undefined) {
      t.throws(() => parseOnionAddress(v.onion_address), { instanceOf: DecodeError });
      return;
    }
    t.is(onionAddress(fromHex(v.public, 'key')), v.onion_address);
    t.is(hex(parseOnionAddress(v.onion_address)), v.public);
    t.is(hex(parseOnionAddress(`www.shop.${v.onion_address.toUpperCase()}`)), v.public);
  });
}

test('onion address: not one, or an equivalent form of one', (t) => {
  for (const host of ['example.com', 'onion', '.onion', 'aaa.onion', 'aonion', ''])
    t.throws(() => parseOnionAddress(host), { instanceOf: DecodeError }, host);
  t.true(isOnionName('x.Onion'));
  t.false(isOnionName('onion.com'));
  // A key and a point of order 2 added: the same service to a careless client, another address.
  const torsion = fromHex(`ec${'ff'.repeat(30)}7f`, 'point');
  t.throws(() => parseOnionAddress(onionAddress(torsion)), { message: /torsion/ });
  fc.assert(
    fc.property(fc.string(), (host) => {
      try {
        parseOnionAddress(`${host}.onion`);
        return false;
      } catch (error) {
        return error instanceof DecodeError;
      }
    }),
  );
});

test('identity files of a service: made once, found again', async (t) => {
  const store = memoryStore();
  const made = await loadOrCreateHsIdentity(store, 'hs', random);
  t.deepEqual([...store.files.keys()].sort(), [
    'hs/hostname',
    'hs/hs_ed25519_public_key',
    'hs/hs_ed25519_secret_key',
  ]);
  t.is(Buffer.from(store.files.get('hs/hostname')!).toString(), `${made.address}\n`);
  t.deepEqual(parseOnionAddress(made.address), made.key.publicKey);
  const found = await loadOrCreateHsIdentity(store, 'hs', random);
  t.deepEqual(found.key.expanded, made.key.expanded);
  store.files.delete('hs/hs_ed25519_public_key');
  store.files.set('hs/hostname', bytesOf('stale.onion\n'));
  t.is((await loadOrCreateHsIdentity(store, 'hs', random)).address, made.address);
  t.is(Buffer.from(store.files.get('hs/hostname')!).toString(), `${made.address}\n`);
});

test('identity files of a service: damaged, mixed up or half there', async (t) => {
  const store = memoryStore();
  await loadOrCreateHsIdentity(store, '', random);
  const good = new Map(store.files);
  const fails = async (name: string, content: Uint8Array | undefined) => {
    for (const [file, was] of good) store.files.set(file, was);
    if (content) store.files.set(name, content);
    else store.files.delete(name);
    const before = new Map(store.files);
    await t.throwsAsync(loadOrCreateHsIdentity(store, '', random), { instanceOf: KeyFileError });
    t.deepEqual(store.files, before);
  };
  const { secret } = HS_FILES;
  await fails(secret, undefined);
  await fails(secret, good.get(secret)!.subarray(0, 90));
  await fails(secret, encodeEd25519Secret(generateEd25519(random), 'type0'));
  await fails(secret, encodeTagged('ed25519v1-secret', 'type0', new Uint8Array(64)));
  await fails(HS_FILES.public, good.get(HS_FILES.public)!.subarray(1));
});

test('client authorization files', (t) => {
  const key = generateX25519(random);
  const { publicKey: identity } = generateEd25519(random);
  const line = encodeAuthorizedClient(key.publicKey);
  t.regex(line, /^descriptor:x25519:[A-Z2-7]{52}\n$/);
  t.deepEqual(parseAuthorizedClient(line, 'alice.auth'), key.publicKey);
  t.deepEqual(parseAuthorizedClient(` ${line.trim().replaceAll(':', ' : ')} `, 'alice.auth'), key.publicKey);
  const own = encodeClientAuthorization({ identity, key });
  const back = parseClientAuthorization(own, 'shop.auth_private');
  t.deepEqual(back.identity, identity);
  t.deepEqual(back.key.publicKey, key.publicKey);
});

test('client authorization files: refused, without showing the key', (t) => {
  const secret = toBase32(random.bytes(32));
  const address = onionAddress(generateEd25519(random).publicKey).slice(0, 56);
  const bad = [
    '',
    `descriptor:x25519:${secret}`,
    `${address}:basic:x25519:${secret}`,
    `${address}:descriptor:rsa:${secret}`,
    `${address}:descriptor:x25519:${secret}a`,
    `${address}:descriptor:x25519:${secret.slice(1)}!`,
    `${address}:descriptor:x25519:${'a'.repeat(52)}`,
    `${address.slice(1)}a:descriptor:x25519:${secret}`,
  ];
  for (const text of bad) {
    const error = t.throws(() => parseClientAuthorization(text, 'f'), { instanceOf: DecodeError }, text);
    t.false(error.message.includes(secret.slice(1)));
  }
  for (const text of ['', 'descriptor:x25519', `descriptor:x25519:${secret}:`, `x:x25519:${secret}`])
    t.throws(() => parseAuthorizedClient(text, 'f'), { instanceOf: DecodeError }, text);
});

test('a client’s public key of low order, with which no descriptor can be made, is refused', (t) => {
  // 1, -1 and a point of order 8 (RFC 7748 6.1, cr.yp.to/ecdh.html).
  const low = [
    `01${'00'.repeat(31)}`,
    `ec${'ff'.repeat(30)}7f`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  ];
  for (const key of low)
    t.throws(() => parseAuthorizedClient(`descriptor:x25519:${toBase32(fromHex(key, 'key'))}`, 'f'), {
      instanceOf: DecodeError,
      message: /low order/,
    });
});
