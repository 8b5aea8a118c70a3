/**
 * Everything a node gets from outside, in one bag.
 *
 * @module
 */
import type { Log } from '../log/types.js';
import type { Metrics } from '../metrics/types.js';
import type { Store } from '../store/types.js';
import type { Clock, Crew, Random, Resolver, Transport } from './types.js';

/** What a node tells whoever started it (the testnet's display, readiness checks, tests). Never a secret, never a destination. */
export type NodeEvent =
  /** A port is open. */
  | { type: 'listening'; what: 'or' | 'dir' | 'socks' | 'http' | 'metrics'; host: string; port: number }
  /** Keys are there: who this node is. */
  | { type: 'identity'; nickname: string; fingerprint: string; ed25519: string; v3ident?: string }
  /** An authority accepted our descriptor. */
  | { type: 'published'; authorities: number }
  /** Authority: of how many relays it has a descriptor, itself among them, and how many of these are up. */
  | { type: 'relays'; known: number; running: number }
  /** Authority: a step of the vote. */
  | {
      type: 'voting';
      step: 'vote' | 'votes-fetched' | 'computed' | 'signed' | 'published' | 'failed';
      validAfter: number;
      detail?: string;
    }
  /** A consensus was made, fetched or loaded. */
  | { type: 'consensus'; validAfter: number; validUntil: number; relays: number }
  /** Client bootstrap, in Tor's percent and tags. */
  | { type: 'bootstrap'; percent: number; tag: string; summary: string }
  /**
   * Client: a circuit for streams stands, was taken for a first stream, or is gone. `path`: fingerprints, first hop
   * first. Goes to whoever started the client, and into no log.
   */
  | {
      type: 'circuit';
      id: number;
      state: 'built' | 'used' | 'closed';
      kind: 'exit' | 'internal';
      path: string[];
    }
  /** An onion service (by its place in the configuration): how many HSDirs hold its newest descriptor. */
  | { type: 'onion-service'; index: number; directories: number }
  /** The node stops. */
  | { type: 'stopping'; reason: string };

/** The world as a node sees it. */
export interface Env {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly resolver: Resolver;
  readonly log: Log;
  readonly store: Store;
  /** A store for a directory that is not under this node's own, e.g. HiddenServiceDir. */
  readonly storeAt?: (directory: string) => Store;
  /** Threads for a relay's handshakes; they are done in this one when absent. */
  readonly crew?: Crew;
  /** Where numbers go; nowhere when absent. */
  readonly metrics?: Metrics;
  /** Bytes of memory there are for this process, for limits that follow from it. */
  readonly memory?: number;
  /** Where events go; nowhere when absent. */
  readonly report?: (event: NodeEvent) => void;
}
