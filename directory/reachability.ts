/**
 * When an authority tests which relay's OR port, and what the results say about Running (dir-spec 3.4.2; C tor
 * `reachability.c`, `dirserv_set_router_is_running`). The tests themselves are ChannelManager.probe.
 *
 * Relays are spread over 128 slots by the first byte of their identity, one slot each 10 s: each relay once in 1280 s.
 *
 * @module
 */
import type { RelayId, ServerDescriptor } from '../shared/netdoc/types.js';

/** Milliseconds between slots, and how many there are. */
export const SLOT_INTERVAL = 10_000;
const SLOTS = 128;
const CYCLE = SLOT_INTERVAL * SLOTS;
/** A success counts for so long. */
const REACHABLE_FOR = 45 * 60_000;
/** A hibernating relay that was reached this long after it said so has woken up. */
const HIBERNATION_SKEW = 3600_000;

/** What tests found of one relay. */
export interface Reachability {
  /** Milliseconds; 0 for never. */
  lastReachable: number;
}

/** The relays whose turn it is in slot number `slot` (any integer, one per 10 s). */
export const dueInSlot = (ids: Iterable<RelayId>, slot: number): RelayId[] =>
  [...ids].filter((id) => Number.parseInt(id.slice(0, 2), 16) % SLOTS === slot % SLOTS);

/**
 * In a testing network relays fail and return within minutes: those not reached for a minute are tested in every
 * slot.
 */
const TESTING_RETRY = 60_000;

/** Whether a relay is tested outside its slot in a testing network. */
export const dueInTesting = (lastReachable: number, now: number): boolean =>
  now - lastReachable >= TESTING_RETRY;

/** Whether a new descriptor calls for a test at once: new relay, awake again, moved. */
export function needsTestNow(descriptor: ServerDescriptor, old: ServerDescriptor | undefined): boolean {
  if (!old) return true;
  if (old.hibernating && !descriptor.hibernating) return true;
  return old.address !== descriptor.address || old.orPort !== descriptor.orPort;
}

/** Who counts as running. */
export interface RunningRules {
  /** `AuthDirTestReachability`: without tests everybody who does not say otherwise is up. */
  readonly testing: boolean;
  /** This authority's own relay. */
  readonly own: RelayId;
}

/** Whether a relay is up as far as we know. */
export function isRunning(
  descriptor: ServerDescriptor,
  lastReachable: number,
  rules: RunningRules,
  now: number,
): boolean {
  if (descriptor.id === rules.own) return !descriptor.hibernating;
  if (descriptor.hibernating && descriptor.published + HIBERNATION_SKEW > lastReachable) return false;
  if (!rules.testing) return true;
  return now < lastReachable + REACHABLE_FOR;
}

/** Since when a relay that is not running has been down, for its history: at the earliest when its next test was due. */
export const downSince = (lastReachable: number, now: number): number =>
  lastReachable !== 0 && lastReachable + CYCLE < now ? lastReachable + CYCLE : now;
