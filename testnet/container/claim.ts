/**
 * Which of the identities on a volume a container has: containers of one service share a volume, and each takes the
 * first directory that no other holds. So whoever takes the place of a container that is gone comes back as it was,
 * whatever Docker calls it.
 *
 * To hold a directory is to listen on the socket `holder` in it: the kernel of all containers knows who lives, where
 * process ids, of which each container has its own, say nothing.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { linkSync, renameSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { makeDirectory } from '../../shared/store/make-directory.js';
import { PlaceError } from './place.js';

/** More than Docker has addresses for. */
const MOST = 250;

/** Holds the first free of `PREFIX1`, `PREFIX2`, … in `data` until the process ends; its number. */
export async function claimNumber(data: string, prefix: string): Promise<number> {
  for (let number = 1; number <= MOST; number++)
    if (await hold(join(data, `${prefix}${number}`))) return number;
  throw new PlaceError(`${MOST} directories in ${data} are taken`);
}

async function hold(directory: string): Promise<boolean> {
  try {
    makeDirectory(directory);
  } catch (error) {
    throw new PlaceError(`cannot make ${directory}: ${(error as Error).message}. Is a volume mounted there?`);
  }
  const path = join(directory, 'holder');
  if (await isHeld(path)) return false;
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  const stop = await listen(draft);
  try {
    if (await take(draft, path)) return true;
    stop();
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** link() is the step that only one can win; the socket of a dead holder is taken away before. */
async function take(draft: string, path: string): Promise<boolean> {
  for (;;) {
    try {
      linkSync(draft, path);
      return true;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    if (await isHeld(path)) return false;
    const aside = `${draft}.old`;
    try {
      renameSync(path, aside);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      continue;
    }
    // Somebody may have taken it between the look and the renaming: give it back.
    if (await isHeld(aside)) restore(aside, path);
    rmSync(aside, { force: true });
  }
}

function restore(aside: string, path: string): void {
  try {
    linkSync(aside, path);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code;

function isHeld(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // A holder with many callers at once may refuse some for now (EAGAIN); nobody there is another thing.
    socket.once('error', (error) => resolve(codeOf(error) !== 'ECONNREFUSED' && codeOf(error) !== 'ENOENT'));
  });
}

function listen(path: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const server = createServer((caller) => caller.destroy());
    server.once('error', reject);
    server.listen({ path }, () => {
      server.unref();
      resolve(() => server.close());
    });
  });
}
