import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { runKeygenAuthority } from './keygen.js';

test('keygen authority: keys, a certificate, and the words for the DirAuthority line; never twice', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cepa-keygen-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const lines: string[] = [];
  const command = { dir: directory, months: 6, renew: false, address: '198.51.100.1:9030' };
  t.is(await runKeygenAuthority(command, (line) => lines.push(line)), 0);
  const ident = /v3ident=([0-9A-F]{40})$/.exec(lines.at(-1) ?? '')?.[1];
  t.truthy(ident, lines.join('\n'));
  t.is(statSync(join(directory, 'keys/authority_identity_key')).mode & 0o777, 0o600);

  await t.throwsAsync(
    runKeygenAuthority(command, () => {}),
    { message: /is there already/ },
  );
  const renewed: string[] = [];
  t.is(await runKeygenAuthority({ ...command, renew: true }, (line) => renewed.push(line)), 0);
  t.true(renewed.at(-1)?.endsWith(`v3ident=${ident}`), 'the identity stays');

  for (const address of ['nowhere', 'auth1.example.org:9030', '[::1]:9030', '1.2.3.4:0'])
    await t.throwsAsync(
      runKeygenAuthority({ ...command, address, renew: true }, () => {}),
      { message: `--address "${address}" is not an IPv4 address and port; a certificate takes nothing else` },
    );
});

test('keygen authority: a passphrase file without a passphrase encrypts nothing with nothing', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cepa-keygen-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const passphraseFile = join(directory, 'passphrase');
  const command = { dir: join(directory, 'data'), months: 6, renew: false, passphraseFile };
  for (const text of ['', '\n', '\nsecond line\n']) {
    writeFileSync(passphraseFile, text);
    await t.throwsAsync(
      runKeygenAuthority(command, () => {}),
      { message: /^The passphrase is empty/ },
    );
  }
  t.false(existsSync(join(command.dir, 'keys/authority_identity_key')));
});
