/**
 * The identities of a testnet's authorities: every torrc names them, so they are made before any process starts.
 *
 * @module
 */
import { keygenAuthority, loadAuthorityKeys, SIGNING_KEY_FILE } from '../directory/keys.js';
import { toHex } from '../shared/bytes/text.js';
import { loadRsaIdentity } from '../shared/crypto/identity-keys.js';
import { generateRsa } from '../shared/crypto/rsa.js';
import { memoryLog } from '../shared/log/memory.js';
import { realClock } from '../shared/runtime/real.js';
import { diskStore } from '../shared/store/disk.js';
import { isAddress } from '../shared/torrc/addresses.js';
import type { NodePlan } from './plan.js';
import type { AuthorityIdentity } from './torrc-of.js';

/** The shortest RSA keys that C tor takes from an authority; a private network's live for an hour, and start at once. */
const TESTNET_RSA_BITS = 1024;

/**
 * Reads an authority's keys from its directory, or makes those that others name it by; the rest is the business of its
 * process. RSA keys are made off the event loop.
 */
export async function identifyAuthority(node: NodePlan, directory: string): Promise<AuthorityIdentity> {
  const store = diskStore(directory);
  const [relay, authority] = await Promise.all([
    loadRsaIdentity(store, memoryLog(), generateRsa),
    store.read(SIGNING_KEY_FILE).then((key) =>
      key
        ? loadAuthorityKeys(store, realClock.now())
        : keygenAuthority(store, {
            now: realClock.now(),
            identityBits: TESTNET_RSA_BITS,
            signingBits: TESTNET_RSA_BITS,
            // A certificate has no place for a name.
            ...(isAddress(node.address) && { address: { host: node.address, port: node.dirPort } }),
          }),
    ),
  ]);
  return { fingerprint: toHex(relay.id), v3ident: authority.certificate.identity };
}
