/**
 * A running SHA3-256 over relay cells (rend-spec-v3 4.1): the state of one between batches. While a batch is worked on
 * the state is in the module that all share (`keccak.ts`).
 *
 * @module
 */
import { INPUT_SIZE, keccak, STATE_SIZE } from './keccak.js';

/** SHA3-256 of everything fed so far. */
export class RunningSha3 {
  private readonly state = new Uint8Array(STATE_SIZE);
  private fill = 0;
  private savedFill = 0;

  /** A fresh digest fed with `seed`. */
  constructor(seed: Uint8Array) {
    if (seed.length > INPUT_SIZE) throw new RangeError('a seed is short');
    this.load();
    keccak().input.set(seed);
    this.update(0, seed.length);
    this.store();
  }

  /** Takes the module: between this and `store` no other running digest may. */
  load(): void {
    keccak().state.set(this.state);
  }

  /** Leaves the module. */
  store(): void {
    this.state.set(keccak().state);
  }

  /** Feeds `input[from..to)` of the module. */
  update(from: number, to: number): void {
    this.fill = keccak().update(this.fill, from, to);
  }

  /** Has the module write the digest of what was fed so far to its output. */
  digest(): void {
    keccak().digest(this.fill);
  }

  /** Keeps what was fed so far, and goes back to it; good until `store`. */
  save(): void {
    this.savedFill = this.fill;
    keccak().save();
  }

  restore(): void {
    this.fill = this.savedFill;
    keccak().restore();
  }
}
