/**
 * WebAssembly's binary format, as much of it as the hashes of relay cells need (core specification 2.0, chapter 5):
 * every function here gives the bytes of what it is named for.
 *
 * @module
 */
import { ARENA_PAGES, arena } from '../bytes/arena.js';

/** Instructions, or parts of a module, in bytes. */
export type Code = readonly number[];

const unsigned = (n: number): Code => (n < 128 ? [n] : [(n & 127) | 128, ...unsigned(n >>> 7)]);
const signed = (n: number): Code => (n >= -64 && n < 64 ? [n & 127] : [(n & 127) | 128, ...signed(n >> 7)]);
const sized = (bytes: Code): Code => [...unsigned(bytes.length), ...bytes];
const list = (items: readonly Code[]): Code => [...unsigned(items.length), ...items.flat()];
const section = (id: number, items: readonly Code[]): Code => [id, ...sized(list(items))];
const text = (name: string): Code => sized([...Buffer.from(name)]);

/** Types of values. */
export const I32 = 0x7f;
export const I64 = 0x7e;
export const V128 = 0x7b;

const VOID = 0x40;
const END = 0x0b;

/** One piece of code after another. */
export const seq = (...parts: Code[]): Code => parts.flat();

export const get = (local: number): Code => [0x20, ...unsigned(local)];
export const set = (local: number): Code => [0x21, ...unsigned(local)];
export const tee = (local: number): Code => [0x22, ...unsigned(local)];
export const int = (n: number): Code => [0x41, ...signed(n | 0)];
export const long = (n: number): Code => [0x42, ...signed(n)];
export const call = (fn: number): Code => [0x10, ...unsigned(fn)];
export const branch = (depth: number): Code => [0x0c, ...unsigned(depth)];
export const branchIf = (depth: number): Code => [0x0d, ...unsigned(depth)];
export const block = (...body: Code[]): Code => [0x02, VOID, ...body.flat(), END];
export const loop = (...body: Code[]): Code => [0x03, VOID, ...body.flat(), END];
export const when = (...body: Code[]): Code => [0x04, VOID, ...body.flat(), END];
export const whenElse = (then: Code, otherwise: Code): Code => [0x04, VOID, ...then, 0x05, ...otherwise, END];
export const RETURN: Code = [0x0f];

// Loads and stores by an offset from the address on the stack. No alignment is promised.
const access =
  (...opcode: number[]) =>
  (offset: number): Code => [...opcode, 0, ...unsigned(offset)];
export const load8 = access(0x2d);
export const load16 = access(0x2f);
export const load32 = access(0x28);
export const load64 = access(0x29);
export const store8 = access(0x3a);
export const store16 = access(0x3b);
export const store32 = access(0x36);
export const store64 = access(0x37);
export const loadWords = access(0xfd, 0);
export const storeWords = access(0xfd, 11);

export const ADD: Code = [0x6a];
export const SUB: Code = [0x6b];
export const AND: Code = [0x71];
export const XOR: Code = [0x73];
export const ROTL: Code = [0x77];
export const SHL: Code = [0x74];
export const NOT: Code = [0x45];
export const EQUAL: Code = [0x46];
export const NOT_EQUAL: Code = [0x47];
export const LESS: Code = [0x49];
export const GREATER: Code = [0x4b];
export const ADD64: Code = [0x7c];
export const AND64: Code = [0x83];
export const XOR64: Code = [0x85];
export const SHL64: Code = [0x86];
export const SHR64: Code = [0x88];
export const ROTL64: Code = [0x89];
/** An unsigned 32-bit number made one of 64 bits, and the low half of such a one. */
export const EXTEND: Code = [0xad];
export const WRAP: Code = [0xa7];

// Vectors of four 32-bit words.
export const SPLAT: Code = [0xfd, 0x11];
export const ADD_WORDS: Code = [0xfd, 0xae, 1];
export const XOR_WORDS: Code = [0xfd, 0x51];
export const OR_WORDS: Code = [0xfd, 0x50];
export const SHL_WORDS: Code = [0xfd, 0xab, 1];
export const SHR_WORDS: Code = [0xfd, 0xad, 1];
/** Words 0-3 are the first vector's, 4-7 the second's. */
export const shuffle = (...words: readonly [number, number, number, number]): Code => [
  ...[0xfd, 13],
  ...words.flatMap((word) => [0, 1, 2, 3].map((byte) => word * 4 + byte)),
];
/** The words of one vector, given twice, in the other byte order. */
export const SWAP_BYTES: Code = [0xfd, 13, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];

/** A function that gives nothing back: its parameters are locals from 0 on, all numbers, the others follow. */
export interface Func {
  readonly name: string;
  readonly params: number;
  readonly locals?: readonly (readonly [count: number, type: number])[];
  readonly body: Code;
}

/** A module over the arena; functions call each other by their place, and are exported. */
function assemble(funcs: readonly Func[]): Uint8Array {
  const types = funcs.map(({ params }) => [0x60, ...list(Array.from({ length: params }, () => [I32])), 0]);
  const bodies = funcs.map(({ locals = [], body }) =>
    sized([...list(locals.map(([n, type]) => [...unsigned(n), type])), ...body, END]),
  );
  const limits = [1, ...unsigned(ARENA_PAGES), ...unsigned(ARENA_PAGES)];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, types),
    ...section(2, [[...text('cepa'), ...text('arena'), 2, ...limits]]),
    ...section(
      3,
      funcs.map((_, i) => unsigned(i)),
    ),
    ...section(
      7,
      funcs.map(({ name }, i) => [...text(name), 0, ...unsigned(i)]),
    ),
    ...section(10, bodies),
  ]);
}

/** What Node has, of which its types name nothing. */
interface Wasm {
  readonly Module: new (binary: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
}

/** The functions, compiled; numbers for them are addresses in the arena. `T` names them. */
export function compile<T>(funcs: readonly Func[]): T {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;
  return new Instance(new Module(assemble(funcs)), { cepa: { arena } }).exports as T;
}

/** Adds a number to a local. */
export const advance = (local: number, by: number): Code => seq(get(local), int(by), ADD, set(local));

/** Copies so many bytes, rounded up to 16, between what two pieces of code give the addresses of. */
export const copyWords = (to: Code, from: Code, size: number): Code =>
  Array.from({ length: Math.ceil(size / 16) }, (_, i) =>
    seq(to, from, loadWords(16 * i), storeWords(16 * i)),
  ).flat();
