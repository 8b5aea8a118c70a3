/**
 * What the congestion control of many circuits has come to, as plain counts and running means: C tor's `cc_stats_*`,
 * by the same rules. Written when a SENDME, XON or XOFF is dealt with, never for a DATA cell.
 *
 * @module
 */

/** How many values back a running mean looks (C tor: DEFAULT_STATS_N_EWMA_COUNT). */
const REACH = 100;
/** Below this a mean has no value yet, and the next is taken as it is. */
const NONE = 2e-7;

/** A running mean that forgets (C tor: `n_count_ewma_double`). */
export class Mean {
  value = 0;

  add(value: number): void {
    this.value = this.value < NONE ? value : (2 * value + (REACH - 1) * this.value) / (REACH + 1);
  }
}

/** Windows, bandwidth-delay products and queues are in cells; shares in percent. */
export class CongestionStats {
  /** Circuits with congestion control, made and gone. */
  created = 0;
  closed = 0;
  exitedSlowStart = 0;
  /** Windows that left slow start for its bound, and for steps no larger than those after it. */
  aboveSlowStartMax = 0;
  belowIncrementFloor = 0;
  aboveDelta = 0;
  /** Round trips not taken for measurements, and shortest ones forgotten. */
  clockStalls = 0;
  rttResets = 0;
  xoffSent = 0;
  xonSent = 0;

  readonly exitWindow = new Mean();
  readonly exitBdp = new Mean();
  readonly exitIncrement = new Mean();
  readonly closedWindow = new Mean();
  readonly closedSlowStartWindow = new Mean();
  /** Bytes a paused stream had taken in when XOFF was sent. */
  readonly xoffBuffered = new Mean();
  readonly gammaDrop = new Mean();
  readonly deltaDrop = new Mean();
  /** How often the sign of congestion was a queue of ours that was full: after slow start, and in it. */
  readonly blockedShare = new Mean();
  readonly slowStartBlockedShare = new Mean();
  /** How often the window grew, shrank by a step, or fell to delta. */
  readonly alphaShare = new Mean();
  readonly betaShare = new Mean();
  readonly deltaShare = new Mean();
  readonly slowStartQueue = new Mean();
  readonly queue = new Mean();
  readonly bdp = new Mean();

  /** Which of three signs a look at the window after slow start found. */
  sign(found: 'alpha' | 'beta' | 'delta' | 'none'): void {
    this.alphaShare.add(found === 'alpha' ? 100 : 0);
    this.betaShare.add(found === 'beta' ? 100 : 0);
    this.deltaShare.add(found === 'delta' ? 100 : 0);
  }
}
