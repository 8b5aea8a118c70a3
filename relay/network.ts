/**
 * What a relay knows of the network from the consensus it holds: parameters, who is a relay, where relays are.
 *
 * @module
 */
import { canonicalHost } from '../shared/cell/addresses.js';
import type { DirCache } from '../shared/dir/cache.js';
import type { Consensus, RelayId, RouterStatus } from '../shared/netdoc/types.js';
import type { ConsensusParam } from '../shared/onion/flow.js';

/** Where the documents come from. */
export type NetworkSource = Pick<DirCache, 'consensus' | 'descriptorOf' | 'microdesc'>;

const addressKey = (host: string, port: number) => `${canonicalHost(host)} ${port}`;

/** Views of the newest consensus; rebuilt when it changes. */
export class Network {
  private readonly source: NetworkSource;
  private seen: Consensus | undefined;
  private routers = new Map<RelayId, RouterStatus>();
  private addresses = new Set<string>();
  private hosts = new Set<string>();

  constructor(source: NetworkSource) {
    this.source = source;
  }

  private refresh(): Consensus | undefined {
    const consensus = this.source.consensus('microdesc') ?? this.source.consensus('ns');
    if (consensus === this.seen) return consensus;
    this.seen = consensus;
    this.routers = new Map(consensus?.routers.map((router) => [router.id, router]));
    this.addresses = new Set();
    this.hosts = new Set();
    for (const router of consensus?.routers ?? []) {
      this.hosts.add(canonicalHost(router.address));
      if (router.ipv6) this.hosts.add(canonicalHost(router.ipv6.host));
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
    return this.routers.has(id);
  }

  /** Whether the consensus lists a relay, or did so lately: its descriptor is here (connection_or_digest_is_known_relay). */
  knows(id: RelayId): boolean {
    return this.lists(id) || this.source.descriptorOf(id) !== undefined;
  }

  /** Whether an address is a listed relay's OR or directory port: exits refuse to go back in there. */
  isRelayPort(host: string, port: number): boolean {
    this.refresh();
    return this.addresses.has(addressKey(host, port));
  }

  /** Whether some listed relay has the address. */
  isRelayHost(host: string): boolean {
    this.refresh();
    return this.hosts.has(canonicalHost(host));
  }

  /** The ed25519 identity of a relay whose descriptor or microdescriptor is here. */
  ed25519Of(id: RelayId): Uint8Array | undefined {
    this.refresh();
    const digest = this.routers.get(id)?.microdescDigest;
    const micro = digest === undefined ? undefined : this.source.microdesc(digest);
    return micro?.ed25519Id ?? this.source.descriptorOf(id)?.ed25519Id;
  }
}
