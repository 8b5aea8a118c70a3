/**
 * The program of a testnet's node: `node entry.js ROLE -f TORRC`. The command `cepa ROLE` does the same after it has
 * read its own options; this one loads nothing it does not need, since a testnet starts a dozen at once.
 *
 * @module
 */
import type { Role } from '../../shared/torrc/table-types.js';
import { runNode } from './run.js';

const [role, , torrc] = process.argv.slice(2);
await runNode({ role: role as Role, files: [torrc ?? ''], args: [] });
