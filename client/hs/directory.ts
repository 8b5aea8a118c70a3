/**
 * HSDirs as clients and services use them: who is responsible for a service, and one exchange with one of them over a
 * circuit of its own.
 *
 * @module
 */
import { bytesOf, toBase64Bare } from '../../shared/bytes/text.js';
import { fetchOverStream } from '../../shared/dir/fetch.js';
import type { DirRequest, DirResponse } from '../../shared/dir/types.js';
import { type RingKey, type RingKeys, ringKeys } from '../../shared/hs/periods.js';
import { HsDirRing, type RingParams, ringParams } from '../../shared/hs/ring.js';
import type { Clock } from '../../shared/runtime/types.js';
import type { Network, Relay } from '../network.js';
import type { HsCircuitBuilder } from './circuit-builder.js';
import { targetOf } from './paths.js';

/** Milliseconds for one exchange, once the circuit stands. */
const EXCHANGE_TIMEOUT = 30_000;
/** Bytes of an answer: HSV3MaxDescriptorSize and room to spare. */
const MAX_ANSWER = 64 * 1024;
const NOTHING = { data() {}, drain() {}, end() {} };

interface Node {
  readonly ed25519Id: Uint8Array;
  readonly relay: Relay;
}

/** The ring of one network state. */
export class HsDirectory {
  readonly network: Network;
  readonly keys: RingKeys;
  readonly params: RingParams;
  private readonly nodes: readonly Node[];
  private readonly rings = new Map<RingKey, HsDirRing<Node>>();

  constructor(network: Network, testing: boolean) {
    this.network = network;
    this.keys = ringKeys(network.consensus, testing);
    this.params = ringParams((name, fallback, min, max) => network.param(name, fallback, min, max));
    this.nodes = network.relays
      .filter(
        ({ status, micro }) =>
          status.flags.has('HSDir') && status.protocols.has('HSDir', 2) && micro !== undefined,
      )
      .map((relay) => ({ ed25519Id: relay.micro!.ed25519Id, relay }));
  }

  /** Where a client looks for a descriptor. */
  fetchFrom(blindedKey: Uint8Array): Relay[] {
    const { replicas, spreadFetch } = this.params;
    return this.responsible(this.keys.fetch, blindedKey, replicas, spreadFetch);
  }

  /** Where a service leaves one; `slot` as in `keys.store`. */
  storeAt(slot: 0 | 1, blindedKey: Uint8Array): Relay[] {
    const { replicas, spreadStore } = this.params;
    return this.responsible(this.keys.store[slot], blindedKey, replicas, spreadStore);
  }

  private responsible(key: RingKey, blindedKey: Uint8Array, replicas: number, spread: number): Relay[] {
    let ring = this.rings.get(key);
    if (!ring) {
      ring = new HsDirRing(this.nodes, key);
      this.rings.set(key, ring);
    }
    return ring.responsible(blindedKey, replicas, spread).map(({ relay }) => relay);
  }
}

/** The ring of the network as it is now, made anew when that changed. */
export class HsDirectories {
  private readonly testing: boolean;
  private current: HsDirectory | undefined;
  private version = -1;

  constructor(testing: boolean) {
    this.testing = testing;
  }

  of(network: Network): HsDirectory {
    if (this.current?.network !== network || this.version !== network.version) {
      this.current = new HsDirectory(network, this.testing);
      this.version = network.version;
    }
    return this.current;
  }
}

/** Exchanges with HSDirs. */
export class HsDirClient {
  private readonly builder: HsCircuitBuilder;
  private readonly clock: Clock;

  constructor(builder: HsCircuitBuilder, clock: Clock) {
    this.builder = builder;
    this.clock = clock;
  }

  /** Asks for a descriptor. Rejects with HsCircuitError or DirFetchError. */
  fetch(relay: Relay, blindedKey: Uint8Array, signal?: AbortSignal): Promise<DirResponse> {
    const request: DirRequest = { method: 'GET', path: `/tor/hs/3/${toBase64Bare(blindedKey)}` };
    return this.ask('client-directory', relay, request, signal);
  }

  /** Leaves one. Rejects with HsCircuitError or DirFetchError. */
  publish(relay: Relay, descriptor: string, signal?: AbortSignal): Promise<DirResponse> {
    const request: DirRequest = {
      method: 'POST',
      path: '/tor/hs/3/publish',
      body: bytesOf(descriptor),
    };
    return this.ask('service-directory', relay, request, signal);
  }

  private async ask(
    purpose: 'client-directory' | 'service-directory',
    relay: Relay,
    request: DirRequest,
    signal: AbortSignal | undefined,
  ): Promise<DirResponse> {
    const circuit = await this.builder.build(purpose, targetOf(relay), signal);
    try {
      const stream = circuit.origin.openDir(NOTHING);
      const limits = { clock: this.clock, timeout: EXCHANGE_TIMEOUT, maxBody: MAX_ANSWER };
      return await fetchOverStream(stream, request, limits);
    } finally {
      circuit.close();
    }
  }
}
