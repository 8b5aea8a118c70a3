/**
 * fast-check with inputs that are the same at each run: what passed once passes again. `CEPA_SEED`, any text, chooses
 * others; a property that fails prints its own seed and path.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import fc from 'fast-check';

const { CEPA_SEED = 'properties' } = process.env;

fc.configureGlobal({ seed: createHash('sha256').update(CEPA_SEED).digest().readInt32BE() });

export { fc };
