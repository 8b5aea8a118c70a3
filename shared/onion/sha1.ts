/**
 * SHA-1 over relay cells (FIPS 180-4), in WebAssembly: its message schedule works on four words at once, which
 * JavaScript cannot. A block takes 75-100 ns, 118-127 in JavaScript (Node 20, a busy machine).
 *
 * @module
 */
import { BLOCK_ROOM, hashModule, SCRATCH, STATE } from './running-hash.js';
import {
  ADD,
  ADD_WORDS,
  ADD64,
  AND,
  block,
  branch,
  branchIf,
  type Code,
  call,
  copyWords,
  EQUAL,
  EXTEND,
  type Func,
  GREATER,
  get,
  I32,
  I64,
  int,
  LESS,
  load32,
  load64,
  loadWords,
  long,
  loop,
  OR_WORDS,
  RETURN,
  ROTL,
  SHL_WORDS,
  SHL64,
  SHR_WORDS,
  SHR64,
  SPLAT,
  SUB,
  SWAP_BYTES,
  seq,
  set,
  shuffle,
  store8,
  store32,
  store64,
  storeWords,
  tee,
  V128,
  WRAP,
  when,
  XOR,
  XOR_WORDS,
} from './wasm.js';

const BLOCK = 64;
const INIT = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
/** One for each twenty rounds. */
const ROUND_CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6];
const ROUNDS = 80;

// In the state, after the five words: the bytes of the block that is being filled, how many there are, those of all.
const FILL = 24;
const LENGTH = 32;
const PENDING = 64;
const STATE_SIZE = PENDING + BLOCK;

/** Where the schedule of one block is kept, its constants added. */
const SCHEDULE = BLOCK_ROOM;
/** After the copy that is finished, which may have grown by a block. */
const OUTPUT = SCRATCH + STATE_SIZE + BLOCK;

const COMPRESS = 0;

/** SHA-1. */
export const sha1 = hashModule(() => {
  const initial = new Uint8Array(STATE_SIZE);
  const view = new DataView(initial.buffer);
  for (const [i, word] of INIT.entries()) view.setUint32(i * 4, word, true);
  return {
    stateSize: STATE_SIZE,
    initial,
    output: OUTPUT,
    outputSize: 20,
    functions: [compress(), update(), digest()],
  };
});

// Locals of `compress`.
const [HASH, AT, TO] = [0, 1, 2];
const WORKING = 3;
const RING = WORKING + 5;
const SPARE = RING + 8;
const SAME = SPARE + 2;
const ZEROS = SAME + ROUND_CONSTANTS.length;

/** Words `4n` to `4n + 3` of the schedule; the last 32 words are at hand. */
const words = (n: number) => RING + (n & 7);

const rotateWords = (bits: number): Code =>
  seq(set(SPARE), get(SPARE), int(bits), SHL_WORDS, get(SPARE), int(32 - bits), SHR_WORDS, OR_WORDS);

/** Makes words `4n` to `4n + 3`, adds their constant, and leaves them to the rounds. */
function schedule(n: number): Code {
  const made =
    n < 4
      ? seq(get(AT), loadWords(n * 16), tee(SPARE), get(SPARE), SWAP_BYTES, set(words(n)))
      : n < 8
        ? earlyWords(n)
        : lateWords(n);
  const sum = seq(get(words(n)), get(SAME + Math.floor(n / 5)), ADD_WORDS);
  return seq(made, int(0), sum, storeWords(SCHEDULE + n * 16));
}

/** `w[t] = rotl1(w[t-3] ^ w[t-8] ^ w[t-14] ^ w[t-16])`; the last of the four needs the first, which comes after. */
const earlyWords = (n: number): Code =>
  seq(
    seq(get(words(n - 4)), get(words(n - 4)), get(words(n - 3)), shuffle(2, 3, 4, 5), XOR_WORDS),
    seq(get(words(n - 2)), XOR_WORDS),
    seq(get(words(n - 1)), get(ZEROS), shuffle(1, 2, 3, 4), XOR_WORDS),
    seq(rotateWords(1), set(SPARE + 1)),
    seq(get(ZEROS), get(SPARE + 1), shuffle(0, 0, 0, 4), rotateWords(1)),
    seq(get(SPARE + 1), XOR_WORDS, set(words(n))),
  );

/** The same two steps further: `w[t] = rotl2(w[t-6] ^ w[t-16] ^ w[t-28] ^ w[t-32])`. */
const lateWords = (n: number): Code =>
  seq(
    seq(get(words(n - 8)), get(words(n - 7)), XOR_WORDS, get(words(n - 4)), XOR_WORDS),
    seq(get(words(n - 2)), get(words(n - 1)), shuffle(2, 3, 4, 5), XOR_WORDS),
    seq(rotateWords(2), set(words(n))),
  );

/** Round `t`; the five working words change places instead of values. */
function round(t: number): Code {
  const [a, b, c, d, e] = [0, 1, 2, 3, 4].map((i) => WORKING + ((i + 4 * t) % 5)) as [
    ...[number, number, number, number, number],
  ];
  const choice = seq(get(c), get(d), XOR, get(b), AND, get(d), XOR, ADD);
  const parity = seq(get(b), get(c), XOR, get(d), XOR, ADD);
  const majority = seq(get(b), get(c), AND, ADD, get(b), get(c), XOR, get(d), AND, ADD);
  const f = [choice, parity, majority, parity][Math.floor(t / 20)]!;
  return seq(
    seq(get(e), int(0), load32(SCHEDULE + t * 4), ADD, f, get(a), int(5), ROTL, ADD, set(e)),
    seq(get(b), int(30), ROTL, set(b)),
  );
}

/** `compress(hash, at, to)`: takes whole blocks into the five words at `hash`. */
function compress(): Func {
  const five = [0, 1, 2, 3, 4];
  // The schedule is four rounds' words ahead four times: what it waits for passes while rounds go on.
  const ahead = 4;
  const rounds = Array.from({ length: ROUNDS / 4 }, (_, n) =>
    seq(n + ahead < ROUNDS / 4 ? schedule(n + ahead) : [], ...[0, 1, 2, 3].map((i) => round(4 * n + i))),
  );
  const body = seq(
    ROUND_CONSTANTS.flatMap((constant, i) => seq(int(constant), SPLAT, set(SAME + i))),
    five.flatMap((i) => seq(get(HASH), load32(i * 4), set(WORKING + i))),
    block(
      loop(
        seq(get(AT), get(TO), EQUAL, branchIf(1)),
        [0, 1, 2, 3].flatMap(schedule),
        ...rounds,
        five.flatMap((i) =>
          seq(get(HASH), get(HASH), load32(i * 4), get(WORKING + i), ADD, tee(WORKING + i), store32(i * 4)),
        ),
        seq(get(AT), int(BLOCK), ADD, set(AT), branch(0)),
      ),
    ),
  );
  return {
    name: 'compress',
    params: 3,
    locals: [
      [RING - WORKING, I32],
      [ZEROS + 1 - RING, V128],
    ],
    body,
  };
}

/** `update(from, to)`: fills the unfinished block, takes whole ones where they are, keeps the rest. */
function update(): Func {
  const [from, to, fill, take] = [0, 1, 2, 3];
  const left = seq(get(to), get(from), SUB);
  const body = seq(
    seq(int(STATE), int(STATE), load64(LENGTH), left, EXTEND, ADD64, store64(LENGTH)),
    seq(int(STATE), load32(FILL), tee(fill)),
    when(
      seq(int(BLOCK), get(fill), SUB, tee(take), left, GREATER),
      when(left, set(take)),
      // As many as there may be: what is too much is written over.
      copyWords(seq(get(fill), int(STATE + PENDING), ADD), get(from), BLOCK),
      seq(get(from), get(take), ADD, set(from)),
      seq(int(STATE), get(fill), get(take), ADD, tee(fill), store32(FILL)),
      seq(get(fill), int(BLOCK), LESS),
      when(RETURN),
      seq(int(STATE), int(STATE + PENDING), int(STATE + PENDING + BLOCK), call(COMPRESS)),
    ),
    seq(left, int(-BLOCK), AND, set(take)),
    seq(int(STATE), get(from), get(from), get(take), ADD, tee(from), call(COMPRESS)),
    copyWords(int(STATE + PENDING), get(from), BLOCK),
    seq(int(STATE), left, store32(FILL)),
  );
  return { name: 'update', params: 2, locals: [[2, I32]], body };
}

/** `digest()`: pads a copy by one block or two, and turns its words into bytes. */
function digest(): Func {
  const [fill, end, bits] = [0, 1, 2];
  const pad = SCRATCH + PENDING;
  const last = (i: number) => seq(get(bits), long(8 * i), SHR64, WRAP);
  const body = seq(
    copyWords(int(SCRATCH), int(STATE), STATE_SIZE),
    seq(int(STATE), load32(FILL), set(fill)),
    seq(get(fill), int(0x80), store8(pad)),
    // Two blocks of zeros from there on: past them is what is written last.
    Array.from({ length: (2 * BLOCK) / 16 }, (_, i) =>
      seq(get(fill), int(0), SPLAT, storeWords(pad + 1 + 16 * i)),
    ).flat(),
    seq(int(pad + BLOCK), set(end), get(fill), int(BLOCK - 9), GREATER),
    when(int(pad + 2 * BLOCK), set(end)),
    seq(int(STATE), load64(LENGTH), long(3), SHL64, set(bits)),
    [1, 2, 3, 4, 5, 6, 7, 8].flatMap((i) => seq(get(end), int(i), SUB, last(i - 1), store8(0))),
    seq(int(SCRATCH), int(pad), get(end), call(COMPRESS)),
    [0, 16].flatMap((at) =>
      seq(int(OUTPUT), int(SCRATCH), loadWords(at), int(SCRATCH), loadWords(at), SWAP_BYTES, storeWords(at)),
    ),
  );
  return {
    name: 'digest',
    params: 0,
    locals: [
      [2, I32],
      [1, I64],
    ],
    body,
  };
}
