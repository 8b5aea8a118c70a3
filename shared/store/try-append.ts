/**
 * Whether a file can be appended to, tried before something that would be worse off for finding out.
 *
 * @module
 */
import { closeSync, openSync } from 'node:fs';

/** Opens it, as `mode` where there is none yet, and closes it again. Throws as `openSync` does. */
export function tryAppend(file: string, mode: number): void {
  closeSync(openSync(file, 'a', mode));
}
