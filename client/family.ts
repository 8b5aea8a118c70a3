/**
 * Which relays are too close to share a path: the same relay, one family, one network (path-spec 2.2; C tor:
 * `nodes_in_same_family`).
 *
 * @module
 */
import type { Microdescriptor, RelayId } from '../shared/netdoc/types.js';
import type { Relay } from './network.js';
import type { NodeSet } from './node-set.js';

/** A `family` line, taken apart once. */
interface FamilyList {
  readonly ids: ReadonlySet<RelayId>;
  /** Lower case. */
  readonly nicknames: ReadonlySet<string>;
}

const parsed = new WeakMap<Microdescriptor, FamilyList>();

/** `$HEX`, `$HEX=nick`, `$HEX~nick` or a nickname; anything else names nobody. */
function familyOf(micro: Microdescriptor): FamilyList {
  let list = parsed.get(micro);
  if (!list) {
    const ids = new Set<RelayId>();
    const nicknames = new Set<string>();
    for (const entry of micro.family)
      if (/^\$[0-9A-Fa-f]{40}([=~]|$)/.test(entry)) ids.add(entry.slice(1, 41).toUpperCase());
      else nicknames.add(entry.toLowerCase());
    list = { ids, nicknames };
    parsed.set(micro, list);
  }
  return list;
}

function lists(a: Microdescriptor, b: Relay): boolean {
  if (a.family.length === 0) return false;
  const family = familyOf(a);
  return family.ids.has(b.id) || family.nicknames.has(b.status.nickname.toLowerCase());
}

/** What decides about closeness besides the relays. */
export interface ClosenessRules {
  /** EnforceDistinctSubnets. */
  readonly distinctSubnets: boolean;
  /** Consensus parameter `use-family-lists`: mutual `family` lines count. */
  readonly familyLists: boolean;
  /** Consensus parameter `use-family-ids`: common, certified family ids count (proposal 321). */
  readonly familyIds: boolean;
  /** NodeFamily: what the configuration takes for families, whatever relays say. */
  readonly families: readonly NodeSet[];
}

/** Whether both list each other, share a family id, or are of one family by the configuration. */
export function sameFamily(a: Relay, b: Relay, rules: ClosenessRules): boolean {
  if (rules.families.some((family) => family.has(a.status) && family.has(b.status))) return true;
  if (!a.micro || !b.micro) return false;
  if (rules.familyLists && lists(a.micro, b) && lists(b.micro, a)) return true;
  const others = b.micro.familyIds;
  return rules.familyIds && others.length > 0 && a.micro.familyIds.some((id) => others.includes(id));
}

/** Whether both have an address in one /16 (IPv4) or /32 (IPv6). */
export const sameSubnet = (a: Relay, b: Relay): boolean =>
  a.subnets.some((subnet) => b.subnets.includes(subnet));

/** Whether two relays must not be in one path. */
export const tooClose = (a: Relay, b: Relay, rules: ClosenessRules): boolean =>
  a.id === b.id || (rules.distinctSubnets && sameSubnet(a, b)) || sameFamily(a, b, rules);
