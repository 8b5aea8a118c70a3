/**
 * A queue of cells in wire form, in blocks that are used again and again: queueing and taking copy, and allocate
 * nothing once the pool is warm.
 *
 * @module
 */
import type { CellBatch } from '../cell/batch.js';
import { CELL_HEADER_SIZE, CELL_SIZE } from '../cell/commands.js';
import { writeFixed } from '../cell/frame.js';

/** Cells of a full-size block; 31 cells (15,934 bytes) are also what one TLS record carries. */
const BLOCK_CELLS = 31;
/** Cells of a queue's first block: most queues hold a few cells for a moment, and there may be many. */
const FIRST_CELLS = 4;
/** Free blocks kept of each size. */
const MAX_FREE = 1024;

interface Block {
  readonly buf: Buffer;
  readonly cells: number;
  /** Cells taken, cells written. */
  head: number;
  tail: number;
  next: Block | undefined;
  /** Monotonic milliseconds at which its first cell came. */
  since: number;
}

const free = new Map<number, Block[]>([
  [FIRST_CELLS, []],
  [BLOCK_CELLS, []],
]);

function acquire(cells: number, since: number): Block {
  const block = free.get(cells)!.pop() ?? {
    buf: Buffer.allocUnsafeSlow(cells * CELL_SIZE),
    cells,
    head: 0,
    tail: 0,
    next: undefined,
    since,
  };
  block.since = since;
  return block;
}

function release(block: Block): void {
  block.head = 0;
  block.tail = 0;
  block.next = undefined;
  const blocks = free.get(block.cells)!;
  if (blocks.length < MAX_FREE) blocks.push(block);
}

function setCircuitId(buf: Buffer, at: number, circuitId: number): void {
  buf[at] = circuitId >>> 24;
  buf[at + 1] = circuitId >>> 16;
  buf[at + 2] = circuitId >>> 8;
  buf[at + 3] = circuitId;
}

/** Who counts the memory of a set of queues. */
export interface QueueAccount {
  queuedBytes: number;
}

/** First in, first out. */
export class CellQueue {
  private readonly account: QueueAccount;
  private first: Block | undefined;
  private last: Block | undefined;
  /** Cells in the queue. */
  length = 0;

  constructor(account: QueueAccount) {
    this.account = account;
  }

  /** When the oldest block's first cell came (monotonic milliseconds); undefined when empty. */
  get since(): number | undefined {
    return this.first?.since;
  }

  /** A block with room; a fresh one is large where so many cells are to come. */
  private room(coming: number, now: number): Block {
    const { last } = this;
    if (last && last.tail < last.cells) return last;
    const block = acquire(last || coming > FIRST_CELLS ? BLOCK_CELLS : FIRST_CELLS, now);
    this.account.queuedBytes += block.buf.length;
    if (last) last.next = block;
    else this.first = block;
    this.last = block;
    return block;
  }

  /**
   * Appends copies of the cells [from, to) of a batch, under another circuit id. Cells that lie side by side are copied
   * together: in bulk that is all of them.
   */
  pushCells(circuitId: number, batch: CellBatch, from: number, to: number, now: number): void {
    const { buf, at } = batch;
    for (let i = from; i < to; ) {
      const block = this.room(to - i, now);
      const most = Math.min(to - i, block.cells - block.tail);
      const start = at[i]!;
      let run = 1;
      while (run < most && at[i + run] === start + run * CELL_SIZE) run++;
      const source = start - CELL_HEADER_SIZE;
      let slot = block.tail * CELL_SIZE;
      buf.copy(block.buf, slot, source, source + run * CELL_SIZE);
      for (let k = 0; k < run; k++, slot += CELL_SIZE) setCircuitId(block.buf, slot, circuitId);
      block.tail += run;
      this.length += run;
      i += run;
    }
  }

  /** Appends a cell made of its parts. */
  push(circuitId: number, command: number, body: Uint8Array, now: number): void {
    const block = this.room(1, now);
    writeFixed(block.buf, block.tail * CELL_SIZE, circuitId, command, body);
    block.tail++;
    this.length++;
  }

  /** Moves up to `n` cells to `out[at]`; returns how many. */
  take(n: number, out: Buffer, at: number): number {
    let taken = 0;
    while (taken < n && this.first) {
      const block = this.first;
      const cells = Math.min(n - taken, block.tail - block.head);
      const from = block.head * CELL_SIZE;
      block.buf.copy(out, at + taken * CELL_SIZE, from, from + cells * CELL_SIZE);
      block.head += cells;
      taken += cells;
      if (block.head === block.tail) this.drop(block);
    }
    this.length -= taken;
    return taken;
  }

  private drop(block: Block): void {
    this.first = block.next;
    if (!this.first) this.last = undefined;
    this.account.queuedBytes -= block.buf.length;
    release(block);
  }

  clear(): void {
    while (this.first) this.drop(this.first);
    this.length = 0;
  }
}
