/**
 * AES in counter mode, IV zero, over the bodies of relay cells (tor-spec 5.1.4, 6.1), in place and in order.
 *
 * Two ways, whichever is cheaper for the batch at hand; both use up one key stream in the same order. A native call
 * costs far more than the AES of one cell, so:
 * - a small batch is XORed with key stream prefetched in blocks of 1, 2, 4 .. 16 cells, which grow as a circuit turns
 *   out to be busy (a fresh circuit holds one, a busy one at most 8 KB a direction; blocks of 32 would save another
 *   tenth, and cost a relay with ten thousand circuits 160 MB);
 * - a batch of `GATHER_FROM` cells or more, once the prefetched stream is used up, is gathered into one buffer, goes
 *   through one native call, and is scattered back.
 *
 * Measured on Node 20.20 (ns a cell, 514-byte stride, unaligned bodies, a machine busy with other work; halve it for
 * an idle one):
 *
 * | batch | a call a cell | gathered | prefetched, blocks of 8 | of 32 |
 * |---|---|---|---|---|
 * | 1 | 1,650 | 1,620 | 760 | 540 |
 * | 4 | 1,250 | 880 | 820 | 580 |
 * | 8 | 1,430 | 625 | 735 | 620 |
 * | 31 | 1,660 | 390 | 730 | 670 |
 *
 * @module
 */
import { type Cipher, createCipheriv } from 'node:crypto';
import { type CellBatch, MAX_BATCH } from '../cell/batch.js';
import { BODY_SIZE } from '../cell/commands.js';
import { stageCells, stagedBodies, viewsOf } from '../cell/stage.js';

/** Batches of so many cells are gathered. */
const GATHER_FROM = 8;
/** Most cells of key stream held ahead. */
const MAX_PREFETCH = 16;

// Shared by all circuits: both are used within one call only.
const gathered = Buffer.allocUnsafeSlow(MAX_BATCH * BODY_SIZE);
/** Its bodies. Views that are made once: one a copy costs more than the copy, and leaves work for the collector. */
const slots = viewsOf(gathered, BODY_SIZE, BODY_SIZE);
const zeros = Buffer.alloc(MAX_PREFETCH * BODY_SIZE);
const NOTHING = new DataView(new ArrayBuffer(0));
const ZERO_IV = Buffer.alloc(16);

const newCipher = (key: Uint8Array): Cipher =>
  createCipheriv(key.length === 32 ? 'aes-256-ctr' : 'aes-128-ctr', key, ZERO_IV);

/** One direction's cipher of one hop. */
export class Keystream {
  /** Until there is a cipher. */
  private key: Uint8Array | undefined;
  private cipher: Cipher | undefined;
  private ahead: DataView = NOTHING;
  private used = 0;
  private block = 1;

  /** `key` is 16 bytes (AES-128) or 32 (AES-256, onion-service hops). */
  constructor(key: Uint8Array) {
    this.key = key;
  }

  /** Does ahead what the first cell would wait for: the cipher, and key stream for one. */
  ready(): void {
    if (!this.cipher) this.prefetch();
  }

  /** Encrypts or decrypts the body of every cell of the batch; `view` is over `batch.buf`. */
  apply(batch: CellBatch, view: DataView): void {
    const { n, at } = batch;
    let i = 0;
    while (i < n) {
      if (this.used < this.ahead.byteLength) {
        xorBody(view, at[i++]!, this.ahead, this.used);
        this.used += BODY_SIZE;
      } else if (n - i >= GATHER_FROM) {
        this.applyGathered(batch, i);
        i = n;
      } else this.prefetch();
    }
  }

  private prefetch(): void {
    const stream = this.next(zeros.subarray(0, this.block * BODY_SIZE));
    this.ahead = viewOf(stream);
    this.used = 0;
    this.block = Math.min(this.block * 2, MAX_PREFETCH);
  }

  private applyGathered(batch: CellBatch, from: number): void {
    scatter(this.next(gather(batch, from)), batch, from);
  }

  /** Whether nothing is prefetched, so that whole batches may be gathered. */
  get empty(): boolean {
    return this.used >= this.ahead.byteLength;
  }

  /** Input XORed with the key stream from where it is. */
  next(input: Buffer): Buffer {
    if (this.cipher) return this.cipher.update(input);
    this.cipher = newCipher(this.key!);
    this.key = undefined;
    return this.cipher.update(input);
  }
}

/** Whether a batch can go through these key streams without being scattered between. */
const canStack = (streams: readonly Keystream[], from: number, to: number, cells: number): boolean => {
  if (cells < GATHER_FROM) return false;
  for (let i = from; i < to; i++) if (!streams[i]!.empty) return false;
  return true;
};

/** Applies the first `count` key streams to a batch (their order makes no difference), gathering once where it pays. */
export function applyAll(
  streams: readonly Keystream[],
  count: number,
  batch: CellBatch,
  view: DataView,
): void {
  if (!canStack(streams, 0, count, batch.n)) {
    for (let i = 0; i < count; i++) streams[i]!.apply(batch, view);
    return;
  }
  let bytes = gather(batch, 0);
  for (let i = 0; i < count; i++) bytes = streams[i]!.next(bytes);
  scatter(bytes, batch, 0);
}

/**
 * Applies key streams to a batch, from number `from` on, up to the first after which some cell has zeros at `offset`
 * (two bytes), or the last; returns the number of the one that comes after. Bodies may have been looked at only after
 * the last one that was applied.
 */
export function applyUntilZero(
  streams: readonly Keystream[],
  from: number,
  batch: CellBatch,
  view: DataView,
  offset: number,
): number {
  if (!canStack(streams, from, streams.length, batch.n)) {
    streams[from]!.apply(batch, view);
    return from + 1;
  }
  let bytes = gather(batch, 0);
  let next = from;
  do bytes = streams[next++]!.next(bytes);
  while (next < streams.length && !hasZeros(bytes, offset));
  scatter(bytes, batch, 0);
  return next;
}

function hasZeros(bodies: Buffer, offset: number): boolean {
  for (let at = offset; at < bodies.length; at += BODY_SIZE)
    if (bodies[at] === 0 && bodies[at + 1] === 0) return true;
  return false;
}

/** The bodies of a batch from cell `from` on, one after another; good until the next call. */
function gather(batch: CellBatch, from: number): Buffer {
  const cells = batch.n - from;
  stageCells(batch, from);
  for (let i = 0; i < cells; i++) gathered.set(stagedBodies[i]!, i * BODY_SIZE);
  return gathered.subarray(0, cells * BODY_SIZE);
}

function scatter(bodies: Buffer, { buf, n, at }: CellBatch, from: number): void {
  gathered.set(bodies);
  for (let i = from; i < n; i++) buf.set(slots[i - from]!, at[i]!);
}

/** XORs one body in place, by words: DataView takes any alignment, and both sides use one byte order. */
function xorBody(view: DataView, at: number, stream: DataView, used: number): void {
  const words = at + (BODY_SIZE & ~3);
  for (; at < words; at += 4, used += 4)
    view.setInt32(at, view.getInt32(at, true) ^ stream.getInt32(used, true), true);
  // 509 is one more than a multiple of four.
  view.setUint8(at, view.getUint8(at) ^ stream.getUint8(used));
}

/** A DataView over a buffer's bytes. */
export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
