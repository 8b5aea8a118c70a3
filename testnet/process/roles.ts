/**
 * Starts the role a process plays. Each role's code is loaded only where it is needed: a client has no use for an
 * authority's, and a process that loads less is up sooner.
 *
 * @module
 */
import type { Env } from '../../shared/runtime/env.js';
import type { Options } from '../../shared/torrc/options.js';
import type { Role } from '../../shared/torrc/table-types.js';

/** A node that runs. */
export interface RunningNode {
  /** Graceful: let what is under way finish, as ShutdownWaitLength allows. */
  stop(graceful: boolean): Promise<void>;
  /** Takes over what can change while running; the names of the options it took. */
  reload?(options: Options): readonly string[];
}

/** Starts a node of the role. */
export async function startRole(role: Role, options: Options, env: Env): Promise<RunningNode> {
  switch (role) {
    case 'authority': {
      const { startAuthority } = await import('../../directory/node.js');
      return startAuthority(options, env);
    }
    case 'relay': {
      const { startRelay } = await import('../../relay/node.js');
      return startRelay(options, env);
    }
    case 'client': {
      const { startClient } = await import('../../client/node.js');
      const client = await startClient(options, env);
      return { stop: () => client.stop() };
    }
  }
}
