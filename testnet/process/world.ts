/**
 * The real world, as far as a node process meets it.
 *
 * @module
 */
import { HS_KEYS_SIZE, tor1Hs } from '../../shared/onion/tor1-hs.js';
import { realClock, realTransport } from '../../shared/runtime/real.js';
import { resolvConfResolver, systemResolver } from '../../shared/runtime/resolver.js';
import { collectNow, compileSooner } from '../../shared/runtime/tune.js';
import type { Crew, Resolver, Transport } from '../../shared/runtime/types.js';
import { startCrew } from '../../shared/runtime/workers/crew.js';
import { threadedTransport } from '../../shared/runtime/workers/transport.js';
import type { Options } from '../../shared/torrc/options.js';
import type { Role } from '../../shared/torrc/table-types.js';
import { HANDSHAKE_THREAD, LINK_THREAD } from '../threads.js';

export { keepX25519Ahead } from '../../shared/crypto/key-pool.js';
export { availableMemory, osRandom, realClock } from '../../shared/runtime/real.js';

/** The resolver the options ask for. */
export const resolverOf = (options: Options): Promise<Resolver> =>
  options.ServerDNSResolvConfFile === undefined
    ? systemResolver(realClock)
    : resolvConfResolver(options.ServerDNSResolvConfFile, realClock);

/** What pays later and would cost a start, or else the first who asks for it: to be called when the process is up. */
export function settle(role: Role): void {
  compileSooner();
  // Makes the code of the cipher between a client and an onion service.
  if (role === 'client') tor1Hs(new Uint8Array(HS_KEYS_SIZE), 'client');
  collectNow();
}

/** What runs in other threads. */
export interface Threads {
  readonly transport: Transport;
  /** For handshakes; absent with one core. */
  readonly crew?: Crew;
  close(): Promise<void>;
}

/**
 * Starts the threads that the options ask for: with two cores or more, one for links, and what is left, at least one, for
 * handshakes. `failed` is told when one came to an unexpected end.
 */
export function startThreads({ NumCPUs }: Pick<Options, 'NumCPUs'>, failed: (error: Error) => void): Threads {
  if (NumCPUs < 2) return { transport: realTransport(), close: async () => {} };
  const transport = threadedTransport({ failed, script: LINK_THREAD });
  const crew = startCrew({ size: Math.max(1, NumCPUs - 2), failed, script: HANDSHAKE_THREAD });
  return {
    transport,
    crew,
    close: async () => {
      await Promise.all([transport.close(), crew.close()]);
    },
  };
}
