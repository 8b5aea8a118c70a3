/**
 * AES in counter mode, IV zero, over the bodies of relay cells (tor-spec 5.1.4, 6.1), in place and in order.
 *
 * Node's cipher makes key stream by the block, and WebAssembly XORs it onto the cells where they lie. A native call
 * costs far more than the AES of one cell, so key stream for a batch of `WHOLE_FROM` cells or more is made in one call,
 * and for smaller ones ahead, in blocks of 1, 2, 4 .. 16 cells, which grow as a circuit turns out to be busy: a fresh
 * circuit holds one, a busy one at most 8 KB a direction, which is 160 MB for ten thousand circuits both ways.
 *
 * @module
 */
import { type Cipher, createCipheriv } from 'node:crypto';
import { takeArena } from '../bytes/arena.js';
import { type CellBatch, MAX_BATCH } from '../cell/batch.js';
import { BODY_SIZE } from '../cell/commands.js';
import { eachPlaced, place, putBack } from './place.js';
import {
  advance,
  type Code,
  compile,
  type Func,
  get,
  I32,
  int,
  load8,
  load32,
  load64,
  loadWords,
  seq,
  set,
  store8,
  store32,
  store64,
  storeWords,
  XOR,
  XOR_WORDS,
  XOR64,
} from './wasm.js';

/** Batches of so many cells have key stream made for them alone. */
const WHOLE_FROM = 8;
/** Most cells of key stream held ahead. */
const MAX_PREFETCH = 16;

// Shared by all circuits: it is used within one call only.
const keyStream = takeArena(MAX_BATCH * BODY_SIZE);
const zeros = Buffer.alloc(MAX_BATCH * BODY_SIZE);
const NOTHING = Buffer.alloc(0);
const ZERO_IV = Buffer.alloc(16);

/** `xor(first, end)`: XORs the key stream onto the placed cells from number `first` to before `end`. */
function xor(): Func {
  const [next, end, cell, from] = [0, 1, 2, 3];
  type Access = (offset: number) => Code;
  const part = (at: number, load: Access, combine: Code, store: Access) =>
    seq(get(cell), get(cell), load(at), get(from), load(at), combine, store(at));
  const words = Array.from({ length: BODY_SIZE >> 4 }, (_, i) => 16 * i);
  // 509 is 13 more than a multiple of 16.
  const rest = BODY_SIZE & ~15;
  const body = seq(
    ...words.map((at) => part(at, loadWords, XOR_WORDS, storeWords)),
    part(rest, load64, XOR64, store64),
    part(rest + 8, load32, XOR, store32),
    part(rest + 12, load8, XOR, store8),
    advance(from, BODY_SIZE),
  );
  return {
    name: 'xor',
    params: 2,
    locals: [[2, I32]],
    body: seq(int(keyStream.byteOffset), set(from), eachPlaced(next, end, cell, body)),
  };
}

const code = compile<{ xor(first: number, end: number): void }>([xor()]);

const newCipher = (secret: Uint8Array): Cipher =>
  createCipheriv(secret.length === 32 ? 'aes-256-ctr' : 'aes-128-ctr', secret, ZERO_IV);

/** One direction's cipher of one hop. */
export class Keystream {
  /** Until there is a cipher. */
  private secret: Uint8Array | undefined;
  private cipher: Cipher | undefined;
  private ahead: Uint8Array = NOTHING;
  private used = 0;
  private block = 1;

  /** `secret` is 16 bytes (AES-128) or 32 (AES-256, onion-service hops). */
  constructor(secret: Uint8Array) {
    this.secret = secret;
  }

  /** Does ahead what the first cell would wait for: the cipher, and key stream for one. */
  ready(): void {
    if (!this.cipher) this.prefetch();
  }

  /** Encrypts or decrypts the body of every cell of the batch. */
  apply(batch: CellBatch): void {
    const { n } = batch;
    place(batch);
    for (let i = 0; i < n; ) {
      const held = (this.ahead.length - this.used) / BODY_SIZE;
      if (held > 0) {
        const to = Math.min(n, i + held);
        const size = (to - i) * BODY_SIZE;
        keyStream.set(this.ahead.subarray(this.used, this.used + size));
        this.used += size;
        code.xor(i, to);
        i = to;
      } else if (n - i >= WHOLE_FROM) {
        keyStream.set(this.next(n - i));
        code.xor(i, n);
        i = n;
      } else this.prefetch();
    }
    putBack(batch);
  }

  private prefetch(): void {
    this.ahead = this.next(this.block);
    this.used = 0;
    this.block = Math.min(this.block * 2, MAX_PREFETCH);
  }

  /** The key stream of so many cells. */
  private next(cells: number): Uint8Array {
    if (!this.cipher) {
      this.cipher = newCipher(this.secret!);
      this.secret = undefined;
    }
    return this.cipher.update(zeros.subarray(0, cells * BODY_SIZE));
  }
}
