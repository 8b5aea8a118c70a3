import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { StoreError } from '../../shared/store/errors.js';
import { joinTorrc, runKeys } from './run.js';

test('the torrc that all share: what keeps it from being written or read is said, with what to do', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'cepa-keys-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const torrc = join(directory, 'none', 'torrc');
  await t.throwsAsync(
    runKeys({ authorities: 'auth1', data: directory, torrc }, () => {}),
    { instanceOf: StoreError, message: /none\/torrc: could not be written: its directory is not there/ },
  );
  await t.throwsAsync(joinTorrc(torrc), {
    instanceOf: StoreError,
    message: `${torrc}: could not be read: there is no such file`,
  });
});
