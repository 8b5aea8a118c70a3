/**
 * Helpers of this room's tests: batches out of bodies, keys out of a number, a leg that goes nowhere else.
 *
 * @module
 */
import { CellBatch, MAX_BATCH } from '../cell/batch.js';
import { BODY_SIZE, CELL_HEADER_SIZE, CELL_SIZE, Command } from '../cell/commands.js';
import type { Channel, Leg, LegHandler } from '../link/types.js';
import type { HopKeys } from './types.js';

/** A batch of cells with these bodies, laid out as on the wire, `shift` bytes into its buffer. */
export function batchOf(bodies: readonly Uint8Array[], shift = 0): CellBatch {
  const batch = new CellBatch(Buffer.alloc(shift + bodies.length * CELL_SIZE));
  batch.n = bodies.length;
  for (const [i, body] of bodies.entries()) {
    const at = shift + i * CELL_SIZE + CELL_HEADER_SIZE;
    batch.at[i] = at;
    batch.buf[at - 1] = Command.RELAY;
    batch.buf.set(body, at);
  }
  return batch;
}

/** The bodies of a batch, copied. */
export const bodiesOf = (batch: CellBatch): Buffer[] =>
  Array.from({ length: batch.n }, (_, i) =>
    Buffer.from(batch.buf.subarray(batch.at[i]!, batch.at[i]! + BODY_SIZE)),
  );

/** Different keys for every `n`. */
export const keysOf = (n: number): HopKeys => ({
  df: Buffer.alloc(20, n + 1),
  db: Buffer.alloc(20, n + 101),
  kf: Buffer.alloc(16, n + 51),
  kb: Buffer.alloc(16, n + 151),
  kh: Buffer.alloc(20, n),
});

/** A cell as a FakeLeg keeps it. */
export interface SentCell {
  readonly command: number;
  readonly body: Buffer;
}

/** A leg that keeps what is sent over it until `take`; over `high` cells it is full. */
export class FakeLeg implements Leg {
  readonly circuitId = 0x80000001;
  readonly cells: SentCell[] = [];
  readonly controls: SentCell[] = [];
  high = 256;
  hard = 100_000;
  dead = false;
  destroyReason: number | undefined;
  handler: LegHandler = { relayCells() {}, control() {}, destroyed() {}, writable() {} };

  get channel(): Channel {
    throw new Error('a fake leg has no channel');
  }

  get queued(): number {
    return this.cells.length;
  }

  get full(): boolean {
    return this.cells.length >= this.high;
  }

  send(batch: CellBatch, from = 0, to = batch.n): boolean {
    for (let i = from; i < to; i++) {
      const at = batch.at[i]!;
      this.cells.push({
        command: batch.buf[at - 1]!,
        body: Buffer.from(batch.buf.subarray(at, at + BODY_SIZE)),
      });
    }
    return this.cells.length <= this.hard;
  }

  control(command: number, body: Uint8Array): void {
    this.controls.push({ command, body: Buffer.from(body) });
  }

  destroy(reason: number): void {
    this.dead = true;
    this.destroyReason = reason;
  }

  /** Takes up to `n` cells off the queue, as one batch; tells the handler when there is room again. */
  take(n = MAX_BATCH): CellBatch {
    const wasFull = this.full;
    const taken = this.cells.splice(0, Math.min(n, MAX_BATCH));
    const batch = batchOf(taken.map((cell) => cell.body));
    for (const [i, cell] of taken.entries()) batch.buf[batch.at[i]! - 1] = cell.command;
    if (wasFull && !this.full) this.handler.writable(this);
    return batch;
  }
}
