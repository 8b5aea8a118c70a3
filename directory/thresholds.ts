/**
 * What a relay must reach for the flags Stable, Fast and Guard: order statistics over the active relays, within bounds
 * (dir-spec 3.4.2; C tor `dirserv_compute_performance_thresholds`).
 *
 * @module
 */
import type { RelayId } from '../shared/netdoc/types.js';
import type { Options } from '../shared/torrc/options.js';
import { lowMedian, nthSmallest } from './order.js';
import { claimedBandwidth, claimedUptime, isActive, type RelayView } from './relay-view.js';

/**
 * From where on a relay has what a flag wants whatever others have, so that many new ones cannot push it out.
 * Bandwidths are in kilobytes per second, times in seconds.
 */
export interface Guarantees {
  /** `AuthDirVoteStableGuaranteeMinUptime`, `AuthDirVoteStableGuaranteeMTBF`. */
  readonly stableUptime: number;
  readonly stableMtbf: number;
  /** `AuthDirFastGuarantee`, `AuthDirGuardBWGuarantee`; infinite where there is none. */
  readonly fast: number;
  readonly guardBandwidth: number;
  /** `AuthDirVoteGuardGuaranteeTimeKnown`, `AuthDirVoteGuardGuaranteeWFU`. */
  readonly guardTimeKnown: number;
  readonly guardWfu: number;
}

/** The guarantees of a configuration. */
export function guaranteesOf(options: Options): Guarantees {
  const seconds = (milliseconds: number) => Math.floor(milliseconds / 1000);
  const kilobytes = (bytes: number) => (bytes === 0 ? Number.POSITIVE_INFINITY : Math.floor(bytes / 1000));
  return {
    stableUptime: seconds(options.AuthDirVoteStableGuaranteeMinUptime),
    stableMtbf: seconds(options.AuthDirVoteStableGuaranteeMTBF),
    fast: kilobytes(options.AuthDirFastGuarantee),
    guardBandwidth: kilobytes(options.AuthDirGuardBWGuarantee),
    guardTimeKnown: seconds(options.AuthDirVoteGuardGuaranteeTimeKnown),
    guardWfu: options.AuthDirVoteGuardGuaranteeWFU,
  };
}

/** Relays slower than this do not count (ABSOLUTE_MIN_BW_VALUE_TO_CONSIDER_KB). */
const MIN_CONSIDERED = 4;
/** Half of what a relay must have (RELAY_REQUIRED_MIN_BANDWIDTH): a lower 12.5th percentile is not used. */
const MIN_FAST_PERCENTILE = Math.floor((75 * 1024) / 2000);

const INT32_MAX = 2 ** 31 - 1;

/** The bars; bandwidths in kilobytes per second, times in seconds. */
export interface Thresholds {
  readonly stableUptime: number;
  readonly stableMtbf: number;
  readonly enoughMtbf: boolean;
  readonly fast: number;
  readonly guardWfu: number;
  readonly guardTimeKnown: number;
  readonly guardBandwidthWithExits: number;
  readonly guardBandwidthWithoutExits: number;
  /** So many relays are measured that what the others claim is not believed. */
  readonly ignoreClaims: boolean;
  readonly guarantees: Guarantees;
}

/** What the thresholds depend on besides the relays. */
export interface ThresholdInput {
  readonly relays: readonly RelayView[];
  readonly sybils: ReadonlySet<RelayId>;
  /** Milliseconds. */
  readonly now: number;
  /** Whether the history is long enough for mean times between failures. */
  readonly enoughMtbf: boolean;
  readonly testing: boolean;
  /** `MinMeasuredBWsForAuthToIgnoreAdvertised`. */
  readonly measuredEnough: number;
  readonly guarantees: Guarantees;
  /** `AuthDirVoteGuardBwThresholdFraction`: so many are slower than a guard, 0 to 1. */
  readonly guardFraction: number;
  /** `TestingMinFastFlagThreshold`, bytes per second; used in a testing network. */
  readonly testingMinFast: number;
  /** Of the live consensus. */
  readonly params: ReadonlyMap<string, number>;
  /** `DirAllowPrivateAddresses`. */
  readonly allowPrivate: boolean;
}

/** The bandwidth flags go by: measured, else claimed unless claims are ignored. */
export const credibleBandwidth = (relay: RelayView, ignoreClaims: boolean): number =>
  relay.measured ?? (ignoreClaims ? 0 : claimedBandwidth(relay.descriptor));

/** Whether the policy makes it an exit worth the flag. */
export const isExit = (relay: RelayView, allowPrivate: boolean): boolean =>
  relay.descriptor.exitPolicy.isGeneralExit(allowPrivate);

/** The bar for Fast: the 12.5th percentile (or 25th, if that is very low), within the network's and our own bounds. */
function fastThreshold(bandwidths: readonly number[], input: ThresholdInput): number {
  let fast = 0;
  if (bandwidths.length > 0) {
    fast = nthSmallest(bandwidths, Math.floor(bandwidths.length / 8));
    if (fast < MIN_FAST_PERCENTILE) fast = nthSmallest(bandwidths, Math.floor(bandwidths.length / 4));
  }
  const { params, testing, testingMinFast } = input;
  const min = testing ? testingMinFast : Math.max(MIN_CONSIDERED, params.get('FastFlagMinThreshold') ?? 4);
  const max = Math.max(min, params.get('FastFlagMaxThreshold') ?? INT32_MAX);
  fast = Math.min(Math.max(fast, Math.floor(min / 1000)), Math.floor(max / 1000));
  return Math.min(fast, input.guarantees.fast);
}

/** The bar for Guard; that of the fastest where the fraction is 1. */
const guardBandwidth = (bandwidths: readonly number[], fraction: number): number => {
  const n = bandwidths.length;
  return n === 0 ? 0 : nthSmallest(bandwidths, Math.min(Math.floor(n * fraction), n - 1));
};

/** Computes the bars from the relays that are active, no Sybils, and fast enough to count. */
export function computeThresholds(input: ThresholdInput): Thresholds {
  const { relays, sybils, now, testing, guarantees, guardFraction } = input;
  const measured = relays.filter((relay) => relay.measured !== undefined).length;
  const ignoreClaims = measured > input.measuredEnough;
  const minBandwidth = testing ? 0 : MIN_CONSIDERED;
  const active = relays.filter(
    (relay) =>
      isActive(relay, now) &&
      !sybils.has(relay.descriptor.id) &&
      credibleBandwidth(relay, ignoreClaims) >= minBandwidth &&
      (relay.measured !== undefined || !ignoreClaims),
  );
  const bandwidths = active.map((relay) => credibleBandwidth(relay, ignoreClaims));
  const nonExits = active
    .filter((relay) => !isExit(relay, input.allowPrivate) || relay.badExit)
    .map((relay) => credibleBandwidth(relay, ignoreClaims));

  const some = active.length > 0;
  const eighth = Math.floor(active.length / 8);
  const timesKnown = active.map((relay) => relay.timeKnown);
  const guardTimeKnown = Math.min(some ? nthSmallest(timesKnown, eighth) : 0, guarantees.guardTimeKnown);
  const familiar = active.filter((relay) => relay.timeKnown >= guardTimeKnown).map((relay) => relay.wfu);
  return {
    stableUptime: some ? lowMedian(active.map((relay) => claimedUptime(relay.descriptor, now))) : 0,
    stableMtbf: some ? lowMedian(active.map((relay) => relay.mtbf)) : 0,
    enoughMtbf: input.enoughMtbf,
    fast: fastThreshold(bandwidths, input),
    guardWfu: Math.min(familiar.length > 0 ? lowMedian(familiar) : 0, guarantees.guardWfu),
    guardTimeKnown,
    guardBandwidthWithExits: guardBandwidth(bandwidths, guardFraction),
    guardBandwidthWithoutExits: guardBandwidth(nonExits, guardFraction),
    ignoreClaims,
    guarantees,
  };
}

/** The `flag-thresholds` of a vote, in order. */
export function thresholdsLine(t: Thresholds): Map<string, string> {
  return new Map([
    ['stable-uptime', `${Math.floor(t.stableUptime)}`],
    ['stable-mtbf', `${Math.floor(t.stableMtbf)}`],
    ['fast-speed', `${t.fast * 1000}`],
    ['guard-wfu', `${(t.guardWfu * 100).toFixed(3)}%`],
    ['guard-tk', `${Math.floor(t.guardTimeKnown)}`],
    ['guard-bw-inc-exits', `${t.guardBandwidthWithExits * 1000}`],
    ['guard-bw-exc-exits', `${t.guardBandwidthWithoutExits * 1000}`],
    ['enough-mtbf', t.enoughMtbf ? '1' : '0'],
    ['ignoring-advertised-bws', t.ignoreClaims ? '1' : '0'],
  ]);
}
