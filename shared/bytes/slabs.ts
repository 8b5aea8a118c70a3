/**
 * Blocks of one size that are used again and again. A buffer that is made for each piece of data costs the allocator,
 * and those that outlive two small collections cost a large one every few megabytes: V8 counts their bytes, not how
 * much of its own heap they take.
 *
 * @module
 */

/** A pool of blocks. A block that is not given back is the collector's, as any buffer is. */
export class SlabPool {
  /** Bytes of a block. */
  readonly size: number;
  private readonly most: number;
  private readonly free: Buffer[] = [];
  private readonly made = new WeakMap<ArrayBufferLike, Buffer>();

  /** Keeps at most `most` blocks of `size` bytes that nobody uses. */
  constructor(size: number, most: number) {
    this.size = size;
    this.most = most;
  }

  /** A block with anything in it. */
  take(): Buffer {
    const slab = this.free.pop();
    if (slab) return slab;
    const fresh = Buffer.allocUnsafeSlow(this.size);
    this.made.set(fresh.buffer, fresh);
    return fresh;
  }

  /** Takes a block, or the only view of one, back, that nobody looks at any more; other buffers are left alone. */
  give(bytes: Uint8Array): void {
    const slab = this.made.get(bytes.buffer);
    if (slab && this.free.length < this.most) this.free.push(slab);
  }
}
