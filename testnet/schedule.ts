/**
 * When a testnet votes for the first time: as soon as its relays have been seen, and no sooner, since the next consensus
 * comes a whole voting interval later. The authorities start with times that lie far ahead, and get others by SIGHUP
 * once every one of them has reached every relay.
 *
 * @module
 */
import type { VotingTimes } from './torrc-of.js';

/** A network in which nothing has happened for so many milliseconds votes about what there is. */
export const FIRST_WAIT = 10_000;

/**
 * The least initial interval that C tor takes (MIN_VOTE_INTERVAL_TESTING_INITIAL), seconds, and the least delays. They
 * do not fit into it: then a vote takes a quarter of the interval for each, in whole seconds (C tor
 * `voting_sched_get_vote_delay`), here 1.
 */
const FIRST_INTERVAL = 5;
const FIRST_DELAY = 2;
const FIRST_DELAY_USED = 1;
/** And later, when nobody waits: intervals that divide a day. */
const LATER_INTERVALS = [20, 25, 30, 40];
const LATER_DELAY = 4;

const DAY = 24 * 60 * 60;

/** The longest interval, seconds: an initial one has to divide 30 minutes (C tor `options_validate_dirauth_testing`). */
const LONGEST_INTERVAL = 30 * 60;

/** Milliseconds within which authorities read new times. */
const NEWS_TIME = 200;

/** Times without a vote in the next quarter of an hour after `now`, ms. */
export const noVotes = (now: number): VotingTimes => ({
  first: LONGEST_INTERVAL,
  firstDelay: FIRST_DELAY,
  offset: (Math.floor(now / 1000) + LONGEST_INTERVAL / 2) % LONGEST_INTERVAL,
  // No interval may be shorter than the offset.
  interval: LONGEST_INTERVAL,
  delay: LATER_DELAY,
});

/** Times with the first vote at the next full second after `now`, ms, for which the authorities hear of it in time. */
export function firstVotes(now: number): VotingTimes {
  const consensus = Math.ceil((now + NEWS_TIME) / 1000) + 2 * FIRST_DELAY_USED;
  const offset = consensus % FIRST_INTERVAL;
  // Intervals begin at midnight: of those there are, the one that leaves most time between the first consensus, when
  // everybody is busy with it, and the second.
  const time = (consensus - offset) % DAY;
  const gap = (interval: number) => Math.min(interval - (time % interval), LATER_INTERVALS[0]!);
  const interval = LATER_INTERVALS.reduce((best, each) => (gap(each) > gap(best) ? each : best));
  return { first: FIRST_INTERVAL, firstDelay: FIRST_DELAY, offset, interval, delay: LATER_DELAY };
}
