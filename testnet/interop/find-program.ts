/**
 * Where programs are that nobody here wrote.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Folders that are looked through: the PATH, and where Debian has what only administrators run. */
export const PLACES = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/bin', '/usr/local/bin'];

/** Where a program is, if it is installed. */
export const findProgram = (program: string): string | undefined =>
  PLACES.map((folder) => join(folder, program)).find((path) => existsSync(path));

/** The version of C tor, as it says it. */
export const torVersion = (): string =>
  execFileSync(findProgram('tor')!, ['--version'], { encoding: 'utf8' }).split('\n', 1)[0]!.trim();
