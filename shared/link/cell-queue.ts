/**
 * A queue of cells in wire form, in blocks that are used again and again: queueing and taking copy, and allocate
 * nothing once the pool is warm.
 *
 * @module
 */
import { CELL_SIZE } from '../cell/commands.js';
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

  private room(now: number): Block {
    const { last } = this;
    if (last && last.tail < last.cells) return last;
    const block = acquire(last ? BLOCK_CELLS : FIRST_CELLS, now);
    this.account.queuedBytes += block.buf.length;
    if (last) last.next = block;
    else this.first = block;
    this.last = block;
    return block;
  }

  /** Appends a copy of the cell that begins at `from[at]`, under another circuit id. */
  pushCell(circuitId: number, from: Buffer, at: number, now: number): void {
    const block = this.room(now);
    const to = block.tail * CELL_SIZE;
    from.copy(block.buf, to, at, at + CELL_SIZE);
    block.buf.writeUInt32BE(circuitId, to);
    block.tail++;
    this.length++;
  }

  /** Appends a cell made of its parts. */
  push(circuitId: number, command: number, body: Uint8Array, now: number): void {
    const block = this.room(now);
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
