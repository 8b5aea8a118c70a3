/**
 * Telling WebAssembly where the cells of a batch are. Where they lie in the arena it works on them there; others are
 * staged, and put back.
 *
 * @module
 */
import { inArena, takeArena } from '../bytes/arena.js';
import { type CellBatch, MAX_BATCH } from '../cell/batch.js';
import { BODY_SIZE, CELL_SIZE } from '../cell/commands.js';
import {
  ADD,
  advance,
  block,
  branch,
  branchIf,
  type Code,
  EQUAL,
  get,
  int,
  load32,
  loop,
  SHL,
  seq,
  set,
} from './wasm.js';

/** Room for the largest batch; for other uses within one call, too. */
export const stage = takeArena(MAX_BATCH * CELL_SIZE);

const addresses = takeArena(4 * MAX_BATCH);
const positions = new Int32Array(addresses.buffer, addresses.byteOffset, MAX_BATCH);

/** How many cells from number `from` on lie side by side. */
function runFrom({ n, at }: CellBatch, from: number): number {
  let run = 1;
  while (from + run < n && at[from + run] === at[from]! + run * CELL_SIZE) run++;
  return run;
}

const bytesOf = (run: number): number => (run - 1) * CELL_SIZE + BODY_SIZE;

/** Copies the bodies of a batch, what is between them included: that of cell `i` to `CELL_SIZE * i`. */
function stageCells(batch: CellBatch): void {
  const { buf, n, at } = batch;
  for (let i = 0, run = 0; i < n; i += run) {
    run = runFrom(batch, i);
    stage.set(buf.subarray(at[i]!, at[i]! + bytesOf(run)), i * CELL_SIZE);
  }
}

/** Notes where the bodies of a batch are; good until the next call. */
export function place(batch: CellBatch): void {
  const { buf, n, at } = batch;
  if (inArena(buf)) {
    const base = buf.byteOffset;
    for (let i = 0; i < n; i++) positions[i] = base + at[i]!;
    return;
  }
  stageCells(batch);
  for (let i = 0; i < n; i++) positions[i] = stage.byteOffset + i * CELL_SIZE;
}

/** Comes after the work on cells that were placed. */
export function putBack(batch: CellBatch): void {
  const { buf, n, at } = batch;
  if (inArena(buf)) return;
  for (let i = 0, run = 0; i < n; i += run) {
    run = runFrom(batch, i);
    const from = i * CELL_SIZE;
    buf.set(stage.subarray(from, from + bytesOf(run)), at[i]!);
  }
}

/**
 * Code that does `body` for each of the placed cells from number `next` to before `end`, locals that it uses up; `cell` is
 * where the cell's body is then.
 */
export function eachPlaced(next: number, end: number, cell: number, body: Code): Code {
  const addressOf = (n: number) => seq(get(n), int(2), SHL, int(addresses.byteOffset), ADD, set(n));
  return seq(
    seq(addressOf(next), addressOf(end)),
    block(
      loop(
        seq(get(next), get(end), EQUAL, branchIf(1)),
        seq(get(next), load32(0), set(cell)),
        body,
        seq(advance(next, 4), branch(0)),
      ),
    ),
  );
}
