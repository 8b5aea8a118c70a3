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
