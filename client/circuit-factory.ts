/**
 * What the client's managers need of a circuit, and of whoever builds one. `origin-factory.ts` has the real one, over
 * channels; tests have their own.
 *
 * @module
 */
import type { Stream, StreamHandlers } from '../shared/onion/types.js';
import type { Hop } from './network.js';

/** A circuit that stands. */
export interface ClientCircuit {
  /** Opens a stream at the last hop. Throws when the circuit is gone or has no stream id left. */
  openStream(command: number, data: Uint8Array, handlers: StreamHandlers): Stream;
  /** Tears it down; its streams end. `closed` is not called. */
  close(reason: number): void;
}

/** How a build goes. */
export interface BuildHooks {
  /** The n-th hop stands (1 is the first). */
  hop(n: number): void;
  /** A circuit that stood was destroyed from afar, with a DestroyReason. Its streams have been told. */
  closed(reason: number): void;
}

/** A build under way. */
export interface Build {
  /** Rejects when a hop cannot be made. */
  readonly circuit: Promise<ClientCircuit>;
  /** Gives up; `circuit` rejects, or the circuit that stood is closed. */
  abort(reason: number): void;
}

/** Builds circuits. */
export interface CircuitFactory {
  /** Hop after hop. One hop without an ntor key is made by CREATE_FAST: for directory requests only. */
  build(path: readonly Hop[], hooks: BuildHooks): Build;
}
