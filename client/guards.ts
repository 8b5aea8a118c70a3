/**
 * Entry guards (guard-spec; C tor: entrynodes.c) as a state machine: consensuses, choices, successes and failures
 * come in with the time they happened; whether a circuit may be used comes out. It owns no timer and no socket.
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import type { RelayId } from '../shared/netdoc/types.js';
import type { Random } from '../shared/runtime/types.js';
import type { StateKind } from '../shared/store/state.js';
import type { GuardParams } from './guard-params.js';
import { checkSavedGuards, type Guard, GuardSample, type SavedGuard } from './guard-sample.js';
import { isPossibleGuard, type Network, type Relay } from './network.js';

/** What a first hop is for: directory requests need no microdescriptor, and spread over more guards. */
export type GuardUse = 'traffic' | 'dir';

/** Where a circuit stands with its guard (guard-spec 4.6). */
export type GuardState =
  | 'usable-on-completion'
  | 'usable-if-no-better'
  | 'waiting-for-better'
  | 'complete'
  | 'dead';

/** One use of a guard by one circuit. */
export interface GuardTicket {
  readonly id: RelayId;
  state: GuardState;
  /** Since when, for the two timeouts of non-primary guards. */
  since: number;
  /** The restriction it was chosen under. */
  readonly obeys: (relay: Relay) => boolean;
}

/** Both samples: the usual one, and one for configurations that leave few guards (guard-spec 2). */
export interface SavedGuards {
  readonly default: readonly SavedGuard[];
  readonly restricted: readonly SavedGuard[];
}

/** How the guards lie on disk. */
export const guardStateKind: StateKind<SavedGuards> = {
  version: 1,
  check(value) {
    if (typeof value !== 'object' || value === null) throw new DecodeError('guards', 'not an object');
    const { default: usual, restricted } = value as Record<string, unknown>;
    return {
      default: checkSavedGuards(usual, 'guards.default'),
      restricted: checkSavedGuards(restricted, 'guards.restricted'),
    };
  },
};

/** Part of the threshold by which the guards that pass must be off it before another sample is used. */
const HYSTERESIS = 0.05;

/** All guards of a client. */
export class GuardManager {
  private readonly samples: { default: GuardSample; restricted: GuardSample };
  private sample: GuardSample;
  /** Whether the sample was chosen for a network: until then neither is the one to stay with. */
  private picked = false;
  private network: Network | undefined;
  private params: GuardParams;
  /** When a guard last worked. */
  private lastOnInternet = Number.NEGATIVE_INFINITY;
  private readonly random: Random;

  constructor(params: GuardParams, random: Random, saved: SavedGuards = { default: [], restricted: [] }) {
    this.params = params;
    this.random = random;
    this.samples = {
      default: new GuardSample(saved.default),
      restricted: new GuardSample(saved.restricted, true),
    };
    this.sample = this.samples.default;
  }

  /** A consensus came, or configuration changed. `live`: it has not expired, so that old guards may go. */
  setNetwork(
    network: Network,
    passes: (relay: Relay) => boolean,
    params: GuardParams,
    now: number,
    live: boolean,
  ): void {
    this.network = network;
    this.params = params;
    this.pickSample(network, passes);
    this.sample.update(network, passes, params, now, this.random, live);
  }

  private pickSample(network: Network, passes: (relay: Relay) => boolean): void {
    const all = network.relays.filter((relay) => isPossibleGuard(relay.status.flags));
    if (all.length === 0) return;
    const passing = all.filter(passes).length;
    const { default: usual, restricted } = this.samples;
    const current = this.sample === restricted ? 1 + HYSTERESIS : 1 - HYSTERESIS;
    const factor = this.picked ? current : 1;
    this.picked = true;
    // Multiplied and cut in the order in which C tor does (choose_guard_selection).
    const edge = Math.trunc(all.length * (this.params.meaningfulRestriction / 100) * factor);
    this.sample = passing < edge ? restricted : usual;
  }

  /** Whether the consensus knows any relay that could be a guard. */
  get any(): boolean {
    return this.network?.relays.some((relay) => isPossibleGuard(relay.status.flags)) ?? false;
  }

  /** The primary guards, best first, as far as they are listed. */
  primaries(): readonly Relay[] {
    return this.sample.primaries.map((guard) => this.relayOf(guard)).filter((relay) => relay !== undefined);
  }

  /** The primary guards without a microdescriptor that traffic would use first: circuits wait for these. */
  missingDescriptors(): readonly Relay[] {
    return this.sample.primaries
      .filter((guard) => guard.reachable !== 'no')
      .slice(0, this.params.use.traffic)
      .map((guard) => this.relayOf(guard))
      .filter((relay) => relay !== undefined && relay.micro === undefined) as Relay[];
  }

  /** What to save; `undefined` when nothing changed since the last call, unless `all` is wanted. */
  takeChanges(all = false): SavedGuards | undefined {
    const { default: usual, restricted } = this.samples;
    if (!all && !usual.changed && !restricted.changed) return undefined;
    usual.changed = false;
    restricted.changed = false;
    return { default: usual.save(), restricted: restricted.save() };
  }

  /** A guard for a new circuit (guard-spec 4.6). */
  choose(
    use: GuardUse,
    obeys: (relay: Relay) => boolean,
    now: number,
  ): { relay: Relay; ticket: GuardTicket } | undefined {
    const usable = (guard: Guard): boolean => {
      const relay = this.relayOf(guard);
      return relay !== undefined && obeys(relay) && (use === 'dir' || relay.micro !== undefined);
    };
    const primary = this.choosePrimary(use, usable, now);
    if (primary) return this.ticket(primary, 'usable-on-completion', obeys, now);
    const other = this.chooseOther(usable, now);
    if (other) {
      other.pending = true;
      return this.ticket(other, 'usable-if-no-better', obeys, now);
    }
    // All were tried: begin anew rather than give up (C tor: mark_all_guards_maybe_reachable).
    for (const guard of this.sample.guards) if (guard.reachable === 'no') guard.reachable = 'maybe';
    return undefined;
  }

  private choosePrimary(use: GuardUse, usable: (guard: Guard) => boolean, now: number): Guard | undefined {
    const candidates: Guard[] = [];
    for (const guard of this.sample.primaries) {
      this.sample.considerRetry(guard, now);
      if (guard.reachable === 'no' || !usable(guard)) continue;
      candidates.push(guard);
      if (candidates.length >= this.params.use[use]) break;
    }
    return candidates.length === 0 ? undefined : candidates[this.random.below(candidates.length)];
  }

  /** A confirmed guard, else the next of the sample, that no other circuit is trying. */
  private chooseOther(usable: (guard: Guard) => boolean, now: number): Guard | undefined {
    const open = (guard: Guard): boolean => {
      if (guard.primary || !guard.filtered) return false;
      this.sample.considerRetry(guard, now);
      return guard.reachable !== 'no' && !guard.pending && usable(guard);
    };
    return this.sample.confirmed().find(open) ?? this.sample.guards.find(open);
  }

  private ticket(guard: Guard, state: GuardState, obeys: (relay: Relay) => boolean, now: number) {
    guard.lastTried = now;
    return { relay: this.relayOf(guard)!, ticket: { id: guard.id, state, since: now, obeys } };
  }

  /** The circuit came to nothing for a reason that is not the guard's. */
  release(ticket: GuardTicket): void {
    ticket.state = 'dead';
    const guard = this.sample.get(ticket.id);
    if (guard) guard.pending = false;
  }

  /** A hop through the guard was made. Whether the circuit may be used now, or only if no better one comes. */
  succeeded(ticket: GuardTicket, now: number): 'now' | 'later' {
    const guard = this.sample.get(ticket.id);
    const quiet = now - this.lastOnInternet > this.params.internetLikelyDown;
    this.lastOnInternet = now;
    // No longer in the sample: whoever has a circuit through it may finish with it.
    if (!guard) return this.move(ticket, 'complete', now);
    guard.reachable = 'yes';
    guard.failingSince = undefined;
    guard.pending = false;
    if (guard.confirmedOn === undefined) this.sample.confirm(guard, this.params, now, this.random);
    if (ticket.state === 'complete') return 'now';
    if (ticket.state === 'usable-on-completion' || guard.primary) return this.move(ticket, 'complete', now);
    // The network was away; perhaps the better guards were only out of reach because of that.
    if (quiet)
      for (const other of this.sample.primaries) if (other.reachable === 'no') other.reachable = 'maybe';
    return this.move(ticket, 'waiting-for-better', now);
  }

  private move(ticket: GuardTicket, state: 'complete' | 'waiting-for-better', now: number): 'now' | 'later' {
    ticket.state = state;
    ticket.since = now;
    return state === 'complete' ? 'now' : 'later';
  }

  /** The guard could not be reached, or did not answer. */
  failed(ticket: GuardTicket, now: number): void {
    ticket.state = 'dead';
    const guard = this.sample.get(ticket.id);
    if (!guard) return;
    guard.reachable = 'no';
    guard.pending = false;
    guard.failingSince ??= now;
  }

  /** The circuits that may be used after all (guard-spec 4.9): call it when something changed, and now and then. */
  upgrade(tickets: Iterable<GuardTicket>, now: number): GuardTicket[] {
    const all = [...tickets].filter((ticket) => this.sample.get(ticket.id) !== undefined);
    const waiting = all.filter((ticket) => ticket.state === 'waiting-for-better');
    const upgraded = waiting.filter(
      (ticket) => this.primariesDownFor(ticket, now) && !all.some((other) => this.blocks(other, ticket, now)),
    );
    for (const ticket of upgraded) this.move(ticket, 'complete', now);
    return upgraded;
  }

  /**
   * Whether no primary guard could take the circuit's place. Unlike C tor, those that its restriction rules out do
   * not count: it would wait for them in vain.
   */
  private primariesDownFor(ticket: GuardTicket, now: number): boolean {
    return this.sample.primaries.every((guard) => {
      this.sample.considerRetry(guard, now);
      const relay = this.relayOf(guard);
      return guard.reachable === 'no' || relay === undefined || !ticket.obeys(relay);
    });
  }

  private blocks(other: GuardTicket, ticket: GuardTicket, now: number): boolean {
    const a = this.sample.get(other.id)!;
    const b = this.sample.get(ticket.id)!;
    const relay = this.relayOf(a);
    if (a === b || !relay || !ticket.obeys(relay) || !this.outranks(a, b)) return false;
    if (other.state === 'complete' || other.state === 'waiting-for-better') return true;
    return other.state === 'usable-if-no-better' && now - other.since <= this.params.nonPrimaryConnectTimeout;
  }

  private outranks(a: Guard, b: Guard): boolean {
    const order = this.sample.guards;
    if (a.confirmedOn !== undefined || b.confirmedOn !== undefined)
      return (
        a.confirmedOn !== undefined && (b.confirmedOn === undefined || order.indexOf(a) < order.indexOf(b))
      );
    if (!a.pending || !b.pending) return a.pending;
    return (a.lastTried ?? 0) < (b.lastTried ?? 0);
  }

  /** Whether a circuit has waited too long for a better one, and should be closed. */
  waitedTooLong(ticket: GuardTicket, now: number): boolean {
    return ticket.state === 'waiting-for-better' && now - ticket.since > this.params.nonPrimaryIdleTimeout;
  }

  private relayOf(guard: Guard): Relay | undefined {
    return guard.listed ? this.network?.get(guard.id) : undefined;
  }
}
