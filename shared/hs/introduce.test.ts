import test from 'ava';
import { DecodeError, ProtocolError } from '../bytes/errors.js';
import { fromHex, toHex } from '../bytes/text.js';
import { INTRODUCE_SECRETS, INTRODUCE1, RENDEZVOUS1 } from '../cell/hs-cells.js';
import { specifiersOf } from '../cell/link-specifiers.js';
import { ed25519FromExpanded, ed25519FromSeed, generateEd25519 } from '../crypto/ed25519.js';
import { generateX25519, x25519FromSecret } from '../crypto/x25519.js';
import { testRandom } from '../testing/random.js';
import { vectors } from '../testing/vectors.js';
import { checkEstablishIntro, makeEstablishIntro } from './establish.js';
import {
  answerIntroduction,
  introduce,
  introduceIdentity,
  introduceWithKey,
  openIntroduce2,
} from './introduce.js';
import { ringKeys, srvRunLength, srvRunStart } from './periods.js';
import { ReplayCache } from './replay.js';
import { revisionCounter, revisionKey } from './revision.js';
import { periodKeys, periodNames } from './service-key.js';

type Vector = Readonly<Record<string, string>> & {
  readonly dos_ext: number;
  readonly cc_ext: number;
  readonly pow_ext: number;
};
const all = vectors<{ vectors: Vector[] }>('hs-cells.json').vectors;
const hex = (text: string | undefined) => fromHex(text!, 'vector');
const lower = (bytes: Uint8Array) => toHex(bytes).toLowerCase();
const random = testRandom('introduce');

test('ESTABLISH_INTRO is what C tor makes, and is checked', (t) => {
  for (const vector of all.filter(({ kind }) => kind === 'establish_intro')) {
    const key = ed25519FromSeed(hex(vector.auth_key_seed));
    const kh = hex(vector.circuit_KH);
    const made = makeEstablishIntro(key, kh, vector.dos_ext ? { rate: 25n, burst: 200n } : undefined);
    t.is(lower(made), vector.cell_body);
    t.is(lower(checkEstablishIntro(made, kh).authKey), vector.auth_key);
    const other = Uint8Array.from(kh);
    other[0]! ^= 1;
    t.throws(() => checkEstablishIntro(made, other), { instanceOf: ProtocolError, message: /bad MAC/ });
    for (const at of [5, made.length - 70, made.length - 1]) {
      const changed = Uint8Array.from(made);
      changed[at]! ^= 1;
      t.throws(() => checkEstablishIntro(changed, kh));
    }
  }
});

test('INTRODUCE1 is what C tor makes, and is opened', (t) => {
  for (const vector of all.filter(({ kind }) => kind === 'introduce1')) {
    const body = hex(vector.cell_body);
    const subcredential = hex(vector.subcredential);
    const encKey = x25519FromSecret(hex(vector.b));
    const keys = { authKey: hex(vector.auth_key), encKey };
    const opened = openIntroduce2(body, keys, [new Uint8Array(32), subcredential]);
    t.is(lower(opened.cookie), vector.rend_cookie);
    t.is(opened.congestionControl, vector.cc_ext === 1);
    t.is(lower(opened.point.onionKey), vector.rp_onion_key);
    if (vector.pow_ext === 1) continue;
    const plain = INTRODUCE_SECRETS.decode(hex(vector.plaintext_encrypted_section));
    const { introduce1 } = introduceWithKey(
      {
        target: { authKey: keys.authKey, encKey: encKey.publicKey },
        subcredential,
        cookie: plain.cookie,
        point: { specifiers: plain.specifiers, onionKey: plain.onionKey },
        congestionControl: vector.cc_ext === 1,
      },
      x25519FromSecret(hex(vector.x)),
    );
    t.is(lower(introduce1), vector.cell_body);
  }
});

const auth = generateEd25519(random);
const enc = generateX25519(random);
const keys = { authKey: auth.publicKey, encKey: enc };
const names = periodNames(generateEd25519(random).publicKey, { number: 7, length: 1440 });
const point = {
  specifiers: specifiersOf({
    ipv4: { host: '127.9.0.1', port: 9001 },
    rsaId: random.bytes(20),
    ed25519Id: random.bytes(32),
  }),
  onionKey: random.bytes(32),
};
const input = {
  target: { authKey: auth.publicKey, encKey: enc.publicKey },
  subcredential: names.subcredential,
  cookie: random.bytes(20),
  point,
  congestionControl: true,
};

test('client and service come to the same keys', (t) => {
  const client = introduce(input, random);
  t.true(client.introduce1.length >= 310);
  t.deepEqual(INTRODUCE1.decode(client.introduce1).authKey, Uint8Array.from(auth.publicKey));
  const opened = openIntroduce2(client.introduce1, keys, [names.subcredential]);
  t.deepEqual(Uint8Array.from(opened.cookie), Uint8Array.from(input.cookie));
  t.true(opened.congestionControl);
  const service = answerIntroduction(opened, keys, random);
  t.is(service.rendezvous1.length, 168);
  const { handshake } = RENDEZVOUS1.decode(service.rendezvous1);
  t.deepEqual(client.finish(handshake), service.keys);
  const bad = Uint8Array.from(handshake);
  bad[40]! ^= 1;
  t.throws(() => client.finish(bad), { instanceOf: ProtocolError });
  t.throws(() => client.finish(handshake.subarray(0, 63)), { instanceOf: ProtocolError });
});

test('what is not for the service, or was changed, is refused', (t) => {
  const { introduce1 } = introduce(input, random);
  const refused = (body: Uint8Array, subcredentials = [names.subcredential]) =>
    t.throws(() => openIntroduce2(body, keys, subcredentials));
  t.true(refused(introduce1, [new Uint8Array(32)]) instanceof ProtocolError);
  for (const at of [30, 60, 130, introduce1.length - 1]) {
    const changed = Uint8Array.from(introduce1);
    changed[at]! ^= 1;
    refused(changed);
  }
  t.true(refused(introduce1.subarray(0, 100)) instanceof DecodeError);
});

test('a replay is noticed while it is remembered', (t) => {
  const { introduce1 } = introduce(input, random);
  const again = introduce(input, random).introduce1;
  const cache = new ReplayCache({ horizon: 1000, max: 2 });
  t.true(cache.isNew(introduceIdentity(introduce1), 0));
  t.false(cache.isNew(introduceIdentity(introduce1), 900));
  t.true(cache.isNew(introduceIdentity(again), 901));
  t.true(cache.isNew(introduceIdentity(introduce1), 1001));
  cache.isNew(Uint8Array.of(1), 1002);
  cache.isNew(Uint8Array.of(2), 1002);
  t.is(cache.size, 2);
});

test('the keys of a period belong to its names', (t) => {
  const identity = generateEd25519(random);
  const period = { number: 16_903, length: 1440 };
  const { blinded: _, ...own } = periodKeys(identity, period);
  t.deepEqual(own, periodNames(identity.publicKey, period));
});

test('revision counters grow, differ from service to service, and stay small', (t) => {
  const key = revisionKey(periodKeys(generateEd25519(random), { number: 1, length: 1440 }).blinded);
  let last = 0n;
  for (const seconds of [0, 1, 2, 60, 3600, 86_400, 129_600]) {
    const counter = revisionCounter(key, seconds);
    t.true(counter > last);
    last = counter;
  }
  t.true(last < 2n ** 34n);
  // A random value is gone by for two days, and by a service that is behind for half a day more.
  const day = 86_400;
  for (let seconds = day; seconds <= 2.5 * day; seconds += 3600)
    t.true(revisionCounter(key, seconds + 1) > revisionCounter(key, seconds), `${seconds} seconds`);
  t.not(revisionCounter(random.bytes(32), 3600), revisionCounter(key, 3600));
  t.is(revisionCounter(key, -5), revisionCounter(key, 0));
});

/** What C tor 0.4.9.11 logged of a service in a testing network that votes every 20 seconds (set_descriptor_revision_counter). */
const LOGGED = {
  identity:
    '088103d64d6ce369c5a93c2d41248fb8f0f542434bcf91ed0086f4ce28572f4bc76330cf58e13401d77ca1bc49e8fce9c77c75669ff4ba391e6f7d503c9937ce',
  uploads: [
    { validAfter: 1795289762, now: 1795289777, first: [3740186, 15843802n], second: [3740187, 614245n] },
    { validAfter: 1795289782, now: 1795289819, first: [3740186, 17144501n], second: [3740187, 2055572n] },
  ],
} as const;

const consensusAt = (validAfter: number) => ({
  validAfter: 1000 * validAfter,
  freshUntil: 1000 * (validAfter + 20),
  params: new Map<string, number>(),
  sharedRandPrevious: undefined,
  sharedRandCurrent: undefined,
});

test('periods and revision counters are those of C tor in a testing network', (t) => {
  const identity = ed25519FromExpanded(hex(LOGGED.identity));
  for (const { validAfter, now, first, second } of LOGGED.uploads) {
    const consensus = consensusAt(validAfter);
    const start = srvRunStart(consensus);
    const { store } = ringKeys(consensus, true);
    for (const [slot, [number, logged]] of [first, second].entries()) {
      const { period } = store[slot]!;
      t.deepEqual(period, { number, length: 8 });
      const began = slot === 0 ? start - srvRunLength(consensus) : start;
      const key = revisionKey(periodKeys(identity, period).blinded);
      t.is(revisionCounter(key, now - began / 1000), logged);
    }
  }
});

test('a run begins later by a consensus off the schedule, as testing networks have first', (t) => {
  // As C tor logged: 21:38:30 is 10 seconds off a schedule of 20 that begins at the full minute.
  t.is(srvRunStart(consensusAt(1795297110)), 1000 * 1795296970);
  t.is(srvRunStart(consensusAt(1795297120)), 1000 * 1795296960);
});
