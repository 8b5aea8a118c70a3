/**
 * A whole circuit, hop after hop.
 *
 * @module
 */
import type { ChannelManager } from '../link/types.js';
import type { HopTarget } from './hop.js';
import {
  type CircuitEnv,
  createOriginCircuit,
  type NextHop,
  type OriginCircuit,
  type OriginOptions,
} from './origin.js';

/** Options of a build. */
export interface BuildOptions extends Omit<OriginOptions, 'carries' | 'next'> {
  /** Whether the last hop carries data, and is asked for congestion control: exits, not directories. */
  readonly carries?: boolean;
  /** Hop number `n` stands (1 is the first). */
  readonly onHop?: (n: number) => void;
}

/**
 * Builds a circuit along a path. `signal` stops it at any time until it stands. Rejects with CircuitBuildError, and
 * nothing of the circuit is left then; `onClosed` is told only of a circuit that stood.
 */
export async function buildCircuit(
  env: CircuitEnv,
  channels: Pick<ChannelManager, 'get'>,
  path: readonly [HopTarget, ...HopTarget[]],
  options: BuildOptions = {},
): Promise<OriginCircuit> {
  const { onClosed, onHop, signal, carries = false } = options;
  /** Only the last hop carries. */
  const hopAt = (i: number): NextHop | undefined => {
    const target = path[i];
    return target && { target, carries: carries && i === path.length - 1 };
  };
  let complete = false;
  const circuit = await createOriginCircuit(env, channels, path[0], {
    ...options,
    carries: carries && path.length === 1,
    next: hopAt(1),
    onClosed: (reason) => {
      if (complete) onClosed?.(reason);
    },
  });
  const abort = () => circuit.close();
  signal?.addEventListener('abort', abort);
  try {
    if (signal?.aborted) abort();
    onHop?.(1);
    for (let i = 1, hop = hopAt(i); hop; hop = hopAt(++i)) {
      await circuit.extend(hop.target, { carries: hop.carries, next: hopAt(i + 1) });
      onHop?.(i + 1);
    }
  } catch (error) {
    // A hop that cannot be asked for leaves the others standing.
    circuit.close();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
  // It may have died since its last hop was made.
  if (circuit.failure) throw circuit.failure;
  complete = true;
  return circuit;
}
