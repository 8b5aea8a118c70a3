/**
 * tor1, the relay crypto of every hop but the onion-service one and CGO's (tor-spec 5.5, 6.1): AES-128-CTR layers,
 * and a running SHA-1 of which the first four bytes lie in each cell.
 *
 * Body of a v0 relay cell: command (1), recognized (2), stream id (2), digest (4), length (2), data (498). The digest
 * is over all bodies of the direction that were for this hop, each with the digest field zero, seeded with Df or Db.
 *
 * @module
 */
import type { CellBatch } from '../cell/batch.js';
import { BODY_SIZE } from '../cell/commands.js';
import { Keystream, viewOf } from './keystream.js';
import { digestBytes, RunningSha1 } from './sha1.js';
import type { ClientLayer, HopKeys, RelayLayer } from './types.js';

/** Where a v0 body has its `recognized` and `digest` fields. */
export const RECOGNIZED = 1;
const DIGEST = 5;

// Never holds a state past one call.
const before = new RunningSha1(new Uint8Array(0));

/** One direction of one hop. */
export class Tor1Direction {
  readonly stream: Keystream;
  private readonly digest: RunningSha1;
  /** Full digests of the last batch's cells, 5 words each; as long as the largest batch needed. */
  private tags = new Int32Array(5);

  constructor(seed: Uint8Array, key: Uint8Array) {
    this.stream = new Keystream(key);
    this.digest = new RunningSha1(seed);
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

  /** Sets the digests of cells that have no layer yet. */
  sign(batch: CellBatch, view: DataView): void {
    this.roomFor(batch.n);
    for (let i = 0; i < batch.n; i++) {
      const at = batch.at[i]!;
      this.digest.update(view, at, BODY_SIZE);
      this.digest.digestWords(this.tags, i * 5);
      view.setInt32(at + DIGEST, this.tags[i * 5]!);
    }
  }

  /** Marks those of the cells, layer off, that are for this end; returns how many. */
  recognize(batch: CellBatch, view: DataView, mine: Uint8Array): number {
    let count = 0;
    for (let i = 0; i < batch.n; i++) {
      const at = batch.at[i]!;
      const is = view.getUint16(at + RECOGNIZED) === 0 && this.matches(view, at, i) ? 1 : 0;
      mine[i] = is;
      count += is;
    }
    return count;
  }

  tag(i: number): Uint8Array {
    return digestBytes(this.tags, i * 5);
  }

  /** Whether the cell's digest is right; if not, cell and running digest are as they were. */
  private matches(view: DataView, at: number, i: number): boolean {
    this.roomFor(i + 1);
    const claimed = view.getInt32(at + DIGEST);
    before.copyFrom(this.digest);
    view.setInt32(at + DIGEST, 0);
    this.digest.update(view, at, BODY_SIZE);
    this.digest.digestWords(this.tags, i * 5);
    if (this.tags[i * 5] === claimed) return true;
    this.digest.copyFrom(before);
    view.setInt32(at + DIGEST, claimed);
    return false;
  }

  private roomFor(cells: number): void {
    if (this.tags.length >= cells * 5) return;
    const grown = new Int32Array(cells * 10);
    grown.set(this.tags);
    this.tags = grown;
  }
}

/** A relay's layer, from the keys of its circuit handshake. */
export function tor1Relay(keys: HopKeys): RelayLayer {
  const forward = new Tor1Direction(keys.df, keys.kf);
  const backward = new Tor1Direction(keys.db, keys.kb);
  return {
    openForward: (batch, mine) => forward.open(batch, mine),
    wrapBackward: (batch) => backward.crypt(batch),
    sealBackward: (batch) => backward.seal(batch),
    openTag: (i) => forward.tag(i),
    sealTag: (i) => backward.tag(i),
  };
}

/** A client's layer for one hop; its two directions are open to whoever works on several hops at once. */
export class Tor1ClientLayer implements ClientLayer {
  readonly forward: Tor1Direction;
  readonly backward: Tor1Direction;

  constructor(keys: HopKeys) {
    this.forward = new Tor1Direction(keys.df, keys.kf);
    this.backward = new Tor1Direction(keys.db, keys.kb);
  }

  openBackward(batch: CellBatch, mine: Uint8Array): number {
    return this.backward.open(batch, mine);
  }
  wrapForward(batch: CellBatch): void {
    this.forward.crypt(batch);
  }
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

/** A client's layer for one hop, from the keys of its circuit handshake. */
export const tor1Client = (keys: HopKeys): ClientLayer => new Tor1ClientLayer(keys);
