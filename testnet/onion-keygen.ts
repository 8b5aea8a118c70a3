/**
 * `cepa onion keygen`: the keys of an onion service, made offline.
 *
 * @module
 */
import { resolve } from 'node:path';
import { HS_FILES, loadOrCreateHsIdentity } from '../shared/crypto/hs-keyfiles.js';
import { osRandom } from '../shared/runtime/real.js';
import { diskStore } from '../shared/store/disk.js';
import { makeDirectory } from '../shared/store/make-directory.js';

/** Makes the keys of a service in a directory, or finds them there; prints its address. The exit status. */
export async function runOnionKeygen(directory: string, out: (line: string) => void): Promise<number> {
  const path = resolve(directory);
  makeDirectory(path);
  const store = diskStore(path);
  const known = (await store.read(HS_FILES.secret)) !== undefined;
  const { address } = await loadOrCreateHsIdentity(store, '', osRandom);
  out(address);
  if (known) out(`The keys were in ${path} already; nothing was changed.`);
  return 0;
}
