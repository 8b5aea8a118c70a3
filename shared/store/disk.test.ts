import { chmod, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { bytesOf } from '../bytes/text.js';
import { diskStore } from './disk.js';
import { StoreError } from './errors.js';
import { memoryStore } from './memory.js';
import type { Store } from './types.js';

const textOf = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();

/** What every store does, whatever it stands on. */
async function compliance(t: import('ava').ExecutionContext, store: Store): Promise<void> {
  t.is(await store.read('keys/none'), undefined);
  t.deepEqual(await store.list('keys'), []);
  await store.remove('keys/none');

  await store.write('keys/secret_id_key', bytesOf('one'));
  await store.write('keys/secret_id_key', bytesOf('two'));
  await store.write('top', bytesOf('three'));
  await store.write('keys/deep/er', bytesOf('four'));
  t.is(textOf(await store.read('keys/secret_id_key')), 'two');
  t.deepEqual(await store.list('keys'), ['secret_id_key']);
  t.deepEqual(await store.list(''), ['top']);

  const read = await store.read('top');
  read?.fill(0);
  t.is(textOf(await store.read('top')), 'three', 'what was read may be changed');

  t.is(await store.setAside('top'), 'top.damaged-1');
  await store.write('top', bytesOf('five'));
  t.is(await store.setAside('top'), 'top.damaged-2', 'an earlier one is not overwritten');
  t.is(textOf(await store.read('top.damaged-1')), 'three');
  t.is(textOf(await store.read('top.damaged-2')), 'five');
  t.is(await store.read('top'), undefined);
  await t.throwsAsync(store.setAside('top'), { instanceOf: StoreError });

  await store.remove('keys/secret_id_key');
  t.is(await store.read('keys/secret_id_key'), undefined);

  for (const name of [
    '',
    '/etc/passwd',
    '../up',
    'a/../../b',
    'a//b',
    './a',
    'a\\b',
    'a\0b',
    'x'.repeat(300),
  ])
    await t.throwsAsync(async () => store.read(name), { instanceOf: StoreError }, JSON.stringify(name));
}

const scratch = async (t: import('ava').ExecutionContext): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'cepa-store-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
};

test('the memory store', (t) => compliance(t, memoryStore()));

test('the disk store', async (t) => compliance(t, diskStore(join(await scratch(t), 'data'))));

test('files are 0600 and directories 0700, also over a file that was open to others', async (t) => {
  const directory = join(await scratch(t), 'data');
  const store = diskStore(directory);
  await store.write('keys/secret', bytesOf('old'));
  await chmod(join(directory, 'keys/secret'), 0o644);
  await writeFile(join(directory, 'keys/secret.tmp'), 'left by a crash', { mode: 0o644 });
  await store.write('keys/secret', bytesOf('new'));
  t.is((await stat(join(directory, 'keys/secret'))).mode & 0o777, 0o600);
  t.is((await stat(join(directory, 'keys'))).mode & 0o777, 0o700);
  t.is((await stat(directory)).mode & 0o777, 0o700);
  t.deepEqual(await readdir(join(directory, 'keys')), ['secret']);
});

test('writes of one name keep their order, and nobody sees half a file', async (t) => {
  const store = diskStore(await scratch(t));
  const writes = Array.from({ length: 20 }, (_, i) => store.write('state', new Uint8Array(50_000).fill(i)));
  for (let i = 0; i < 20; i++) {
    const seen = await store.read('state');
    if (seen) t.true(seen.length === 50_000 && seen.every((byte) => byte === seen[0]));
  }
  await Promise.all(writes);
  t.is((await store.read('state'))?.[0], 19);
});

test('what a crash left half-written is no file', async (t) => {
  const directory = await scratch(t);
  await writeFile(join(directory, 'state.tmp'), 'half');
  t.deepEqual(await diskStore(directory).list(''), []);
});

test('an error names the file and what is wrong', async (t) => {
  const directory = await scratch(t);
  const store = diskStore(directory);
  await store.write('state/file', bytesOf('x'));
  const error = await t.throwsAsync(store.write('state', bytesOf('x')), { instanceOf: StoreError });
  t.true(error.message.startsWith(join(directory, 'state')), error.message);
  await store.write('fine', bytesOf('x'));
});

test('links to files are listed as files, links to directories are not', async (t) => {
  const directory = await scratch(t);
  await mkdir(join(directory, '..data'));
  await writeFile(join(directory, '..data', 'key'), 'alice');
  await symlink('..data/key', join(directory, 'alice.auth'));
  await symlink('..data', join(directory, 'folder'));
  await symlink('..data/gone', join(directory, 'bob.auth'));
  const store = diskStore(directory);
  t.deepEqual(await store.list(''), ['alice.auth', 'bob.auth']);
  t.is(textOf(await store.read('alice.auth')), 'alice');
  t.is(await store.read('bob.auth'), undefined);
});
