/**
 * A stream for whoever gets it by a promise: what arrives before its handlers are set waits for them, paused, so that
 * no more can come than the stream's window.
 *
 * @module
 */
import type { Stream, StreamHandlers } from '../shared/onion/types.js';

/** Wraps a stream that has just been connected; must be made before the stream can bring data. */
export class HeldStream implements Stream {
  private readonly inner: Stream;
  private own: StreamHandlers | undefined;
  private chunks: Buffer[] = [];
  private ended: { reason: number; local: boolean } | undefined;
  /** What the owner wants, once there is one that listens. */
  private paused = false;

  constructor(inner: Stream) {
    this.inner = inner;
    inner.handlers = {
      data: (bytes) => this.chunks.push(Buffer.from(bytes)),
      drain() {},
      end: (reason, local) => {
        this.ended = { reason, local };
      },
    };
    inner.pause();
  }

  get handlers(): StreamHandlers {
    return this.own ?? this.inner.handlers;
  }

  set handlers(handlers: StreamHandlers) {
    this.own = handlers;
    this.inner.handlers = handlers;
    const { chunks, ended } = this;
    this.chunks = [];
    this.ended = undefined;
    for (const chunk of chunks) handlers.data(chunk);
    if (ended) handlers.end(ended.reason, ended.local);
    if (!this.paused) this.inner.resume();
  }

  get id(): number {
    return this.inner.id;
  }

  get closed(): boolean {
    return this.inner.closed;
  }

  get writableLength(): number {
    return this.inner.writableLength;
  }

  write(bytes: Uint8Array): boolean {
    return this.inner.write(bytes);
  }

  lend(bytes: Uint8Array): boolean {
    return this.inner.lend(bytes);
  }

  end(reason: number, extra?: Uint8Array): void {
    this.inner.end(reason, extra);
  }

  abort(reason: number): void {
    this.inner.abort(reason);
  }

  pause(): void {
    this.paused = true;
    this.inner.pause();
  }

  resume(): void {
    this.paused = false;
    if (this.own) this.inner.resume();
  }
}
