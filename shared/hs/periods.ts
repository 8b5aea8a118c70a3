/**
 * Time as onion services count it (rend-spec-v3 2.2.1, 2.2.4): periods, each with its blinded keys, and the shared
 * random value each part of a period goes by. Pure functions of a consensus.
 *
 *     +------------------------------------------------------------------+
 *     | SRV#1 at 00:00   TP#1 at 12:00   SRV#2 at 00:00   TP#2 at 12:00  |
 *     |   |------ A -------|------ B -------|------ A -------|           |
 *     +------------------------------------------------------------------+
 *
 * In A a new value is there and its period has not begun; in B the period goes by the value.
 *
 * @module
 */
import type { TimePeriod } from '../crypto/blinding.js';
import { disasterSrv } from './indexes.js';

const MINUTE = 60_000;
/** Minutes of a period: consensus parameter hsdir_interval, and its bounds [hs_common.h]. */
const PERIOD = { fallback: 1440, min: 5, max: 14_400 };
/** Rounds of a run of the shared-random protocol: commit, then reveal (srv-spec 2). */
const RUN_ROUNDS = 24;
const PHASE_ROUNDS = 12;

/** What is read of a consensus. */
export interface HsConsensus {
  readonly validAfter: number;
  readonly freshUntil: number;
  readonly params: ReadonlyMap<string, number>;
  readonly sharedRandPrevious: { readonly value: Uint8Array } | undefined;
  readonly sharedRandCurrent: { readonly value: Uint8Array } | undefined;
}

/** How long periods are in a network, and how far after midnight they begin. */
export interface PeriodRules {
  /** Minutes. */
  readonly length: number;
  /** Milliseconds. */
  readonly offset: number;
}

const votingInterval = ({ validAfter, freshUntil }: HsConsensus): number =>
  Math.max(freshUntil - validAfter, 1000);

/**
 * The rules of a network. In a testing network a period is a run of the shared-random protocol, whatever hsdir_interval
 * says [get_time_period_length]; the offset is half a run everywhere.
 */
export function periodRules(consensus: HsConsensus, testing: boolean): PeriodRules {
  const interval = votingInterval(consensus);
  const offset = Math.floor((PHASE_ROUNDS * interval) / MINUTE) * MINUTE;
  const { fallback, min, max } = PERIOD;
  const length = testing
    ? Math.floor((RUN_ROUNDS * interval) / MINUTE)
    : Math.min(max, Math.max(min, consensus.params.get('hsdir_interval') ?? fallback));
  return { length: Math.max(length, 1), offset };
}

/** The period a time is in; milliseconds since 1970. */
export const periodAt = (time: number, { length, offset }: PeriodRules): TimePeriod => ({
  number: Math.floor((Math.floor(time / MINUTE) - offset / MINUTE) / length),
  length,
});

/** The period after (or `by` periods after) another. */
export const periodAfter = ({ number, length }: TimePeriod, by = 1): TimePeriod => ({
  number: number + by,
  length,
});

/** When a period begins. */
export const periodStart = ({ number, length }: TimePeriod, { offset }: PeriodRules): number =>
  number * length * MINUTE + offset;

/** When the run of the shared-random protocol began in which the consensus was made. */
export function srvRunStart(consensus: HsConsensus): number {
  const interval = votingInterval(consensus);
  const round = Math.floor(consensus.validAfter / interval) % RUN_ROUNDS;
  return consensus.validAfter - round * interval;
}

/** Milliseconds of a whole run. */
export const srvRunLength = (consensus: HsConsensus): number => RUN_ROUNDS * votingInterval(consensus);

/** Whether the consensus is of part B: the period that goes by the current value has begun [hs_in_period_between_tp_and_srv]. */
export function periodHasBegun(consensus: HsConsensus, rules: PeriodRules): boolean {
  const run = srvRunStart(consensus);
  const start = periodStart(periodAfter(periodAt(run, rules)), rules);
  return !(consensus.validAfter >= run && consensus.validAfter < start);
}

/** Where descriptors of one period are: the period, and the random value that orders the ring. */
export interface RingKey {
  readonly period: TimePeriod;
  readonly srv: Uint8Array;
}

/** What a client and a service go by under one consensus. */
export interface RingKeys {
  /** Where clients look. */
  readonly fetch: RingKey;
  /** Where services publish: for clients that are behind, or as we are; and for those that are, or soon will be, ahead. */
  readonly store: readonly [first: RingKey, second: RingKey];
}

/** Which periods and values count under a consensus [node_set_hsdir_index]. */
export function ringKeys(consensus: HsConsensus, testing: boolean): RingKeys {
  const rules = periodRules(consensus, testing);
  const now = periodAt(consensus.validAfter, rules);
  const current = (period: TimePeriod): RingKey => ({
    period,
    srv: consensus.sharedRandCurrent?.value ?? disasterSrv(period),
  });
  const previous = (period: TimePeriod): RingKey => ({
    period,
    srv: consensus.sharedRandPrevious?.value ?? disasterSrv(period),
  });
  if (periodHasBegun(consensus, rules))
    return { fetch: current(now), store: [previous(periodAfter(now, -1)), current(now)] };
  return { fetch: previous(now), store: [previous(now), current(periodAfter(now))] };
}
