/**
 * A node's data directory on disk. A file is whole or it is not there: it is written beside its place, synced, and
 * renamed over it, and the directory is synced after, so that a crash or a power cut leaves the old or the new one.
 *
 * @module
 */
import type { Dirent } from 'node:fs';
import { link, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { nameParts, systemError } from './errors.js';
import { makeDirectory } from './make-directory.js';
import type { Store } from './types.js';

/** Files being written end in this; what a crash left of them is overwritten by the next writer. */
const UNFINISHED = '.tmp';

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code;

/** Syncs a directory, so that the names in it survive a power cut. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function replace(path: string, bytes: Uint8Array): Promise<void> {
  const directory = dirname(path);
  makeDirectory(directory);
  const temporary = path + UNFINISHED;
  // The mode counts only for a file that is made here: an old one might be readable by others.
  await unlink(temporary).catch(ignoreMissing);
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
  await syncDirectory(directory);
}

function ignoreMissing(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error;
}

/**
 * Whether an entry of a directory is a file, or a link to one, as where secrets are mounted into containers. A link that
 * leads nowhere counts: that it cannot be read is for the reader to judge.
 */
async function isFile(directory: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile();
  return stat(join(directory, entry.name)).then(
    (found) => found.isFile(),
    () => true,
  );
}

/** Renames to `NAME.damaged-N` for the first N that is free; link() is what refuses to overwrite. */
async function moveAside(path: string): Promise<string> {
  for (let n = 1; ; n++) {
    const aside = `${path}.damaged-${n}`;
    try {
      await link(path, aside);
    } catch (error) {
      if (codeOf(error) === 'EEXIST') continue;
      throw error;
    }
    await unlink(path);
    return aside;
  }
}

/**
 * The store over `directory`, which is made (0700) at the first write. Writes to one name happen in the order they
 * were asked for. Rejects with a StoreError that names the file and what to do.
 */
export function diskStore(directory: string): Store {
  const pathOf = (name: string) => join(directory, ...nameParts(name));
  const last = new Map<string, Promise<unknown>>();

  async function guarded<T>(name: string, doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw systemError(join(directory, name), doing, error);
    }
  }

  // Two writers of one name would share its temporary file.
  function inTurn<T>(name: string, doing: string, work: () => Promise<T>): Promise<T> {
    const before = last.get(name) ?? Promise.resolve();
    const mine = before.then(
      () => guarded(name, doing, work),
      () => guarded(name, doing, work),
    );
    last.set(name, mine);
    const forget = () => {
      if (last.get(name) === mine) last.delete(name);
    };
    mine.then(forget, forget);
    return mine;
  }

  return {
    async read(name) {
      const path = pathOf(name);
      return guarded(name, 'read', async () => {
        try {
          return await readFile(path);
        } catch (error) {
          ignoreMissing(error);
          return undefined;
        }
      });
    },
    async write(name, bytes) {
      const path = pathOf(name);
      await inTurn(name, 'written', () => replace(path, bytes));
    },
    async remove(name) {
      const path = pathOf(name);
      await inTurn(name, 'removed', () => unlink(path).catch(ignoreMissing));
    },
    async list(under) {
      const path = under === '' ? directory : pathOf(under);
      return guarded(under, 'listed', async () => {
        try {
          const entries = await readdir(path, { withFileTypes: true });
          const files = await Promise.all(entries.map((entry) => isFile(path, entry)));
          return entries
            .filter(({ name }, i) => files[i] && !name.endsWith(UNFINISHED))
            .map(({ name }) => name)
            .sort();
        } catch (error) {
          ignoreMissing(error);
          return [];
        }
      });
    },
    async setAside(name) {
      const path = pathOf(name);
      const aside = await inTurn(name, 'set aside', () => moveAside(path));
      return name + aside.slice(path.length);
    },
  };
}
