/**
 * A ring of frames in shared memory, between one thread that writes and one that reads.
 *
 * ```
 * 0     head: where the writer is          64    tail: where the reader is
 * 128   1 while the reader sleeps          192   1 while the writer waits for room
 * 256   frames: kind(8) | length(24), id(32), body, up to the next multiple of 8
 * ```
 *
 * Numbers are native 32-bit words; head and tail count bytes and wrap at 2^32. A frame is never split: what is left
 * before the end of the memory and too short for it is one frame of kind `SKIP`.
 *
 * @module
 */

const HEAD = 0;
const TAIL = 16;
const ASLEEP = 32;
const STARVED = 48;
const CONTROL_BYTES = 256;
const HEADER_BYTES = 8;
const SKIP = 0xff;

/** Where a frame's body starts to be cut: a ring takes several of the longest. */
const MAX_SHARE = 8;

const padded = (bytes: number) => (bytes + 7) & ~7;

/** Bytes from which a call into C++ costs less than it saves. */
const MUCH = 1024;

/**
 * Copies from or to shared memory. `set` does that by words there, as if another thread might look on; `fill` by
 * `memcpy`, twice as fast.
 */
export function copyInto(target: Buffer, at: number, source: Uint8Array): void {
  if (source.length < MUCH) target.set(source, at);
  else target.fill(source, at, at + source.length);
}

/** Takes frames; `body` is gone when it returns. */
export type FrameSink = (kind: number, id: number, body: Buffer) => void;

/** Memory for a ring of `capacity` bytes, a power of two. */
export function ringMemory(capacity: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(CONTROL_BYTES + capacity);
  // Nobody reads yet.
  new Int32Array(memory)[ASLEEP] = 1;
  return memory;
}

/** One thread's view: it either writes or reads. */
export class Ring {
  /** Bytes of a body at most. */
  readonly maxBody: number;
  private readonly words: Int32Array;
  private readonly bytes: Buffer;
  private readonly capacity: number;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory);
    this.bytes = Buffer.from(memory, CONTROL_BYTES);
    this.capacity = this.bytes.length;
    this.maxBody = this.capacity / MAX_SHARE;
  }

  // The writer.

  /** Copies a frame in; false when there is no room. */
  push(kind: number, id: number, body: Uint8Array): boolean {
    const { words, capacity } = this;
    const head = words[HEAD]! >>> 0;
    const free = capacity - ((head - Atomics.load(words, TAIL)) >>> 0);
    const size = HEADER_BYTES + padded(body.length);
    const left = capacity - (head & (capacity - 1));
    const skipped = left < size ? left : 0;
    if (free < size + skipped) return false;
    if (skipped > 0) this.writeHeader(head, SKIP, 0, left - HEADER_BYTES);
    const start = (head + skipped) >>> 0;
    this.writeHeader(start, kind, id, body.length);
    copyInto(this.bytes, (start & (capacity - 1)) + HEADER_BYTES, body);
    Atomics.store(words, HEAD, (start + size) | 0);
    return true;
  }

  private writeHeader(position: number, kind: number, id: number, length: number): void {
    const at = (CONTROL_BYTES + (position & (this.capacity - 1))) >> 2;
    this.words[at] = (kind << 24) | length;
    this.words[at + 1] = id;
  }

  /** Whether the reader sleeps; who is told so has to wake it. */
  claimSleeper(): boolean {
    return Atomics.load(this.words, ASLEEP) === 1 && Atomics.exchange(this.words, ASLEEP, 0) === 1;
  }

  /** Asks the reader to tell when there is room again. */
  starve(): void {
    Atomics.store(this.words, STARVED, 1);
  }

  // The reader.

  /** Hands over the frames that are there now. */
  drain(sink: FrameSink): boolean {
    const { words, capacity, bytes } = this;
    const head = Atomics.load(words, HEAD);
    let tail = words[TAIL]!;
    const any = tail !== head;
    while (tail !== head) {
      const position = tail & (capacity - 1);
      const at = (CONTROL_BYTES + position) >> 2;
      const word = words[at]!;
      const kind = word >>> 24;
      const length = word & 0xff_ffff;
      tail = (tail + HEADER_BYTES + padded(length)) | 0;
      try {
        const start = position + HEADER_BYTES;
        if (kind !== SKIP) sink(kind, words[at + 1]! >>> 0, bytes.subarray(start, start + length));
      } finally {
        Atomics.store(words, TAIL, tail);
      }
    }
    return any;
  }

  /** Whether the writer waits for room and there is plenty; who is told so has to wake it. */
  claimStarved(): boolean {
    const { words, capacity } = this;
    if (Atomics.load(words, STARVED) === 0) return false;
    if ((Atomics.load(words, HEAD) - words[TAIL]!) >>> 0 > capacity / 2) return false;
    return Atomics.exchange(words, STARVED, 0) === 1;
  }

  /** Goes to sleep; false when there are frames after all. */
  sleep(): boolean {
    const { words } = this;
    Atomics.store(words, ASLEEP, 1);
    if (Atomics.load(words, HEAD) === words[TAIL]) return true;
    Atomics.store(words, ASLEEP, 0);
    return false;
  }
}
