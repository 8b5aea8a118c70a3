/**
 * Keeps directories of secrets from all but their owner.
 *
 * @module
 */
import { chmodSync, statSync } from 'node:fs';
import { systemError } from './errors.js';

const OTHERS = 0o077;

/**
 * Takes from others what they may do with a directory, and says whether they could do anything. False where there is
 * none, and on systems without such rights. Throws a StoreError where it cannot be taken from them: a directory of
 * somebody else's, a system that is only read.
 */
export function closeDirectory(path: string): boolean {
  if (!process.getuid) return false;
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isDirectory() || (found.mode & OTHERS) === 0) return false;
  try {
    chmodSync(path, found.mode & 0o7777 & ~OTHERS);
  } catch (error) {
    throw systemError(path, 'closed to others', error);
  }
  return true;
}
