/**
 * One process to a data directory. Node has no flock(), so the lock is a file that names its holder by process id
 * and start time: a holder that died, or whose id went to another process, holds nothing.
 *
 * @module
 */
import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CepaError } from '../../shared/bytes/errors.js';
import { systemError } from '../../shared/store/errors.js';
import { makeDirectory } from '../../shared/store/make-directory.js';

/** The data directory belongs to a process that runs. */
export class LockedError extends CepaError {
  readonly holder: number;
  constructor(directory: string, holder: number) {
    super(
      'locked',
      `${directory} is in use by process ${holder}. Stop it, or give this one another DataDirectory.`,
    );
    this.holder = holder;
  }
}

/** A held lock. */
export interface DirectoryLock {
  release(): void;
}

/** Start time of a process in ticks since boot (field 22 of /proc/PID/stat); undefined when there is no such process. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, field 2, may have spaces and brackets in it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function isAlive(pid: number, started: string): boolean {
  const now = startTime(pid);
  if (now !== undefined) return now === started;
  if (startTime(process.pid) !== undefined) return false;
  // No /proc here: an id that answers counts as the holder.
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code;

/** Takes the lock of a data directory, which is made if need be (0700). Throws a LockedError, or a StoreError. */
export function lockDirectory(directory: string): DirectoryLock {
  makeDirectory(directory);
  const path = join(directory, 'lock');
  const mine = `${process.pid} ${startTime(process.pid) ?? '0'}\n`;
  const draft = `${path}.${process.pid}`;
  try {
    writeDraft(draft, mine);
    for (;;) {
      try {
        // link() is the step that only one process can win.
        linkSync(draft, path);
        return { release: () => release(path, mine) };
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw systemError(path, 'made', error);
      }
      clearStale(directory, path, `${draft}.stale`);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

function writeDraft(draft: string, mine: string): void {
  try {
    writeFileSync(draft, mine, { mode: 0o600 });
  } catch (error) {
    throw systemError(draft, 'written', error);
  }
}

/** Removes the lock of a dead holder; throws when it lives. */
function clearStale(directory: string, path: string, aside: string): void {
  const found = contentOf(path);
  if (found === undefined) return;
  const [pid = 0, started = ''] = parse(found);
  if (pid > 0 && isAlive(pid, started)) throw new LockedError(directory, pid);
  // Another process may have replaced it meanwhile: take it away first, look at it, and put it back if it is new.
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw systemError(path, 'removed', error);
  }
  if (contentOf(aside) !== found) {
    try {
      linkSync(aside, path);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
  }
  unlinkSync(aside);
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw systemError(path, 'read', error);
  }
}

function parse(content: string): [pid: number, started: string] {
  const [pid = '', started = ''] = content.trim().split(' ');
  return [/^\d{1,10}$/.test(pid) ? Number(pid) : 0, started];
}

function release(path: string, mine: string): void {
  if (contentOf(path) === mine) unlinkSync(path);
}
