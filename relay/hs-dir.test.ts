import test from 'ava';
import { bytesOf, toBase64Bare } from '../shared/bytes/text.js';
import { generateEd25519 } from '../shared/crypto/ed25519.js';
import { generateX25519 } from '../shared/crypto/x25519.js';
import { periodKeys } from '../shared/hs/service-key.js';
import { memoryLog } from '../shared/log/memory.js';
import { encodeHsDescriptor } from '../shared/netdoc/hs-descriptor.js';
import { HandClock } from '../shared/onion/testing.js';
import { testRandom } from '../shared/testing/random.js';
import { HsDirStore } from './hs-dir.js';

const random = testRandom('hs dir');
const PEER = { via: 'multi-hop', address: undefined } as const;
const MINUTE = 60_000;

function made(revision: bigint, certExpires: number, identity = generateEd25519(random)) {
  const keys = periodKeys(identity, { number: 1, length: 1440 });
  const text = encodeHsDescriptor(
    {
      blindedKey: keys.blinded,
      signingKey: generateEd25519(random),
      subcredential: keys.subcredential,
      revision,
      certExpires,
      lifetimeMinutes: 180,
      introPoints: [
        {
          linkSpecifiers: [
            { type: 'ipv4', address: { host: '127.1.0.1', port: 9001 } },
            { type: 'rsa', id: random.bytes(20) },
          ],
          onionKey: generateX25519(random).publicKey,
          authKey: generateEd25519(random).publicKey,
          encKey: generateX25519(random).publicKey,
        },
      ],
    },
    random,
  );
  return { text, path: `/tor/hs/3/${toBase64Bare(keys.blindedKey)}`, identity };
}

function hsDir(maxBytes = 1_000_000, params: Readonly<Record<string, number>> = {}) {
  const clock = new HandClock();
  const store = new HsDirStore({
    clock,
    log: memoryLog(),
    param: (name, fallback) => params[name] ?? fallback,
    maxBytes,
  });
  const publish = (text: string | Uint8Array) =>
    store.post('/tor/hs/3/publish', typeof text === 'string' ? bytesOf(text) : text, PEER)!.status;
  const fetch = (path: string) => {
    const answer = store.get(path, PEER)!;
    return answer.status === 200 ? Buffer.from(answer.body as Uint8Array).toString() : answer.status;
  };
  return { clock, store, publish, fetch, expires: clock.now() + 54 * 60 * MINUTE };
}

test('what was published is served until it expires', (t) => {
  const { clock, store, publish, fetch, expires } = hsDir();
  const { text, path } = made(5n, expires);
  t.is(fetch(path), 404);
  t.is(publish(text), 200);
  t.is(fetch(path), text);
  clock.pass(179 * MINUTE);
  t.is(fetch(path), text);
  clock.pass(MINUTE);
  t.is(fetch(path), 404);
  clock.pass(10 * MINUTE);
  fetch(path);
  t.is(store.count, 0);
  t.is(store.bytes, 0);
});

test('only a newer revision takes the place of a descriptor', (t) => {
  const { publish, fetch, expires } = hsDir();
  const first = made(5n, expires);
  const older = made(4n, expires, first.identity);
  const same = made(5n, expires, first.identity);
  const newer = made(6n, expires, first.identity);
  t.is(publish(first.text), 200);
  t.is(publish(older.text), 400);
  t.is(publish(same.text), 400);
  t.is(publish(newer.text), 200);
  t.is(fetch(first.path), newer.text);
});

test('forged, expired, oversized and garbled descriptors are refused', (t) => {
  const { clock, publish, expires, store } = hsDir();
  const { text } = made(5n, expires);
  t.is(publish(text.replace('descriptor-lifetime 180', 'descriptor-lifetime 181')), 400);
  t.is(publish(made(5n, clock.now() - 1).text), 400);
  t.is(publish(`${text}${'x'.repeat(50_000)}`), 400);
  t.is(publish(random.bytes(500)), 400);
  t.is(publish(''), 400);
  t.is(store.count, 0);
  const small = hsDir(1_000_000, { HSV3MaxDescriptorSize: 10_000 });
  t.is(small.publish(text), 400);
});

test('only over circuits of more than one hop', (t) => {
  const { store, publish, expires } = hsDir();
  const { text, path } = made(5n, expires);
  publish(text);
  for (const via of ['one-hop', 'dirport'] as const) {
    const peer = { via, address: '127.0.0.9' };
    t.is(store.get(path, peer)!.status, 503);
    t.is(store.post('/tor/hs/3/publish', bytesOf(text), peer)!.status, 503);
  }
  t.is(store.get('/tor/hs/3/nonsense', PEER)!.status, 404);
  t.is(store.get('/tor/micro/d/x', PEER), undefined);
  t.is(store.post('/tor/', bytesOf(text), PEER), undefined);
});

test('a full store drops what nobody asks for', (t) => {
  const { store, publish, fetch, expires } = hsDir(100_000);
  const kept = made(1n, expires);
  publish(kept.text);
  fetch(kept.path);
  for (let i = 0; i < 10; i++) publish(made(1n, expires).text);
  t.true(store.bytes <= 100_000);
  t.is(fetch(kept.path), kept.text);
});
