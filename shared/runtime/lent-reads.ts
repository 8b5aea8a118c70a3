/**
 * Reading connections into one buffer for all of them. A connection that gets a buffer of its own for each read costs
 * the allocator and the garbage collector more than what it says; and what takes a chunk has used it up, or copied what
 * it keeps, before it returns, so it can be lent one.
 *
 * @module
 */
import type { Socket } from 'node:net';
import { takeArena } from '../bytes/arena.js';

/**
 * Bytes of a TLS record at most: 31 cells (cell/commands: CELL_SIZE) instead of 16,384 bytes, so that a record, which is
 * what a read brings, ends where a cell does. A cell in two chunks costs a copy and a batch of its own.
 */
export const RECORD_SIZE = 31 * 514;

/** Where reads go: `usual` is the size of most, which need no view of their own each. */
interface Lending {
  readonly buffer: Buffer;
  readonly usual: Buffer;
}

const lending = (buffer: Buffer, usual: number): Lending => ({ buffer, usual: buffer.subarray(0, usual) });

/** For links: Node hands plain text over by the TLS record, of 16,384 bytes at most. */
export const linkReads = lending(takeArena(16 * 1024), RECORD_SIZE);
/** For other connections: as much as libuv reads at a time. */
export const plainReads = lending(Buffer.allocUnsafeSlow(64 * 1024), 64 * 1024);

/** What takes chunks. They are gone when it returns. */
export type ChunkSink = (chunk: Buffer) => void;

/** What Node calls these fields of a socket that reads into a buffer of its user's. */
const FIELDS = ['kBuffer', 'kBufferCb', 'kBufferGen'] as const;

/** One connection's reads. What comes before there is a sink waits, and nothing more is read. */
export class LentReads {
  private sink: ChunkSink | undefined;
  private readonly early: Buffer[] = [];
  private readonly from: Lending;
  /** The option of `net.connect` and `tls.connect`. */
  readonly onread: { readonly buffer: Buffer; readonly callback: (bytes: number) => boolean };

  constructor(from: Lending) {
    this.from = from;
    this.onread = { buffer: from.buffer, callback: (bytes) => this.read(bytes) };
  }

  private read(bytes: number): boolean {
    const { usual, buffer } = this.from;
    const chunk = bytes === usual.length ? usual : buffer.subarray(0, bytes);
    const direct = this.sink !== undefined && this.early.length === 0;
    if (direct) this.sink!(chunk);
    else this.early.push(Buffer.from(chunk));
    return direct;
  }

  /** Whether something came before there was a sink, and has not been delivered. */
  get waiting(): boolean {
    return this.early.length > 0;
  }

  /** Starts delivery. What waits is to be delivered chunk by chunk; then the socket has to be told to read on. */
  deliver(sink: ChunkSink): void {
    this.sink = sink;
  }

  /** Delivers the first chunk that waits. */
  deliverNext(): void {
    const chunk = this.early.shift();
    if (chunk) this.sink!(chunk);
  }

  /**
   * The same for a socket that was accepted, for which Node has no option; to be called when it is made. False where
   * this Node's sockets look otherwise than those known here: then chunks come as `data` events.
   */
  adopt(socket: Socket): boolean {
    const { _handle: handle } = socket as unknown as { _handle?: { useUserBuffer?(buf: Buffer): void } };
    const fields = fieldsOf(socket);
    if (!fields || typeof handle?.useUserBuffer !== 'function') return false;
    const [buffer, callback] = fields;
    Object.assign(socket, { [buffer]: this.onread.buffer, [callback]: this.onread.callback });
    handle.useUserBuffer(this.onread.buffer);
    return true;
  }
}

let known: readonly [symbol, symbol, symbol] | undefined;

function fieldsOf(socket: Socket): readonly [symbol, symbol, symbol] | undefined {
  if (known) return known;
  const own = Object.getOwnPropertySymbols(socket);
  const [buffer, callback, generator] = FIELDS.map((name) => own.find((s) => s.description === name));
  if (buffer && callback && generator) known = [buffer, callback, generator];
  return known;
}
