/**
 * One direction of a hop: its key stream, and the running digest of which the first four bytes lie in each cell.
 * Every relay crypto there is but CGO's works so; they differ in cipher and hash (`tor1.ts`, `tor1-hs.ts`).
 *
 * Body of a v0 relay cell: command (1), recognized (2), stream id (2), digest (4), length (2), data (498). The digest
 * is over all bodies of the direction that were for this hop, each with the digest field zero, after a seed (tor-spec
 * 5.5, 6.1).
 *
 * @module
 */
import type { CellBatch } from '../cell/batch.js';
import { Keystream, viewOf } from './keystream.js';
import { TAG_SIZE } from './types.js';

/** Where a v0 body has its `recognized` and `digest` fields. */
export const RECOGNIZED = 1;
export const DIGEST = 5;
/** 32-bit words of a digest that are read out: the tag of a SENDME, and first what lies in the cell. */
export const TAG_WORDS = TAG_SIZE / 4;

/** A running hash over the cells of a batch. */
export interface CellDigest {
  /** Comes before the cells of a batch, which it copies. */
  begin(batch: CellBatch): void;
  /** Feeds cell `i` with its digest field zero, and writes `TAG_WORDS` words of the digest so far to `out[at..]`. */
  feed(i: number, out: Int32Array, at: number): void;
  /** Keeps what was fed so far, and goes back to it. */
  save(): void;
  restore(): void;
  /** Comes after the cells of a batch. */
  finish(): void;
}

/** One direction of one hop. */
export class Direction {
  readonly stream: Keystream;
  private readonly digest: CellDigest;
  /** The digests of the last batch's cells, `TAG_WORDS` each; as long as the largest batch needed. */
  private tags = new Int32Array(TAG_WORDS);

  /** `key` as `Keystream` takes it. */
  constructor(digest: CellDigest, key: Uint8Array) {
    this.stream = new Keystream(key);
    this.digest = digest;
  }

  crypt(batch: CellBatch): void {
    this.stream.apply(batch, viewOf(batch.buf));
  }

  seal(batch: CellBatch): void {
    const view = viewOf(batch.buf);
    this.sign(batch, view);
    this.stream.apply(batch, view);
  }

  open(batch: CellBatch, mine: Uint8Array): number {
    const view = viewOf(batch.buf);
    this.stream.apply(batch, view);
    return this.recognize(batch, view, mine);
  }

  /** Sets the digests of cells that have no layer yet, and zeros there. */
  sign(batch: CellBatch, view: DataView): void {
    this.begin(batch);
    for (let i = 0; i < batch.n; i++) {
      this.digest.feed(i, this.tags, i * TAG_WORDS);
      view.setInt32(batch.at[i]! + DIGEST, this.tags[i * TAG_WORDS]!);
    }
    this.digest.finish();
  }

  /** Marks those of the cells, layer off, that are for this end; returns how many. */
  recognize(batch: CellBatch, view: DataView, mine: Uint8Array): number {
    let count = 0;
    let begun = false;
    for (let i = 0; i < batch.n; i++) {
      const at = batch.at[i]!;
      mine[i] = 0;
      if (view.getUint16(at + RECOGNIZED) !== 0) continue;
      if (!begun) this.begin(batch);
      begun = true;
      if (!this.matches(view, at, i)) continue;
      mine[i] = 1;
      count++;
    }
    if (begun) this.digest.finish();
    return count;
  }

  /** After `sign` or `recognize`: the SENDME tag of cell `i`; a fresh copy. */
  tag(i: number): Uint8Array {
    const bytes = new Uint8Array(TAG_SIZE);
    const view = viewOf(bytes);
    for (let word = 0; word < TAG_WORDS; word++) view.setInt32(word * 4, this.tags[i * TAG_WORDS + word]!);
    return bytes;
  }

  private begin(batch: CellBatch): void {
    if (this.tags.length < batch.n * TAG_WORDS) this.tags = new Int32Array(batch.n * TAG_WORDS * 2);
    this.digest.begin(batch);
  }

  /** Whether the cell's digest is right, and then it is zero; if not, cell and running digest are as they were. */
  private matches(view: DataView, at: number, i: number): boolean {
    this.digest.save();
    this.digest.feed(i, this.tags, i * TAG_WORDS);
    if (this.tags[i * TAG_WORDS] === view.getInt32(at + DIGEST)) {
      view.setInt32(at + DIGEST, 0);
      return true;
    }
    this.digest.restore();
    return false;
  }
}

/** A client's view of one hop, or an onion service's of its client: the mirror image of RelayLayer. */
export class ClientLayer {
  /** Open to whoever works on several hops at once. */
  readonly forward: Direction;
  readonly backward: Direction;

  constructor(forward: Direction, backward: Direction) {
    this.forward = forward;
    this.backward = backward;
  }

  /** Takes this hop's layer off cells from the relay; marks in `mine[i]` those that this hop made. Returns how many. */
  openBackward(batch: CellBatch, mine: Uint8Array): number {
    return this.backward.open(batch, mine);
  }
  /** Puts this hop's layer on cells for hops further out. */
  wrapForward(batch: CellBatch): void {
    this.forward.crypt(batch);
  }
  /** Sets digest and layer on cells for this hop. */
  sealForward(batch: CellBatch): void {
    this.forward.seal(batch);
  }
  openTag(i: number): Uint8Array {
    return this.backward.tag(i);
  }
  sealTag(i: number): Uint8Array {
    return this.forward.tag(i);
  }
}
