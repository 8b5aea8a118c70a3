import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';

const CLAIM = new URL('./claim.js', import.meta.url).href;
const PROGRAM = `
  const { claimNumber } = await import(process.argv[1]);
  process.send(await claimNumber(process.argv[2], 'relay'));
  setInterval(() => {}, 1000);
`;

/** A process that claims, as a container would; its number. */
async function claim(t: ExecutionContext, data: string): Promise<{ child: ChildProcess; number: number }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, CLAIM, data], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const [number] = (await once(child, 'message')) as [number];
  return { child, number };
}

test('containers that start together take different places, and a new one takes that of one killed', async (t) => {
  const data = mkdtempSync(join(tmpdir(), 'cepa-claim-'));
  t.teardown(() => rmSync(data, { recursive: true, force: true }));
  const all = await Promise.all([1, 2, 3, 4].map(() => claim(t, data)));
  t.deepEqual(all.map(({ number }) => number).sort(), [1, 2, 3, 4]);

  const second = all.find(({ number }) => number === 2)!;
  second.child.kill('SIGKILL');
  await once(second.child, 'exit');
  const two = await Promise.all([claim(t, data), claim(t, data)]);
  t.deepEqual(two.map(({ number }) => number).sort(), [2, 5]);
  t.deepEqual(readdirSync(join(data, 'relay2')), ['holder']);
});
