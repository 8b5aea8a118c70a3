import { type ChildProcess, spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { StoreError } from '../../shared/store/errors.js';
import { LockedError, lockDirectory } from './lock.js';

function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cepa-lock-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Another process that takes the lock, says so, and keeps it. */
function holder(t: ExecutionContext, directory: string): Promise<ChildProcess> {
  const script = `
    const { lockDirectory } = await import(${JSON.stringify(new URL('./lock.js', import.meta.url).href)});
    lockDirectory(${JSON.stringify(directory)});
    console.log('held');
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  return new Promise((resolve) => child.stdout?.once('data', () => resolve(child)));
}

const gone = (child: ChildProcess) => new Promise((resolve) => child.once('exit', resolve));

test('one holder at a time, by name; a released lock is free', (t) => {
  const directory = join(scratch(t), 'data');
  const lock = lockDirectory(directory);
  const error = t.throws(() => lockDirectory(directory), { instanceOf: LockedError });
  t.is(error.holder, process.pid);
  t.true(error.message.includes(directory));
  lock.release();
  lockDirectory(directory).release();
  t.deepEqual(readdirSync(directory), []);
});

test('another process holds it while it lives, and no longer', async (t) => {
  const directory = scratch(t);
  const child = await holder(t, directory);
  t.is(t.throws(() => lockDirectory(directory), { instanceOf: LockedError }).holder, child.pid as number);
  child.kill('SIGKILL');
  await gone(child);
  lockDirectory(directory).release();
  t.pass();
});

test('a lock whose process id went to another process is stale, and so is nonsense', (t) => {
  const directory = scratch(t);
  for (const content of [
    `${process.pid} 1\n`,
    `${process.ppid} 1\n`,
    '',
    'nonsense',
    '99999999999999 5\n',
    '0 0\n',
  ]) {
    writeFileSync(join(directory, 'lock'), content);
    const lock = lockDirectory(directory);
    t.true(
      readFileSync(join(directory, 'lock'), 'latin1').startsWith(`${process.pid} `),
      JSON.stringify(content),
    );
    lock.release();
  }
});

test('releasing leaves a lock that is another’s', (t) => {
  const directory = scratch(t);
  const lock = lockDirectory(directory);
  writeFileSync(join(directory, 'lock'), '1 1\n');
  lock.release();
  t.deepEqual(readdirSync(directory), ['lock']);
});

test('a lock that cannot be read is an error that names it', (t) => {
  const directory = scratch(t);
  mkdirSync(join(directory, 'lock'));
  const error = t.throws(() => lockDirectory(directory), { instanceOf: StoreError });
  t.is(error.message, `${directory}/lock: could not be read: a directory is in its place`);
  t.deepEqual(readdirSync(directory), ['lock']);
});

test('a full disk is said, and nothing is left on it', (t) => {
  const directory = scratch(t);
  symlinkSync('/dev/full', join(directory, `lock.${process.pid}`));
  t.throws(() => lockDirectory(directory), { instanceOf: StoreError, message: /the disk is full/ });
  t.deepEqual(readdirSync(directory), []);
});
