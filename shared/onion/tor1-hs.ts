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
import { type CellDigest, ClientLayer, DIGEST, Direction, TAG_WORDS } from './direction.js';
import { keccak } from './keccak.js';
import { RunningSha3 } from './sha3.js';

/** Bytes of keys a hop needs: Df (32), Db (32), Kf (32), Kb (32), from SHAKE-256 of the hs-ntor seed. */
export const HS_KEYS_SIZE = 128;

class Sha3Cells implements CellDigest {
  private readonly hash: RunningSha3;

  constructor(seed: Uint8Array) {
    this.hash = new RunningSha3(seed);
  }

  begin(batch: CellBatch): void {
    stageCells(batch, 0, keccak().input);
    this.hash.load();
  }
  feed(i: number, out: Int32Array, at: number): void {
    const { input, output } = keccak();
    const from = i * CELL_SIZE;
    input.fill(0, from + DIGEST, from + DIGEST + 4);
    this.hash.update(from, from + BODY_SIZE);
    this.hash.digest();
    for (let word = 0; word < TAG_WORDS; word++) out[at + word] = output.getInt32(word * 4);
  }
  save(): void {
    this.hash.save();
  }
  restore(): void {
    this.hash.restore();
  }
  finish(): void {
    this.hash.store();
  }
}

/**
 * The layer of the onion-service hop, as either end sees it: `keys` is the 128 bytes of the hs-ntor expansion. The
 * client sends with Df and Kf, the service with Db and Kb.
 */
export function tor1Hs(keys: Uint8Array, role: 'client' | 'service'): ClientLayer {
  const part = (n: number) => keys.subarray(n * 32, (n + 1) * 32);
  const toService = new Direction(new Sha3Cells(part(0)), part(2));
  const toClient = new Direction(new Sha3Cells(part(1)), part(3));
  return role === 'client' ? new ClientLayer(toService, toClient) : new ClientLayer(toClient, toService);
}
