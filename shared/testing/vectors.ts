/**
 * Test vectors and real documents, read from `shared/testing/vectors/` of the source tree.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const compiled = dirname(fileURLToPath(import.meta.url));
// Compiled files lie in dist/shared/testing; the vectors are not compiled.
const folder = join(compiled, '..', '..', '..', 'shared', 'testing', 'vectors');

/** The text of a vector file, e.g. `real-tor/consensus-ns.txt`. */
export const vectorText = (name: string): string => readFileSync(join(folder, name), 'latin1');

/** A JSON vector file; the caller states its shape. */
export const vectors = <T>(name: string): T => JSON.parse(readFileSync(join(folder, name), 'utf8')) as T;
