import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { sourceStack } from './stack.js';

test('places in a bundle are told by the sources, all others as they are', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cepa-stack-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const bundle = join(directory, 'cepa-1.cjs');
  // Line 2, column 3 of the bundle is line 7, column 5 of the source.
  const map = {
    version: 3,
    sources: ['../../shared/log/log.ts'],
    names: [],
    mappings: ';EAMI',
  };
  writeFileSync(`${bundle}.map`, JSON.stringify(map));
  const stack = (place: string) =>
    `Error: no\n    at make (${place})\n    at node:internal/main/run_main_module:28:49`;
  t.is(sourceStack(stack(`${bundle}:2:3`)), stack('shared/log/log.ts:7:5'));
  t.is(sourceStack(stack(`${bundle}:1:1`)), stack(`${bundle}:1:1`));
  const other = stack(join(directory, 'cepa-2.cjs:2:3'));
  t.is(sourceStack(other), other);
  writeFileSync(join(directory, 'cepa-2.cjs.map'), 'nonsense');
  t.is(sourceStack(other), other);
});
