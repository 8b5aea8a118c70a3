import test from 'ava';
import { CepaError } from '../bytes/errors.js';
import { fromHex, toHex } from '../bytes/text.js';
import { fc } from '../testing/properties.js';
import { testRandom } from '../testing/random.js';
import { vectors } from '../testing/vectors.js';
import {
  checkNtorCrossCert,
  checkRsaEdCrossCert,
  checkTapCrossCert,
  ed25519FromX25519,
  ed25519KeyOfX25519,
  makeNtorCrossCert,
  makeRsaEdCrossCert,
  makeTapCrossCert,
} from './crosscert.js';
import { ed25519Verify } from './ed25519.js';
import { generateRsa } from './rsa.js';
import { generateX25519, x25519FromSecret } from './x25519.js';

const hex = (b: Uint8Array) => toHex(b).toLowerCase();
const HOUR = 3_600_000;
const random = testRandom('crosscert');
const expires = 500_000 * HOUR;
const now = expires - 1;
const ed25519Id = random.bytes(32);

test('RSA to ed25519', async (t) => {
  const rsa = await generateRsa(1024);
  const cert = makeRsaEdCrossCert(rsa, ed25519Id, expires - 1);
  t.is(cert.length, 32 + 4 + 1 + 128);
  t.notThrows(() => checkRsaEdCrossCert(cert, rsa.publicDer, ed25519Id, expires));
  const fails = (run: () => void, message: RegExp) => t.throws(run, { message });
  fails(() => checkRsaEdCrossCert(cert, rsa.publicDer, ed25519Id, expires + 1), /expired/);
  fails(() => checkRsaEdCrossCert(cert, rsa.publicDer, random.bytes(32), now), /another ed25519/);
  const other = await generateRsa(1024);
  fails(() => checkRsaEdCrossCert(cert, other.publicDer, ed25519Id, now), /bad signature/);
  for (let at = 32; at < cert.length; at += 11) {
    const changed = Uint8Array.from(cert);
    changed[at]! ^= 1;
    t.throws(() => checkRsaEdCrossCert(changed, rsa.publicDer, ed25519Id, now), undefined, `byte ${at}`);
  }
  fails(
    () => checkRsaEdCrossCert(Buffer.concat([cert, Buffer.of(0)]), rsa.publicDer, ed25519Id, now),
    /too many/,
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        checkRsaEdCrossCert(bytes, rsa.publicDer, ed25519Id, now);
        return false;
      } catch (error) {
        return error instanceof CepaError;
      }
    }),
  );
});

interface Blinding {
  public?: string;
  curve25519_public?: string;
  curve_to_ed_sign_bit?: 0 | 1;
}

test('X25519 public keys as ed25519 keys: vectors of C tor', (t) => {
  const all = vectors<{ vectors: Blinding[] }>('ed25519-blinding.json').vectors;
  const cases = all.filter((v) => v.curve25519_public !== undefined);
  t.true(cases.length > 0);
  for (const v of cases) {
    const key = fromHex(v.curve25519_public!, 'key');
    t.is(hex(ed25519KeyOfX25519(key, v.curve_to_ed_sign_bit!)), v.public!);
  }
});

test('an onion key signs as the ed25519 key that its public half turns into', (t) => {
  for (let i = 0; i < 4; i++) {
    const pair = generateX25519(random);
    const { signer, signBit } = ed25519FromX25519(pair);
    t.is(hex(ed25519KeyOfX25519(pair.publicKey, signBit)), hex(signer.publicKey));
    const message = random.bytes(20);
    t.true(ed25519Verify(signer.publicKey, message, signer.sign(message)));
  }
});

test('u = -1 has no ed25519 form', (t) => {
  const minusOne = fromHex(`ec${'ff'.repeat(30)}7f`, 'u');
  t.throws(() => ed25519KeyOfX25519(minusOne, 0), { code: 'protocol' });
});

test('ntor onion key to ed25519', (t) => {
  const pair = x25519FromSecret(random.bytes(32));
  const { cert, signBit } = makeNtorCrossCert(pair, ed25519Id, expires);
  t.is(checkNtorCrossCert(cert, pair.publicKey, signBit, ed25519Id, now), expires);
  const fails = (run: () => void) => t.throws(run, { code: 'protocol' });
  fails(() => checkNtorCrossCert(cert, pair.publicKey, signBit === 0 ? 1 : 0, ed25519Id, now));
  fails(() => checkNtorCrossCert(cert, pair.publicKey, signBit, random.bytes(32), now));
  fails(() => checkNtorCrossCert(cert, pair.publicKey, signBit, ed25519Id, expires + 1));
  fails(() => checkNtorCrossCert(cert, generateX25519(random).publicKey, signBit, ed25519Id, now));
});

test('TAP onion key to both identities', async (t) => {
  const tap = await generateRsa(1024);
  const rsaId = random.bytes(20);
  const cert = makeTapCrossCert(tap, rsaId, ed25519Id);
  t.notThrows(() => checkTapCrossCert(cert, tap.publicDer, rsaId, ed25519Id));
  t.throws(() => checkTapCrossCert(cert, tap.publicDer, random.bytes(20), ed25519Id), { code: 'protocol' });
  t.throws(() => checkTapCrossCert(cert, tap.publicDer, rsaId, random.bytes(32)), { code: 'protocol' });
  t.throws(() => checkTapCrossCert(cert.subarray(1), tap.publicDer, rsaId, ed25519Id), { code: 'protocol' });
});
