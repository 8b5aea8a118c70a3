/**
 * Telling WebAssembly where the cells of a batch are. Where they lie in the arena it works on them there; others are
 * staged, and put back.
 *
 * @module
 */
import { inArena, takeArena } from '../bytes/arena.js';
import { type CellBatch, MAX_BATCH } from '../cell/batch.js';
import { BODY_SIZE, CELL_SIZE } from '../cell/commands.js';

/** Room for the largest batch; for other uses within one call, too. */
export const stage = takeArena(MAX_BATCH * CELL_SIZE);

const addresses = takeArena(4 * MAX_BATCH);
const positions = new Int32Array(addresses.buffer, addresses.byteOffset, MAX_BATCH);
/** Where, in the arena, the addresses of the bodies are: 32 bits each. */
export const POSITIONS = addresses.byteOffset;

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
