/**
 * `fingerprint` and `fingerprint-ed25519` in the data directory, as C tor writes them (router_write_fingerprint): the
 * nickname, a space, and the RSA fingerprint in capitals or the ed25519 identity in base64.
 *
 * @module
 */
import { bytesOf, sameBytes, toBase64Bare, toHex } from '../shared/bytes/text.js';
import type { RelayKeys } from '../shared/crypto/relay-keys.js';
import type { Store } from '../shared/store/types.js';

/** Writes both, where they do not say so already. */
export async function writeFingerprints(
  store: Store,
  nickname: string,
  keys: Pick<RelayKeys, 'rsaId' | 'ed25519Id'>,
): Promise<void> {
  const files = {
    fingerprint: toHex(keys.rsaId),
    'fingerprint-ed25519': toBase64Bare(keys.ed25519Id),
  };
  for (const [file, id] of Object.entries(files)) {
    const line = bytesOf(`${nickname} ${id}\n`);
    const before = await store.read(file);
    if (!before || !sameBytes(before, line)) await store.write(file, line);
  }
}
