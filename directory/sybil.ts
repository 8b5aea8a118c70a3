/**
 * Relays that are too many on one address (dir-spec 3.4.2; C tor `get_all_possible_sybil`), and relays that share an
 * ed25519 identity (`routers_make_ed_keys_unique`).
 *
 * @module
 */
import { toBase64Bare } from '../shared/bytes/text.js';
import type { RelayId, ServerDescriptor } from '../shared/netdoc/types.js';
import { type Compare, compareText } from './order.js';
import { claimedBandwidth, type RelayView } from './relay-view.js';

/** Better relays first: authorities, running ones, fast ones. */
const compareUsefulness: Compare<RelayView> = (a, b) =>
  Number(b.authority) - Number(a.authority) ||
  Number(b.running) - Number(a.running) ||
  (b.measured ?? claimedBandwidth(b.descriptor)) - (a.measured ?? claimedBandwidth(a.descriptor)) ||
  compareText(a.descriptor.id, b.descriptor.id);

const addressesOf = ({ address, orAddresses }: ServerDescriptor): string[] => {
  const ipv6 = orAddresses.find(({ host }) => host.includes(':'))?.host;
  return ipv6 === undefined ? [address] : [address, ipv6];
};

/** The relays beyond the `limit` best on an address of theirs. A limit of 0 is none. */
export function findSybils(relays: readonly RelayView[], limit: number): ReadonlySet<RelayId> {
  const sybils = new Set<RelayId>();
  if (limit <= 0) return sybils;
  const byAddress = new Map<string, RelayView[]>();
  for (const relay of relays) {
    for (const address of addressesOf(relay.descriptor)) {
      const list = byAddress.get(address);
      if (list) list.push(relay);
      else byAddress.set(address, [relay]);
    }
  }
  for (const list of byAddress.values()) {
    for (const relay of list.sort(compareUsefulness).slice(limit)) sybils.add(relay.descriptor.id);
  }
  return sybils;
}

/** One relay per ed25519 identity: the one published last, of those the one with the smaller digest. */
export function uniqueByEd25519(relays: readonly RelayView[]): RelayView[] {
  const kept = new Map<string, RelayView>();
  for (const relay of relays) {
    const key = toBase64Bare(relay.descriptor.ed25519Id);
    const other = kept.get(key);
    if (!other || supersedes(relay.descriptor, other.descriptor)) kept.set(key, relay);
  }
  return [...kept.values()];
}

const supersedes = (a: ServerDescriptor, b: ServerDescriptor): boolean =>
  a.published > b.published || (a.published === b.published && Buffer.compare(a.digest, b.digest) < 0);
