/**
 * Data between cells that are full of it and one piece of memory. To move half a kilobyte, JavaScript needs a view of
 * it, and making one costs twice what the copy does.
 *
 * @module
 */
import { takeArena } from '../bytes/arena.js';
import type { CellBatch } from '../cell/batch.js';
import { RELAY_DATA_SIZE, RELAY_HEADER_SIZE } from '../cell/commands.js';
import { POSITIONS, place } from './place.js';
import {
  ADD,
  block,
  branch,
  branchIf,
  type Code,
  compile,
  EQUAL,
  type Func,
  get,
  I32,
  int,
  load16,
  load32,
  loadWords,
  loop,
  SHL,
  seq,
  set,
  store16,
  storeWords,
} from './wasm.js';

const [NEXT, END, PIECE, CELL] = [0, 1, 2, 3];

/** `name(first, end, piece)`: copies the data of the placed cells from number `first` to before `end`, one way. */
function copier(name: string, to: Code, from: Code): Func {
  const addressOf = (n: number) => seq(get(n), int(2), SHL, int(POSITIONS), ADD, set(n));
  const step = (n: number, size: number) => seq(get(n), int(size), ADD, set(n));
  const words = Array.from({ length: RELAY_DATA_SIZE >> 4 }, (_, i) =>
    seq(to, from, loadWords(16 * i), storeWords(16 * i)),
  );
  // 498 is two more than a multiple of 16.
  const last = RELAY_DATA_SIZE & ~15;
  return {
    name,
    params: 3,
    locals: [[1, I32]],
    body: seq(
      seq(addressOf(NEXT), addressOf(END)),
      block(
        loop(
          seq(get(NEXT), get(END), EQUAL, branchIf(1)),
          seq(get(NEXT), load32(0), int(RELAY_HEADER_SIZE), ADD, set(CELL)),
          ...words,
          seq(to, from, load16(last), store16(last)),
          seq(step(NEXT, 4), step(PIECE, RELAY_DATA_SIZE), branch(0)),
        ),
      ),
    ),
  };
}

type Copy = (first: number, end: number, piece: number) => void;
const code = compile<{ collect: Copy; spread: Copy }>([
  copier('collect', get(PIECE), get(CELL)),
  copier('spread', get(CELL), get(PIECE)),
]);

/** Room for the data of so many cells. */
export const roomForData = (cells: number): Buffer => takeArena(cells * RELAY_DATA_SIZE);

/**
 * Copies the data of cells `first` to `end - 1`, all of them full, to such a room from `at` on. Their batch was placed
 * (`place`), and none since.
 */
export const collect = (first: number, end: number, room: Buffer, at: number): void =>
  code.collect(first, end, room.byteOffset + at);

/** Copies what is at the start of such a room to cells `first` to the last of a batch that lies in the arena. */
export function spread(batch: CellBatch, first: number, room: Buffer): void {
  place(batch);
  code.spread(first, batch.n, room.byteOffset);
}
