/**
 * Reading TLS connections into one buffer for all of them. A connection that gets a buffer of its own for each record
 * costs the allocator and the garbage collector more than what the record says; and what reads links has used a chunk
 * up before it returns (`CellDecoder`), so it can be lent one.
 *
 * @module
 */
import type { TLSSocket } from 'node:tls';

/** Bytes of plain text that Node hands over at a time: a TLS record. */
const LENT_SIZE = 16 * 1024;
const lent = Buffer.allocUnsafeSlow(LENT_SIZE);

/** What takes chunks. They are gone when it returns. */
export type ChunkSink = (chunk: Buffer) => void;

/** What Node calls these fields of a socket that reads into a buffer of its user's. */
const FIELDS = ['kBuffer', 'kBufferCb', 'kBufferGen'] as const;

/** One connection's reads. What comes before there is a sink waits, and nothing more is read. */
export class LentReads {
  private sink: ChunkSink | undefined;
  private early: Buffer[] = [];
  private readonly usual: Buffer;
  /** The option of `tls.connect`. */
  readonly onread = { buffer: lent, callback: (bytes: number) => this.read(bytes) };

  /** `usual` is the size of most records, which need no view of their own each. */
  constructor(usual: number) {
    this.usual = lent.subarray(0, usual);
  }

  private read(bytes: number): boolean {
    const chunk = bytes === this.usual.length ? this.usual : lent.subarray(0, bytes);
    if (this.sink) this.sink(chunk);
    else this.early.push(Buffer.from(chunk));
    return this.sink !== undefined;
  }

  /** Starts delivery, on the next tick where something waits already; `resume` reads on after that. */
  deliver(sink: ChunkSink, resume: () => void): void {
    if (this.early.length === 0) {
      this.sink = sink;
      return;
    }
    process.nextTick(() => {
      this.sink = sink;
      const { early } = this;
      this.early = [];
      for (const chunk of early) sink(chunk);
      resume();
    });
  }

  /**
   * The same for a socket that was accepted, for which Node has no option; to be called when it is made. False where
   * this Node's sockets look otherwise than those known here: then chunks come as `data` events.
   */
  adopt(socket: TLSSocket): boolean {
    const { _handle: handle } = socket as unknown as { _handle?: { useUserBuffer?(buf: Buffer): void } };
    const fields = fieldsOf(socket);
    if (!fields || typeof handle?.useUserBuffer !== 'function') return false;
    const [buffer, callback] = fields;
    Object.assign(socket, { [buffer]: lent, [callback]: this.onread.callback });
    handle.useUserBuffer(lent);
    return true;
  }
}

let known: readonly [symbol, symbol, symbol] | undefined;

function fieldsOf(socket: TLSSocket): readonly [symbol, symbol, symbol] | undefined {
  if (known) return known;
  const own = Object.getOwnPropertySymbols(socket);
  const [buffer, callback, generator] = FIELDS.map((name) => own.find((s) => s.description === name));
  if (buffer && callback && generator) known = [buffer, callback, generator];
  return known;
}
