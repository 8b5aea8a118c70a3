/**
 * Numbers of guard-spec A.1, from the consensus, with C tor's names, defaults and bounds (entrynodes.c).
 *
 * @module
 */
import type { Options } from '../shared/torrc/options.js';
import type { Network } from './network.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What the guard algorithm is tuned by; durations in milliseconds. */
export interface GuardParams {
  readonly maxSampleSize: number;
  /** Percent of the guards in the consensus. */
  readonly maxSampleThreshold: number;
  readonly minFilteredSample: number;
  readonly removeUnlistedAfter: number;
  readonly lifetime: number;
  readonly confirmedMinLifetime: number;
  readonly primaries: number;
  /** Primary guards a circuit, and a directory request, is chosen among. */
  readonly use: { readonly traffic: number; readonly dir: number };
  readonly internetLikelyDown: number;
  readonly nonPrimaryConnectTimeout: number;
  readonly nonPrimaryIdleTimeout: number;
  /** Percent of the guards that must pass the configuration's filter, else a sample of its own is kept. */
  readonly meaningfulRestriction: number;
}

/** The parameters now in force. */
export function guardParams(
  network: Network | undefined,
  options: Pick<Options, 'NumEntryGuards' | 'NumDirectoryGuards' | 'GuardLifetime'>,
): GuardParams {
  const get = (name: string, fallback: number, min: number, max = 2 ** 31 - 1): number =>
    network ? network.param(name, fallback, min, max) : fallback;
  const days = (name: string, fallback: number, max: number) => get(name, fallback, 1, max) * DAY;
  const traffic = options.NumEntryGuards || get('guard-n-primary-guards-to-use', 1, 1);
  const primaries = get('guard-n-primary-guards', 3, 1);
  return {
    maxSampleSize: get('guard-max-sample-size', 60, 1),
    maxSampleThreshold: get('guard-max-sample-threshold-percent', 20, 1, 100),
    minFilteredSample: get('guard-min-filtered-sample-size', 20, 1),
    removeUnlistedAfter: days('guard-remove-unlisted-guards-after-days', 20, 3650),
    lifetime: options.GuardLifetime || days('guard-lifetime-days', 120, 3650),
    confirmedMinLifetime: days('guard-confirmed-min-lifetime-days', 60, 3650),
    // Who wants more guards in use wants spare ones too (C tor: get_n_primary_guards).
    primaries: options.NumEntryGuards
      ? Math.max(primaries, Math.ceil(options.NumEntryGuards * 1.5))
      : primaries,
    use: { traffic, dir: options.NumDirectoryGuards || get('guard-n-primary-dir-guards-to-use', 3, 1) },
    internetLikelyDown: get('guard-internet-likely-down-interval', 600, 1) * 1000,
    nonPrimaryConnectTimeout: get('guard-nonprimary-guard-connect-timeout', 15, 1) * 1000,
    nonPrimaryIdleTimeout: get('guard-nonprimary-guard-idle-timeout', 600, 1) * 1000,
    meaningfulRestriction: get('guard-meaningful-restriction-percent', 20, 1, 100),
  };
}

/** PRIMARY_GUARDS_RETRY_SCHED and GUARDS_RETRY_SCHED: while failing for at most `up`, wait so long. */
const RETRY: readonly { up: number; primary: number; other: number }[] = [
  { up: 6 * HOUR, primary: 10 * MINUTE, other: HOUR },
  { up: 4 * DAY, primary: 90 * MINUTE, other: 4 * HOUR },
  { up: 7 * DAY, primary: 4 * HOUR, other: 18 * HOUR },
  { up: Number.POSITIVE_INFINITY, primary: 9 * HOUR, other: 36 * HOUR },
];

/** Milliseconds to wait after the last attempt at a guard that has been failing for `failing` milliseconds. */
export function retryDelay(failing: number, primary: boolean): number {
  const row = RETRY.find(({ up }) => failing <= up)!;
  return primary ? row.primary : row.other;
}
