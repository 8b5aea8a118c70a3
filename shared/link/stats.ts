/**
 * What the links of a node have carried and hold, as plain numbers for metrics and accounting.
 *
 * @module
 */

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
  refused: 0,
  strayCells: 0,
  queueOverflows: 0,
  queuedBytes: 0,
  halfOpen: 0,
});
