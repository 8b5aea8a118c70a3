/**
 * How V8 is set for a process that carries traffic. For programs of our own to call when they start; whoever embeds the
 * library keeps V8 as it is.
 *
 * @module
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const NODE_MAJOR = Number.parseInt(process.versions.node, 10);

/**
 * Frees buffers on the main thread. Every chunk read and every piece of key stream is a block of the C heap that the
 * collector frees; freed on a thread of its own while the main thread takes new ones, the two wait for one lock of the
 * allocator, switch tasks for it, and cost a relay a quarter of its time on two cores.
 *
 * And marks the whole heap only when it is full, at one go. V8 counts what buffers hold to what is left until it is
 * full, also those that the next small collection frees anyway; marking in steps began at half a dozen megabytes of key
 * stream more or less, for nothing, three times a second, and cost the end of a circuit up to a third of its time. A
 * heap of 12 MB is collected in 25 ms, one that holds 8,000 relays in 50 (44 and steps before), and seldom.
 *
 * All flags are looked at anew in each collection. `--single-threaded-gc` would say more, but V8 aborts when concurrent
 * marking is switched off while it runs.
 */
export function tuneProcess(): void {
  setFlagsFromString('--no-concurrent-array-buffer-sweeping');
  setFlagsFromString('--no-parallel-scavenge');
  setFlagsFromString('--no-incremental-marking');
}

/**
 * Collects the whole heap, some 20 ms. V8 does that to a young process when old space has reached a limit that follows
 * how little survives small collections, as likely as not under somebody's first request; after it the limit follows
 * what is in use.
 */
export function collectNow(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  collect();
}

/**
 * Compiles functions after a fortieth of the work V8 would wait for. What a circuit costs is spread over a thousand
 * functions that each run a few times for it: with V8's own budget a relay is done with that after some thousand
 * circuits, with a thirteenth of it (10,000) after three hundred, with this one after a hundred, which cost more for it;
 * the sum is the same, and so is what a circuit costs later. A start would pay a quarter more, so it is for later: to be
 * called when the process is up.
 */
export function compileSooner(): void {
  // From Node 22 on V8 counts calls instead, and has a compiler between that takes the first few hundred.
  if (NODE_MAJOR < 22) setFlagsFromString('--interrupt-budget=3000');
}
