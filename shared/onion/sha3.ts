/**
 * SHA3-256 over the cells of onion services: Keccak-f[1600] and the sponge over it (FIPS 202), in WebAssembly, since
 * JavaScript has no 64-bit words. A cell's digest and layer take 3.3 us against 6.6-7.7 with a native hash (Node 20, a
 * busy machine).
 *
 * @module
 */
import { CONSTANTS, hashModule, SCRATCH, STATE } from './running-hash.js';
import {
  ADD,
  AND64,
  block,
  branch,
  branchIf,
  type Code,
  call,
  copyWords,
  EQUAL,
  type Func,
  GREATER,
  get,
  I32,
  I64,
  int,
  LESS,
  load8,
  load32,
  load64,
  long,
  loop,
  ROTL64,
  seq,
  set,
  store8,
  store32,
  store64,
  tee,
  when,
  XOR,
  XOR64,
} from './wasm.js';

/** Bytes taken in between two permutations. */
const RATE = 136;
const LANES = 25;
const ROUNDS = 24;
/** Where in the state the bytes of the block that is being filled are counted, after the lanes. */
const FILL = 8 * LANES;

/** SHA3's two domain bits and the first of the padding, and the padding's last bit (FIPS 202 6.1, 5.1). */
const SUFFIX = 0x06;
const LAST = 0x80;

const PERMUTE = 0;

/** SHA3-256. */
export const sha3 = hashModule(() => ({
  stateSize: FILL + 4,
  initial: new Uint8Array(FILL + 4),
  constants: roundConstants(),
  output: SCRATCH,
  outputSize: 32,
  functions: [permute(), update(), digest()],
}));

/** Iota's constants, from the linear feedback shift register that defines them (FIPS 202 3.2.5). */
function roundConstants(): Uint8Array {
  let register = 1;
  const constants = BigUint64Array.from({ length: ROUNDS }, () => {
    let constant = 0n;
    for (let bit = 0; bit <= 6; bit++) {
      if (register & 1) constant |= 1n << BigInt((1 << bit) - 1);
      register = ((register << 1) ^ ((register >> 7) * 0x171)) & 0xff;
    }
    return constant;
  });
  return new Uint8Array(constants.buffer);
}

/** `permute(state)`: the 24 rounds on 25 lanes in locals. */
function permute(): Func {
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
    five.flatMap((x) => [...get(c(x + 4)), ...get(c(x + 1)), ...long(1), ...ROTL64, ...XOR64, ...set(d(x))]),
  ].flat();
  const rhoAndPi = every((x, y) => [
    ...[get(a(x, y)), get(d(x)), XOR64].flat(),
    ...[long(rotations[x + 5 * y]!), ROTL64, set(b(y, 2 * x + 3 * y))].flat(),
  ]);
  const chi = every((x, y) =>
    [get(b(x, y)), get(b(x + 1, y)), long(-1), XOR64, get(b(x + 2, y)), AND64, XOR64, set(a(x, y))].flat(),
  );
  const iota = [get(a(0, 0)), get(round), load64(CONSTANTS), XOR64, set(a(0, 0))].flat();
  return {
    name: 'permute',
    params: 1,
    locals: [
      [1, I32],
      [2 * LANES + 10, I64],
    ],
    body: seq(
      every((x, y) => seq(get(state), load64(8 * (x + 5 * y)), set(a(x, y)))),
      loop(
        seq(theta, rhoAndPi, chi, iota),
        seq(get(round), int(8), ADD, tee(round), int(8 * ROUNDS), LESS, branchIf(0)),
      ),
      every((x, y) => seq(get(state), get(a(x, y)), store64(8 * (x + 5 * y)))),
    ),
  };
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

/** `update(from, to)`: eight bytes at a time while they fit, single ones around a block's and the input's end. */
function update(): Func {
  const [from, to, fill] = [0, 1, 2];
  const step = (n: number) => seq(get(fill), int(n), ADD, set(fill), get(from), int(n), ADD, set(from));
  const nextBlock = seq(int(STATE), call(PERMUTE), int(0), set(fill));
  const body = seq(
    seq(int(STATE), load32(FILL), set(fill)),
    block(
      loop(
        seq(get(from), get(to), EQUAL, branchIf(1)),
        block(
          seq(get(to), get(from), int(8), ADD, LESS, branchIf(0)),
          seq(get(fill), int(RATE - 8), GREATER, branchIf(0)),
          seq(get(fill), get(fill), load64(STATE), get(from), load64(0), XOR64, store64(STATE)),
          step(8),
          seq(get(fill), int(RATE), LESS, branchIf(1)),
          nextBlock,
          branch(1),
        ),
        seq(get(fill), get(fill), load8(STATE), get(from), load8(0), XOR, store8(STATE)),
        step(1),
        seq(get(fill), int(RATE), EQUAL),
        when(nextBlock),
        branch(0),
      ),
    ),
    seq(int(STATE), get(fill), store32(FILL)),
  );
  return { name: 'update', params: 2, locals: [[1, I32]], body };
}

/** `digest()`: pads a copy. */
function digest(): Func {
  const flip = (at: Code, bits: number) => seq(at, at, load8(SCRATCH), int(bits), XOR, store8(SCRATCH));
  const body = seq(
    copyWords(int(SCRATCH), int(STATE), FILL + 4),
    flip(seq(int(STATE), load32(FILL)), SUFFIX),
    flip(int(RATE - 1), LAST),
    seq(int(SCRATCH), call(PERMUTE)),
  );
  return { name: 'digest', params: 0, body };
}
