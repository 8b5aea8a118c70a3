import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { memoryLog } from '../log/memory.js';
import { fc } from '../testing/properties.js';
import { memoryStore } from './memory.js';
import { decodeState, encodeState, loadState, type StateKind, saveState } from './state.js';

interface Guards {
  names: string[];
  key: Uint8Array;
}

const guards: StateKind<Guards> = {
  version: 2,
  check(value) {
    const { names, key } = value as Guards;
    if (!Array.isArray(names)) throw new DecodeError('guards.names', 'not a list');
    if (!(key instanceof Uint8Array)) throw new DecodeError('guards.key', 'not bytes');
    return { names, key };
  },
};

const sample: Guards = { names: ['a', 'b'], key: Uint8Array.of(1, 2, 3) };

test('a value comes back as it was', async (t) => {
  const store = memoryStore();
  const log = memoryLog();
  t.is(await loadState(store, 'guards', guards, log), undefined);
  await saveState(store, 'guards', 2, sample);
  const back = await loadState(store, 'guards', guards, log);
  t.deepEqual(back?.names, sample.names);
  t.deepEqual([...(back?.key ?? [])], [1, 2, 3]);
  t.is(log.lines.length, 0);
});

test('a damaged file is set aside with a warning, wherever the damage is', async (t) => {
  const whole = encodeState(2, sample);
  for (let at = 0; at < whole.length; at++) {
    const store = memoryStore();
    const log = memoryLog();
    const bytes = whole.slice();
    bytes[at] = (bytes[at] as number) ^ 0x40;
    await store.write('guards', bytes);
    t.is(await loadState(store, 'guards', guards, log), undefined);
    t.deepEqual(await store.list(''), ['guards.damaged-1']);
    t.deepEqual(store.files.get('guards.damaged-1'), bytes);
    t.true(log.has('warn', 'guards.damaged-1'), log.text());
  }
});

test('so is one whose value has the wrong shape, and the warning names the field', async (t) => {
  const store = memoryStore();
  const log = memoryLog();
  await saveState(store, 'guards', 2, { names: 'a', key: new Uint8Array() });
  t.is(await loadState(store, 'guards', guards, log), undefined);
  t.true(log.has('warn', 'guards.names'), log.text());
});

test('a newer version is kept and not used; an older one is upgraded where that is known', async (t) => {
  const store = memoryStore();
  const log = memoryLog();
  await saveState(store, 'guards', 3, sample);
  t.is(await loadState(store, 'guards', guards, log), undefined);
  t.true(log.has('warn', 'newer'), log.text());

  await saveState(store, 'guards', 1, { list: ['a'] });
  const upgrading: StateKind<Guards> = {
    ...guards,
    upgrade: (value) => ({ names: (value as { list: string[] }).list, key: new Uint8Array(1) }),
  };
  t.deepEqual((await loadState(store, 'guards', upgrading, log))?.names, ['a']);

  await saveState(store, 'guards', 1, { list: ['a'] });
  t.is(await loadState(store, 'guards', guards, log), undefined);
  t.true(log.has('warn', 'no longer read'), log.text());
});

test('any plain value round-trips', (t) => {
  const plain = fc.jsonValue({ noUnicodeString: false, maxDepth: 3 });
  fc.assert(
    fc.property(plain, (value) => {
      const back = decodeState(encodeState(1, value)).value;
      t.is(JSON.stringify(back), JSON.stringify(value));
    }),
    { numRuns: 100 },
  );
});

test('any bytes are a DecodeError or a value', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      t.throws(() => decodeState(bytes), { instanceOf: DecodeError });
    }),
    { numRuns: 200 },
  );
});
