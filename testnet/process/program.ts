/**
 * The program, as the files in testnet/bin start it: everything is behind an `import()`, so that each process loads
 * what its role needs and no more.
 *
 * @module
 */
import { tuneProcess } from '../../shared/runtime/tune.js';
import type { ConfigSource } from './config.js';

/** Runs the command line `cepa ARGV…`. */
export const main = async (argv: readonly string[]): Promise<void> => (await import('../cli.js')).main(argv);

/** Runs one node. */
export async function runNode(source: ConfigSource): Promise<void> {
  tuneProcess();
  await (await import('./run.js')).runNode(source);
}

/** Loads what nodes and the launcher of a testnet load, and runs what they run first: for the code cache of the bundle. */
export async function prepare(): Promise<void> {
  await Promise.all([
    import('../cli.js'),
    import('../command.js'),
    import('../identities.js'),
    import('./run.js'),
    import('./world.js'),
    import('../../directory/node.js'),
    import('../../relay/node.js'),
    import('../../client/node.js'),
    import('../../shared/crypto/x509.js'),
    import('fastify'),
  ]);
  await (await import('./rehearsal.js')).rehearse();
}
