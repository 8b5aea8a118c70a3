/**
 * Starts the role a process plays. Each role's code is loaded only where it is needed: a client has no use for an
 * authority's, and a process that loads less is up sooner.
 *
 * @module
 */
import type { Env } from '../../shared/runtime/env.js';
import type { Options } from '../../shared/torrc/options.js';
import type { Role } from '../../shared/torrc/table-types.js';
import { registerClientMetrics } from './client-metrics.js';
import { authorityMissing, clientMissing, type Missing, relayMissing } from './readiness.js';

/** A node that runs. */
export interface RunningNode {
  /** Graceful: let what is under way finish, as ShutdownWaitLength allows. */
  stop(graceful: boolean): Promise<void>;
  /** Takes over what can change while running; the names of the options it took. */
  reload?(options: Options): readonly string[];
  /** What keeps it from being of use now; undefined when nothing does. */
  missing(): Missing;
}

const withReadiness = (node: Omit<RunningNode, 'missing'>, missing: () => Missing): RunningNode => ({
  stop: (graceful) => node.stop(graceful),
  ...(node.reload && { reload: (options) => node.reload?.(options) ?? [] }),
  missing,
});

/** Starts a node of the role. */
export async function startRole(role: Role, options: Options, env: Env): Promise<RunningNode> {
  switch (role) {
    case 'authority': {
      const { startAuthority } = await import('../../directory/node.js');
      const authority = await startAuthority(options, env);
      return withReadiness(authority, () => authorityMissing(authority.status(), env.clock.now()));
    }
    case 'relay': {
      const { startRelay } = await import('../../relay/node.js');
      const relay = await startRelay(options, env);
      return withReadiness(relay, () => relayMissing(relay.status(), env.clock.now()));
    }
    case 'client': {
      const { startClient } = await import('../../client/node.js');
      const client = await startClient(options, env);
      if (env.metrics) registerClientMetrics(env.metrics, () => client.status());
      return {
        stop: () => client.stop(),
        reload: (next) => client.reload(next),
        missing: () => clientMissing(client.status()),
      };
    }
  }
}
