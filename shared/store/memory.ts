/**
 * A data directory that lives in memory: simulations, tests, and clients that must leave nothing behind.
 *
 * @module
 */
import { nameParts, StoreError } from './errors.js';
import type { Store } from './types.js';

/** A memory store, and what is in it. */
export interface MemoryStore extends Store {
  /** Names to contents; a test may damage a file here. */
  readonly files: Map<string, Uint8Array>;
}

/** An empty memory store; keep it over a simulated restart to keep a node's files. */
export function memoryStore(): MemoryStore {
  const files = new Map<string, Uint8Array>();
  return {
    files,
    async read(name) {
      nameParts(name);
      return files.get(name)?.slice();
    },
    async write(name, bytes) {
      nameParts(name);
      files.set(name, bytes.slice());
    },
    async remove(name) {
      nameParts(name);
      files.delete(name);
    },
    async list(directory) {
      const prefix = directory === '' ? '' : `${nameParts(directory).join('/')}/`;
      return [...files.keys()]
        .filter((name) => name.startsWith(prefix) && !name.includes('/', prefix.length))
        .map((name) => name.slice(prefix.length))
        .sort();
    },
    async setAside(name) {
      nameParts(name);
      const bytes = files.get(name);
      if (!bytes) throw new StoreError(name, 'is not there');
      const aside = freeName(name, (candidate) => files.has(candidate));
      files.delete(name);
      files.set(aside, bytes);
      return aside;
    },
  };
}

function freeName(name: string, taken: (name: string) => boolean): string {
  for (let n = 1; ; n++) {
    const candidate = `${name}.damaged-${n}`;
    if (!taken(candidate)) return candidate;
  }
}
