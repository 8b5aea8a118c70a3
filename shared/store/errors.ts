/**
 * What can go wrong between a node and its files.
 *
 * @module
 */
import { CepaError } from '../bytes/errors.js';

/** A file could not be read or written, or a name is not one a store takes. `file` says which. */
export class StoreError extends CepaError {
  readonly file: string;
  constructor(file: string, message: string, options?: { cause?: unknown }) {
    super('store', `${file}: ${message}`, options);
    this.file = file;
  }
}

/** What to do about the system's commonest refusals. */
function explain(doing: string, error: unknown): string {
  switch ((error as NodeJS.ErrnoException | undefined)?.code) {
    case 'EACCES':
    case 'EPERM':
      return `could not be ${doing}: permission denied; the user this runs as must be allowed to ${doing === 'read' ? 'read' : 'write'} there`;
    case 'ENOSPC':
    case 'EDQUOT':
      return `could not be ${doing}: the disk is full; make room there`;
    case 'EROFS':
      return `could not be ${doing}: the file system is read-only`;
    case 'EISDIR':
      return `could not be ${doing}: a directory is in its place`;
    case 'ENOTDIR':
      return `could not be ${doing}: a file is where a directory has to be`;
    case 'ENOENT':
      // What is above it is there.
      if (doing === 'made') return 'could not be made: nothing can be made there; choose another place';
      if (doing === 'read') return 'could not be read: there is no such file';
      if (doing === 'written' || doing === 'opened')
        return `could not be ${doing}: its directory is not there, or takes no files; make it, or choose another place`;
      break;
  }
  return `could not be ${doing}: ${error instanceof Error ? error.message : String(error)}`;
}

/** The error of a system call about a file: what could not be `doing` (made, written, read, opened), why, what to do. */
export const systemError = (file: string, doing: string, error: unknown): StoreError =>
  error instanceof StoreError ? error : new StoreError(file, explain(doing, error), { cause: error });

/** Longest name, in characters; keeps a name built from a peer's words from becoming a path of any length. */
const MAX_NAME = 200;

/**
 * The parts of a file name. Refuses what could leave the data directory: absolute names, `.`, `..`, empty parts,
 * backslashes and control characters.
 */
export function nameParts(name: string): string[] {
  const parts = name.split('/');
  const bad = parts.some((part) => part === '' || part === '.' || part === '..');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (bad || name.length > MAX_NAME || /[\u0000-\u001f\\]/.test(name))
    throw new StoreError(
      JSON.stringify(name.slice(0, MAX_NAME)),
      'not a name for a file in a data directory',
    );
  return parts;
}
