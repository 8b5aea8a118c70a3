import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseOnionAddress } from '../shared/crypto/onion-address.js';
import { runOnionKeygen } from './onion-keygen.js';

test('onion keygen makes C tor’s files once, and prints the address', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'cepa-onion-keygen-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const directory = join(root, 'service');
  const lines: string[] = [];
  t.is(await runOnionKeygen(directory, (line) => lines.push(line)), 0);
  t.is(parseOnionAddress(lines[0]!).length, 32);
  t.is(readFileSync(join(directory, 'hostname'), 'utf8'), `${lines[0]}\n`);
  t.is(statSync(directory).mode & 0o777, 0o700);
  const secret = join(directory, 'hs_ed25519_secret_key');
  t.is(statSync(secret).mode & 0o777, 0o600);
  const before = readFileSync(secret);
  t.true(before.subarray(0, 29).toString().startsWith('== ed25519v1-secret: type0 =='));

  const again: string[] = [];
  await runOnionKeygen(directory, (line) => again.push(line));
  t.is(again[0], lines[0]);
  t.regex(again[1]!, /already/);
  t.deepEqual(readFileSync(secret), before);
});
