/**
 * The layers of a circuit as its client has them, one a hop, and whose each cell is that comes back.
 *
 * @module
 */
import { CellBatch, MAX_BATCH } from '../cell/batch.js';
import type { ClientLayer } from '../onion/direction.js';

// For one call of `open` each; calls never nest.
const rest = new CellBatch(Buffer.alloc(0));
/** For each cell of `rest`, its place in the batch that came. */
const places = new Int16Array(MAX_BATCH);
const marks = new Uint8Array(MAX_BATCH);
/** For each cell of the batch that came: the hop it is from (or NOBODY), its place in the batch that hop's layer saw. */
const owners = new Int16Array(MAX_BATCH);
const seenAt = new Int16Array(MAX_BATCH);
const run = new Uint8Array(MAX_BATCH);
const NOBODY = -1;

/** Takes the cells of a batch that `mine` marks: they are from hop `n`; `tagOf` gives their SENDME tags. */
export type TakeCells = (
  n: number,
  batch: CellBatch,
  mine: Uint8Array,
  tagOf: (i: number) => Uint8Array,
) => void;

export class Layers {
  private readonly layers: ClientLayer[] = [];

  push(layer: ClientLayer): void {
    this.layers.push(layer);
  }

  /** Does ahead what the first cells through the newest hop would wait for. */
  ready(): void {
    this.layers.at(-1)?.ready();
  }

  /** Sets the digest for hop `n` (from 0) and puts on its layer and those before it. */
  seal(batch: CellBatch, n: number): void {
    this.layers[n]!.sealForward(batch);
    for (let i = n - 1; i >= 0; i--) this.layers[i]!.wrapForward(batch);
  }

  /**
   * Takes layers off until each cell's hop is known, then hands the cells out in order, those of one hop in a row
   * together, while `take` says to go on. Returns how many cells are of no hop.
   */
  open(batch: CellBatch, take: TakeCells, goOn: () => boolean): number {
    for (let n = 0; n < this.layers.length; n++) {
      const layer = this.layers[n]!;
      const known = layer.openBackward(batch, marks);
      if (known === 0) continue;
      if (known < batch.n) return this.openMixed(batch, n, take, goOn);
      // All are of one hop, as nearly always: there is nothing to tell apart.
      if (goOn()) take(n, batch, marks, (i) => layer.openTag(i));
      return 0;
    }
    return batch.n;
  }

  /** The same from where layer `first` is off, and `marks` has those that are of its hop. */
  private openMixed(batch: CellBatch, first: number, take: TakeCells, goOn: () => boolean): number {
    rest.buf = batch.buf;
    rest.n = batch.n;
    rest.at.set(batch.at);
    for (let i = 0; i < batch.n; i++) places[i] = i;
    owners.fill(NOBODY, 0, batch.n);
    this.claim(first);
    for (let n = first + 1; n < this.layers.length && rest.n > 0; n++)
      if (this.layers[n]!.openBackward(rest, marks) > 0) this.claim(n);
    const unknown = rest.n;
    for (let from = 0; from < batch.n && goOn(); ) from = this.handOut(batch, from, take);
    return unknown;
  }

  /** Notes which cells of `rest` are from hop `n`, and leaves the others. */
  private claim(n: number): void {
    let kept = 0;
    for (let i = 0; i < rest.n; i++) {
      const place = places[i]!;
      if (marks[i] === 1) {
        owners[place] = n;
        seenAt[place] = i;
      } else {
        rest.at[kept] = rest.at[i]!;
        places[kept++] = place;
      }
    }
    rest.n = kept;
  }

  /** Hands out the cells from `from` on that are of the same hop; returns the first that is not. */
  private handOut(batch: CellBatch, from: number, take: TakeCells): number {
    const owner = owners[from]!;
    run.fill(0, 0, batch.n);
    let to = from;
    while (to < batch.n && owners[to] === owner) run[to++] = 1;
    if (owner !== NOBODY) take(owner, batch, run, (i) => this.layers[owner]!.openTag(seenAt[i]!));
    return to;
  }
}
