/**
 * A client as whoever started it sees it.
 *
 * @module
 */
import type { Stream } from '../shared/onion/types.js';
import type { Options } from '../shared/torrc/options.js';
import type { ServiceStatus } from './hs/service.js';
import type { Isolation } from './isolation.js';
import type { StreamClient, StreamRequest, StreamTarget } from './streams.js';

/** One circuit, as shown to whoever asks. */
export interface CircuitInfo {
  readonly id: number;
  readonly state: 'building' | 'waiting' | 'open';
  readonly kind: 'exit' | 'internal';
  /** Fingerprints, first hop to last. */
  readonly path: readonly string[];
  readonly streams: number;
  /** Milliseconds since it began. */
  readonly age: number;
  readonly dirty: boolean;
}

/** How a client is. */
export interface ClientStatus {
  readonly bootstrap: { readonly percent: number; readonly tag: string };
  /** Whether circuits can be built now. */
  readonly ready: boolean;
  readonly consensus:
    | { readonly validAfter: number; readonly validUntil: number; readonly relays: number }
    | undefined;
  readonly circuits: { readonly open: number; readonly building: number };
  readonly waitingStreams: number;
  readonly appConnections: number;
  /** Onion services hosted here. */
  readonly onionServices: readonly ServiceStatus[];
}

/** A running client. */
export interface ClientNode {
  /** Opens a stream. Equal `isolation` tokens may share circuits, different ones never do. Rejects with StreamError. */
  connect(host: string, port: number, isolation?: string): Promise<Stream>;
  /** The same with callbacks, for whoever must not miss a turn. */
  open(target: StreamTarget, isolation: Isolation, client: StreamClient): StreamRequest;
  /** Addresses of a name, resolved by an exit. Rejects with StreamError. */
  resolve(name: string, isolation?: string): Promise<string[]>;
  /** The name of an address. Rejects with StreamError. */
  reverse(address: string, isolation?: string): Promise<string>;
  circuits(): CircuitInfo[];
  status(): ClientStatus;
  /** Addresses of the open ports. */
  readonly ports: readonly {
    readonly kind: 'socks' | 'http';
    readonly host: string;
    readonly port: number;
  }[];
  /** Takes over what can change while it runs (SIGHUP); the names of the options it takes. */
  reload(options: Options): readonly (keyof Options)[];
  stop(): Promise<void>;
}
