/**
 * What an authority remembers of each relay's reachability: mean time between failures, weighted fractional uptime,
 * time known (dir-spec 3.4.2; C tor `rephist.c`).
 *
 * Times come in milliseconds; what is accumulated and returned is in seconds, as votes and thresholds have it. Old
 * observations lose 5 % of their weight each 12 hours.
 *
 * @module
 */
import type { RelayId } from '../shared/netdoc/types.js';

const STABILITY_EPSILON = 0.0001;
const STABILITY_ALPHA = 0.95;
const DOWNRATE_INTERVAL = 12 * 3600;
/** Seconds of observation before mean times between failures mean anything. */
const ENOUGH_OBSERVATION = 4 * 3600;

/** What is known of one relay; seconds, and 0 where a time is not set. */
export interface RelayHistory {
  weightedRunLength: number;
  totalRunWeights: number;
  startOfRun: number;
  startOfDowntime: number;
  weightedUptime: number;
  totalWeightedTime: number;
  /** `host:port` at which it was last reached. */
  reachedAt: string;
}

/** What is kept across restarts; times in seconds. */
export interface HistorySnapshot {
  readonly storedAt: number;
  readonly trackedSince: number;
  readonly lastDownrated: number;
  readonly relays: readonly (readonly [RelayId, RelayHistory])[];
}

const seconds = (ms: number): number => Math.floor(ms / 1000);

/** Seconds since `start`; none where it lies ahead, the clock having been set back, and none where it is not set. */
const since = (start: number, now: number): number => (start === 0 ? 0 : Math.max(0, seconds(now) - start));

const newHistory = (): RelayHistory => ({
  weightedRunLength: 0,
  totalRunWeights: 0,
  startOfRun: 0,
  startOfDowntime: 0,
  weightedUptime: 0,
  totalWeightedTime: 0,
  reachedAt: '',
});

/** The memory of all relays. */
export class RouterHistory {
  private readonly relays = new Map<RelayId, RelayHistory>();
  private trackedSince = 0;
  private lastDownrated = 0;

  /** Begins empty, or from a snapshot: the time it was not watching counts neither as up nor as down. */
  constructor(kept?: HistorySnapshot, now = 0) {
    if (!kept) return;
    const at = seconds(now);
    const gap = Math.max(0, at - kept.storedAt);
    const shift = (time: number): number => (time === 0 ? 0 : Math.min(time + gap, at));
    this.trackedSince = Math.min(kept.trackedSince, at);
    this.lastDownrated = Math.min(kept.lastDownrated, at);
    for (const [id, history] of kept.relays) {
      const { startOfRun, startOfDowntime } = history;
      this.relays.set(id, {
        ...history,
        startOfRun: shift(startOfRun),
        startOfDowntime: shift(startOfDowntime),
      });
    }
  }

  snapshot(now: number): HistorySnapshot {
    const { trackedSince, lastDownrated } = this;
    return { storedAt: seconds(now), trackedSince, lastDownrated, relays: [...this.relays] };
  }

  /** A relay was reached at `address` (`host:port`). Having moved counts as `movePenalty` milliseconds of downtime. */
  reachable(id: RelayId, address: string, now: number, movePenalty: number): void {
    const history = this.track(id, now);
    const at = seconds(now);
    const moved = history.reachedAt !== '' && history.reachedAt !== address;
    if (history.startOfRun === 0) history.startOfRun = at;
    if (history.startOfDowntime !== 0) {
      history.totalWeightedTime += since(history.startOfDowntime, now);
      history.startOfDowntime = 0;
    } else if (moved) {
      history.reachedAt = '';
      this.unreachable(id, now - movePenalty);
      this.reachable(id, address, now, movePenalty);
    }
    history.reachedAt = address;
  }

  /** A relay is down since `when`. */
  unreachable(id: RelayId, when: number): void {
    const history = this.track(id, when);
    const at = seconds(when);
    if (history.startOfRun !== 0) {
      const run = at - history.startOfRun;
      history.totalRunWeights += 1;
      history.startOfRun = 0;
      if (run < 0) {
        history.weightedRunLength = Math.max(0, history.weightedRunLength + run);
        history.weightedUptime = Math.max(0, history.weightedUptime + run);
      } else {
        history.weightedRunLength += run;
        history.weightedUptime += run;
        history.totalWeightedTime += run;
      }
    }
    if (history.startOfDowntime === 0) history.startOfDowntime = at;
  }

  /** As if it had never been up: what a Sybil gets. */
  makePessimal(id: RelayId, now: number): void {
    this.unreachable(id, now);
    const history = this.relays.get(id)!;
    history.weightedRunLength = 0;
    history.weightedUptime = 0;
  }

  /** Discounts old observations if it is time to. */
  downrate(now: number): void {
    const at = seconds(now);
    if (this.lastDownrated === 0) this.lastDownrated = at;
    const steps = Math.floor((at - this.lastDownrated) / DOWNRATE_INTERVAL);
    if (steps <= 0) return;
    this.lastDownrated += steps * DOWNRATE_INTERVAL;
    const alpha = STABILITY_ALPHA ** steps;
    for (const [id, history] of this.relays) {
      history.weightedRunLength = Math.floor(history.weightedRunLength * alpha);
      history.totalRunWeights *= alpha;
      history.weightedUptime = Math.floor(history.weightedUptime * alpha);
      history.totalWeightedTime = Math.floor(history.totalWeightedTime * alpha);
      const forgotten = history.totalRunWeights < STABILITY_EPSILON && history.startOfRun === 0;
      // A relay that was never reached stays until its downtime has been long.
      if (forgotten && at - history.startOfDowntime > 2 * DOWNRATE_INTERVAL) this.relays.delete(id);
    }
  }

  /** Seconds since it came up; 0 when it is down or unknown. */
  uptime(id: RelayId, now: number): number {
    return since(this.relays.get(id)?.startOfRun ?? 0, now);
  }

  /** Weighted mean time between failures, seconds. */
  meanTimeBetweenFailures(id: RelayId, now: number): number {
    const history = this.relays.get(id);
    if (!history) return 0;
    const total = history.weightedRunLength + since(history.startOfRun, now);
    const weights = history.totalRunWeights + (history.startOfRun !== 0 ? 1 : 0);
    return weights < STABILITY_EPSILON ? 0 : total / weights;
  }

  /** Weighted fraction of the time that it was up, 0 to 1. */
  fractionalUptime(id: RelayId, now: number): number {
    const history = this.relays.get(id);
    if (!history) return 0;
    const total = this.timeKnown(id, now);
    return total === 0 ? 0 : (history.weightedUptime + since(history.startOfRun, now)) / total;
  }

  /** Weighted time it has been watched for, seconds. */
  timeKnown(id: RelayId, now: number): number {
    const history = this.relays.get(id);
    if (!history) return 0;
    return history.totalWeightedTime + since(history.startOfRun || history.startOfDowntime, now);
  }

  /** Whether mean times between failures may be used instead of uptimes. */
  hasEnoughData(now: number): boolean {
    return this.trackedSince < seconds(now) - ENOUGH_OBSERVATION;
  }

  private track(id: RelayId, now: number): RelayHistory {
    if (this.trackedSince === 0) this.trackedSince = seconds(now);
    let history = this.relays.get(id);
    if (!history) {
      history = newHistory();
      this.relays.set(id, history);
    }
    return history;
  }
}
