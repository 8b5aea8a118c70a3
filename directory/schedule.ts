/**
 * When an authority votes: a pure function of the time, the options and the live consensus (dir-spec 1.4, 3.11;
 * C tor `create_voting_schedule`, `voting_sched_get_start_of_interval_after`).
 *
 * Everything is in milliseconds, but rounded to whole seconds as C tor's arithmetic is: all authorities must come to
 * the same valid-after.
 *
 * @module
 */
import type { NetworkStatusHead } from '../shared/netdoc/types.js';
import type { Options } from '../shared/torrc/options.js';

const SECOND = 1000;
const DAY = 24 * 60 * 60 * SECOND;

const wholeSeconds = (ms: number): number => Math.floor(ms / SECOND) * SECOND;

/** How often to vote and how long the steps take. */
export interface VotingTiming {
  readonly interval: number;
  readonly voteDelay: number;
  readonly distDelay: number;
  /** valid-after of the consensus these values are from; undefined when they are the initial ones. */
  readonly consensus: number | undefined;
}

/** The instants of one voting round, in order. */
export interface VotingSchedule {
  readonly interval: number;
  /** Make the vote and send it to the others. */
  readonly voteAt: number;
  /** Ask everybody for the votes that are missing; votes posted after this are refused. */
  readonly fetchVotesAt: number;
  /** Compute the consensus, sign it, send the signature. */
  readonly computeAt: number;
  /** Ask everybody for the signatures that are missing. */
  readonly fetchSignaturesAt: number;
  /** Publish; also the consensus's valid-after. */
  readonly validAfter: number;
  /** valid-after of the consensus whose timing this follows. */
  readonly consensus: number | undefined;
}

/** The options the schedule depends on. */
export type ScheduleOptions = Pick<
  Options,
  | 'TestingV3AuthInitialVotingInterval'
  | 'TestingV3AuthInitialVoteDelay'
  | 'TestingV3AuthInitialDistDelay'
  | 'TestingV3AuthVotingStartOffset'
>;

/** What the schedule needs of a consensus. */
export type TimedConsensus = Pick<
  NetworkStatusHead,
  'validAfter' | 'freshUntil' | 'validUntil' | 'votingDelay'
>;

/** Whether a consensus is in force (C tor `networkstatus_is_live`). */
export const isLive = (consensus: TimedConsensus, now: number): boolean =>
  consensus.validAfter <= now && now <= consensus.validUntil;

/**
 * The first start of an interval after `now`. Intervals are counted from midnight UTC; where the next midnight would
 * leave less than half of one, the last interval is the whole one that ends at midnight, overlapping that before it.
 */
export function startOfIntervalAfter(now: number, interval: number, offset: number): number {
  const at = wholeSeconds(now);
  const midnight = Math.floor(at / DAY) * DAY;
  const tomorrow = midnight + DAY;
  let next = midnight + (Math.floor((at - midnight) / interval) + 1) * interval;
  if (next > tomorrow || next + wholeSeconds(interval / 2) > tomorrow) next = tomorrow;
  next += offset;
  return next - interval > at ? next - interval : next;
}

/** Which timing holds at `now`: the live consensus's, else the initial one of the options. */
export function timingAt(
  now: number,
  options: ScheduleOptions,
  consensus: TimedConsensus | undefined,
): VotingTiming {
  if (consensus && isLive(consensus, wholeSeconds(now))) {
    return {
      interval: consensus.freshUntil - consensus.validAfter,
      voteDelay: consensus.votingDelay.vote * SECOND,
      distDelay: consensus.votingDelay.dist * SECOND,
      consensus: consensus.validAfter,
    };
  }
  return {
    interval: options.TestingV3AuthInitialVotingInterval,
    voteDelay: options.TestingV3AuthInitialVoteDelay,
    distDelay: options.TestingV3AuthInitialDistDelay,
    consensus: undefined,
  };
}

/** The round whose valid-after is the first interval start after `now`. Some of its instants may be in the past. */
export function scheduleAfter(now: number, timing: VotingTiming, offset: number): VotingSchedule {
  let { voteDelay, distDelay } = timing;
  if (voteDelay + distDelay > wholeSeconds(timing.interval / 2)) {
    voteDelay = wholeSeconds(timing.interval / 4);
    distDelay = voteDelay;
  }
  const validAfter = startOfIntervalAfter(now, timing.interval, offset);
  const computeAt = validAfter - distDelay;
  return {
    interval: timing.interval,
    voteAt: computeAt - voteDelay,
    fetchVotesAt: computeAt - wholeSeconds(voteDelay / 2),
    computeAt,
    fetchSignaturesAt: validAfter - wholeSeconds(distDelay / 2),
    validAfter,
    consensus: timing.consensus,
  };
}

/** `timingAt` and `scheduleAfter` in one. */
export const votingSchedule = (
  now: number,
  options: ScheduleOptions,
  consensus: TimedConsensus | undefined,
): VotingSchedule =>
  scheduleAfter(now, timingAt(now, options, consensus), options.TestingV3AuthVotingStartOffset);
