/**
 * The relay crypto of the hop between an onion service and its client, at the end of two joined circuits
 * (rend-spec-v3 4.1): as tor1, with AES-256-CTR and SHA3-256 seeded with 32 bytes. A SENDME tag is the first 20
 * bytes of the digest.
 *
 * @module
 */
import { ClientLayer, Direction } from './direction.js';
import { RunningDigest } from './running-hash.js';
import { sha3 } from './sha3.js';

/** Bytes of keys a hop needs: Df (32), Db (32), Kf (32), Kb (32), from SHAKE-256 of the hs-ntor seed. */
export const HS_KEYS_SIZE = 128;

/**
 * The layer of the onion-service hop, as either end sees it: `keys` is the 128 bytes of the hs-ntor expansion. The
 * client sends with Df and Kf, the service with Db and Kb.
 */
export function tor1Hs(keys: Uint8Array, role: 'client' | 'service'): ClientLayer {
  const part = (n: number) => keys.subarray(n * 32, (n + 1) * 32);
  const toService = new Direction(new RunningDigest(sha3(), part(0)), part(2));
  const toClient = new Direction(new RunningDigest(sha3(), part(1)), part(3));
  return role === 'client' ? new ClientLayer(toService, toClient) : new ClientLayer(toClient, toService);
}
