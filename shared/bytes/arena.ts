/**
 * The memory that WebAssembly sees, one a thread. What cells are read into and made in lies there, so that ciphers and
 * digests work on them where they are. Whoever needs a piece takes it once, for as long as the thread lives.
 *
 * @module
 */

const PAGE = 65_536;
const PAGES = 8;
/** Bytes at the end that nobody gets: code may read so far past what it was given. */
const MARGIN = 64;
const ALIGNMENT = 16;

/** What Node has, of which its types name nothing. */
interface Memories {
  readonly Memory: new (limits: {
    readonly initial: number;
    readonly maximum: number;
  }) => {
    readonly buffer: ArrayBuffer;
  };
}

const { Memory } = (globalThis as unknown as { WebAssembly: Memories }).WebAssembly;

/** Its pages of 64 KB; they never become more. */
export const ARENA_PAGES = PAGES;
/** For modules to import. */
export const arena = new Memory({ initial: PAGES, maximum: PAGES });
const { buffer } = arena;

let taken = 0;

/** Takes so many bytes, zero, from a multiple of 16 on. */
export function takeArena(size: number): Buffer {
  if (taken + size > PAGES * PAGE - MARGIN) throw new RangeError(`no ${size} bytes left in the arena`);
  const piece = Buffer.from(buffer, taken, size);
  taken = (taken + size + ALIGNMENT - 1) & -ALIGNMENT;
  return piece;
}

/** Whether bytes lie there: then their `byteOffset` is their address. */
export const inArena = (bytes: Uint8Array): boolean => bytes.buffer === buffer;
