/**
 * Some relay cells of one circuit, in arrival order, lying in one buffer in wire form. The unit in which the data
 * path works: layers are put on and taken off in place, over the whole batch.
 *
 * @module
 */
import type { Buffer } from 'node:buffer';

/** Most cells a batch holds; a 64 KB read has at most 127. */
export const MAX_BATCH = 128;

/**
 * `n` cells; the body of cell `i` is `buf[at[i] .. at[i] + 509)`, its command byte is at `at[i] - 1` and its circuit
 * id (4 bytes) at `at[i] - 5`. One batch object is filled again and again: nobody keeps it past the call that
 * brought it, and nobody keeps `buf` unless it says so.
 */
export class CellBatch {
  buf: Buffer;
  n = 0;
  readonly at = new Int32Array(MAX_BATCH);

  constructor(buf: Buffer) {
    this.buf = buf;
  }
}
