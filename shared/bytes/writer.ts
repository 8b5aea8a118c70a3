/**
 * A growing buffer of big-endian numbers and bytes.
 *
 * @module
 */

/** Appends; `finish()` gives the bytes written so far as a view of the internal buffer. */
export class Writer {
  private buffer: Uint8Array;
  private view: DataView;
  private at = 0;

  constructor(capacity = 128) {
    this.buffer = new Uint8Array(capacity);
    this.view = new DataView(this.buffer.buffer);
  }

  get length(): number {
    return this.at;
  }

  /** May replace `buffer` and `view`: call it before naming them. */
  private room(n: number): number {
    const at = this.at;
    const need = at + n;
    if (need > this.buffer.length) {
      const grown = new Uint8Array(Math.max(need, this.buffer.length * 2));
      grown.set(this.buffer.subarray(0, at));
      this.buffer = grown;
      this.view = new DataView(grown.buffer);
    }
    this.at = need;
    return at;
  }

  u8(value: number): this {
    const at = this.room(1);
    this.view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    const at = this.room(2);
    this.view.setUint16(at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.room(4);
    this.view.setUint32(at, value);
    return this;
  }

  u64(value: bigint): this {
    const at = this.room(8);
    this.view.setBigUint64(at, value);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.room(value.length);
    this.buffer.set(value, at);
    return this;
  }

  /** `n` zero bytes. */
  zeros(n: number): this {
    const at = this.room(n);
    this.buffer.fill(0, at, at + n);
    return this;
  }

  finish(): Uint8Array {
    return this.buffer.subarray(0, this.at);
  }
}
