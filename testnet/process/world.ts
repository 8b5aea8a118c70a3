/**
 * The real world, as far as a node process meets it.
 *
 * @module
 */
import { realClock } from '../../shared/runtime/real.js';
import { resolvConfResolver, systemResolver } from '../../shared/runtime/resolver.js';
import type { Resolver } from '../../shared/runtime/types.js';
import type { Options } from '../../shared/torrc/options.js';

export { keepX25519Ahead } from '../../shared/crypto/key-pool.js';
export { availableMemory, osRandom, realClock, realTransport } from '../../shared/runtime/real.js';

/** The resolver the options ask for. */
export const resolverOf = (options: Options): Promise<Resolver> =>
  options.ServerDNSResolvConfFile === undefined
    ? systemResolver(realClock)
    : resolvConfResolver(options.ServerDNSResolvConfFile, realClock);
