import test from 'ava';
import { bytesOf, fromHex, toHex } from '../bytes/text.js';
import { LINK_SPECIFIERS, relayNamed, specifiersOf } from '../cell/link-specifiers.js';
import { ed25519FromSeed } from '../crypto/ed25519.js';
import { x25519FromSecret } from '../crypto/x25519.js';
import type { Random } from '../runtime/types.js';
import { fc } from '../testing/properties.js';
import { vectors } from '../testing/vectors.js';
import {
  ClientAuthError,
  decryptHsDescriptor,
  encodeHsDescriptor,
  type HsDescriptorInput,
  parseHsDescriptor,
} from './hs-descriptor.js';
import { cookieFor, decryptLayer, encryptLayer } from './hs-descriptor-crypt.js';
import {
  FIRST_LAYER_TABLE,
  INTRO_POINT_TABLE,
  OUTER_TABLE,
  SECOND_LAYER_TABLE,
} from './hs-descriptor-tables.js';
import { splitDocuments } from './split.js';
import { refuses, survives } from './testing.js';
import { Tokenizer } from './tokenizer.js';

interface LayerVector {
  salt: string;
  plaintext: string;
}
interface Vector {
  service: string;
  blinded_public: string;
  subcredential: string;
  revision_counter: string;
  descriptor_signing_public: string;
  descriptor: string;
  outer: LayerVector & { plaintext_len_with_zero_padding: number };
  inner: LayerVector;
  client_auth: null | { client_x25519_secret: string; ephemeral_public: string; descriptor_cookie: string };
  intro_points: { link_specifiers: string; onion_key_ntor: string; auth_key: string; enc_key_ntor: string }[];
}

const VECTORS = vectors<{ vectors: Vector[] }>('hs-descriptor.json').vectors;
const hex = (text: string) => new Uint8Array(fromHex(text, 'vector'));
const clientOf = (v: Vector) =>
  v.client_auth === null ? undefined : x25519FromSecret(hex(v.client_auth.client_x25519_secret));
const secretsOf = (v: Vector) => ({
  blindedKey: hex(v.blinded_public),
  subcredential: hex(v.subcredential),
  revision: BigInt(v.revision_counter),
});
const cookieOf = (v: Vector) => (v.client_auth === null ? undefined : hex(v.client_auth.descriptor_cookie));

for (const v of VECTORS) {
  test(`C tor's descriptor, ${v.service}`, (t) => {
    const descriptor = parseHsDescriptor(v.descriptor);
    t.is(toHex(descriptor.blindedKey), v.blinded_public.toUpperCase());
    t.is(toHex(descriptor.signingKey), v.descriptor_signing_public.toUpperCase());
    t.is(descriptor.revision, BigInt(v.revision_counter));
    t.is(descriptor.lifetimeMinutes, 180);
    const content = decryptHsDescriptor(descriptor, hex(v.subcredential), clientOf(v));
    t.deepEqual(content.createFormats, [2]);
    t.deepEqual(
      content.introPoints.map((p) => ({
        link_specifiers: toHex(LINK_SPECIFIERS.encode([...p.linkSpecifiers])).toLowerCase(),
        onion_key_ntor: toHex(p.onionKey).toLowerCase(),
        auth_key: toHex(p.authKey).toLowerCase(),
        enc_key_ntor: toHex(p.encKey).toLowerCase(),
      })),
      v.intro_points,
    );
  });

  test(`its tables write the same text, ${v.service}`, (t) => {
    t.is(OUTER_TABLE.write(OUTER_TABLE.read(new Tokenizer('x', v.descriptor))), v.descriptor);
    const first = `${v.outer.plaintext}\n`;
    t.is(FIRST_LAYER_TABLE.write(FIRST_LAYER_TABLE.read(new Tokenizer('x', first))), first);
    const second = v.inner.plaintext;
    const head = SECOND_LAYER_TABLE.read(new Tokenizer('x', second), new Set(['introduction-point']));
    const points = splitDocuments(second, ['introduction-point'], 'introduction-point');
    const again = points.map((p) => INTRO_POINT_TABLE.write(INTRO_POINT_TABLE.read(new Tokenizer('x', p))));
    t.is(SECOND_LAYER_TABLE.write(head) + again.join(''), second);
  });

  test(`its layers encrypt to the same bytes, ${v.service}`, (t) => {
    const descriptor = parseHsDescriptor(v.descriptor);
    const plain = new Uint8Array(v.outer.plaintext_len_with_zero_padding);
    plain.set(bytesOf(v.outer.plaintext));
    const outer = encryptLayer(secretsOf(v), 'outer', plain, hex(v.outer.salt));
    t.is(toHex(outer), toHex(descriptor.superencrypted));
    const first = FIRST_LAYER_TABLE.read(new Tokenizer('x', `${v.outer.plaintext}\n`));
    const inner = encryptLayer(
      secretsOf(v),
      'inner',
      bytesOf(v.inner.plaintext),
      hex(v.inner.salt),
      cookieOf(v),
    );
    t.is(toHex(inner), toHex(first.encrypted));
    const client = clientOf(v);
    if (client !== undefined) {
      const cookie = cookieFor(client, first.ephemeralKey, hex(v.subcredential), first.authClients);
      t.is(v.client_auth?.descriptor_cookie.toUpperCase(), toHex(cookie ?? new Uint8Array(0)));
    }
  });
}

const [PLAIN, AUTH] = VECTORS as [Vector, Vector];

test('who may not read it', (t) => {
  const auth = parseHsDescriptor(AUTH.descriptor);
  const kindOf = (run: () => unknown) => t.throws(run, { instanceOf: ClientAuthError })?.kind;
  t.is(
    kindOf(() => decryptHsDescriptor(auth, hex(AUTH.subcredential))),
    'missing',
  );
  const stranger = x25519FromSecret(new Uint8Array(32).fill(7));
  t.is(
    kindOf(() => decryptHsDescriptor(auth, hex(AUTH.subcredential), stranger)),
    'bad',
  );
  refuses(t, () => decryptHsDescriptor(auth, hex(PLAIN.subcredential)), 'hs-descriptor.superencrypted');
});

/** Bytes that only look random, the same each time. */
function countingRandom(): Random {
  let last = 1;
  const next = () => {
    last = (last * 75 + 74) % 65537;
    return last;
  };
  return {
    bytes: (n) => Uint8Array.from({ length: n }, () => next() & 255),
    below: (bound) => next() % bound,
    fraction: () => 0.5,
  };
}

const INPUT: HsDescriptorInput = {
  blindedKey: ed25519FromSeed(new Uint8Array(32).fill(1)),
  signingKey: ed25519FromSeed(new Uint8Array(32).fill(2)),
  subcredential: new Uint8Array(32).fill(3),
  revision: 2n ** 64n - 1n,
  certExpires: Date.UTC(2026, 11, 1),
  createFormats: [2, 3],
  introAuthRequired: ['ed25519'],
  singleOnionService: true,
  flowControl: { versions: '1-2', sendmeInc: 31 },
  powParams: {
    seed: new Uint8Array(32).fill(4),
    suggestedEffort: 9,
    expires: Date.UTC(2026, 10, 21, 12, 40, 48),
  },
  introPoints: [5, 6, 7].map((n) => ({
    linkSpecifiers: specifiersOf({
      ipv4: { host: '127.0.0.1', port: 9000 + n },
      rsaId: new Uint8Array(20).fill(n),
      ed25519Id: new Uint8Array(32).fill(n),
      ipv6: { host: '2001:db8::1', port: 9001 },
    }),
    onionKey: x25519FromSecret(new Uint8Array(32).fill(n)).publicKey,
    authKey: ed25519FromSeed(new Uint8Array(32).fill(n)).publicKey,
    encKey: x25519FromSecret(new Uint8Array(32).fill(n + 10)).publicKey,
  })),
};
const OWN = encodeHsDescriptor(INPUT, countingRandom());

test('one of our own', (t) => {
  const descriptor = parseHsDescriptor(OWN);
  t.is(descriptor.revision, INPUT.revision);
  t.is(descriptor.certExpires, INPUT.certExpires);
  t.is(toHex(descriptor.blindedKey), toHex(INPUT.blindedKey.publicKey));
  t.is(descriptor.superencrypted.length % 10_000, 48);
  const content = decryptHsDescriptor(descriptor, INPUT.subcredential);
  t.like(content, { createFormats: [2, 3], introAuthRequired: ['ed25519'], singleOnionService: true });
  t.deepEqual(content.flowControl, INPUT.flowControl);
  t.is(content.powParams?.expires, INPUT.powParams?.expires);
  t.is(content.introPoints.length, 3);
  t.is(relayNamed(content.introPoints[0]?.linkSpecifiers ?? []).ipv4?.port, 9005);
  t.is(
    toHex(content.introPoints[2]?.encKey ?? new Uint8Array(0)),
    toHex(INPUT.introPoints[2]?.encKey ?? new Uint8Array(0)),
  );
});

test('for clients only, however many', (t) => {
  for (const count of [1, 16, 17]) {
    const pairs = Array.from({ length: count }, (_, i) => x25519FromSecret(new Uint8Array(32).fill(100 + i)));
    const clients = pairs.map((pair) => pair.publicKey);
    const descriptor = parseHsDescriptor(encodeHsDescriptor({ ...INPUT, clients }, countingRandom()));
    for (const pair of pairs)
      t.is(decryptHsDescriptor(descriptor, INPUT.subcredential, pair).introPoints.length, 3);
    t.throws(() => decryptHsDescriptor(descriptor, INPUT.subcredential), { instanceOf: ClientAuthError });
    const secrets = {
      blindedKey: descriptor.blindedKey,
      subcredential: INPUT.subcredential,
      revision: descriptor.revision,
    };
    const first = Buffer.from(
      decryptLayer(secrets, 'outer', descriptor.superencrypted, 'x') ?? [],
    ).toString();
    t.is(first.match(/^auth-client /gm)?.length, count > 16 ? 32 : 16);
  }
});

const INVALID: readonly [name: string, text: string, field: string][] = [
  ['nothing', '', 'hs-descriptor'],
  ['version 4', OWN.replace('hs-descriptor 3', 'hs-descriptor 4'), 'hs-descriptor'],
  ['a lifetime too long', OWN.replace('lifetime 180', 'lifetime 721'), 'descriptor-lifetime'],
  ['a lifetime too short', OWN.replace('lifetime 180', 'lifetime 29'), 'descriptor-lifetime'],
  ['a changed lifetime', OWN.replace('lifetime 180', 'lifetime 181'), 'signature'],
  [
    'a revision of 65 bits',
    OWN.replace(/revision-counter .*/, 'revision-counter 18446744073709551616'),
    'revision-counter',
  ],
  ['a negative revision', OWN.replace(/revision-counter .*/, 'revision-counter -1'), 'revision-counter'],
  ['a certificate of another type', OWN.replace('\nAQgA', '\nAQkA'), 'descriptor-signing-key-cert'],
  ['a changed certificate', OWN.replace(/\nAQgA...../, '\nAQgAAAAAA'), 'descriptor-signing-key-cert'],
  ['no signature', OWN.slice(0, OWN.indexOf('\nsignature ') + 1), 'signature'],
  ['something after', `${OWN}more\n`, 'signature'],
  ['too large', `${OWN}${'x\n'.repeat(25_000)}`, ''],
];
for (const [name, text, field] of INVALID)
  test(`refuses ${name}`, (t) =>
    refuses(t, () => parseHsDescriptor(text), field === '' ? 'hs-descriptor' : `hs-descriptor.${field}`));

/** A descriptor with this inner plaintext, well encrypted and signed. */
function around(inner: string): string {
  const { blindedKey, signingKey, subcredential, revision } = INPUT;
  const secrets = { blindedKey: blindedKey.publicKey, subcredential, revision };
  const fields = OUTER_TABLE.read(new Tokenizer('x', OWN));
  const outer = Buffer.from(decryptLayer(secrets, 'outer', fields.superencrypted, 'x') ?? []).toString();
  const first = FIRST_LAYER_TABLE.read(new Tokenizer('x', `${outer.replace(/\0+$/, '')}\n`));
  const encrypted = encryptLayer(secrets, 'inner', bytesOf(inner), new Uint8Array(16));
  const superencrypted = encryptLayer(
    secrets,
    'outer',
    bytesOf(FIRST_LAYER_TABLE.write({ ...first, encrypted })),
    new Uint8Array(16),
  );
  const unsigned = OUTER_TABLE.write({ ...fields, superencrypted });
  const part = unsigned.slice(0, unsigned.indexOf('\nsignature ') + 1);
  const signature = signingKey.sign(bytesOf(`Tor onion service descriptor sig v3${part}`));
  return OUTER_TABLE.write({ ...fields, superencrypted, signature });
}
const innerOf = (text: string) => decryptHsDescriptor(parseHsDescriptor(text), INPUT.subcredential);
const INNER = (() => {
  const descriptor = parseHsDescriptor(OWN);
  const secrets = {
    blindedKey: descriptor.blindedKey,
    subcredential: INPUT.subcredential,
    revision: descriptor.revision,
  };
  const outer = Buffer.from(decryptLayer(secrets, 'outer', descriptor.superencrypted, 'x') ?? []).toString();
  const first = FIRST_LAYER_TABLE.read(new Tokenizer('x', `${outer.replace(/\0+$/, '')}\n`));
  return Buffer.from(decryptLayer(secrets, 'inner', first.encrypted, 'x') ?? []).toString();
})();

const BAD_INNER: readonly [name: string, text: string, field: string][] = [
  ['no formats', INNER.replace(/create2-formats .*\n/, ''), 'encrypted.create2-formats'],
  ['a bad format', INNER.replace('formats 2', 'formats two'), 'encrypted.create2-formats'],
  ['a flow control increment of 0', INNER.replace('1-2 31', '1-2 0'), 'encrypted.flow-control'],
  ['a bad PoW seed', INNER.replace('pow-params v1 ', 'pow-params v1 A'), 'encrypted.pow-params'],
  [
    'too many introduction points',
    INNER.replace(/(introduction-point (.|\n)*)/, '$1$1$1$1$1$1$1'),
    'introduction-point',
  ],
];
for (const [name, text, field] of BAD_INNER)
  test(`inner layer: refuses ${name}`, (t) =>
    refuses(t, () => innerOf(around(text)), `hs-descriptor.${field}`));

test('a bad introduction point is left out, unknown PoW schemes and items are ignored', (t) => {
  t.is(innerOf(around(INNER)).introPoints.length, 3);
  t.is(innerOf(around(INNER.replace(/\nonion-key ntor ..../, '\nonion-key ntor '))).introPoints.length, 2);
  t.is(
    innerOf(around(INNER.replace(/\nauth-key\n[^\n]*\nAQkA...../, (all) => all.replace(/.....$/, 'AAAAA'))))
      .introPoints.length,
    2,
  );
  const later = innerOf(around(INNER.replace('pow-params v1', 'new-item x\npow-params v9')));
  t.is(later.powParams, undefined);
});

test('mutated descriptors are read or refused', (t) => {
  survives(t, OWN, parseHsDescriptor, 150);
  survives(t, INNER, (text) => innerOf(around(text)), 150);
});

test('layers round-trip, and no damaged one is opened', (t) => {
  const secrets = secretsOf(PLAIN);
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (plain, at, flip) => {
        const layer = new Uint8Array(encryptLayer(secrets, 'inner', plain, new Uint8Array(16)));
        t.deepEqual(new Uint8Array(decryptLayer(secrets, 'inner', layer, 'x') ?? []), plain);
        layer[at % layer.length]! ^= flip;
        t.is(decryptLayer(secrets, 'inner', layer, 'x'), undefined);
      },
    ),
  );
});
