/**
 * A persistent sample of guards (guard-spec 4.1 to 4.5): who is in it, in which order, who passes the filter, who is
 * primary. Plain data and pure rules; `guards.ts` has what circuits do with it.
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import type { RelayId } from '../shared/netdoc/types.js';
import type { Random } from '../shared/runtime/types.js';
import { type GuardParams, retryDelay } from './guard-params.js';
import { isPossibleGuard, type Network, type Relay } from './network.js';

/** What is remembered of a guard between runs; times in milliseconds since 1970. */
export interface SavedGuard {
  readonly id: RelayId;
  readonly nickname: string;
  readonly addedOn: number;
  readonly addedBy: string;
  readonly listed: boolean;
  readonly unlistedSince: number | null;
  readonly confirmedOn: number | null;
}

/** A sampled guard; the order of the sample is the order of the list. */
export interface Guard {
  readonly id: RelayId;
  nickname: string;
  readonly addedOn: number;
  readonly addedBy: string;
  listed: boolean;
  unlistedSince: number | undefined;
  confirmedOn: number | undefined;
  /** Passes the configuration's filter now. */
  filtered: boolean;
  primary: boolean;
  reachable: 'yes' | 'no' | 'maybe';
  failingSince: number | undefined;
  lastTried: number | undefined;
  pending: boolean;
}

/** Version of Cepa that sampled a guard, for whoever reads the state. */
const ADDED_BY = 'cepa-0.1.0';

/** Reads saved guards; throws a DecodeError that names what is missing. */
export function checkSavedGuards(value: unknown, field: string): SavedGuard[] {
  if (!Array.isArray(value) || value.length > 10_000) throw new DecodeError(field, 'not a list of guards');
  return value.map((item: Partial<SavedGuard> | null, i) => {
    const number = (time: unknown) => typeof time === 'number' && Number.isFinite(time);
    if (
      !item ||
      typeof item.id !== 'string' ||
      !/^[0-9A-F]{40}$/.test(item.id) ||
      typeof item.nickname !== 'string' ||
      !number(item.addedOn) ||
      typeof item.addedBy !== 'string' ||
      typeof item.listed !== 'boolean' ||
      !(item.unlistedSince === null || number(item.unlistedSince)) ||
      !(item.confirmedOn === null || number(item.confirmedOn))
    )
      throw new DecodeError(`${field}[${i}]`, 'not a guard');
    return item as SavedGuard;
  });
}

/** A time in the last `span` before `now`, so that an observer cannot tell when it began (guard-spec A.2). */
const before = (now: number, span: number, random: Random): number => now - random.fraction() * span;

/** The sample. */
export class GuardSample {
  readonly guards: Guard[];
  primaries: Guard[] = [];
  private readonly byId = new Map<RelayId, Guard>();
  private readonly filterFirst: boolean;
  /** Set when what is saved changed. */
  changed = false;

  /**
   * `filterFirst`: only who passes the filter is sampled at all. A sample for narrow configurations, drawn from
   * everybody, might have none of the few that pass (C tor: `get_eligible_guards`).
   */
  constructor(saved: readonly SavedGuard[] = [], filterFirst = false) {
    this.filterFirst = filterFirst;
    this.guards = saved.map((guard) => ({
      ...guard,
      unlistedSince: guard.unlistedSince ?? undefined,
      confirmedOn: guard.confirmedOn ?? undefined,
      filtered: false,
      primary: false,
      reachable: 'maybe',
      failingSince: undefined,
      lastTried: undefined,
      pending: false,
    }));
    for (const guard of this.guards) this.byId.set(guard.id, guard);
  }

  get(id: RelayId): Guard | undefined {
    return this.byId.get(id);
  }

  save(): SavedGuard[] {
    return this.guards.map((guard) => ({
      id: guard.id,
      nickname: guard.nickname,
      addedOn: guard.addedOn,
      addedBy: guard.addedBy,
      listed: guard.listed,
      unlistedSince: guard.unlistedSince ?? null,
      confirmedOn: guard.confirmedOn ?? null,
    }));
  }

  /** Guards in preference order: confirmed in the order of the sample, as C tor sorts them since 0.4.4. */
  confirmed(): Guard[] {
    return this.guards.filter((guard) => guard.confirmedOn !== undefined);
  }

  /** A new consensus, or another filter (guard-spec 4.10). */
  update(
    network: Network,
    passes: (relay: Relay) => boolean,
    params: GuardParams,
    now: number,
    random: Random,
    live: boolean,
  ): void {
    for (const guard of this.guards) this.updateListed(guard, network, params, now, random);
    if (live) this.removeOld(params, now);
    this.filter(network, passes);
    this.expand(network, passes, params, now, random);
    this.choosePrimaries(params);
  }

  private updateListed(
    guard: Guard,
    network: Network,
    params: GuardParams,
    now: number,
    random: Random,
  ): void {
    const relay = network.get(guard.id);
    const listed = relay !== undefined && isPossibleGuard(relay.status.flags);
    if (relay) guard.nickname = relay.status.nickname;
    if (listed === guard.listed && (listed || guard.unlistedSince !== undefined)) return;
    guard.listed = listed;
    guard.unlistedSince = listed ? undefined : before(now, params.removeUnlistedAfter / 5, random);
    this.changed = true;
  }

  private removeOld(params: GuardParams, now: number): void {
    const keep = (guard: Guard): boolean => {
      if (!guard.listed && guard.unlistedSince !== undefined)
        if (now - guard.unlistedSince > params.removeUnlistedAfter) return false;
      if (now - guard.addedOn <= params.lifetime) return true;
      return guard.confirmedOn !== undefined && now - guard.confirmedOn <= params.confirmedMinLifetime;
    };
    for (let i = this.guards.length - 1; i >= 0; i--) {
      const guard = this.guards[i]!;
      if (keep(guard)) continue;
      this.guards.splice(i, 1);
      this.byId.delete(guard.id);
      this.changed = true;
    }
  }

  private filter(network: Network, passes: (relay: Relay) => boolean): void {
    for (const guard of this.guards) {
      const relay = guard.listed ? network.get(guard.id) : undefined;
      guard.filtered = relay !== undefined && passes(relay);
    }
  }

  /** Adds guards until enough pass the filter, or the sample is full (guard-spec 4.2). */
  private expand(
    network: Network,
    passes: (relay: Relay) => boolean,
    params: GuardParams,
    now: number,
    random: Random,
  ): void {
    const eligible = (relay: Relay): boolean =>
      isPossibleGuard(relay.status.flags) && (!this.filterFirst || passes(relay));
    const all = network.relays.filter(eligible).length;
    const most = Math.max(
      params.minFilteredSample,
      Math.min(params.maxSampleSize, Math.floor((all * params.maxSampleThreshold) / 100)),
    );
    // Guards of an earlier narrow configuration take no places (with C tor they do, and may leave none).
    let size = this.guards.filter((guard) => guard.filtered || !this.filterFirst).length;
    let usable = this.guards.filter((guard) => guard.filtered && guard.reachable !== 'no').length;
    for (; usable < params.minFilteredSample && size < most; size++) {
      const relay = network
        .weighted('guard')
        .choose(random, (candidate) => eligible(candidate) && !this.byId.has(candidate.id));
      if (!relay) return;
      const guard = this.add(relay, before(now, params.lifetime / 10, random));
      guard.filtered = passes(relay);
      if (guard.filtered) usable++;
    }
  }

  private add(relay: Relay, addedOn: number): Guard {
    const guard: Guard = {
      id: relay.id,
      nickname: relay.status.nickname,
      addedOn,
      addedBy: ADDED_BY,
      listed: true,
      unlistedSince: undefined,
      confirmedOn: undefined,
      filtered: false,
      primary: false,
      reachable: 'maybe',
      failingSince: undefined,
      lastTried: undefined,
      pending: false,
    };
    this.guards.push(guard);
    this.byId.set(guard.id, guard);
    this.changed = true;
    return guard;
  }

  /** Confirmed ones first, then the primaries there were, then the sample's order (guard-spec 4.4). */
  choosePrimaries(params: GuardParams): void {
    const filtered = (guard: Guard) => guard.filtered && this.byId.has(guard.id);
    const ordered = new Set([
      ...this.confirmed().filter(filtered),
      ...this.primaries.filter(filtered),
      ...this.guards.filter((guard) => guard.filtered && guard.reachable !== 'no'),
    ]);
    for (const guard of this.guards) guard.primary = false;
    const chosen = [...ordered].slice(0, params.primaries);
    for (const guard of chosen) guard.primary = true;
    this.primaries = this.guards.filter((guard) => guard.primary);
  }

  confirm(guard: Guard, params: GuardParams, now: number, random: Random): void {
    guard.confirmedOn = before(now, params.lifetime / 10, random);
    this.changed = true;
    this.choosePrimaries(params);
  }

  /** Makes a guard worth trying again when its time has come (guard-spec 4.5). */
  considerRetry(guard: Guard, now: number): void {
    if (guard.reachable !== 'no' || guard.lastTried === undefined) return;
    const delay = retryDelay(now - (guard.failingSince ?? now), guard.primary);
    if (now >= guard.lastTried + delay) guard.reachable = 'maybe';
  }
}
