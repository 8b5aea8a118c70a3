/**
 * When a testnet votes for the first time: as soon as its relays can have been heard of, and no sooner, since the
 * next consensus comes a whole voting interval later.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { VotingTimes } from './torrc-of.js';

const PROBE = fileURLToPath(new URL('./process/probe.js', import.meta.url));

/** What a node takes to make keys, publish and be tested, as a share of what it takes to load. */
const WORK_AFTER_LOAD = 1.2;
/** Seconds a network takes however fast the machine is: retries, and tests of reachability. */
const LEAST_START = 3.5;

/**
 * Initial voting intervals, seconds: C tor wants 5 or more, and a divisor of 30 minutes
 * (options_validate_dirauth_testing).
 */
const FIRST_INTERVALS = [5, 6, 10, 12, 15, 20, 30, 60];
/** Delays until the first consensus, the least C tor takes; and later, when nobody waits. */
const FIRST_DELAY = 2;
const LATER_DELAY = 4;
const LATER_INTERVAL = 20;

/** Seconds one node takes to load on this machine as it is now. */
export function measureLoad(): Promise<number> {
  const start = performance.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [PROBE], { stdio: 'ignore' });
    const done = () => resolve((performance.now() - start) / 1000);
    child.once('exit', done);
    child.once('error', done);
  });
}

/** Seconds until a number of nodes, started together, can be voted about. */
export function startEstimate(load: number, nodes: number, cores = availableParallelism()): number {
  return Math.max(LEAST_START, load * WORK_AFTER_LOAD * Math.max(1, nodes / cores));
}

/**
 * The voting schedule of a network whose processes start at `now` (ms) and are expected to be there `estimate` seconds
 * later. The initial interval is longer than the estimate, so that no vote comes before; the offset puts the first
 * vote right after it.
 */
export function firstVotes(now: number, estimate: number): VotingTimes {
  const firstVote = Math.ceil(now / 1000 + estimate);
  const first = FIRST_INTERVALS.find((seconds) => seconds >= estimate) ?? 60;
  return {
    first,
    firstDelay: FIRST_DELAY,
    offset: (firstVote + 2 * FIRST_DELAY) % first,
    // The offset moves these votes too and must not be longer than their interval.
    interval: Math.max(LATER_INTERVAL, first),
    delay: LATER_DELAY,
  };
}
