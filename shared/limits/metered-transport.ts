/**
 * Connections that are counted, and a transport of such.
 *
 * @module
 */
import { type AnyConn, PassingConn, PassingTransport } from '../runtime/passing.js';
import type { Transport } from '../runtime/types.js';

/** Where counts go: bytes as applications see them, without TLS. */
export interface Meter {
  read(bytes: number): void;
  written(bytes: number): void;
}

/** A connection that is counted. */
export class MeteredConn extends PassingConn {
  private readonly meter: Meter;

  constructor(inner: AnyConn, meter: Meter) {
    super(inner);
    this.meter = meter;
  }

  protected override read(chunk: Buffer): void {
    this.meter.read(chunk.length);
    this.handlers?.data(chunk);
  }

  override write(bytes: Uint8Array): boolean {
    this.meter.written(bytes.length);
    return this.inner.write(bytes);
  }
}

/** Counts everything that goes through a transport's connections. */
export class MeteredTransport extends PassingTransport {
  private readonly meter: Meter;

  constructor(inner: Transport, ...meters: readonly Meter[]) {
    super(inner);
    this.meter = {
      read(bytes) {
        for (const meter of meters) meter.read(bytes);
      },
      written(bytes) {
        for (const meter of meters) meter.written(bytes);
      },
    };
  }

  protected wrap(conn: AnyConn): PassingConn {
    return new MeteredConn(conn, this.meter);
  }
}
