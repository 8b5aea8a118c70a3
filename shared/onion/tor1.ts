/**
 * tor1, the relay crypto of every hop but the onion-service one and CGO's (tor-spec 5.5, 6.1): AES-128-CTR layers,
 * and a running SHA-1 seeded with Df or Db.
 *
 * @module
 */
import { ClientLayer, Direction } from './direction.js';
import { RunningDigest } from './running-hash.js';
import { sha1 } from './sha1.js';
import type { HopKeys, RelayLayer } from './types.js';

const direction = (seed: Uint8Array, key: Uint8Array) => new Direction(new RunningDigest(sha1(), seed), key);

/** A relay's layer, from the keys of its circuit handshake. */
export function tor1Relay(keys: HopKeys): RelayLayer {
  const forward = direction(keys.df, keys.kf);
  const backward = direction(keys.db, keys.kb);
  return {
    openForward: (batch, mine) => forward.open(batch, mine),
    wrapBackward: (batch) => backward.crypt(batch),
    sealBackward: (batch) => backward.seal(batch),
    ready() {
      forward.ready();
      backward.ready();
    },
    openTag: (i) => forward.tag(i),
    sealTag: (i) => backward.tag(i),
  };
}

/** A client's layer for one hop, from the keys of its circuit handshake. */
export const tor1Client = (keys: HopKeys): ClientLayer =>
  new ClientLayer(direction(keys.df, keys.kf), direction(keys.db, keys.kb));
