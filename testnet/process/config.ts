/**
 * Reads a node's configuration from the disk: the torrc, what it includes, and the command line.
 *
 * @module
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { CepaError } from '../../shared/bytes/errors.js';
import type { TorrcFile } from '../../shared/torrc/lines.js';
import { type Loaded, loadOptions } from '../../shared/torrc/parse.js';
import type { Role } from '../../shared/torrc/table-types.js';
import { POLICY_RULES } from './policy-rules.js';

/** Where a node's configuration comes from. */
export interface ConfigSource {
  readonly role: Role;
  /** Paths of torrc files, lowest layer first. */
  readonly files: readonly string[];
  /** `--Option value` pairs. */
  readonly args: readonly string[];
}

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'a directory, not a file',
};

/** A torrc that cannot be read. */
export class ConfigFileError extends CepaError {
  constructor(path: string, error: unknown) {
    const { code = '' } = (error ?? {}) as NodeJS.ErrnoException;
    super('config-file', `${path}: ${FILE_ERRORS[code] ?? String(error)}`, { cause: error });
  }
}

function readTorrc(path: string): TorrcFile {
  try {
    return { name: path, text: readFileSync(path, 'utf8') };
  } catch (error) {
    throw new ConfigFileError(path, error);
  }
}

/** Loads the options; throws a TorrcError, or a ConfigFileError for one of the `files`. */
export function loadConfig(source: ConfigSource): Loaded {
  return loadOptions({
    files: source.files.map(readTorrc),
    args: source.args,
    include: includeFiles,
    role: source.role,
    home: homedir(),
    rules: POLICY_RULES,
  });
}

function kindOf(path: string): 'directory' | 'file' | undefined {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found?.isDirectory() ? 'directory' : found?.isFile() ? 'file' : undefined;
  } catch (error) {
    // A file on the way there: nothing can be below it.
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw new ConfigFileError(path, error);
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    throw new ConfigFileError(directory, error);
  }
}

/**
 * As C tor: a directory stands for its files, `*` and `?` for any name; files that start with a dot are left out,
 * unless the pattern has the dot. Throws a ConfigFileError for what cannot be looked at.
 */
export function includeFiles(pattern: string, from: string): TorrcFile[] | undefined {
  const full = isAbsolute(pattern) ? pattern : join(dirname(from), pattern);
  const wild = /[*?]/.test(full);
  const paths = wild ? expand(full) : [full];
  if (!wild && kindOf(full) === undefined) return undefined;
  return paths.flatMap((path) => (kindOf(path) === 'directory' ? filesIn(path) : [path])).map(readTorrc);
}

function filesIn(directory: string): string[] {
  return namesIn(directory)
    .filter((name) => !name.startsWith('.'))
    .map((name) => join(directory, name))
    .filter((path) => kindOf(path) === 'file');
}

function expand(pattern: string): string[] {
  let found = ['/'];
  for (const part of pattern.split('/').filter((piece) => piece !== '')) {
    if (!/[*?]/.test(part)) {
      found = found.map((directory) => join(directory, part)).filter((path) => kindOf(path) !== undefined);
      continue;
    }
    const matches = new RegExp(
      `^${part
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replaceAll('*', '.*')
        .replaceAll('?', '.')}$`,
    );
    found = found
      .filter((directory) => kindOf(directory) === 'directory')
      .flatMap((directory) =>
        namesIn(directory)
          .filter((name) => name.startsWith('.') === part.startsWith('.') && matches.test(name))
          .map((name) => join(directory, name)),
      );
  }
  return found;
}
