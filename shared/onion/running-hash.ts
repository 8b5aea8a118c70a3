/**
 * Running hashes over relay cells (tor-spec 6.1, rend-spec-v3 4.1): fed one cell after another, read out after each,
 * and put back when a cell turns out to be somebody else's.
 *
 * A native hash pays a call, an object and a copy of its state for each read-out; so the hashes are WebAssembly modules
 * made here (`sha1.ts`, `sha3.ts`), one of a kind in a process. A module keeps nothing between calls: a running hash
 * copies its state in before the cells of a batch and out after.
 *
 * ```
 * 0     state                     256   a copy of it
 * 512   room to finish a copy     768   constants, or room for one block
 * 1280  what is to be hashed
 * ```
 *
 * @module
 */

import type { CellBatch } from '../cell/batch.js';
import { BODY_SIZE, CELL_SIZE } from '../cell/commands.js';
import { stageCells } from '../cell/stage.js';
import { type CellDigest, DIGEST, TAG_WORDS } from './direction.js';
import { assemble, COPY, type Func, get, int } from './wasm.js';

/** Offsets in a module's memory. */
export const STATE = 0;
const SAVED = 256;
export const SCRATCH = 512;
export const CONSTANTS = 768;
const INPUT = 1280;
const PAGES = 2;
/** Bytes that may be hashed at a time. */
export const INPUT_SIZE = PAGES * 65536 - INPUT;

/** What a hash is made of. */
export interface HashCode {
  /** Bytes of its state, what of an unfinished block there is included, and those of a fresh hash. */
  readonly stateSize: number;
  readonly initial: Uint8Array;
  /** What lies at `CONSTANTS`. */
  readonly constants?: Uint8Array;
  /** Where `digest` writes, and so many bytes. */
  readonly output: number;
  readonly outputSize: number;
  /**
   * Among them `update(from, to)`, which takes the bytes there into the state, and `digest()`, which leaves the state
   * as it is.
   */
  readonly functions: readonly Func[];
}

/** A module that was made. */
export interface HashModule extends HashCode {
  /** What `update` reads: `from` and `to` are offsets in it. */
  readonly input: Buffer;
  /** The running state, the one kept by `save`, and what `digest` wrote last. */
  readonly state: Uint8Array;
  readonly result: DataView;
  update(from: number, to: number): void;
  digest(): void;
  save(): void;
  restore(): void;
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  update(from: number, to: number): void;
  digest(): void;
  copy(to: number, from: number): void;
}

/** What Node has, of which its types name nothing. */
interface Wasm {
  readonly Module: new (binary: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

function instantiate(code: HashCode): HashModule {
  const copy: Func = { name: 'copy', params: 2, body: [get(0), get(1), int(code.stateSize), COPY].flat() };
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;
  const module = new Module(assemble(PAGES, [...code.functions, copy]));
  const made = new Instance(module).exports as Exports;
  const { buffer } = made.memory;
  if (code.constants) new Uint8Array(buffer, CONSTANTS).set(code.constants);
  return {
    ...code,
    input: Buffer.from(buffer, INPUT, INPUT_SIZE),
    state: new Uint8Array(buffer, STATE, code.stateSize),
    result: new DataView(buffer, code.output, code.outputSize),
    update: (from, to) => made.update(INPUT + from, INPUT + to),
    digest: made.digest,
    save: () => made.copy(SAVED, STATE),
    restore: () => made.copy(STATE, SAVED),
  };
}

/** The one module of a hash, made when it is first wanted. */
export function hashModule(code: () => HashCode): () => HashModule {
  let made: HashModule | undefined;
  return () => {
    made ??= instantiate(code());
    return made;
  };
}

/** One running hash. Between `load` and `store` it has the module for itself. */
export class RunningHash {
  protected readonly module: HashModule;
  private readonly state: Uint8Array;

  /** A fresh one, fed with `seed`. */
  constructor(module: HashModule, seed: Uint8Array) {
    if (seed.length > INPUT_SIZE)
      throw new RangeError(`a seed of ${seed.length} bytes, at most ${INPUT_SIZE}`);
    this.module = module;
    this.state = Uint8Array.from(module.initial);
    this.load();
    module.input.set(seed);
    module.update(0, seed.length);
    this.store();
  }

  load(): void {
    this.module.state.set(this.state);
  }

  store(): void {
    this.state.set(this.module.state);
  }
}

/** The running digest of one direction of a hop, after a seed (Df or Db). */
export class RunningDigest extends RunningHash implements CellDigest {
  begin(batch: CellBatch): void {
    stageCells(batch, 0, this.module.input);
    this.load();
  }

  feed(i: number, out: Int32Array, at: number): void {
    const { module } = this;
    const from = i * CELL_SIZE;
    module.input.writeInt32LE(0, from + DIGEST);
    module.update(from, from + BODY_SIZE);
    module.digest();
    for (let word = 0; word < TAG_WORDS; word++) out[at + word] = module.result.getInt32(word * 4);
  }

  save(): void {
    this.module.save();
  }

  restore(): void {
    this.module.restore();
  }

  finish(): void {
    this.store();
  }
}
