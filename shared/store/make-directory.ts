/**
 * Makes directories of our own: readable by nobody else.
 *
 * Not by Node's `mkdir` with `recursive`: below /proc, where nothing can be made, it looks for the parent and tries
 * again for ever.
 *
 * @module
 */
import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { systemError } from './errors.js';

const OWN_ONLY = 0o700;

/** Whether there is a directory; throws a StoreError when something else is in its place, or may not be looked at. */
function isDirectory(path: string): boolean {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found && !found.isDirectory()) throw Object.assign(new Error('not a directory'), { code: 'ENOTDIR' });
    return found !== undefined;
  } catch (error) {
    throw systemError(path, 'made', error);
  }
}

/** Makes a directory and what is missing above it, mode 0700. Throws a StoreError that names the one at fault. */
export function makeDirectory(path: string): void {
  const missing: string[] = [];
  for (let at = resolve(path); !isDirectory(at); at = dirname(at)) missing.push(at);
  for (const each of missing.reverse()) {
    try {
      mkdirSync(each, { mode: OWN_ONLY });
    } catch (error) {
      // Another process may have been faster.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !isDirectory(each))
        throw systemError(each, 'made', error);
    }
  }
}
