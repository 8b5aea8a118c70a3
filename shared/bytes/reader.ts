/**
 * A cursor over hostile bytes. Every read checks bounds first and names the field it wanted.
 *
 * @module
 */
import { DecodeError, TruncatedError } from './errors.js';

/** Reads big-endian numbers and byte views, in order. Views share memory with the input. */
export class Reader {
  readonly bytes: Uint8Array;
  private readonly view: DataView;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes not yet read. */
  get left(): number {
    return this.bytes.length - this.at;
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.at;
  }

  private take(n: number, field: string): number {
    if (n > this.left) throw new TruncatedError(field, n, this.left);
    const at = this.at;
    this.at += n;
    return at;
  }

  u8(field: string): number {
    return this.view.getUint8(this.take(1, field));
  }

  u16(field: string): number {
    return this.view.getUint16(this.take(2, field));
  }

  u32(field: string): number {
    return this.view.getUint32(this.take(4, field));
  }

  u64(field: string): bigint {
    return this.view.getBigUint64(this.take(8, field));
  }

  /** A view of the next `n` bytes. */
  slice(n: number, field: string): Uint8Array {
    const at = this.take(n, field);
    return this.bytes.subarray(at, at + n);
  }

  /** A copy of the next `n` bytes, for what outlives the input buffer. */
  copy(n: number, field: string): Uint8Array {
    // Not `slice()`: that of a Buffer makes a view.
    return new Uint8Array(this.slice(n, field));
  }

  /** A view of all that is left. */
  rest(): Uint8Array {
    const at = this.at;
    this.at = this.bytes.length;
    return this.bytes.subarray(at);
  }

  /** The next bytes up to (not including) `terminator`, which is consumed. */
  until(terminator: number, field: string): Uint8Array {
    const end = this.bytes.indexOf(terminator, this.at);
    if (end < 0) throw new DecodeError(field, `no terminating byte ${terminator}`);
    const view = this.bytes.subarray(this.at, end);
    this.at = end + 1;
    return view;
  }

  /** Fails unless everything has been read. */
  end(field: string): void {
    if (this.left !== 0) throw new DecodeError(field, `${this.left} bytes too many`);
  }
}
