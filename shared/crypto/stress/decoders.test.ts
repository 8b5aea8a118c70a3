/**
 * Every decoder of this room, fed with any bytes and with damaged good ones: the result or a CepaError, quickly, and
 * the input left as it was.
 */
import test from 'ava';
import { CepaError } from '../../bytes/errors.js';
import { bytesOf } from '../../bytes/text.js';
import type { Clock } from '../../runtime/types.js';
import { fc } from '../../testing/properties.js';
import { testRandom } from '../../testing/random.js';
import { checkEd25519Point } from '../blinding.js';
import { CertType, checkEd25519Cert, makeEd25519Cert, parseEd25519Cert } from '../certs.js';
import {
  decodeClientParams,
  decodeServerParams,
  encodeClientParams,
  encodeServerParams,
} from '../circuitExtensions.js';
import {
  checkNtorCrossCert,
  checkRsaEdCrossCert,
  checkTapCrossCert,
  makeNtorCrossCert,
  makeRsaEdCrossCert,
  makeTapCrossCert,
} from '../crosscert.js';
import { ed25519Verify, generateEd25519 } from '../ed25519.js';
import { answerFast, answerNtor, answerNtorV3, startFast, startNtor, startNtorV3 } from '../handshake.js';
import { parseAuthorizedClient, parseClientAuthorization } from '../hs-keyfiles.js';
import { hsNtorAnswer, hsNtorFinish, hsServiceIntroduceKeys } from '../hs-ntor.js';
import {
  decodeCertFile,
  decodeEd25519Public,
  decodeEd25519Secret,
  decodeRsaFile,
  decodeX25519File,
  encodeCertFile,
  encodeEd25519Public,
  encodeEd25519Secret,
  encodeRsaFile,
  encodeX25519File,
} from '../keyfiles.js';
import { checkRsaIdCert, makeRsaIdCert, rsaKeyOfX509 } from '../link-cert.js';
import { onionAddress, parseOnionAddress } from '../onion-address.js';
import { onionKeys } from '../onion-keys.js';
import { rsaFromPem, rsaPublic } from '../rsa.js';
import { seededRsa } from '../rsa-seeded.js';
import { generateX25519 } from '../x25519.js';

const random = testRandom('stress');
const NOW = Date.UTC(2031, 0, 1);
const later = NOW + 86_400_000;
const rsa = seededRsa(1024, random);
const ed = generateEd25519(random);
const [b, x] = [generateX25519(random), generateX25519(random)];
const keys = onionKeys(b, undefined, generateX25519(random));
const rsaId = rsa.id;
const ed25519Id = ed.publicKey;
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

const ntor = startNtor({ rsaId, ntorKey: b.publicKey }, random);
const ntorV3 = startNtorV3({ ed25519Id, ntorKey: b.publicKey }, Uint8Array.of(0), random);
const fast = startFast(random);
const echo = (message: Uint8Array) => message;
const target = { authKey: ed25519Id, encKey: b.publicKey };
const service = { authKey: ed25519Id, encKey: b };
const hsReply = hsNtorAnswer(service, x.publicKey, generateX25519(random)).reply;
const cert = makeEd25519Cert({
  type: CertType.SIGNING,
  key: ed25519Id,
  expires: later,
  signer: ed,
  includeSigner: true,
});
const ntorCross = makeNtorCrossCert(b, ed25519Id, later);
const idCert = await makeRsaIdCert(rsa, random, { now: () => NOW } as Clock);

/** A good input, what reads it, and how often to try (public-key work is slow). */
type Decoder = readonly [good: Uint8Array, decode: (bytes: Uint8Array) => unknown, runs?: number];

const decoders: Record<string, Decoder> = {
  'ntor request': [ntor.data, (it) => answerNtor(it, { rsaId, keys }, random), 80],
  'ntor reply': [answerNtor(ntor.data, { rsaId, keys }, random).reply, (it) => ntor.finish(it), 80],
  'ntor-v3 request': [ntorV3.data, (it) => answerNtorV3(it, { ed25519Id, keys }, echo, random), 80],
  'ntor-v3 reply': [
    answerNtorV3(ntorV3.data, { ed25519Id, keys }, echo, random).reply,
    (it) => ntorV3.finish(it),
    80,
  ],
  'CREATE_FAST request': [fast.data, (it) => answerFast(it, random)],
  'CREATE_FAST reply': [answerFast(fast.data, random).reply, (it) => fast.finish(it)],
  'client circuit parameters': [
    encodeClientParams({ congestionControl: true, subprotocols: [{ protocol: 2, capability: 6 }] }),
    decodeClientParams,
  ],
  'server circuit parameters': [encodeServerParams({ sendmeInc: 31 }), decodeServerParams],
  'ed25519 certificate': [
    cert,
    (it) => checkEd25519Cert(parseEd25519Cert(it), { type: CertType.SIGNING, now: NOW }),
  ],
  'RSA/ed25519 crosscert': [
    makeRsaEdCrossCert(rsa, ed25519Id, later),
    (it) => checkRsaEdCrossCert(it, rsa.publicDer, ed25519Id, NOW),
  ],
  'ntor crosscert': [
    ntorCross.cert,
    (it) => checkNtorCrossCert(it, b.publicKey, ntorCross.signBit, ed25519Id, NOW),
    80,
  ],
  'key of ntor crosscert': [
    b.publicKey,
    (it) => checkNtorCrossCert(ntorCross.cert, it, ntorCross.signBit, ed25519Id, NOW),
    80,
  ],
  'TAP crosscert': [
    makeTapCrossCert(rsa, rsaId, ed25519Id),
    (it) => checkTapCrossCert(it, rsa.publicDer, rsaId, ed25519Id),
  ],
  'X.509': [idCert, (it) => checkRsaIdCert(it, NOW)],
  'key of X.509': [idCert, (it) => rsaKeyOfX509(it)],
  'RSA public key': [rsa.publicDer, (it) => rsaPublic(it).verifyRaw(new Uint8Array(128), rsaId)],
  'RSA private key': [bytesOf(rsa.toPem()), (it) => rsaFromPem(text(it))],
  'ed25519 key': [ed25519Id, (it) => ed25519Verify(it, rsaId, new Uint8Array(64))],
  'ed25519 signature': [ed.sign(rsaId), (it) => ed25519Verify(ed25519Id, rsaId, it)],
  'point in the main group': [ed25519Id, (it) => checkEd25519Point(it, 'key'), 60],
  'X25519 public key': [b.publicKey, (it) => x.agree(it)],
  'INTRODUCE2 key': [x.publicKey, (it) => hsServiceIntroduceKeys(service, it, [ed25519Id])],
  'RENDEZVOUS2 handshake': [hsReply, (it) => hsNtorFinish(target, x, it), 80],
  'onion address': [bytesOf(onionAddress(ed25519Id)), (it) => parseOnionAddress(text(it))],
  'ed25519 secret file': [
    encodeEd25519Secret(ed, 'type0'),
    (it) => decodeEd25519Secret(it, 'type0', 'f'),
    60,
  ],
  'ed25519 public file': [
    encodeEd25519Public(ed25519Id, 'type0'),
    (it) => decodeEd25519Public(it, 'type0', 'f'),
  ],
  'certificate file': [encodeCertFile(cert, 'type4'), (it) => decodeCertFile(it, 'type4', 'f')],
  'X25519 file': [encodeX25519File(b, 'onion'), (it) => decodeX25519File(it, 'onion', 'f')],
  'RSA file': [encodeRsaFile(rsa), (it) => decodeRsaFile(it, 1024, 'f')],
  'auth file': [
    bytesOf(`descriptor:x25519:${'a'.repeat(51)}q`),
    (it) => parseAuthorizedClient(text(it), 'f'),
  ],
  'auth_private file': [
    bytesOf(`${onionAddress(ed25519Id).slice(0, 56)}:descriptor:x25519:${'a'.repeat(51)}q`),
    (it) => parseClientAuthorization(text(it), 'f'),
  ],
};

/** One to four changes: a byte set, a cut, an insertion. */
const damage = (good: Uint8Array): fc.Arbitrary<Uint8Array> => {
  const change = fc.record({
    kind: fc.constantFrom('set', 'cut', 'insert'),
    at: fc.nat(good.length),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }),
  });
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    let bytes = Buffer.from(good);
    for (const { kind, at, bytes: more } of changes) {
      const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
      const rest = kind === 'insert' ? tail : tail.subarray(more.length);
      bytes = kind === 'cut' ? Buffer.concat([head]) : Buffer.concat([head, more, rest]);
    }
    return new Uint8Array(bytes);
  });
};

for (const [name, [good, decode, runs = 200]] of Object.entries(decoders)) {
  test(`${name}: reads a good one, survives any bytes`, (t) => {
    t.notThrows(() => decode(good));
    const input = fc.oneof(damage(good), fc.uint8Array({ maxLength: 600 }));
    fc.assert(
      fc.property(input, (bytes) => {
        const before = Uint8Array.from(bytes);
        try {
          decode(bytes);
        } catch (error) {
          if (!(error instanceof CepaError)) throw error;
        }
        return Buffer.compare(before, bytes) === 0;
      }),
      { numRuns: runs },
    );
  });
}
