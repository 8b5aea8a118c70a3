/**
 * What a relay must reach for the flags Stable, Fast and Guard: order statistics over the active relays, within bounds
 * (dir-spec 3.4.2; C tor `dirserv_compute_performance_thresholds`).
 *
 * @module
 */
import type { RelayId } from '../shared/netdoc/types.js';
import { lowMedian, nthSmallest } from './order.js';
import { claimedBandwidth, claimedUptime, isActive, type RelayView } from './relay-view.js';

const DAY = 24 * 3600;

/** Always Stable from this uptime, or mean time between failures, on; seconds. */
export const STABLE_UPTIME_GUARANTEE = 30 * DAY;
export const STABLE_MTBF_GUARANTEE = 5 * DAY;
/** No guard needs to be known for longer, seconds, or to have a better fractional uptime. */
const GUARD_TIME_KNOWN_GUARANTEE = 8 * DAY;
const GUARD_WFU_GUARANTEE = 0.98;
/** Always fast enough for a Guard: AuthDirGuardBWGuarantee 2 MB, in kilobytes per second. */
export const GUARD_BANDWIDTH_GUARANTEE = Math.floor((2 * 1024 * 1024) / 1000);
/** Always Fast: AuthDirFastGuarantee 100 KB. */
const FAST_GUARANTEE = Math.floor((100 * 1024) / 1000);
/** Relays slower than this do not count (ABSOLUTE_MIN_BW_VALUE_TO_CONSIDER_KB). */
const MIN_CONSIDERED = 4;
/** Half of what a relay must have (RELAY_REQUIRED_MIN_BANDWIDTH): a lower 12.5th percentile is not used. */
const MIN_FAST_PERCENTILE = Math.floor((75 * 1024) / 2000);
const GUARD_FRACTION = 0.75;

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
  return Math.min(fast, FAST_GUARANTEE);
}

const guardBandwidth = (bandwidths: readonly number[]): number =>
  bandwidths.length === 0 ? 0 : nthSmallest(bandwidths, Math.floor(bandwidths.length * GUARD_FRACTION));

/** Computes the bars from the relays that are active, no Sybils, and fast enough to count. */
export function computeThresholds(input: ThresholdInput): Thresholds {
  const { relays, sybils, now, testing } = input;
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
  const guardTimeKnown = Math.min(some ? nthSmallest(timesKnown, eighth) : 0, GUARD_TIME_KNOWN_GUARANTEE);
  const familiar = active.filter((relay) => relay.timeKnown >= guardTimeKnown).map((relay) => relay.wfu);
  return {
    stableUptime: some ? lowMedian(active.map((relay) => claimedUptime(relay.descriptor, now))) : 0,
    stableMtbf: some ? lowMedian(active.map((relay) => relay.mtbf)) : 0,
    enoughMtbf: input.enoughMtbf,
    fast: fastThreshold(bandwidths, input),
    guardWfu: Math.min(familiar.length > 0 ? lowMedian(familiar) : 0, GUARD_WFU_GUARANTEE),
    guardTimeKnown,
    guardBandwidthWithExits: guardBandwidth(bandwidths),
    guardBandwidthWithoutExits: guardBandwidth(nonExits),
    ignoreClaims,
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
