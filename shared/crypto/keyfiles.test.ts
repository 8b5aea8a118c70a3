import test from 'ava';
import { bytesOf, fromHex, toHex } from '../bytes/text.js';
import { fc } from '../testing/properties.js';
import { testRandom } from '../testing/random.js';
import { vectors } from '../testing/vectors.js';
import { CertType, checkEd25519Cert } from './certs.js';
import { generateEd25519 } from './ed25519.js';
import {
  decodeCertFile,
  decodeEd25519Public,
  decodeEd25519Secret,
  decodeRsaFile,
  decodeTagged,
  decodeX25519File,
  encodeCertFile,
  encodeEd25519Public,
  encodeEd25519Secret,
  encodeTagged,
  encodeX25519File,
  KeyFileError,
  KeyTag,
} from './keyfiles.js';
import { generateRsa } from './rsa.js';
import { generateX25519 } from './x25519.js';

type Relay = Record<string, string>;
const { keys } = vectors<{ keys: Record<string, Relay> }>('real-tor/index.json');
const relays = Object.entries(keys).filter(([, it]) => it.secret_onion_key_ntor_hex !== undefined);

for (const [name, relay] of relays) {
  const file = (key: string) => fromHex(relay[`${key}_hex`]!, key);
  test(`key files of C tor, ${name}: read, and written again to the byte`, (t) => {
    const master = decodeEd25519Secret(file('ed25519_master_id_secret_key'), KeyTag.MASTER, 'master');
    const masterPublic = file('ed25519_master_id_public_key');
    t.deepEqual(
      Buffer.from(decodeEd25519Public(masterPublic, KeyTag.MASTER, 'public')),
      Buffer.from(master.publicKey),
    );
    const signing = decodeEd25519Secret(file('ed25519_signing_secret_key'), KeyTag.SIGNING, 'signing');
    const cert = decodeCertFile(file('ed25519_signing_cert'), KeyTag.SIGNING, 'cert');
    t.is(toHex(cert.key), toHex(signing.publicKey));
    const rules = { type: CertType.SIGNING, signedBy: master.publicKey, now: cert.expires };
    t.notThrows(() => checkEd25519Cert(cert, rules));
    const ntor = decodeX25519File(file('secret_onion_key_ntor'), KeyTag.ONION, 'ntor');

    const written = {
      ed25519_master_id_secret_key: encodeEd25519Secret(master, KeyTag.MASTER),
      ed25519_master_id_public_key: encodeEd25519Public(master.publicKey, KeyTag.MASTER),
      ed25519_signing_secret_key: encodeEd25519Secret(signing, KeyTag.SIGNING),
      ed25519_signing_cert: encodeCertFile(cert.encoded, KeyTag.SIGNING),
      secret_onion_key_ntor: encodeX25519File(ntor, KeyTag.ONION),
    };
    for (const [key, bytes] of Object.entries(written)) t.is(toHex(bytes), toHex(file(key)), key);
  });
}

test('family key of C tor', (t) => {
  const { secret_family_key_file_hex: hex, family_id_line: line } = keys.family!;
  const key = decodeEd25519Secret(fromHex(hex!, 'family'), KeyTag.FAMILY, 'fam.secret_family_key');
  t.is(`FamilyId ${Buffer.from(key.publicKey).toString('base64').replace('=', '')}`, line);
});

const random = testRandom('keyfiles');
const secret = encodeEd25519Secret(generateEd25519(random), KeyTag.MASTER);
const x25519 = encodeX25519File(generateX25519(random), KeyTag.ONION);

test('an error names the file and what to do', (t) => {
  const error = t.throws(() => decodeEd25519Secret(secret.subarray(0, 95), KeyTag.MASTER, 'keys/m'), {
    instanceOf: KeyFileError,
  });
  t.is(error.file, 'keys/m');
  t.regex(error.message, /^keys\/m: is damaged: 63 bytes.*Restore it from a backup/);
});

test('refused: cut, too long, another tag, another type, garbled', (t) => {
  const bad = (bytes: Uint8Array) =>
    t.throws(() => decodeEd25519Secret(bytes, KeyTag.MASTER, 'f'), { instanceOf: KeyFileError });
  bad(new Uint8Array(0));
  bad(secret.subarray(0, 31));
  bad(secret.subarray(0, 95));
  bad(Buffer.concat([secret, Buffer.of(0)]));
  bad(new Uint8Array(96));
  bad(encodeTagged('ed25519v1-secret', 'type4', secret.subarray(32)));
  bad(encodeTagged('ed25519v1-public', 'type0', secret.subarray(32)));
  bad(encodeTagged('ed25519v1-secret', 'type0', new Uint8Array(64).fill(255)));
  const trailing = Uint8Array.from(secret);
  trailing[31] = 1;
  bad(trailing);
});

test('an X25519 file whose halves do not belong together is refused', (t) => {
  for (const at of [33, 64 + 5]) {
    const changed = Uint8Array.from(x25519);
    changed[at]! ^= 1;
    t.throws(() => decodeX25519File(changed, KeyTag.ONION, 'f'), { message: /does not belong/ });
  }
});

test('RSA files: damaged, or of other bits', async (t) => {
  const big = bytesOf((await generateRsa(2048)).toPem());
  t.throws(() => decodeRsaFile(big, 1024, 'keys/secret_id_key'), { message: /has 2048 bits, not 1024/ });
  t.throws(() => decodeRsaFile(big.subarray(0, 400), 2048, 'keys/secret_id_key'), {
    instanceOf: KeyFileError,
    message: /^keys\/secret_id_key: is damaged/,
  });
});

test('a header that C tor could not read is not written', (t) => {
  t.throws(() => encodeTagged('ed25519v1-secret', 'a tag too long', new Uint8Array(0)), {
    instanceOf: RangeError,
  });
});

test('any bytes: a KeyFileError', (t) => {
  const decoders = [
    (b: Uint8Array) => decodeEd25519Secret(b, KeyTag.MASTER, 'f'),
    (b: Uint8Array) => decodeEd25519Public(b, KeyTag.MASTER, 'f'),
    (b: Uint8Array) => decodeCertFile(b, KeyTag.SIGNING, 'f'),
    (b: Uint8Array) => decodeX25519File(b, KeyTag.ONION, 'f'),
    (b: Uint8Array) => decodeRsaFile(b, 1024, 'f'),
    (b: Uint8Array) => decodeTagged(b, 'ed25519v1-cert', 'type4', 'f'),
  ];
  const headed = fc
    .tuple(fc.constantFrom('ed25519v1-cert', 'c25519v1'), fc.constantFrom('type4', 'onion'), fc.uint8Array())
    .map(([type, tag, content]) => encodeTagged(type, tag, content));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), headed), (bytes) => {
      for (const decode of decoders) {
        try {
          decode(bytes);
        } catch (error) {
          if (!(error instanceof KeyFileError)) throw error;
        }
      }
    }),
  );
  t.pass();
});
