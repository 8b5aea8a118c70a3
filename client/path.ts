/**
 * The choice of a path (path-spec 2.2): exit first, then guard, then middle. Pure: a network, rules and randomness
 * in, relays out. Guards come from outside (`guards.ts`), under the restriction that this module states.
 *
 * @module
 */

import type { Random } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';
import type { Host } from './address.js';
import { type ClosenessRules, tooClose } from './family.js';
import { isUsableExit, type Network, type Relay } from './network.js';
import { type NodeSet, parseNodeSet } from './node-set.js';
import { type Position, WeightedList, weightsFor } from './weights.js';

/** Places in which AllowInvalidNodes may permit relays without the Valid flag. */
export type InvalidPlace = 'entry' | 'middle' | 'exit' | 'introduction' | 'rendezvous';

/** What the configuration says about paths. */
export interface PathRules {
  readonly exclude: NodeSet;
  readonly excludeExit: NodeSet;
  readonly entry: NodeSet;
  readonly middle: NodeSet;
  readonly exit: NodeSet;
  /** NodeFamily: each is a family. */
  readonly families: readonly NodeSet[];
  readonly strict: boolean;
  readonly distinctSubnets: boolean;
  readonly allowInvalid: ReadonlySet<string>;
  readonly longLivedPorts: ReadonlySet<number>;
}

/** Rules out of options; throws NodeSetError for a list that cannot be honoured. */
export function pathRulesOf(options: Options): PathRules {
  return {
    exclude: parseNodeSet('ExcludeNodes', options.ExcludeNodes),
    excludeExit: parseNodeSet('ExcludeExitNodes', options.ExcludeExitNodes),
    entry: parseNodeSet('EntryNodes', options.EntryNodes),
    middle: parseNodeSet('MiddleNodes', options.MiddleNodes),
    exit: parseNodeSet('ExitNodes', options.ExitNodes),
    families: options.NodeFamily.map((line) => parseNodeSet('NodeFamily', [line])),
    strict: options.StrictNodes,
    distinctSubnets: options.EnforceDistinctSubnets,
    allowInvalid: new Set(options.AllowInvalidNodes.map((place) => place.toLowerCase())),
    longLivedPorts: new Set(options.LongLivedPorts),
  };
}

/** What the last hop is for. */
export type PathPurpose =
  /** A connection: the exit's policy must allow the port for the address family, as far as it is known. */
  | { readonly kind: 'exit'; readonly port: number; readonly host: Host['kind'] }
  /** A lookup: any relay that exits anywhere. */
  | { readonly kind: 'resolve' }
  /** Inside the network: chosen like a middle relay. */
  | { readonly kind: 'internal' };

/** What a path must be. */
export interface PathNeed {
  readonly purpose: PathPurpose;
  /** Only Stable relays: the connection is expected to last (LongLivedPorts). */
  readonly stable: boolean;
  /** Exits that refused what their policy promised. */
  readonly avoidExits?: ReadonlySet<string>;
}

/** Three relays, first to last. */
export type Path = readonly [guard: Relay, middle: Relay, last: Relay];

/** Why no path came out of it; names the position that could not be filled. */
export type PathFailure = { readonly missing: 'exit' | 'guard' | 'middle' };

/** Where first hops come from. */
export interface GuardChooser<G> {
  /** A first hop that obeys; undefined when there is none. */
  choose(obeys: (relay: Relay) => boolean): { relay: Relay; guard: G } | undefined;
  /** The choice was not used after all. */
  release(guard: G): void;
}

/** Closeness for this network: the configuration's subnets, the consensus' family parameters. */
export const closenessOf = (network: Network, rules: PathRules): ClosenessRules => ({
  distinctSubnets: rules.distinctSubnets,
  familyLists: network.param('use-family-lists', 1, 0, 1) === 1,
  familyIds: network.param('use-family-ids', 1, 0, 1) === 1,
  families: rules.families,
});

/** Whether a relay may be in any path, at a place: running, valid (unless allowed), known, able to extend, not excluded. */
export function mayUse(relay: Relay, place: InvalidPlace, rules: PathRules): boolean {
  const { flags, protocols } = relay.status;
  if (!flags.has('Running') || relay.micro === undefined) return false;
  if (!flags.has('Valid') && !rules.allowInvalid.has(place)) return false;
  // Relay=2 is EXTEND2; consensuses always have `pr` lines since method 28.
  return protocols.has('Relay', 2) && !rules.exclude.has(relay.status);
}

/** Whether it has the flags a circuit asks for. */
const isGoodEnough = (relay: Relay, stable: boolean): boolean =>
  relay.status.flags.has('Fast') && (!stable || relay.status.flags.has('Stable'));

/** Whether an exit might take a connection. For a name, IPv4 decides: most names have such an address. */
export function mightSupport(relay: Relay, purpose: PathPurpose): boolean {
  if (!isUsableExit(relay) || relay.micro === undefined) return false;
  if (purpose.kind !== 'exit') return true;
  const { policy, ipv6Policy } = relay.micro;
  return (purpose.host === 'ipv6' ? ipv6Policy : policy).allows(purpose.port);
}

/** Exit lists kept for one network; a handful of ports make up nearly all requests. */
const MAX_LISTS = 64;
const exitLists = new WeakMap<
  Network,
  { version: number; rules: PathRules; lists: Map<string, WeightedList<Relay>> }
>();

function exitList(network: Network, rules: PathRules, need: PathNeed, picky: boolean): WeightedList<Relay> {
  let cache = exitLists.get(network);
  if (!cache || cache.version !== network.version || cache.rules !== rules) {
    cache = { version: network.version, rules, lists: new Map() };
    exitLists.set(network, cache);
  }
  const { purpose } = need;
  const key = `${purpose.kind === 'exit' ? `${purpose.host === 'ipv6'}:${purpose.port}` : purpose.kind} ${picky} ${picky && need.stable}`;
  let list = cache.lists.get(key);
  if (!list) {
    const relays = network.relays.filter(
      (relay) =>
        mayUse(relay, 'exit', rules) &&
        mightSupport(relay, purpose) &&
        !rules.excludeExit.has(relay.status) &&
        (rules.exit.empty || rules.exit.has(relay.status)) &&
        (!picky || isGoodEnough(relay, need.stable)),
    );
    list = weightedList(network, relays, 'exit');
    if (cache.lists.size >= MAX_LISTS) cache.lists.clear();
    cache.lists.set(key, list);
  }
  return list;
}

const weightedList = (network: Network, relays: Relay[], position: Position): WeightedList<Relay> =>
  new WeightedList(
    relays,
    weightsFor(
      network.consensus,
      relays.map((relay) => relay.status),
      position,
    ),
  );

/** The last hop. Falls back to relays without Fast and Stable, as C tor does, when no other is there. */
export function chooseLast(
  network: Network,
  rules: PathRules,
  need: PathNeed,
  random: Random,
): Relay | undefined {
  if (need.purpose.kind === 'internal') return chooseMiddle(network, rules, [], need.stable, random);
  const fits = (relay: Relay) => !need.avoidExits?.has(relay.id);
  return (
    exitList(network, rules, need, true).choose(random, fits) ??
    exitList(network, rules, need, false).choose(random, fits)
  );
}

/** A relay for the middle that is not too close to the others of the path. */
export function chooseMiddle(
  network: Network,
  rules: PathRules,
  others: readonly Relay[],
  stable: boolean,
  random: Random,
): Relay | undefined {
  const closeness = closenessOf(network, rules);
  const fits = (relay: Relay): boolean =>
    mayUse(relay, 'middle', rules) &&
    (rules.middle.empty || rules.middle.has(relay.status)) &&
    !others.some((other) => tooClose(relay, other, closeness));
  const list = network.weighted('middle');
  return (
    list.choose(random, (relay) => isGoodEnough(relay, stable) && fits(relay)) ?? list.choose(random, fits)
  );
}

/** Ends of the path that are tried before giving up: in a small network the first may be close to every guard. */
const ATTEMPTS = 8;

/** A whole path, with what the chooser says about its guard. */
export function choosePath<G>(
  network: Network,
  rules: PathRules,
  need: PathNeed,
  random: Random,
  guards: GuardChooser<G>,
): { path: Path; guard: G } | PathFailure {
  const closeness = closenessOf(network, rules);
  let failure: PathFailure = { missing: 'exit' };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const last = chooseLast(network, rules, need, random);
    if (!last) return { missing: 'exit' };
    const first = guards.choose((relay) => !tooClose(relay, last, closeness));
    if (!first) {
      failure = { missing: 'guard' };
      continue;
    }
    const middle = chooseMiddle(network, rules, [first.relay, last], need.stable, random);
    if (middle) return { path: [first.relay, middle, last], guard: first.guard };
    guards.release(first.guard);
    failure = { missing: 'middle' };
  }
  return failure;
}

/** A first hop without guards (UseEntryGuards 0): weighted for the guard position, obeying the same rules. */
export function chooseUnguardedFirst(
  network: Network,
  rules: PathRules,
  random: Random,
  obeys: (relay: Relay) => boolean,
): Relay | undefined {
  const fits = (relay: Relay): boolean =>
    mayUse(relay, 'entry', rules) && (rules.entry.empty || rules.entry.has(relay.status)) && obeys(relay);
  const list = network.weighted('guard');
  return (
    list.choose(
      random,
      (relay) => relay.status.flags.has('Guard') && isGoodEnough(relay, false) && fits(relay),
    ) ?? list.choose(random, fits)
  );
}
