import test from 'ava';
import { toHex } from '../shared/bytes/text.js';
import { loadOrCreateRelayKeys } from '../shared/crypto/relay-keys.js';
import { memoryLog } from '../shared/log/memory.js';
import type { Clock } from '../shared/runtime/types.js';
import { memoryStore } from '../shared/store/memory.js';
import { testRandom } from '../shared/testing/random.js';
import { loadFamilyKeys, makeFamilyKey } from './family-keys.js';
import { writeFingerprints } from './fingerprint-files.js';
import { rotateKeys } from './key-options.js';

const text = async (store: ReturnType<typeof memoryStore>, file: string) =>
  Buffer.from((await store.read(file))!).toString('latin1');

test('fingerprints are written as C tor writes them', async (t) => {
  const store = memoryStore();
  const keys = { rsaId: Buffer.alloc(20, 0xab), ed25519Id: Buffer.alloc(32, 1) };
  await writeFingerprints(store, 'mine', keys);
  t.is(await text(store, 'fingerprint'), `mine ${'AB'.repeat(20)}\n`);
  t.is(
    await text(store, 'fingerprint-ed25519'),
    `mine ${Buffer.alloc(32, 1).toString('base64').replace('=', '')}\n`,
  );
  await writeFingerprints(store, 'other', keys);
  t.is(await text(store, 'fingerprint'), `other ${'AB'.repeat(20)}\n`);
});

test('family keys are made once, and read by FamilyId', async (t) => {
  const store = memoryStore();
  const random = testRandom('family keys');
  const one = await makeFamilyKey(store, 'keys/one', random);
  const two = await makeFamilyKey(store, 'keys/two', random);
  t.regex(one, /^[A-Za-z0-9+/]{43}$/);
  t.is(await text(store, 'keys/one.public_family_id'), `${one}\n`);
  t.is((await store.read('keys/one.secret_family_key'))!.length, 96);
  t.is(
    Buffer.from((await store.read('keys/one.secret_family_key'))!).toString('latin1', 0, 29),
    '== ed25519v1-secret: fmly-id ',
  );
  await t.throwsAsync(makeFamilyKey(store, 'keys/one', random), { message: /never overwritten/ });

  const log = memoryLog();
  const load = async (...wanted: string[]) =>
    (await loadFamilyKeys(store, 'keys', wanted, log)).map((key) => toHex(key.publicKey)).sort();
  const hex = (id: string) => toHex(Buffer.from(id, 'base64'));
  t.deepEqual(await load(), []);
  t.deepEqual(await load('*'), [hex(one), hex(two)].sort());
  t.is(log.text(), '');
  t.deepEqual(await load(`ed25519:${two}`), [hex(two)]);
  t.regex(log.text(), /one\.secret_family_key is a family key that no FamilyId names/);
  t.deepEqual(await load('A'.repeat(43)), []);
  t.regex(log.text(), /there is no key of that family/);
});

test('onion keys last as long as the consensus says, the old ones never longer than the new', async (t) => {
  const day = 86_400_000;
  const at = { now: Date.UTC(2026, 0, 1) };
  const clock = { now: () => at.now } as Clock;
  const env = { clock, random: testRandom('onion keys'), log: memoryLog() };
  const keys = await loadOrCreateRelayKeys(memoryStore(), env);
  const first = keys.ntor.current;
  const said: Record<string, number> = { 'onion-key-rotation-days': 3, 'onion-key-grace-period-days': 20 };
  const after = (days: number) => {
    at.now += days * day;
    return rotateKeys(keys, clock, (name, fallback, min, max) =>
      Math.min(max, Math.max(min, said[name] ?? fallback)),
    );
  };
  t.false(await after(2));
  t.true(await after(1));
  t.is(keys.ntor.previous, first);
  said['onion-key-rotation-days'] = 90;
  said['onion-key-grace-period-days'] = 10;
  await after(9);
  t.is(keys.ntor.previous, first);
  await after(1);
  t.is(keys.ntor.previous, undefined);
});
