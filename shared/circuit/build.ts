/**
 * A whole circuit, hop after hop.
 *
 * @module
 */
import type { ChannelManager } from '../link/types.js';
import type { HopTarget } from './hop.js';
import { type CircuitEnv, createOriginCircuit, type OriginCircuit, type OriginOptions } from './origin.js';

/** Options of a build. */
export interface BuildOptions extends Omit<OriginOptions, 'carries'> {
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
  let complete = false;
  const circuit = await createOriginCircuit(env, channels, path[0], {
    ...options,
    carries: carries && path.length === 1,
    onClosed: (reason) => {
      if (complete) onClosed?.(reason);
    },
  });
  const abort = () => circuit.close();
  signal?.addEventListener('abort', abort);
  try {
    if (signal?.aborted) abort();
    onHop?.(1);
    for (const [i, hop] of path.slice(1).entries()) {
      await circuit.extend(hop, { carries: carries && i === path.length - 2 });
      onHop?.(i + 2);
    }
  } finally {
    signal?.removeEventListener('abort', abort);
  }
  // It may have died since its last hop was made.
  if (circuit.failure) throw circuit.failure;
  complete = true;
  return circuit;
}
