/**
 * The X25519 onion keys a relay answers ntor handshakes with.
 *
 * @module
 */
import { sameBytes } from '../bytes/text.js';
import type { OnionKeys } from './ntor.js';
import type { X25519KeyPair } from './x25519.js';

/** A set of one or two keys, and the junk key for what is neither. */
export function onionKeys(
  current: X25519KeyPair,
  previous: X25519KeyPair | undefined,
  junk: X25519KeyPair,
): OnionKeys {
  const known = previous === undefined ? [current] : [current, previous];
  return { junk, find: (publicKey) => known.find((pair) => sameBytes(pair.publicKey, publicKey)) };
}
