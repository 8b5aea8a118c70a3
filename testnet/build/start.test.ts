import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';

const BIN = fileURLToPath(new URL('../../../testnet/bin', import.meta.url));

const BUNDLE = `exports.main = async () => console.log('bundle'); exports.prepare = async () => {};`;

/** An installation in small, compiled and bundled; modules and bundle say which they are. */
function installation(t: ExecutionContext) {
  const root = mkdtempSync(join(tmpdir(), 'cepa-start-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  cpSync(BIN, join(root, 'testnet', 'bin'), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{"type":"module"}');
  const modules = join(root, 'dist', 'testnet', 'process');
  const bundles = join(root, 'dist', 'bundle');
  mkdirSync(modules, { recursive: true });
  mkdirSync(bundles);
  const program = join(modules, 'program.js');
  writeFileSync(program, `export const main = async () => console.log('modules');`);
  writeFileSync(join(bundles, 'cepa-1.cjs'), BUNDLE);
  const current = { name: 'cepa-1', inputs: ['testnet/process/program.js'] };
  writeFileSync(join(bundles, 'current.json'), JSON.stringify(current));
  const run = (file: string, ...args: string[]) =>
    execFileSync(process.execPath, [join(root, 'testnet', 'bin', file), ...args], {
      encoding: 'utf8',
    }).trim();
  return { program, bundles, run };
}

const later = () => Date.now() / 1000 + 10;

test.serial('the bundle runs, with its code cache where there is one that V8 takes', (t) => {
  const { bundles, run } = installation(t);
  t.is(run('cepa.js'), 'bundle');
  t.is(run('start.cjs'), 'bundle');
  run('start.cjs', 'write-cache', 'cepa-1');
  t.is(run('start.cjs'), 'bundle with code cache');
  writeFileSync(join(bundles, 'cepa-1.cache'), 'damaged');
  t.is(run('start.cjs'), 'bundle');
  t.is(run('cepa.js'), 'bundle');
});

test.serial('a module compiled after the bundle runs instead of it', (t) => {
  const { program, run } = installation(t);
  utimesSync(program, later(), later());
  t.is(run('cepa.js'), 'modules');
  t.is(run('start.cjs'), 'modules');
});

test.serial('a process runs the bundle that it is given, while it is there', (t) => {
  const { program, run } = installation(t);
  utimesSync(program, later(), later());
  t.is(run('cepa.js'), 'modules');
  process.env.CEPA_BUNDLE = 'cepa-1';
  t.is(run('cepa.js'), 'bundle');
  process.env.CEPA_BUNDLE = 'cepa-0';
  t.is(run('cepa.js'), 'modules');
  delete process.env.CEPA_BUNDLE;
});

test.serial('modules run where the bundle is missing in whole or in part', (t) => {
  const { program, bundles, run } = installation(t);
  rmSync(join(bundles, 'cepa-1.cjs'));
  t.is(run('cepa.js'), 'modules');
  rmSync(bundles, { recursive: true });
  t.is(run('cepa.js'), 'modules');
  rmSync(program);
  t.throws(() => run('cepa.js'), { message: /not compiled yet/ });
});
