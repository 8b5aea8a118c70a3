/**
 * The relay crypto of the hop between an onion service and its client, at the end of two joined circuits
 * (rend-spec-v3 4.1): as tor1, with AES-256-CTR and SHA3-256 seeded with 32 bytes. A SENDME tag is the first 20
 * bytes of the digest.
 *
 * @module
 */
import type { CellBatch } from '../cell/batch.js';
import { BODY_SIZE, CELL_SIZE } from '../cell/commands.js';
import { stageCells } from '../cell/stage.js';
import { keccak } from './keccak.js';
import { Keystream, viewOf } from './keystream.js';
import { digestBytes } from './sha1.js';
import { RunningSha3 } from './sha3.js';
import { type ClientLayer, TAG_SIZE } from './types.js';

/** Bytes of keys a hop needs: Df (32), Db (32), Kf (32), Kb (32), from SHAKE-256 of the hs-ntor seed. */
export const HS_KEYS_SIZE = 128;

const RECOGNIZED = 1;
const DIGEST = 5;

/** 32-bit words of a digest that are kept for a cell's tag. */
const TAG_WORDS = TAG_SIZE / 4;

class Direction {
  private readonly stream: Keystream;
  private readonly hash: RunningSha3;
  /** The beginnings of the last batch's digests; as long as the largest batch needed. */
  private tags = new Int32Array(TAG_WORDS);

  constructor(seed: Uint8Array, key: Uint8Array) {
    this.stream = new Keystream(key);
    this.hash = new RunningSha3(seed);
  }

  crypt(batch: CellBatch): void {
    this.stream.apply(batch, viewOf(batch.buf));
  }

  seal(batch: CellBatch): void {
    const view = viewOf(batch.buf);
    this.begin(batch);
    for (let i = 0; i < batch.n; i++) {
      this.digest(i);
      view.setInt32(batch.at[i]! + DIGEST, this.tags[i * TAG_WORDS]!);
    }
    this.hash.store();
    this.stream.apply(batch, view);
  }

  open(batch: CellBatch, mine: Uint8Array): number {
    const view = viewOf(batch.buf);
    this.stream.apply(batch, view);
    this.begin(batch);
    let count = 0;
    for (let i = 0; i < batch.n; i++) {
      const at = batch.at[i]!;
      const is = view.getUint16(at + RECOGNIZED) === 0 && this.matches(view, at, i) ? 1 : 0;
      mine[i] = is;
      count += is;
    }
    this.hash.store();
    return count;
  }

  tag(i: number): Uint8Array {
    return digestBytes(this.tags, i * TAG_WORDS);
  }

  /** Puts the cells where the module reads them, with room for their tags. */
  private begin(batch: CellBatch): void {
    if (this.tags.length < batch.n * TAG_WORDS) this.tags = new Int32Array(batch.n * TAG_WORDS * 2);
    stageCells(batch, 0, keccak().input);
    this.hash.load();
  }

  /** Feeds cell `i` and keeps the digest so far. */
  private digest(i: number): void {
    const at = i * CELL_SIZE;
    this.hash.update(at, at + BODY_SIZE);
    this.hash.digest();
    const { output } = keccak();
    for (let word = 0; word < TAG_WORDS; word++) this.tags[i * TAG_WORDS + word] = output.getInt32(word * 4);
  }

  /** Whether the cell's digest is right; if not, cell and running digest are as they were. */
  private matches(view: DataView, at: number, i: number): boolean {
    this.hash.save();
    keccak().input.fill(0, i * CELL_SIZE + DIGEST, i * CELL_SIZE + DIGEST + 4);
    this.digest(i);
    if (this.tags[i * TAG_WORDS] === view.getInt32(at + DIGEST)) {
      view.setInt32(at + DIGEST, 0);
      return true;
    }
    this.hash.restore();
    return false;
  }
}

/**
 * The layer of the onion-service hop, as either end sees it: `keys` is the 128 bytes of the hs-ntor expansion. The
 * client sends with Df and Kf, the service with Db and Kb.
 */
export function tor1Hs(keys: Uint8Array, role: 'client' | 'service'): ClientLayer {
  const [df, db, kf, kb] = [0, 32, 64, 96].map((from) => keys.subarray(from, from + 32)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const clientToService = new Direction(df, kf);
  const serviceToClient = new Direction(db, kb);
  const [out, back] =
    role === 'client' ? [clientToService, serviceToClient] : [serviceToClient, clientToService];
  return {
    openBackward: (batch, mine) => back.open(batch, mine),
    wrapForward: (batch) => out.crypt(batch),
    sealForward: (batch) => out.seal(batch),
    openTag: (i) => back.tag(i),
    sealTag: (i) => out.tag(i),
  };
}
