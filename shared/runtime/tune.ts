/**
 * How V8 is set for a process that carries traffic. For programs of our own to call when they start; whoever embeds the
 * library keeps V8 as it is.
 *
 * @module
 */
import { setFlagsFromString } from 'node:v8';

/**
 * Collects garbage on the main thread only. Every chunk read and every piece of key stream is a block of the C heap that
 * the collector frees; freed on threads of its own while the main thread takes new ones, the two wait for one lock of
 * the allocator, switch tasks for it, and cost a relay a third of its time on two cores.
 */
export function tuneProcess(): void {
  setFlagsFromString('--single-threaded-gc');
}
