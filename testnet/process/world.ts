/**
 * The real world, as far as a node process meets it.
 *
 * @module
 */
import { realClock, realTransport } from '../../shared/runtime/real.js';
import { resolvConfResolver, systemResolver } from '../../shared/runtime/resolver.js';
import type { Resolver } from '../../shared/runtime/types.js';
import { type ThreadedTransport, threadedTransport } from '../../shared/runtime/workers/transport.js';
import type { Options } from '../../shared/torrc/options.js';
import { LINK_THREAD } from '../threads.js';

export { keepX25519Ahead } from '../../shared/crypto/key-pool.js';
export { availableMemory, osRandom, realClock } from '../../shared/runtime/real.js';

/** The resolver the options ask for. */
export const resolverOf = (options: Options): Promise<Resolver> =>
  options.ServerDNSResolvConfFile === undefined
    ? systemResolver(realClock)
    : resolvConfResolver(options.ServerDNSResolvConfFile, realClock);

/**
 * The transport for as many threads as the options ask for: with two or more, links get one of their own. `failed` is
 * told when that came to an unexpected end.
 */
export const openTransport = (
  { NumCPUs }: Pick<Options, 'NumCPUs'>,
  failed: (error: Error) => void,
): ThreadedTransport =>
  NumCPUs > 1
    ? threadedTransport({ failed, script: LINK_THREAD })
    : { ...realTransport(), close: async () => {} };
