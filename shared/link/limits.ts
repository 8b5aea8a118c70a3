/**
 * Bounds and times of links: C tor's, and what the consensus says of them.
 *
 * @module
 */
import { DEFAULT_HALFLIFE } from './ewma.js';

/** Bounds; times in milliseconds. */
export interface LinkLimits {
  /** Cells in one circuit's output queue, towards the client and away from it: see `consensusLimits`. */
  readonly maxQueue: number;
  readonly maxQueueOut: number;
  /** Circuits on one channel. */
  readonly maxCircuits: number;
  /** For the TCP and TLS handshakes of one address, and for the link handshake after them. */
  readonly dialTimeout: number;
  readonly handshakeTimeout: number;
  /** Accepted connections whose handshake is not done: in all, and from one address. */
  readonly maxHalfOpen: number;
  readonly maxHalfOpenPerHost: number;
  /** How long a channel without circuits lives: to or from a client or not canonical (and up to half more); between relays (give or take a quarter, nf_conntimeout_relays). */
  readonly idleClient: number;
  readonly idleRelay: number;
  /** What a cell counts in its circuit's turn is halved in so many milliseconds: CircuitPriorityHalflifeMsec. */
  readonly halflife: number;
  /** Silence after which a PADDING keeps the connection (and middleboxes) awake: KeepalivePeriod. */
  readonly keepalive: number;
}

/** C tor: RELAY_CIRC_CELL_QUEUE_SIZE_DEFAULT. */
const MAX_QUEUE = 2500;

/** C tor's numbers, where it has them. */
export const DEFAULT_LINK_LIMITS: LinkLimits = {
  maxQueue: MAX_QUEUE,
  maxQueueOut: MAX_QUEUE,
  maxCircuits: 65_536,
  dialTimeout: 30_000,
  handshakeTimeout: 30_000,
  maxHalfOpen: 2_048,
  maxHalfOpenPerHost: 128,
  idleClient: 180_000,
  idleRelay: 3_600_000,
  halflife: DEFAULT_HALFLIFE,
  keepalive: 300_000,
};

const INT32_MAX = 0x7fffffff;

/**
 * What the consensus says (C tor: `get_param_max_circuit_cell_queue_size`, `..._out`,
 * `channelpadding_new_consensus_params`, `get_circuit_priority_halflife`).
 */
export function consensusLimits(
  param: (name: string, fallback: number, min: number, max: number) => number,
): Pick<LinkLimits, 'maxQueue' | 'maxQueueOut' | 'idleRelay' | 'halflife'> {
  const maxQueue = param('circ_max_cell_queue_size', MAX_QUEUE, 50, INT32_MAX);
  return {
    maxQueue,
    maxQueueOut: param('circ_max_cell_queue_size_out', maxQueue, 50, INT32_MAX),
    idleRelay: 1000 * param('nf_conntimeout_relays', 3600, 60, 7 * 86_400),
    halflife: param('CircuitPriorityHalflifeMsec', DEFAULT_HALFLIFE, 1, INT32_MAX),
  };
}
