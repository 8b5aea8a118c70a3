/**
 * The network as a client sees it: one consensus, the microdescriptors that are there, and what follows from both
 * about each relay. Made anew for each consensus; microdescriptors are added as they come.
 *
 * @module
 */

import type { ProtocolSet } from '../shared/netdoc/protover.js';
import type { Consensus, Microdescriptor, RelayId, RouterStatus } from '../shared/netdoc/types.js';
import type { NetAddress } from '../shared/runtime/types.js';
import { subnetOf } from './address.js';
import { type Position, WeightedList, weightsFor } from './weights.js';

/** A relay in a path's eyes. */
export interface Relay {
  readonly status: RouterStatus;
  readonly id: RelayId;
  /** Undefined until its microdescriptor was fetched. */
  micro: Microdescriptor | undefined;
  /** The /16 of its IPv4 and the /32 of its IPv6 OR address. */
  readonly subnets: readonly string[];
}

/** path-spec 2.1.0: what share of the weighted paths must be known before any is built. */
const DEFAULT_MIN_PATHS_PERCENT = 60;

/** Whether C tor would use it as a guard at all (`node_is_possible_guard`). */
export const isPossibleGuard = (flags: ReadonlySet<string>): boolean =>
  flags.has('Guard') && flags.has('Stable') && flags.has('Fast') && flags.has('Valid') && flags.has('V2Dir');

/** Whether it says that it takes strangers' streams anywhere, and is not known to harm them. */
export const isUsableExit = (relay: Relay): boolean =>
  !relay.status.flags.has('BadExit') &&
  relay.micro !== undefined &&
  (!rejectsAll(relay.micro.policy) || !rejectsAll(relay.micro.ipv6Policy));

/** `reject 1-65535` or an accept list that accepts nothing. */
const rejectsAll = (policy: Microdescriptor['policy']): boolean =>
  policy.accept ? policy.ports.length === 0 : policy.ports.some(([from, to]) => from <= 1 && to >= 65535);

/** One consensus with its relays. */
export class Network {
  readonly consensus: Consensus;
  readonly relays: readonly Relay[];
  private readonly byId = new Map<RelayId, Relay>();
  private readonly byDigest = new Map<string, Relay[]>();
  private readonly lists = new Map<Position, WeightedList<Relay>>();
  /** Grows whenever a microdescriptor is added, so that what was derived can be derived again. */
  version = 0;
  private known: { version: number; fraction: number; internalOnly: boolean } | undefined;

  constructor(consensus: Consensus, microdescs: (digest: string) => Microdescriptor | undefined) {
    this.consensus = consensus;
    this.relays = consensus.routers.map((status) => {
      const digest = status.microdescDigest;
      const relay: Relay = {
        status,
        id: status.id,
        micro: digest === undefined ? undefined : microdescs(digest),
        subnets: [status.address, status.ipv6?.host]
          .map((host) => (host === undefined ? undefined : subnetOf(host)))
          .filter((subnet) => subnet !== undefined),
      };
      this.byId.set(status.id, relay);
      if (digest !== undefined) this.byDigest.set(digest, [...(this.byDigest.get(digest) ?? []), relay]);
      return relay;
    });
  }

  get(id: RelayId): Relay | undefined {
    return this.byId.get(id);
  }

  /** Takes in microdescriptors; those no relay names are left out. */
  add(microdescs: Iterable<Microdescriptor>): void {
    for (const micro of microdescs)
      for (const relay of this.byDigest.get(micro.digest) ?? []) relay.micro = micro;
    this.version++;
  }

  /** Digests of the microdescriptors still missing, in consensus order. */
  missing(): string[] {
    return [...this.byDigest]
      .filter(([, relays]) => relays[0]!.micro === undefined)
      .map(([digest]) => digest);
  }

  /** All relays, weighted for a position. */
  weighted(position: Position): WeightedList<Relay> {
    let list = this.lists.get(position);
    if (!list) {
      list = new WeightedList(this.relays, weightsFor(this.consensus, this.consensus.routers, position));
      this.lists.set(position, list);
    }
    return list;
  }

  /** The parameter of the consensus, within its bounds. */
  param(name: string, fallback: number, min = 0, max = 2 ** 31 - 1): number {
    return Math.min(max, Math.max(min, this.consensus.params.get(name) ?? fallback));
  }

  /**
   * Share of the bandwidth-weighted paths whose three descriptors are here (path-spec 2.1.0; C tor:
   * `compute_frac_paths_available`). `internalOnly` is set when the consensus has no exits.
   */
  knownPaths(): { fraction: number; internalOnly: boolean } {
    if (this.known?.version !== this.version) this.known = { version: this.version, ...this.countPaths() };
    const { fraction, internalOnly } = this.known;
    return { fraction, internalOnly };
  }

  private countPaths(): { fraction: number; internalOnly: boolean } {
    const usable = this.relays.filter(({ status: { flags } }) => flags.has('Running') && flags.has('Valid'));
    const guards = usable.filter(({ status: { flags } }) => flags.has('Guard'));
    const exits = usable.filter(({ status: { flags } }) => flags.has('Exit') && !flags.has('BadExit'));
    const middle = this.knownShare(usable, 'middle');
    const guard = this.knownShare(guards, 'guard');
    const exit = exits.length === 0 ? middle : this.knownShare(exits, 'exit');
    return { fraction: guard * middle * exit, internalOnly: exits.length === 0 };
  }

  /** Whether enough is known to build circuits for traffic. */
  enoughKnown(): boolean {
    const needed = this.param('min_paths_for_circs_pct', DEFAULT_MIN_PATHS_PERCENT, 25, 95) / 100;
    return this.knownPaths().fraction >= needed;
  }

  private knownShare(relays: readonly Relay[], position: Position): number {
    const weights = weightsFor(
      this.consensus,
      relays.map((relay) => relay.status),
      position,
    );
    const even = !weights.some((weight) => weight > 0);
    let known = 0;
    let total = 0;
    relays.forEach((relay, i) => {
      const weight = even ? 1 : weights[i]!;
      total += weight;
      if (relay.micro) known += weight;
    });
    return total === 0 ? 0 : known / total;
  }
}

/** What `circuit/` needs to know of a relay to make it a hop. */
export interface Hop {
  readonly addresses: NetAddress[];
  readonly rsaId: Uint8Array;
  readonly ed25519Id?: Uint8Array;
  readonly ntorKey?: Uint8Array;
  readonly protocols: ProtocolSet;
}

/**
 * How a relay is reached and what it must prove; without a microdescriptor that is enough for CREATE_FAST only.
 * `ipv6`: whether its IPv6 address may be used.
 */
export function hopOf(relay: Relay, ipv6 = true): Hop {
  const { status, micro } = relay;
  const addresses = [{ host: status.address, port: status.orPort }];
  if (ipv6 && status.ipv6) addresses.push(status.ipv6);
  const base = { addresses, rsaId: status.rsaId, protocols: status.protocols };
  if (!micro) return base;
  // Only relays that say LinkAuth=3 prove their Ed25519 identity (C tor: node_supports_ed25519_link_authentication).
  return status.protocols.has('LinkAuth', 3)
    ? { ...base, ed25519Id: micro.ed25519Id, ntorKey: micro.ntorOnionKey }
    : { ...base, ntorKey: micro.ntorOnionKey };
}
