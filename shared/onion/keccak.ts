/**
 * Keccak-f[1600] and the SHA3-256 sponge over it (FIPS 202) as a WebAssembly module, made here instruction by
 * instruction. JavaScript has no 64-bit words (seven times the cost of a native hash), and a native hash pays a call, an
 * object and a copy of its state for each read-out: 6.6-7.7 us a cell, digest and layer, against 3.3 with this (Node
 * 20, a busy machine).
 *
 * Its memory holds one state of 200 bytes at `STATE`, a copy at `SAVED`, and room for what is to be hashed from `INPUT`
 * on. It keeps nothing between calls: whoever has a running hash copies its state in and out.
 *
 * @module
 */

/** Bytes of a state. */
export const STATE_SIZE = 200;
/** Bytes taken in between two permutations: SHA3-256's rate. */
const RATE = 136;
const LANES = 25;
const ROUNDS = 24;

// Offsets in the module's memory.
const STATE = 0;
const SAVED = 256;
const SCRATCH = 512;
const CONSTANTS = 768;
const INPUT = 1024;
const PAGES = 2;
/** Bytes that may be hashed at a time. */
export const INPUT_SIZE = PAGES * 65536 - INPUT;

/** SHA3's two domain bits and the first of the padding, and the padding's last bit (FIPS 202 6.1, 5.1). */
const SUFFIX = 0x06;
const LAST = 0x80;

/** What the module does; `fill` counts bytes of the block that is being filled, offsets are from `INPUT`. */
export interface Keccak {
  /** The running state: copy one in, and out again when done. */
  readonly state: Uint8Array;
  /** What `update` reads. */
  readonly input: Buffer;
  /** The 32 bytes that `digest` wrote last. */
  readonly output: DataView;
  /** Takes in `input[from..to)`; returns the new fill. */
  update(fill: number, from: number, to: number): number;
  /** Writes the digest of what was taken in to `output`; the state stays as it is. */
  digest(fill: number): void;
  /** Keeps the state, and puts it back. */
  save(): void;
  restore(): void;
}

let made: Keccak | undefined;

/** The one module of this process, made when it is first wanted. */
export function keccak(): Keccak {
  made ??= instantiate();
  return made;
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  update(fill: number, from: number, to: number): number;
  digest(fill: number): void;
  copy(to: number, from: number): void;
}

/** What Node has, of which its types name nothing. */
interface Wasm {
  readonly Module: new (binary: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

function instantiate(): Keccak {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;
  const call = new Instance(new Module(assemble())).exports as Exports;
  const { buffer } = call.memory;
  new BigUint64Array(buffer, CONSTANTS, ROUNDS).set(roundConstants());
  return {
    state: new Uint8Array(buffer, STATE, STATE_SIZE),
    input: Buffer.from(buffer, INPUT, INPUT_SIZE),
    output: new DataView(buffer, SCRATCH, 32),
    update: (fill, from, to) => call.update(fill, INPUT + from, INPUT + to),
    digest: call.digest,
    save: () => call.copy(SAVED, STATE),
    restore: () => call.copy(STATE, SAVED),
  };
}

/** Iota's constants, from the linear feedback shift register that defines them (FIPS 202 3.2.5). */
function roundConstants(): bigint[] {
  let register = 1;
  return Array.from({ length: ROUNDS }, () => {
    let constant = 0n;
    for (let bit = 0; bit <= 6; bit++) {
      if (register & 1) constant |= 1n << BigInt((1 << bit) - 1);
      register = ((register << 1) ^ ((register >> 7) * 0x171)) & 0xff;
    }
    return constant;
  });
}

// The assembler: WebAssembly's binary format (core specification 2.0, 5).

type Code = readonly number[];

const unsigned = (n: number): Code => (n < 128 ? [n] : [(n & 127) | 128, ...unsigned(n >>> 7)]);
const signed = (n: number): Code => (n >= -64 && n < 64 ? [n & 127] : [(n & 127) | 128, ...signed(n >> 7)]);
const sized = (bytes: Code): Code => [...unsigned(bytes.length), ...bytes];
const list = (items: readonly Code[]): Code => [...unsigned(items.length), ...items.flat()];
const section = (id: number, items: readonly Code[]): Code => [id, ...sized(list(items))];
const text = (name: string): Code => sized([...Buffer.from(name)]);

const I32 = 0x7f;
const I64 = 0x7e;
const VOID = 0x40;
const END = 0x0b;

const get = (local: number): Code => [0x20, ...unsigned(local)];
const set = (local: number): Code => [0x21, ...unsigned(local)];
const tee = (local: number): Code => [0x22, ...unsigned(local)];
const int = (n: number): Code => [0x41, ...signed(n)];
const long = (n: number): Code => [0x42, ...signed(n)];
const branchIf = (depth: number): Code => [0x0d, ...unsigned(depth)];
const call = (fn: number): Code => [0x10, ...unsigned(fn)];
const block = (...body: Code[]): Code => [0x02, VOID, ...body.flat(), END];
const loop = (...body: Code[]): Code => [0x03, VOID, ...body.flat(), END];
const iff = (...body: Code[]): Code => [0x04, VOID, ...body.flat(), END];
// Alignment is a hint only: none is promised.
const load64 = (offset: number): Code => [0x29, 0, ...unsigned(offset)];
const store64 = (offset: number): Code => [0x37, 0, ...unsigned(offset)];
const load8 = (offset: number): Code => [0x2d, 0, ...unsigned(offset)];
const store8 = (offset: number): Code => [0x3a, 0, ...unsigned(offset)];
const ADD: Code = [0x6a];
const XOR: Code = [0x73];
const EQUAL: Code = [0x46];
const LESS: Code = [0x49];
const GREATER: Code = [0x4b];
const AND64: Code = [0x83];
const XOR64: Code = [0x85];
const ROTATE64: Code = [0x89];
/** To, from and size from the stack. */
const COPY: Code = [0xfc, 10, 0, 0];

const func = (locals: readonly (readonly [count: number, type: number])[], ...body: Code[]): Code =>
  sized([...list(locals.map(([n, type]) => [...unsigned(n), type])), ...body.flat(), END]);

const PERMUTE = 0;
const UPDATE = 1;
const DIGEST = 2;
const COPY_STATE = 3;

function assemble(): Uint8Array<ArrayBuffer> {
  const types = [
    [0x60, 1, I32, 0],
    [0x60, 3, I32, I32, I32, 1, I32],
    [0x60, 2, I32, I32, 0],
  ];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, types),
    ...section(3, [[0], [1], [0], [2]]),
    ...section(5, [[1, PAGES, PAGES]]),
    ...section(7, [
      [...text('memory'), 2, 0],
      [...text('update'), 0, UPDATE],
      [...text('digest'), 0, DIGEST],
      [...text('copy'), 0, COPY_STATE],
    ]),
    ...section(10, [permute(), update(), digest(), copyState()]),
  ]);
}

/** `permute(state)`: the 24 rounds on 25 lanes in locals. */
function permute(): Code {
  const [state, round] = [0, 1];
  const a = (x: number, y: number) => 2 + (x % 5) + 5 * (y % 5);
  const b = (x: number, y: number) => a(x, y) + LANES;
  const c = (x: number) => 2 + 2 * LANES + (x % 5);
  const d = (x: number) => c(0) + 5 + (x % 5);
  const five = [0, 1, 2, 3, 4];
  const every = (code: (x: number, y: number) => Code): Code =>
    five.flatMap((y) => five.flatMap((x) => code(x, y)));
  const rotations = rhoRotations();
  const theta = [
    five.flatMap((x) => [...five.flatMap((y) => [...get(a(x, y)), ...(y > 0 ? XOR64 : [])]), ...set(c(x))]),
    five.flatMap((x) => [
      ...get(c(x + 4)),
      ...get(c(x + 1)),
      ...long(1),
      ...ROTATE64,
      ...XOR64,
      ...set(d(x)),
    ]),
  ].flat();
  const rhoAndPi = every((x, y) => [
    ...[get(a(x, y)), get(d(x)), XOR64].flat(),
    ...[long(rotations[x + 5 * y]!), ROTATE64, set(b(y, 2 * x + 3 * y))].flat(),
  ]);
  const chi = every((x, y) =>
    [get(b(x, y)), get(b(x + 1, y)), long(-1), XOR64, get(b(x + 2, y)), AND64, XOR64, set(a(x, y))].flat(),
  );
  const iota = [get(a(0, 0)), get(round), load64(CONSTANTS), XOR64, set(a(0, 0))].flat();
  return func(
    [
      [1, I32],
      [2 * LANES + 10, I64],
    ],
    every((x, y) => [...get(state), ...load64(8 * (x + 5 * y)), ...set(a(x, y))]),
    loop(
      [...theta, ...rhoAndPi, ...chi, ...iota],
      [get(round), int(8), ADD, tee(round), int(8 * ROUNDS), LESS, branchIf(0)].flat(),
    ),
    every((x, y) => [...get(state), ...get(a(x, y)), ...store64(8 * (x + 5 * y))]),
  );
}

/** Rho's rotation of each lane (FIPS 202 3.2.2). */
function rhoRotations(): number[] {
  const rotations = new Array<number>(LANES).fill(0);
  let [x, y] = [1, 0];
  for (let t = 0; t < LANES - 1; t++) {
    rotations[x + 5 * y] = (((t + 1) * (t + 2)) / 2) % 64;
    [x, y] = [y, (2 * x + 3 * y) % 5];
  }
  return rotations;
}

/** `update(fill, from, to)`: eight bytes at a time while they fit, single ones around a block's and the input's end. */
function update(): Code {
  const [fill, from, to] = [0, 1, 2];
  const step = (n: number) => [get(fill), int(n), ADD, set(fill), get(from), int(n), ADD, set(from)].flat();
  return func(
    [],
    block(
      loop(
        [get(from), get(to), EQUAL, branchIf(1)].flat(),
        block(
          [get(to), get(from), int(8), ADD, LESS, branchIf(0)].flat(),
          [get(fill), int(RATE - 8), GREATER, branchIf(0)].flat(),
          [get(fill), get(fill), load64(STATE), get(from), load64(0), XOR64, store64(STATE)].flat(),
          step(8),
          [get(fill), int(RATE), LESS, branchIf(1)].flat(),
          [int(STATE), call(PERMUTE), int(0), set(fill)].flat(),
          [0x0c, 1],
        ),
        [get(fill), get(fill), load8(STATE), get(from), load8(0), XOR, store8(STATE)].flat(),
        step(1),
        [get(fill), int(RATE), EQUAL].flat(),
        iff([int(STATE), call(PERMUTE), int(0), set(fill)].flat()),
        [0x0c, 0],
      ),
    ),
    get(fill),
  );
}

/** `digest(fill)`: pads a copy. */
function digest(): Code {
  const fill = 0;
  const flip = (at: Code, bits: number) => [at, at, load8(SCRATCH), int(bits), XOR, store8(SCRATCH)].flat();
  return func(
    [],
    [int(SCRATCH), int(STATE), int(STATE_SIZE), COPY].flat(),
    flip(get(fill), SUFFIX),
    flip(int(RATE - 1), LAST),
    [int(SCRATCH), call(PERMUTE)].flat(),
  );
}

/** `copy(to, from)`: one state. */
const copyState = (): Code => func([], get(0), get(1), int(STATE_SIZE), COPY);
