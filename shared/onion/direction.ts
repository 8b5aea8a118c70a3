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
import { Keystream } from './keystream.js';

/** Where a v0 body has its `recognized` and `digest` fields. */
export const RECOGNIZED = 1;
export const DIGEST = 5;

/** A running hash over the cells of a batch. */
export interface CellDigest {
  /** Takes in every cell with its digest field zero, and writes its digest there. */
  sign(batch: CellBatch): void;
  /**
   * Marks the cells whose `recognized` is zero and whose digest is right, which then is zero; returns how many. Others,
   * and what they would do to the digest, are as they were.
   */
  recognize(batch: CellBatch, mine: Uint8Array): number;
  /** The SENDME tag of cell `i` of the last batch, if it was signed or recognised; a fresh copy. */
  tag(i: number): Uint8Array;
}

/** One direction of one hop. */
export class Direction {
  private readonly stream: Keystream;
  private readonly digest: CellDigest;

  /** `key` as `Keystream` takes it. */
  constructor(digest: CellDigest, key: Uint8Array) {
    this.stream = new Keystream(key);
    this.digest = digest;
  }

  crypt(batch: CellBatch): void {
    this.stream.apply(batch);
  }

  /** Sets the digests of cells that have no layer yet, and zeros there, and puts it on. */
  seal(batch: CellBatch): void {
    this.digest.sign(batch);
    this.stream.apply(batch);
  }

  /** Takes the layer off, and marks those of the cells that are for this end; returns how many. */
  open(batch: CellBatch, mine: Uint8Array): number {
    this.stream.apply(batch);
    // A cell that goes on has zeros there once in 65,536: nothing is hashed at a relay in the middle.
    if (mayBeHere(batch)) return this.digest.recognize(batch, mine);
    mine.fill(0, 0, batch.n);
    return 0;
  }

  /** Does ahead what the first cell would wait for. */
  ready(): void {
    this.stream.ready();
  }

  /** After `seal` or `open`: the SENDME tag of cell `i`; a fresh copy. */
  tag(i: number): Uint8Array {
    return this.digest.tag(i);
  }
}

function mayBeHere({ buf, n, at }: CellBatch): boolean {
  for (let i = 0; i < n; i++) {
    const field = at[i]! + RECOGNIZED;
    if (buf[field] === 0 && buf[field + 1] === 0) return true;
  }
  return false;
}

/** A client's view of one hop, or an onion service's of its client: the mirror image of RelayLayer. */
export class ClientLayer {
  private readonly forward: Direction;
  private readonly backward: Direction;

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
  /** Does ahead what the first cells would wait for. */
  ready(): void {
    this.forward.ready();
    this.backward.ready();
  }
  openTag(i: number): Uint8Array {
    return this.backward.tag(i);
  }
  sealTag(i: number): Uint8Array {
    return this.forward.tag(i);
  }
}
