/**
 * Data between cells that are full of it and one piece of memory. To move half a kilobyte, JavaScript needs a view of
 * it, and making one costs twice what the copy does.
 *
 * @module
 */
import { takeArena } from '../bytes/arena.js';
import type { CellBatch } from '../cell/batch.js';
import { RELAY_DATA_SIZE, RELAY_HEADER_SIZE } from '../cell/commands.js';
import { eachPlaced, place } from './place.js';
import {
  advance,
  type Code,
  compile,
  type Func,
  get,
  I32,
  load16,
  loadWords,
  seq,
  store16,
  storeWords,
} from './wasm.js';

const [NEXT, END, PIECE, CELL] = [0, 1, 2, 3];
/** Where the last bytes of a cell's data are: 498 is two more than a multiple of 16. */
const LAST = RELAY_DATA_SIZE & ~15;

/** How to reach a place that is so many bytes after what a local says. */
interface Reach {
  readonly local: number;
  readonly offset: number;
}
const DATA: Reach = { local: CELL, offset: RELAY_HEADER_SIZE };
const OUTSIDE: Reach = { local: PIECE, offset: 0 };

/** `name(first, end, piece)`: copies the data of the placed cells from number `first` to before `end`, one way. */
function copier(name: string, to: Reach, from: Reach): Func {
  type Access = (offset: number) => Code;
  const copy = (at: number, load: Access, store: Access) =>
    seq(get(to.local), get(from.local), load(from.offset + at), store(to.offset + at));
  const words = Array.from({ length: LAST / 16 }, (_, i) => copy(16 * i, loadWords, storeWords));
  const cell = seq(...words, copy(LAST, load16, store16), advance(PIECE, RELAY_DATA_SIZE));
  return { name, params: 3, locals: [[1, I32]], body: eachPlaced(NEXT, END, CELL, cell) };
}

type Copy = (first: number, end: number, piece: number) => void;
const code = compile<{ collect: Copy; spread: Copy }>([
  copier('collect', OUTSIDE, DATA),
  copier('spread', DATA, OUTSIDE),
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
