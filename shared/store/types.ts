/**
 * Where a node keeps its files. Names are relative, with `/` between parts (`keys/secret_id_key`).
 *
 * @module
 */

/** A node's data directory, on disk (`disk.ts`) or in memory (`memory.ts`). */
export interface Store {
  /** Whole content, or undefined when there is no such file. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Replaces the file: temporary file, sync, rename. Mode 0600 (directories 0700). */
  write(name: string, bytes: Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
  /** File names directly under a directory; empty when there is none. */
  list(directory: string): Promise<string[]>;
  /** Moves a damaged file out of the way and returns its new name; it is never deleted. */
  setAside(name: string): Promise<string>;
}
