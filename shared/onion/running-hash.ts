/**
 * Running hashes over relay cells (tor-spec 6.1, rend-spec-v3 4.1): fed one cell after another, read out after each,
 * and put back when a cell turns out to be somebody else's.
 *
 * A native hash pays a call, an object and a copy of its state for each read-out; so the hashes are WebAssembly modules
 * made here (`sha1.ts`, `sha3.ts`), one of a kind in a thread, which go through a whole batch in one call. A module keeps
 * nothing between calls: a running hash copies its state in before the cells of a batch and out after.
 *
 * ```
 * 0     state                     256   a copy of it
 * 512   room to finish a copy     768   constants     1024   room for one block
 * ```
 *
 * @module
 */
import { takeArena } from '../bytes/arena.js';
import { type CellBatch, MAX_BATCH } from '../cell/batch.js';
import { BODY_SIZE } from '../cell/commands.js';
import { type CellDigest, DIGEST, RECOGNIZED } from './direction.js';
import { eachPlaced, place, putBack, stage } from './place.js';
import { TAG_SIZE } from './types.js';
import {
  ADD,
  advance,
  type Code,
  call,
  compile,
  copyWords,
  EQUAL,
  type Func,
  get,
  I32,
  int,
  load16,
  load32,
  loadWords,
  NOT,
  seq,
  set,
  store8,
  store32,
  storeWords,
  when,
  whenElse,
} from './wasm.js';

/** Where modules keep what they work on; all of them there, since they never work at the same time. */
export const STATE = takeArena(1536).byteOffset;
const SAVED = STATE + 256;
export const SCRATCH = STATE + 512;
export const CONSTANTS = STATE + 768;
export const BLOCK_ROOM = STATE + 1024;

/** Bytes that may be hashed at a time. */
export const INPUT_SIZE = stage.length;

/** The digests of a batch's cells, as far as a SENDME has them. */
const tags = takeArena(MAX_BATCH * TAG_SIZE);
/** For each cell of a batch, whether it was recognised; and how many were. */
const marks = takeArena(MAX_BATCH);
const count = takeArena(4);

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
  /** The running state, and what `digest` wrote last. */
  readonly state: Uint8Array;
  readonly result: Buffer;
  /** Takes in what is on the stage (`place.ts`) from offset `from` to before `to`. */
  update(from: number, to: number): void;
  digest(): void;
  /** Of the first `n` cells that were placed: see `CellDigest`. */
  sign(n: number): void;
  recognize(n: number): void;
}

interface Exports {
  update(from: number, to: number): void;
  digest(): void;
  sign(n: number): void;
  recognize(n: number): void;
}

// Locals of what follows.
const [NUMBER, NEXT, CELL, TAG, MARK, FOUND] = [0, 1, 2, 3, 4, 5];

/** Does `body` for each of the placed cells: `CELL` is where its body is, `TAG` and `MARK` where its marks belong. */
const forEachCell = (name: string, body: Code, after: Code): Func => ({
  name,
  params: 1,
  locals: [[5, I32]],
  body: seq(
    seq(int(tags.byteOffset), set(TAG), int(marks.byteOffset), set(MARK)),
    eachPlaced(NEXT, NUMBER, CELL, seq(body, advance(MARK, 1), advance(TAG, TAG_SIZE))),
    after,
  ),
});

/** Takes a cell into the state with its digest field zero, and notes the digest. */
const feed = ({ functions, output }: HashCode): Code => {
  const place = (name: string) => functions.findIndex((func) => func.name === name);
  return seq(
    seq(get(CELL), int(0), store32(DIGEST)),
    seq(get(CELL), get(CELL), int(BODY_SIZE), ADD, call(place('update')), call(place('digest'))),
    seq(get(TAG), int(output), loadWords(0), storeWords(0)),
    seq(get(TAG), int(output), load32(16), store32(16)),
  );
};

const sign = (code: HashCode): Func =>
  forEachCell('sign', seq(feed(code), get(CELL), get(TAG), load32(0), store32(DIGEST)), []);

const recognize = (code: HashCode): Func => {
  // What the digest field said; after the loop's own.
  const said = FOUND + 1;
  const known = seq(
    seq(get(CELL), load32(DIGEST), set(said)),
    copyWords(int(SAVED), int(STATE), code.stateSize),
    feed(code),
    seq(get(TAG), load32(0), get(said), EQUAL),
    whenElse(
      seq(get(MARK), int(1), store8(0), get(FOUND), int(1), ADD, set(FOUND)),
      seq(copyWords(int(STATE), int(SAVED), code.stateSize), get(CELL), get(said), store32(DIGEST)),
    ),
  );
  const body = seq(seq(get(MARK), int(0), store8(0)), seq(get(CELL), load16(RECOGNIZED), NOT), when(known));
  const func = forEachCell('recognize', body, seq(int(count.byteOffset), get(FOUND), store32(0)));
  return { ...func, locals: [[6, I32]] };
};

function instantiate(code: HashCode): HashModule {
  const made = compile<Exports>([...code.functions, sign(code), recognize(code)]);
  const { buffer, byteOffset } = stage;
  if (code.constants) new Uint8Array(buffer, CONSTANTS).set(code.constants);
  return {
    ...code,
    state: new Uint8Array(buffer, STATE, code.stateSize),
    result: Buffer.from(buffer, code.output, code.outputSize),
    update: (from, to) => made.update(byteOffset + from, byteOffset + to),
    digest: made.digest,
    sign: made.sign,
    recognize: made.recognize,
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
    stage.set(seed);
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
  /** The digests of the last batch's cells; as long as the largest batch needed. */
  private tags = new Uint8Array(0);

  sign(batch: CellBatch): void {
    this.goThrough(batch, this.module.sign);
  }

  recognize(batch: CellBatch, mine: Uint8Array): number {
    this.goThrough(batch, this.module.recognize);
    for (let i = 0; i < batch.n; i++) mine[i] = marks[i]!;
    return count.readInt32LE();
  }

  private goThrough(batch: CellBatch, work: (n: number) => void): void {
    place(batch);
    this.load();
    work(batch.n);
    this.store();
    putBack(batch);
    this.keepTags(batch.n);
  }

  private keepTags(n: number): void {
    const size = n * TAG_SIZE;
    if (this.tags.length < size) this.tags = new Uint8Array(size);
    this.tags.set(tags.subarray(0, size));
  }

  tag(i: number): Uint8Array {
    return this.tags.slice(i * TAG_SIZE, (i + 1) * TAG_SIZE);
  }
}
