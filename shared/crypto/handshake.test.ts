import test from 'ava';
import { ProtocolError } from '../bytes/errors.js';
import { bytesOf, fromHex, toHex } from '../bytes/text.js';
import type { HopKeys } from '../onion/types.js';
import { fc } from '../testing/properties.js';
import { testRandom } from '../testing/random.js';
import { vectors } from '../testing/vectors.js';
import {
  answerFast,
  answerNtor,
  answerNtorV3,
  answerNtorV3WithKeys,
  answerNtorWithKeys,
  type ClientHandshake,
  startFast,
  startNtor,
  startNtorV3,
  startNtorV3WithKeys,
  startNtorWithKeys,
} from './handshake.js';
import { ntorAnswer, ntorFinish } from './ntor.js';
import { ntorV3Open, ntorV3Start } from './ntor-v3.js';
import { onionKeys } from './onion-keys.js';
import { generateX25519, x25519FromSecret } from './x25519.js';

const hex = (b: Uint8Array) => toHex(b).toLowerCase();
type Vector = Record<string, string>;
const read = (file: string) => vectors<{ vectors: Vector[] }>(file).vectors;
const bytes = (v: Vector, name: string) => fromHex(v[name]!, name);
const pair = (v: Vector, name: string) => x25519FromSecret(bytes(v, name));

const random = testRandom('handshake');
const junk = generateX25519(random);
const b = generateX25519(random);
const previous = generateX25519(random);
const keys = onionKeys(b, previous, junk);
const rsaId = random.bytes(20);
const ed25519Id = random.bytes(32);

/** Keys that are worked out when they are read. */
const asRead = ({ df, db, kf, kb, kh }: HopKeys): HopKeys => ({ df, db, kf, kb, kh });

test('ntor: vectors of C tor', (t) => {
  const cases = read('ntor.json');
  t.true(cases.length > 1);
  for (const v of cases) {
    const target = { rsaId: bytes(v, 'ID'), ntorKey: bytes(v, 'B') };
    const client = startNtorWithKeys(target, pair(v, 'x'));
    t.is(client.type, 2);
    t.is(hex(client.data), v.client_handshake_84);
    const material = ntorFinish(target, pair(v, 'x'), bytes(v, 'server_handshake_64'));
    t.is(hex(material), v.kdf_out_92);
    const result = client.finish(bytes(v, 'server_handshake_64'));
    if (v.y === undefined) continue;
    t.is(hex(pair(v, 'b').publicKey), v.B);
    const identity = { rsaId: target.rsaId, keys: onionKeys(pair(v, 'b'), undefined, junk) };
    const server = answerNtorWithKeys(client.data, identity, pair(v, 'y'));
    t.is(hex(server.reply), v.server_handshake_64);
    t.deepEqual(asRead(server.keys), result.keys);
    const { df, db, kf, kb, kh } = server.keys;
    t.deepEqual([df, db, kf, kb, kh].map(hex), [v.Df, v.Db, v.Kf, v.Kb, v.KH]);
  }
});

test('ntor-v3: vectors of C tor', (t) => {
  const cases = read('ntor-v3.json');
  t.true(cases.length > 1);
  for (const v of cases) {
    const target = { ed25519Id: bytes(v, 'relay_ed25519_id'), ntorKey: bytes(v, 'B') };
    const verification = v.verification === undefined ? bytesOf('circuit extend') : bytes(v, 'verification');
    const stream = bytes(v, 'keystream_after_enc_key');
    const client = ntorV3Start(target, pair(v, 'x'), bytes(v, 'client_msg'), verification, stream.length);
    t.is(hex(client.request), v.client_handshake);
    const known = onionKeys(pair(v, 'b'), undefined, junk);
    const server = ntorV3Open(client.request, target.ed25519Id, known, verification, stream.length);
    t.is(hex(server.message), v.client_msg);
    const answer = server.answer(bytes(v, 'server_msg'), pair(v, 'y'));
    t.is(hex(answer.reply), v.server_handshake);
    t.is(hex(answer.keys), hex(stream));
    const done = client.finish(answer.reply);
    t.is(hex(done.message), v.server_msg);
    t.is(hex(done.keys), hex(stream));
  }
});

test('ntor-v3 as circuits use it: verification string and key split', (t) => {
  const v = read('ntor-v3.json').find((it) => it.verification === hex(bytesOf('circuit extend')))!;
  const target = { ed25519Id: bytes(v, 'relay_ed25519_id'), ntorKey: bytes(v, 'B') };
  const client = startNtorV3WithKeys(target, bytes(v, 'client_msg'), pair(v, 'x'));
  t.is(client.type, 3);
  t.is(hex(client.data), v.client_handshake);
  const identity = { ed25519Id: target.ed25519Id, keys: onionKeys(pair(v, 'b'), undefined, junk) };
  const respond = (message: Uint8Array) => {
    t.is(hex(message), v.client_msg);
    return bytes(v, 'server_msg');
  };
  const server = answerNtorV3WithKeys(client.data, identity, respond, pair(v, 'y'));
  t.is(hex(server.reply), v.server_handshake);
  const result = client.finish(server.reply);
  t.deepEqual(result.keys, server.keys);
  const { df, db, kf, kb, kh } = result.keys;
  t.is([df, db, kf, kb, kh].map(hex).join(''), v.keystream_after_enc_key!.slice(0, 184));
});

test('both sides agree, with the current onion key and the one before', (t) => {
  for (const key of [b, previous]) {
    const client = startNtor({ rsaId, ntorKey: key.publicKey }, random);
    const server = answerNtor(client.data, { rsaId, keys }, random);
    t.deepEqual(client.finish(server.reply).keys, asRead(server.keys));

    const v3 = startNtorV3({ ed25519Id, ntorKey: key.publicKey }, bytesOf('ask'), random);
    const answer = answerNtorV3(v3.data, { ed25519Id, keys }, () => bytesOf('answer'), random);
    const result = v3.finish(answer.reply);
    t.deepEqual(result.keys, answer.keys);
    t.is(Buffer.from(result.message!).toString(), 'answer');
  }
  const fast = startFast(random);
  const answer = answerFast(fast.data, random);
  t.deepEqual(fast.finish(answer.reply).keys, answer.keys);
});

test('two circuits never have the same keys', (t) => {
  const keysOf = () => {
    const client = startNtor({ rsaId, ntorKey: b.publicKey }, random);
    return hex(answerNtor(client.data, { rsaId, keys }, random).keys.kf);
  };
  t.not(keysOf(), keysOf());
});

test('an unknown onion key gets an answer that the client refuses', (t) => {
  const stranger = generateX25519(random);
  const client = startNtor({ rsaId, ntorKey: stranger.publicKey }, random);
  const server = answerNtor(client.data, { rsaId, keys }, random);
  t.is(server.reply.length, 64);
  t.throws(() => client.finish(server.reply), { code: 'protocol' });
  // ntor-v3 authenticates the request, so there is nothing to answer.
  const v3 = startNtorV3({ ed25519Id, ntorKey: stranger.publicKey }, bytesOf(''), random);
  t.throws(() => answerNtorV3(v3.data, { ed25519Id, keys }, () => bytesOf(''), random), {
    code: 'protocol',
  });
});

test('another identity is refused', (t) => {
  const client = startNtor({ rsaId: random.bytes(20), ntorKey: b.publicKey }, random);
  t.throws(() => answerNtor(client.data, { rsaId, keys }, random), { message: /another relay/ });
  const v3 = startNtorV3({ ed25519Id: random.bytes(32), ntorKey: b.publicKey }, bytesOf(''), random);
  t.throws(() => answerNtorV3(v3.data, { ed25519Id, keys }, () => bytesOf(''), random), {
    message: /another relay/,
  });
});

test('keys of low order are refused on both sides', (t) => {
  const zero = new Uint8Array(32);
  const client = startNtor({ rsaId, ntorKey: b.publicKey }, random);
  const request = Uint8Array.from(client.data);
  request.set(zero, 52);
  t.throws(() => ntorAnswer(request, rsaId, keys, generateX25519(random)), { message: /low order/ });
  const { reply } = answerNtor(client.data, { rsaId, keys }, random);
  const forged = Uint8Array.from(reply);
  forged.set(zero);
  t.throws(() => client.finish(forged), { message: /low order/ });
  t.throws(() => startNtorV3({ ed25519Id, ntorKey: zero }, zero, random), { message: /low order/ });
});

test('a reply that does not fit into EXTENDED2 is never made', (t) => {
  const client = startNtorV3({ ed25519Id, ntorKey: b.publicKey }, bytesOf(''), random);
  const answer = (size: number) =>
    answerNtorV3(client.data, { ed25519Id, keys }, () => new Uint8Array(size), random);
  t.is(answer(432).reply.length, 496);
  t.throws(() => answer(433), { code: 'protocol' });
});

/** Any change of one byte, or any bytes instead: ProtocolError, or for a reply at least never other keys. */
function onlyProtocolErrors(run: () => void): boolean {
  try {
    run();
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

const clients: Record<string, () => { client: ClientHandshake; reply: Uint8Array }> = {
  ntor: () => {
    const client = startNtor({ rsaId, ntorKey: b.publicKey }, random);
    return { client, reply: answerNtor(client.data, { rsaId, keys }, random).reply };
  },
  'ntor-v3': () => {
    const client = startNtorV3({ ed25519Id, ntorKey: b.publicKey }, bytesOf('message'), random);
    const respond = () => bytesOf('reply');
    return { client, reply: answerNtorV3(client.data, { ed25519Id, keys }, respond, random).reply };
  },
  fast: () => {
    const client = startFast(random);
    return { client, reply: answerFast(client.data, random).reply };
  },
};

for (const [name, start] of Object.entries(clients)) {
  test(`${name}: a changed reply is refused, any bytes are survived`, (t) => {
    const { client, reply } = start();
    fc.assert(
      fc.property(fc.nat(reply.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        // X25519 ignores the top bit of a public key, but the MAC covers it.
        const changed = Uint8Array.from(reply);
        changed[at]! ^= flip;
        return !onlyProtocolErrors(() => client.finish(changed));
      }),
      { numRuns: 60 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (any) => !onlyProtocolErrors(() => client.finish(any))),
      { numRuns: 60 },
    );
    t.pass();
  });

  test(`${name}: a server survives any bytes`, (t) => {
    const { client } = start();
    const answerAny = (data: Uint8Array) => {
      onlyProtocolErrors(() => answerNtor(data, { rsaId, keys }, random));
      onlyProtocolErrors(() => answerNtorV3(data, { ed25519Id, keys }, (m) => m, random));
      onlyProtocolErrors(() => answerFast(data, random));
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 509 }), answerAny), { numRuns: 50 });
    fc.assert(
      fc.property(fc.nat(client.data.length - 1), fc.nat(255), (at, value) => {
        const changed = Uint8Array.from(client.data);
        changed[at] = value;
        answerAny(changed);
      }),
      { numRuns: 50 },
    );
    t.pass();
  });
}
