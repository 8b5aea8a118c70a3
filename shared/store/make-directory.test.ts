import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { StoreError } from './errors.js';
import { makeDirectory } from './make-directory.js';

function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cepa-directory-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('directories are made down to the last, for the owner alone; what is there stays as it is', (t) => {
  const root = scratch(t);
  mkdirSync(join(root, 'a'));
  chmodSync(join(root, 'a'), 0o755);
  makeDirectory(join(root, 'a', 'b', 'c'));
  makeDirectory(join(root, 'a', 'b', 'c'));
  for (const [path, mode] of [
    ['a', 0o755],
    ['a/b', 0o700],
    ['a/b/c', 0o700],
  ] as const)
    t.is(statSync(join(root, path)).mode & 0o777, mode, path);
});

test('where nothing can be made, and where a file is in the way, an error says so', (t) => {
  const root = scratch(t);
  writeFileSync(join(root, 'file'), '');
  for (const path of ['/proc/x', '/proc/x/y/z']) {
    const error = t.throws(() => makeDirectory(path), { instanceOf: StoreError });
    t.is(error.message, '/proc/x: could not be made: nothing can be made there; choose another place');
  }
  for (const path of ['file', 'file/a', 'file/a/b'])
    t.throws(() => makeDirectory(join(root, path)), { message: /a file is where a directory has to be$/ });
});
