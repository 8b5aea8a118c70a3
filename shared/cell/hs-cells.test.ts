import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { concat, fromHex, toHex } from '../bytes/text.js';
import { fc } from '../testing/properties.js';
import { vectors } from '../testing/vectors.js';
import type { Codec } from './codec.js';
import {
  dosExtension,
  dosParamsIn,
  ESTABLISH_INTRO,
  ESTABLISH_INTRO_HEAD,
  ESTABLISH_RENDEZVOUS,
  INTRO_ESTABLISHED,
  INTRODUCE_ACK,
  INTRODUCE_SECRETS,
  INTRODUCE1,
  INTRODUCE2,
  RENDEZVOUS1,
} from './hs-cells.js';
import { relayNamed } from './link-specifiers.js';

interface Vector {
  readonly kind: 'establish_intro' | 'introduce1';
  readonly cell_body: string;
  readonly auth_key: string;
  readonly dos_ext: number;
  readonly handshake_mac: string;
  readonly plaintext_encrypted_section: string;
  readonly rend_cookie: string;
  readonly rp_onion_key: string;
  readonly rp_ed_id: string;
  readonly cc_ext: number;
  readonly pow_ext: number;
  readonly mac: string;
  readonly X: string;
}

const all = vectors<{ vectors: Vector[] }>('hs-cells.json').vectors;
const hex = (text: string) => fromHex(text, 'vector');
const lower = (bytes: Uint8Array) => toHex(bytes).toLowerCase();

for (const [i, vector] of all.entries())
  test(`C tor's ${vector.kind} ${i} is read and written alike`, (t) => {
    const body = hex(vector.cell_body);
    if (vector.kind === 'establish_intro') {
      const value = ESTABLISH_INTRO.decode(body);
      t.is(lower(value.authKey), vector.auth_key);
      t.is(lower(value.mac), vector.handshake_mac);
      t.is(lower(ESTABLISH_INTRO.encode(value)), vector.cell_body);
      t.deepEqual(dosParamsIn(value.extensions), vector.dos_ext ? { rate: 25n, burst: 200n } : undefined);
      t.true(vector.cell_body.startsWith(lower(ESTABLISH_INTRO_HEAD.encode(value)) + vector.handshake_mac));
      return;
    }
    const value = INTRODUCE2.decode(body);
    t.is(lower(value.authKey), vector.auth_key);
    t.is(lower(value.clientKey), vector.X);
    t.is(lower(value.mac), vector.mac);
    t.is(lower(INTRODUCE2.encode(value)), vector.cell_body);
    t.is(lower(INTRODUCE1.encode(INTRODUCE1.decode(body))), vector.cell_body);

    const plain = hex(vector.plaintext_encrypted_section);
    const secrets = INTRODUCE_SECRETS.decode(plain);
    t.is(lower(secrets.cookie), vector.rend_cookie);
    t.is(lower(secrets.onionKey), vector.rp_onion_key);
    t.is(lower(relayNamed(secrets.specifiers).ed25519Id!), vector.rp_ed_id);
    t.is(secrets.extensions.length, vector.cc_ext + vector.pow_ext);
    t.true(vector.plaintext_encrypted_section.startsWith(lower(INTRODUCE_SECRETS.encode(secrets))));
  });

test('the other messages', (t) => {
  t.is(lower(INTRO_ESTABLISHED.encode({ extensions: [] })), '00');
  t.is(lower(INTRODUCE_ACK.encode({ status: 2, extensions: [] })), '000200');
  const cookie = new Uint8Array(20).fill(7);
  t.deepEqual(ESTABLISH_RENDEZVOUS.decode(ESTABLISH_RENDEZVOUS.encode({ cookie })).cookie, cookie);
  const rendezvous = { cookie, handshake: new Uint8Array(64).fill(9) };
  t.deepEqual(RENDEZVOUS1.decode(RENDEZVOUS1.encode(rendezvous)), rendezvous);
});

test('a defence against floods is read as it was written, or passed over', (t) => {
  const params = { rate: 5n, burst: 2n ** 40n };
  t.deepEqual(dosParamsIn([{ type: 9, body: new Uint8Array(1) }, dosExtension(params)]), params);
  t.is(dosParamsIn([{ type: 1, body: Uint8Array.of(2, 1) }]), undefined);
  t.is(dosParamsIn([{ type: 1, body: concat(Uint8Array.of(1, 9), new Uint8Array(8)) }]), undefined);
});

test('what is wrong is refused by name', (t) => {
  const establish = hex(all[0]!.cell_body);
  const introduce = hex(all.find(({ kind }) => kind === 'introduce1')!.cell_body);
  const changed = (bytes: Uint8Array, at: number, to: number) => {
    const copy = Uint8Array.from(bytes);
    copy[at] = to;
    return copy;
  };
  const cases: [Codec<unknown>, Uint8Array, string][] = [
    [ESTABLISH_INTRO as Codec<unknown>, changed(establish, 0, 1), 'ESTABLISH_INTRO.authKey.type'],
    [ESTABLISH_INTRO as Codec<unknown>, changed(establish, 2, 31), 'ESTABLISH_INTRO.authKey'],
    [
      ESTABLISH_INTRO as Codec<unknown>,
      changed(establish, establish.length - 65, 63),
      'ESTABLISH_INTRO.signature',
    ],
    [ESTABLISH_INTRO as Codec<unknown>, establish.subarray(0, -1), 'ESTABLISH_INTRO.signature'],
    [INTRODUCE1 as Codec<unknown>, changed(introduce, 3, 1), 'INTRODUCE1.legacyKeyId'],
    [INTRODUCE1 as Codec<unknown>, changed(introduce, 20, 3), 'INTRODUCE1.authKey.type'],
    [INTRODUCE1 as Codec<unknown>, introduce.subarray(0, 56), 'INTRODUCE1.encrypted'],
    [INTRODUCE2 as Codec<unknown>, introduce.subarray(0, 56 + 64), 'INTRODUCE2.ciphertext'],
    [ESTABLISH_RENDEZVOUS as Codec<unknown>, new Uint8Array(21), 'ESTABLISH_RENDEZVOUS.cookie'],
    [RENDEZVOUS1 as Codec<unknown>, new Uint8Array(19), 'RENDEZVOUS1.cookie'],
  ];
  for (const [codec, bytes, field] of cases) {
    const error = t.throws(() => codec.decode(bytes), { instanceOf: DecodeError });
    t.is(error?.field, field);
  }
});

test('any bytes are read or refused', (t) => {
  const codecs = [ESTABLISH_INTRO, INTRODUCE1, INTRODUCE2, INTRODUCE_SECRETS, INTRODUCE_ACK, RENDEZVOUS1];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 498 }), fc.constantFrom(...codecs), (bytes, codec) => {
      try {
        codec.decode(bytes);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
  );
  t.pass();
});
