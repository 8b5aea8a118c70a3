/**
 * Real circuits for the client's managers: `shared/circuit` over channels.
 *
 * @module
 */
import { buildCircuit } from '../shared/circuit/build.js';
import type { HopTarget } from '../shared/circuit/hop.js';
import type { CircuitEnv, OriginCircuit } from '../shared/circuit/origin.js';
import type { ChannelManager } from '../shared/link/types.js';
import type { ConsensusParam } from '../shared/onion/flow.js';
import type { Build, BuildHooks, CircuitFactory, ClientCircuit } from './circuit-factory.js';

/** Builds over these channels; `param` reads the consensus now in force. */
export function originFactory(
  env: CircuitEnv,
  channels: Pick<ChannelManager, 'get'>,
  param: ConsensusParam,
): CircuitFactory {
  return {
    build(path: readonly HopTarget[], hooks: BuildHooks): Build {
      const abort = new AbortController();
      let standing: OriginCircuit | undefined;
      const [first, ...more] = path;
      if (!first) throw new RangeError('a circuit has at least one hop');
      const circuit = buildCircuit(env, channels, [first, ...more], {
        param,
        carries: path.length > 1,
        signal: abort.signal,
        onHop: (n) => hooks.hop(n),
        onClosed: (reason) => hooks.closed(reason),
      }).then((origin): ClientCircuit => {
        standing = origin;
        return origin;
      });
      return {
        circuit,
        abort(reason) {
          abort.abort();
          standing?.close(reason);
        },
      };
    },
  };
}
