/**
 * When a network in which not every node tells what it sees votes for the first time: after an estimate.
 *
 * @module
 */
import { availableParallelism } from 'node:os';
import type { VotingTimes } from '../torrc-of.js';

/** What a node takes to make keys, publish and be tested, as a share of what it takes to load. */
const WORK_AFTER_LOAD = 1.2;
/**
 * Seconds a network takes however fast the machine is: C tor publishes two to five seconds after it began, and those that
 * are to be younger than its guards begin after that.
 */
const LEAST_START = 9;
/** Divisors of 30 minutes, in seconds: C tor takes no other initial intervals. */
const FIRST_INTERVALS = [5, 6, 10, 12, 15, 20, 30, 60];
/** Delays until the first consensus, the least C tor takes; and later, when nobody waits. */
const FIRST_DELAY = 2;
const LATER_DELAY = 4;
const LATER_INTERVAL = 20;

/** Seconds until a number of nodes, started together, each of which loads for `load` seconds, can be voted about. */
function startEstimate(load: number, nodes: number): number {
  return Math.max(LEAST_START, load * WORK_AFTER_LOAD * Math.max(1, nodes / availableParallelism()));
}

/** The voting times of a network whose processes, each of which loads for `load` seconds, start at `now` (ms). */
export const votesAfterStart = (now: number, load: number, nodes: number, regular?: boolean): VotingTimes =>
  votesAfter(now, startEstimate(load, nodes), regular);

/**
 * The voting times of a network whose processes start at `now` (ms) and are there `estimate` seconds later. The initial
 * interval is longer than the estimate, so that no vote comes before; the offset puts the first vote right after it.
 * `regular`: the initial interval is the later one, so that the first consensus begins a round as all others do.
 */
export function votesAfter(now: number, estimate: number, regular = false): VotingTimes {
  const firstVote = Math.ceil(now / 1000 + estimate);
  const least = Math.max(estimate, regular ? LATER_INTERVAL : 0);
  const first = FIRST_INTERVALS.find((seconds) => seconds >= least) ?? 60;
  return {
    first,
    firstDelay: FIRST_DELAY,
    offset: (firstVote + 2 * FIRST_DELAY) % first,
    // The offset moves these votes too and must not be longer than their interval.
    interval: Math.max(LATER_INTERVAL, first),
    delay: LATER_DELAY,
  };
}
