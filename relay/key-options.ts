/**
 * How the keys of a relay are handled, as its options and the consensus say.
 *
 * @module
 */
import { TESTING_LINK_RSA_BITS } from '../shared/crypto/link-cert.js';
import type { RelayKeyOptions, RelayKeys } from '../shared/crypto/relay-keys.js';
import type { ConsensusParam } from '../shared/onion/flow.js';
import type { Clock } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';

const DAY = 86_400_000;

/** For `loadOrCreateRelayKeys`. */
export const keyOptionsOf = (options: Options): RelayKeyOptions => ({
  offlineMaster: options.OfflineMasterKey,
  signingLifetime: options.SigningKeyLifetime,
  linkBits: options.TestingTorNetwork ? TESTING_LINK_RSA_BITS : undefined,
});

/** `RelayKeys.rotate`, by the lifetimes of the consensus [get_onion_key_lifetime, get_onion_key_grace_period]. */
export function rotateKeys(
  keys: Pick<RelayKeys, 'rotate'>,
  clock: Clock,
  param: ConsensusParam,
): Promise<boolean> {
  const days = param('onion-key-rotation-days', 28, 1, 90);
  const grace = param('onion-key-grace-period-days', 7, 1, days);
  return keys.rotate(clock.now(), { rotation: days * DAY, grace: grace * DAY });
}
