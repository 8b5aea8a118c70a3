/**
 * tor1, the relay crypto of every hop but the onion-service one and CGO's (tor-spec 5.5, 6.1): AES-128-CTR layers,
 * and a running SHA-1 seeded with Df or Db.
 *
 * @module
 */
import type { CellBatch } from '../cell/batch.js';
import { BODY_SIZE } from '../cell/commands.js';
import { type CellDigest, ClientLayer, Direction } from './direction.js';
import { RunningSha1 } from './sha1.js';
import type { HopKeys, RelayLayer } from './types.js';

// Never holds a state past one call.
const before = new RunningSha1(new Uint8Array(0));
const NO_VIEW = new DataView(new ArrayBuffer(0));

class Sha1Cells implements CellDigest {
  private readonly hash: RunningSha1;
  private view: DataView = NO_VIEW;
  private at: CellBatch['at'] = new Int32Array(0);

  constructor(seed: Uint8Array) {
    this.hash = new RunningSha1(seed);
  }

  begin(batch: CellBatch, view: DataView): void {
    this.view = view;
    this.at = batch.at;
  }
  feed(i: number, out: Int32Array, at: number): void {
    this.hash.update(this.view, this.at[i]!, BODY_SIZE);
    this.hash.digestWords(out, at);
  }
  save(): void {
    before.copyFrom(this.hash);
  }
  restore(): void {
    this.hash.copyFrom(before);
  }
  finish(): void {
    // An idle circuit keeps no one's read buffer alive.
    this.view = NO_VIEW;
  }
}

const direction = (seed: Uint8Array, key: Uint8Array) => new Direction(new Sha1Cells(seed), key);

/** A relay's layer, from the keys of its circuit handshake. */
export function tor1Relay(keys: HopKeys): RelayLayer {
  const forward = direction(keys.df, keys.kf);
  const backward = direction(keys.db, keys.kb);
  return {
    openForward: (batch, mine) => forward.open(batch, mine),
    wrapBackward: (batch) => backward.crypt(batch),
    sealBackward: (batch) => backward.seal(batch),
    openTag: (i) => forward.tag(i),
    sealTag: (i) => backward.tag(i),
  };
}

/** A client's layer for one hop, from the keys of its circuit handshake. */
export const tor1Client = (keys: HopKeys): ClientLayer =>
  new ClientLayer(direction(keys.df, keys.kf), direction(keys.db, keys.kb));
