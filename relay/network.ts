/**
 * What a relay knows of the network from the consensus it holds: parameters, who is a relay, where relays are.
 *
 * @module
 */
import { canonicalHost } from '../shared/cell/addresses.js';
import type { Consensus, RelayId } from '../shared/netdoc/types.js';
import type { ConsensusParam } from '../shared/onion/flow.js';

/** Where the documents come from: the directory cache. */
export interface NetworkSource {
  /** The newest consensus of either flavour. */
  consensus(): Consensus | undefined;
  /** The ed25519 identity of a relay whose descriptor or microdescriptor is here. */
  ed25519Of(id: RelayId): Uint8Array | undefined;
}

const addressKey = (host: string, port: number) => `${canonicalHost(host)} ${port}`;

/** Views of the newest consensus; rebuilt when it changes. */
export class Network {
  private readonly source: NetworkSource;
  private seen: Consensus | undefined;
  private ids = new Set<RelayId>();
  private addresses = new Set<string>();

  constructor(source: NetworkSource) {
    this.source = source;
  }

  private refresh(): Consensus | undefined {
    const consensus = this.source.consensus();
    if (consensus === this.seen) return consensus;
    this.seen = consensus;
    this.ids = new Set(consensus?.routers.map((router) => router.id));
    this.addresses = new Set();
    for (const router of consensus?.routers ?? []) {
      this.addresses.add(addressKey(router.address, router.orPort));
      if (router.dirPort !== 0) this.addresses.add(addressKey(router.address, router.dirPort));
      if (router.ipv6) this.addresses.add(addressKey(router.ipv6.host, router.ipv6.port));
    }
    return consensus;
  }

  readonly param: ConsensusParam = (name, fallback, min, max) => {
    const value = this.refresh()?.params.get(name);
    return value === undefined ? fallback : Math.min(max, Math.max(min, value));
  };

  /** Whether the consensus lists a relay. */
  lists(id: RelayId): boolean {
    this.refresh();
    return this.ids.has(id);
  }

  /** Whether an address is a listed relay's OR or directory port: exits refuse to go back in there. */
  isRelayPort(host: string, port: number): boolean {
    this.refresh();
    return this.addresses.has(addressKey(host, port));
  }

  ed25519Of(id: RelayId): Uint8Array | undefined {
    return this.source.ed25519Of(id);
  }
}
