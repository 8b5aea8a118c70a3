import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { memoryLog } from '../../shared/log/memory.js';
import { loadOptions } from '../../shared/torrc/parse.js';
import { closeSecrets } from './secrets.js';

test('directories of keys are closed to others, and nothing else is', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'cepa-secrets-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const modes = {
    data: 0o755,
    'data/keys': 0o750,
    'data/cache': 0o755,
    service: 0o755,
    'service/authorized_clients': 0o700,
    auth: 0o777,
  };
  for (const [name, mode] of Object.entries(modes)) {
    mkdirSync(join(root, name));
    chmodSync(join(root, name), mode);
  }
  const torrc = [
    `DataDirectory ${root}/data`,
    `HiddenServiceDir ${root}/service`,
    'HiddenServicePort 80',
    `HiddenServiceDir ${root}/yet-to-be-made`,
    'HiddenServicePort 80',
    `ClientOnionAuthDir ${root}/auth`,
  ];
  const { options } = loadOptions({ files: [{ name: 'torrc', text: torrc.join('\n') }] });
  const log = memoryLog();
  closeSecrets(options, log);
  const now = Object.keys(modes).map((name) => [name, statSync(join(root, name)).mode & 0o7777]);
  t.deepEqual(Object.fromEntries(now), {
    ...modes,
    'data/keys': 0o700,
    service: 0o700,
    auth: 0o700,
  });
  const told = log.text();
  for (const name of ['data/keys', 'service', 'auth'])
    t.true(told.includes(`Others could read ${join(root, name)},`), name);
  closeSecrets(options, log);
  t.is(log.text(), told);
});
