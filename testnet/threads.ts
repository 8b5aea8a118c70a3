/**
 * Where the programs of threads are: modules, which the bundle does not hold. It lies as deep as this one does.
 *
 * @module
 */

export const LINK_THREAD = new URL('../shared/runtime/workers/thread.js', import.meta.url);

export const HANDSHAKE_THREAD = new URL('../relay/handshake-thread.js', import.meta.url);
