/**
 * Bytes between an onion service and the servers behind it, by its ports.
 *
 * @module
 */
import { MeteredConn } from '../../shared/limits/metered-transport.js';
import type { Conn } from '../../shared/runtime/types.js';

/** Bytes of one port. */
export interface PortTraffic {
  /** From the servers. */
  read: number;
  /** To the servers. */
  written: number;
}

/** Counts of a service. */
export class AppTraffic {
  /** By virtual port; there are no more than the torrc names. */
  readonly ports = new Map<number, PortTraffic>();

  /** A connection for the port that is counted. */
  counted(conn: Conn, port: number): Conn {
    const traffic = this.of(port);
    return new MeteredConn(conn, {
      read(bytes) {
        traffic.read += bytes;
      },
      written(bytes) {
        traffic.written += bytes;
      },
    });
  }

  private of(port: number): PortTraffic {
    const known = this.ports.get(port);
    if (known) return known;
    const traffic = { read: 0, written: 0 };
    this.ports.set(port, traffic);
    return traffic;
  }

  /** The counts of all ports, with zeros for those of `configured` that nobody has used, as C tor shows them. */
  all(configured: readonly number[]): ReadonlyMap<number, PortTraffic> {
    for (const port of configured) this.of(port);
    return this.ports;
  }
}
