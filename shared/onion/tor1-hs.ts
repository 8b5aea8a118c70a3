/**
 * The relay crypto of the hop between an onion service and its client, at the end of two joined circuits
 * (rend-spec-v3 4.1): as tor1, with AES-256-CTR and SHA3-256 seeded with 32 bytes. A SENDME tag is the first 20
 * bytes of the digest.
 *
 * The digest is OpenSSL's: SHA3 in JavaScript costs seven times as much (17 us a cell), so this hop does pay a native
 * copy and digest per cell.
 *
 * @module
 */
import { createHash, type Hash } from 'node:crypto';
import { type CellBatch, MAX_BATCH } from '../cell/batch.js';
import { BODY_SIZE } from '../cell/commands.js';
import { Keystream, viewOf } from './keystream.js';
import { type ClientLayer, TAG_SIZE } from './types.js';

/** Bytes of keys a hop needs: Df (32), Db (32), Kf (32), Kb (32), from SHAKE-256 of the hs-ntor seed. */
export const HS_KEYS_SIZE = 128;

const RECOGNIZED = 1;
const DIGEST = 5;

class Direction {
  private readonly stream: Keystream;
  private hash: Hash;
  private readonly digests: Buffer[] = new Array(MAX_BATCH);

  constructor(seed: Uint8Array, key: Uint8Array) {
    this.stream = new Keystream(key);
    this.hash = createHash('sha3-256').update(seed);
  }

  crypt(batch: CellBatch): void {
    this.stream.apply(batch, viewOf(batch.buf));
  }

  seal(batch: CellBatch): void {
    const view = viewOf(batch.buf);
    for (let i = 0; i < batch.n; i++) {
      const at = batch.at[i]!;
      this.hash.update(batch.buf.subarray(at, at + BODY_SIZE));
      const digest = this.hash.copy().digest();
      this.digests[i] = digest;
      view.setInt32(at + DIGEST, digest.readInt32BE(0));
    }
    this.stream.apply(batch, view);
  }

  open(batch: CellBatch, mine: Uint8Array): number {
    const view = viewOf(batch.buf);
    this.stream.apply(batch, view);
    let count = 0;
    for (let i = 0; i < batch.n; i++) {
      const at = batch.at[i]!;
      const is = view.getUint16(at + RECOGNIZED) === 0 && this.matches(batch.buf, view, at, i) ? 1 : 0;
      mine[i] = is;
      count += is;
    }
    return count;
  }

  tag(i: number): Uint8Array {
    return this.digests[i]!.subarray(0, TAG_SIZE);
  }

  private matches(buf: Buffer, view: DataView, at: number, i: number): boolean {
    const claimed = view.getInt32(at + DIGEST);
    view.setInt32(at + DIGEST, 0);
    const next = this.hash.copy().update(buf.subarray(at, at + BODY_SIZE));
    const digest = next.copy().digest();
    if (digest.readInt32BE(0) === claimed) {
      this.hash = next;
      this.digests[i] = digest;
      return true;
    }
    view.setInt32(at + DIGEST, claimed);
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
