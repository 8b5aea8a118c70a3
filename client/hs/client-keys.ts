/**
 * A client's keys for services that ask for authorization: the files of ClientOnionAuthDir.
 *
 * @module
 */
import { CepaError, DecodeError } from '../../shared/bytes/errors.js';
import { toHex } from '../../shared/bytes/text.js';
import { parseClientAuthorization } from '../../shared/crypto/hs-keyfiles.js';
import type { X25519KeyPair } from '../../shared/crypto/x25519.js';
import { sensitive } from '../../shared/log/sensitive.js';
import { documentText } from '../../shared/netdoc/tokenizer.js';
import type { Env } from '../../shared/runtime/env.js';

/** The keys, by the service's identity in hex. A file that cannot be read is passed over with a warning. */
export async function loadClientKeys(
  directory: string | undefined,
  env: Pick<Env, 'log' | 'storeAt'>,
): Promise<ReadonlyMap<string, X25519KeyPair>> {
  const keys = new Map<string, X25519KeyPair>();
  if (directory === undefined) return keys;
  if (!env.storeAt)
    throw new CepaError('client/config', 'ClientOnionAuthDir: this process cannot reach directories');
  const store = env.storeAt(directory);
  const files = (await store.list('')).filter((name) => name.endsWith('.auth_private'));
  for (const file of files)
    try {
      const bytes = await store.read(file);
      if (!bytes) continue;
      const { identity, key } = parseClientAuthorization(documentText(bytes, file).trim(), file);
      keys.set(toHex(identity), key);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      env.log.warn(`Passing over a client authorization: ${error.message}`, { file: sensitive(file) });
    }
  return keys;
}
