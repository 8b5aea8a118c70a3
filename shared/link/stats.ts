/**
 * What the links of a node have carried and hold, as plain numbers for metrics and accounting.
 *
 * @module
 */
import { canonicalHost, isIpv6 } from '../cell/addresses.js';

/** Which end began a connection, and over which IP version. */
export type ConnectionKind = `${'initiated' | 'received'} ${'ipv4' | 'ipv6'}`;

/** The kind of a connection with a host. */
export const connectionKind = (host: string, initiator: boolean): ConnectionKind =>
  `${initiator ? 'initiated' : 'received'} ${isIpv6(canonicalHost(host)) ? 'ipv6' : 'ipv4'}`;

/** Counters of the connections of one kind. */
export interface ConnectionCounts {
  /** That stood, whatever became of them. */
  created: number;
  /** Whose link handshake failed. */
  failed: number;
  /** Turned away before it. */
  rejected: number;
}

const newCounts = (): ConnectionCounts => ({ created: 0, failed: 0, rejected: 0 });

/** Counters only grow, from the start of the node; gauges say how it is now. */
export interface LinkStats {
  /** Counters by cell command (index 0 - 255). */
  readonly cellsIn: Float64Array;
  readonly cellsOut: Float64Array;
  /** Counters, bytes inside TLS. */
  bytesIn: number;
  bytesOut: number;
  /** Counters: handshakes that this side or the other began, and how they ended. */
  handshakesStarted: number;
  handshakesDone: number;
  handshakesFailed: number;
  readonly connections: Readonly<Record<ConnectionKind, ConnectionCounts>>;
  /** Counter: connections refused because too many handshakes were open. */
  refused: number;
  /** Counter: cells for a circuit that is not there. */
  strayCells: number;
  /** Counter: circuits whose queue went past its bound. */
  queueOverflows: number;
  /** Gauge: bytes of memory in the output queues of all circuits. */
  queuedBytes: number;
  /** Gauge: connections whose handshake is not done. */
  halfOpen: number;
}

/** All zero. */
export const newLinkStats = (): LinkStats => ({
  cellsIn: new Float64Array(256),
  cellsOut: new Float64Array(256),
  bytesIn: 0,
  bytesOut: 0,
  handshakesStarted: 0,
  handshakesDone: 0,
  handshakesFailed: 0,
  connections: {
    'initiated ipv4': newCounts(),
    'initiated ipv6': newCounts(),
    'received ipv4': newCounts(),
    'received ipv6': newCounts(),
  },
  refused: 0,
  strayCells: 0,
  queueOverflows: 0,
  queuedBytes: 0,
  halfOpen: 0,
});
