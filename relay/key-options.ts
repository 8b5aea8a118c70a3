/**
 * How the keys of a relay are handled, as its options say.
 *
 * @module
 */
import { TESTING_LINK_RSA_BITS } from '../shared/crypto/link-cert.js';
import type { RelayKeyOptions } from '../shared/crypto/relay-keys.js';
import type { Options } from '../shared/torrc/options.js';

/** For `loadOrCreateRelayKeys`. */
export const keyOptionsOf = (options: Options): RelayKeyOptions => ({
  offlineMaster: options.OfflineMasterKey,
  signingLifetime: options.SigningKeyLifetime,
  linkBits: options.TestingTorNetwork ? TESTING_LINK_RSA_BITS : undefined,
});
