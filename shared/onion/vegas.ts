/**
 * Congestion control by TCP Vegas (prop324, `cc_alg` 2): a window of cells that grows while round trips stay as short
 * as the shortest seen, and shrinks when they grow, since then cells lie in queues.
 *
 * Arithmetic is that of C tor (`congestion_control_vegas.c`, `congestion_control_common.c`): whole microseconds and
 * cells, divisions rounded down. Parameters are read once a circuit.
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import type { Clock } from '../runtime/types.js';
import { CongestionStats } from './congestion-stats.js';
import { type ConsensusParam, type FlowControl, SendmeTags } from './flow.js';

/** How long the path is: what queue it may fill depends on it. */
export type VegasPath = 'exit' | 'onion' | 'sbws';

/** Cells that fill a TLS record, and two of them, as one relay's output buffer. */
const RECORD = 31;
const OUTBUF = 2 * RECORD;
const INT32_MAX = 0x7fffffff;
/** A round trip so many times longer than the last ones is a clock that jumped. */
const MAX_JUMP = 5000;
/** A relay cell's least data, as C tor counts XOFF limits. */
const MIN_CELL_DATA = 488;

interface PathDefaults {
  readonly alpha: number;
  readonly beta: number;
  readonly gamma: number;
  readonly delta: number;
  readonly sscap: number;
}

const PATHS: Record<VegasPath, PathDefaults> = {
  exit: { alpha: 3 * OUTBUF, beta: 4 * OUTBUF, gamma: 3 * OUTBUF, delta: 5 * OUTBUF, sscap: 600 },
  onion: { alpha: 3 * OUTBUF, beta: 6 * OUTBUF, gamma: 4 * OUTBUF, delta: 7 * OUTBUF, sscap: 475 },
  sbws: {
    alpha: 2 * OUTBUF - RECORD,
    beta: 2 * OUTBUF + RECORD,
    gamma: 2 * OUTBUF,
    delta: 4 * OUTBUF,
    sscap: 400,
  },
};

/** The consensus parameters of one circuit, in cells, percents and counts. */
export interface VegasParams {
  readonly alpha: number;
  readonly beta: number;
  readonly gamma: number;
  readonly delta: number;
  readonly ssCwndCap: number;
  readonly ssCwndMax: number;
  readonly cwndInit: number;
  readonly cwndMin: number;
  readonly cwndMax: number;
  readonly cwndInc: number;
  readonly cwndIncRate: number;
  readonly cwndIncPctSs: number;
  readonly cwndFullGap: number;
  readonly cwndFullMinPct: number;
  readonly cwndFullPerCwnd: boolean;
  readonly ewmaSs: number;
  readonly ewmaMax: number;
  readonly ewmaCwndPct: number;
  readonly rttResetPct: number;
  readonly xoffCells: number;
}

/** Reads the parameters by their names and bounds (prop324 6.5, as C tor clamps them). */
export function vegasParams(param: ConsensusParam, path: VegasPath): VegasParams {
  const d = PATHS[path];
  return {
    alpha: param(`cc_vegas_alpha_${path}`, d.alpha, 0, 1000),
    beta: param(`cc_vegas_beta_${path}`, d.beta, 0, 1000),
    gamma: param(`cc_vegas_gamma_${path}`, d.gamma, 0, 1000),
    delta: param(`cc_vegas_delta_${path}`, d.delta, 0, INT32_MAX),
    ssCwndCap: param(`cc_sscap_${path}`, d.sscap, 100, INT32_MAX),
    ssCwndMax: param('cc_ss_max', 5000, 500, INT32_MAX),
    cwndInit: param('cc_cwnd_init', 4 * RECORD, RECORD, 10_000),
    cwndMin: param('cc_cwnd_min', 4 * RECORD, RECORD, 1000),
    cwndMax: param('cc_cwnd_max', INT32_MAX, 500, INT32_MAX),
    cwndInc: param('cc_cwnd_inc', 1, 1, 1000),
    cwndIncRate: param('cc_cwnd_inc_rate', RECORD, 1, 250),
    cwndIncPctSs: param('cc_cwnd_inc_pct_ss', 100, 1, 500),
    cwndFullGap: param('cc_cwnd_full_gap', 4, 0, 32_767),
    cwndFullMinPct: param('cc_cwnd_full_minpct', 25, 0, 100),
    cwndFullPerCwnd: param('cc_cwnd_full_per_cwnd', 1, 0, 1) === 1,
    ewmaSs: param('cc_ewma_ss', 2, 2, INT32_MAX),
    ewmaMax: param('cc_ewma_max', 10, 2, INT32_MAX),
    ewmaCwndPct: param('cc_ewma_cwnd_pct', 50, 1, 255),
    rttResetPct: param('cc_rtt_reset_pct', 100, 0, 100),
    xoffCells: param('cc_xoff_exit', 500, 1, 10_000),
  };
}

/** The window and the estimates it follows; times are whole microseconds. */
export class Vegas {
  cwnd: number;
  inflight = 0;
  inSlowStart = true;
  cwndFull = false;
  blockedChannel = false;
  ewmaRtt = 0;
  minRtt = 0;
  private maxRtt = 0;
  private bdp = 0;
  private nextCcEvent = 1;
  private nextCwndEvent = 0;
  private clockBroken = false;
  private readonly params: VegasParams;
  private readonly sendmeInc: number;
  private readonly stats: CongestionStats;

  constructor(params: VegasParams, sendmeInc: number, stats = new CongestionStats()) {
    this.params = params;
    this.sendmeInc = sendmeInc;
    this.stats = stats;
    stats.created++;
    this.cwnd = params.cwndInit;
  }

  /** A SENDME came after a round trip of `rtt`; `blocked`: our queue for the circuit is full. */
  acknowledged(rtt: number, blocked: boolean): void {
    if (this.nextCcEvent > 0) this.nextCcEvent--;
    if (this.nextCwndEvent > 0) this.nextCwndEvent--;
    const measured = this.updateRtt(rtt);
    if (this.updateBdp(measured, blocked)) this.updateWindow();
    this.inflight -= this.sendmeInc;
    this.cwnd = Math.min(this.cwnd, this.params.cwndMax);
  }

  /** Takes a round trip into the estimates; false when it cannot be one. */
  updateRtt(rtt: number): boolean {
    if (this.stalledOrJumped(rtt)) {
      this.stats.clockStalls++;
      return false;
    }
    this.maxRtt = Math.max(this.maxRtt, rtt);
    this.ewmaRtt = ewma(rtt, this.ewmaRtt, this.ewmaCount());
    if (this.minRtt === 0) this.minRtt = this.ewmaRtt;
    else if (this.cwnd === this.params.cwndMin && !this.inSlowStart) {
      // The least window there is came of a round trip shorter than the path has: forget it.
      this.minRtt = mixOf(this.ewmaRtt, this.minRtt, this.params.rttResetPct);
      this.stats.rttResets++;
    } else this.minRtt = Math.min(this.minRtt, this.ewmaRtt);
    return true;
  }

  private stalledOrJumped(rtt: number): boolean {
    if (rtt === 0) {
      this.clockBroken = true;
      return true;
    }
    if (this.inSlowStart || this.ewmaRtt === 0) return false;
    if (this.ewmaRtt > rtt * MAX_JUMP) return this.clockBroken;
    if (rtt > this.ewmaRtt * MAX_JUMP) return true;
    this.clockBroken = false;
    return false;
  }

  private ewmaCount(): number {
    const { ewmaSs, ewmaCwndPct, ewmaMax } = this.params;
    const count = this.inSlowStart
      ? ewmaSs
      : Math.min(Math.floor((this.updateRate() * ewmaCwndPct) / 100), ewmaMax);
    return Math.max(count, 2);
  }

  /** The bandwidth-delay product from window and round trips; false when nothing was learnt. */
  private updateBdp(measured: boolean, blocked: boolean): boolean {
    if (this.ewmaRtt === 0) {
      this.blockedChannel = blocked;
      this.bdp = this.cwnd;
      return blocked;
    }
    this.bdp = Math.floor((this.cwnd * this.minRtt) / this.ewmaRtt);
    // Blocking and unblocking are signals at once, not only once a window.
    if (blocked !== this.blockedChannel) this.nextCcEvent = 0;
    this.blockedChannel = blocked;
    return blocked || measured;
  }

  private updateWindow(): void {
    const { params } = this;
    const queue = Math.max(0, this.cwnd - this.bdp);
    if (this.inflight + params.cwndFullGap * this.sendmeInc >= this.cwnd) this.cwndFull = true;
    else if (100 * this.inflight < params.cwndFullMinPct * this.cwnd) this.cwndFull = false;

    if (this.inSlowStart) this.slowStart(queue);
    else if (this.nextCcEvent === 0) this.steady(queue);

    if (this.nextCwndEvent === 0) this.nextCwndEvent = this.sendmesPerWindow();
    if (this.nextCcEvent === 0) this.nextCcEvent = this.updateRate();
    const windowOver = params.cwndFullPerCwnd
      ? this.nextCwndEvent === this.sendmesPerWindow()
      : this.nextCcEvent === this.updateRate();
    if (windowOver) this.cwndFull = false;
  }

  private slowStart(queue: number): void {
    const { params, stats } = this;
    if (queue < params.gamma && !this.blockedChannel) {
      if (this.cwndFull) {
        const inc = this.slowStartIncrement();
        this.cwnd += inc;
        if (inc * this.sendmesPerWindow() <= params.cwndInc * params.cwndIncRate) {
          this.exitSlowStart();
          stats.belowIncrementFloor++;
          stats.slowStartBlockedShare.add(0);
        }
      }
    } else {
      const before = this.cwnd;
      this.cwnd = this.bdp + params.gamma;
      stats.slowStartBlockedShare.add(this.blockedChannel ? 100 : 0);
      if (!this.blockedChannel) stats.gammaDrop.add(Math.max(0, before - this.cwnd));
      this.exitSlowStart();
    }
    if (this.cwnd >= params.ssCwndMax) {
      this.cwnd = params.ssCwndMax;
      this.exitSlowStart();
      stats.aboveSlowStartMax++;
    }
    stats.slowStartQueue.add(queue);
  }

  private exitSlowStart(): void {
    if (!this.inSlowStart) return;
    const { stats } = this;
    this.inSlowStart = false;
    stats.exitedSlowStart++;
    stats.exitWindow.add(this.cwnd);
    stats.exitBdp.add(this.bdp);
    stats.exitIncrement.add(this.slowStartIncrement());
  }

  private steady(queue: number): void {
    const { params, stats } = this;
    if (queue > params.delta) {
      const before = this.cwnd;
      this.cwnd = this.bdp + params.delta - params.cwndInc;
      stats.deltaDrop.add(Math.max(0, before - this.cwnd));
      stats.aboveDelta++;
      stats.sign('delta');
    } else if (queue > params.beta || this.blockedChannel) {
      this.cwnd -= params.cwndInc;
      stats.blockedShare.add(this.blockedChannel ? 100 : 0);
      stats.sign('beta');
    } else if (this.cwndFull && queue < params.alpha) {
      this.cwnd += params.cwndInc;
      stats.sign('alpha');
    } else stats.sign('none');
    this.cwnd = Math.max(this.cwnd, params.cwndMin);
    stats.queue.add(queue);
    stats.bdp.add(this.bdp);
  }

  /** The circuit is gone. A window that little was sent through says nothing. */
  closed(): void {
    const { stats } = this;
    stats.closed++;
    if (!this.inSlowStart) stats.closedWindow.add(this.cwnd);
    else if (this.maxRtt !== this.minRtt) stats.closedSlowStartWindow.add(this.cwnd);
  }

  /** Limited slow start (RFC 3742). */
  private slowStartIncrement(): number {
    const { ssCwndCap, cwndIncPctSs } = this.params;
    if (this.cwnd <= ssCwndCap) return Math.floor((cwndIncPctSs * this.sendmeInc + 50) / 100);
    return Math.max(Math.floor((this.sendmeInc * ssCwndCap + this.cwnd) / (2 * this.cwnd)), 1);
  }

  /** SENDMEs between two looks at the window. */
  private updateRate(): number {
    if (this.inSlowStart) return 1;
    const step = this.params.cwndIncRate * this.sendmeInc;
    return Math.floor((this.cwnd + Math.floor(step / 2)) / step);
  }

  private sendmesPerWindow(): number {
    return Math.floor((this.cwnd + Math.floor(this.sendmeInc / 2)) / this.sendmeInc);
  }
}

/** The mean that counts the newest value as one of `n`. */
const ewma = (value: number, before: number, n: number): number =>
  before === 0 ? value : Math.floor((2 * value + (n - 1) * before) / (n + 1));

/** Between the smaller (0 percent) and the larger (100) of two. */
const mixOf = (a: number, b: number, percentOfMax: number): number =>
  Math.floor((percentOfMax * Math.max(a, b)) / 100) +
  Math.floor(((100 - percentOfMax) * Math.min(a, b)) / 100);

/** What a circuit's congestion control starts from. */
export interface VegasOptions {
  /** Cells for each SENDME, as the handshake agreed. */
  readonly sendmeInc: number;
  readonly param: ConsensusParam;
  readonly path: VegasPath;
  /** Where its numbers are summed up. */
  readonly stats?: CongestionStats;
}

class VegasFlow implements FlowControl {
  readonly streamWindows = false;
  readonly xoffBytes: number;
  /** The window itself, for metrics and tests. */
  readonly vegas: Vegas;
  readonly stats: CongestionStats;
  private readonly clock: Clock;
  private readonly sendmeInc: number;
  private readonly tags: SendmeTags;
  private readonly sentAt: number[] = [];
  private unacknowledged = 0;
  private unanswered = 0;

  constructor(options: VegasOptions, clock: Clock) {
    const params = vegasParams(options.param, options.path);
    this.clock = clock;
    this.sendmeInc = options.sendmeInc;
    this.stats = options.stats ?? new CongestionStats();
    this.vegas = new Vegas(params, options.sendmeInc, this.stats);
    this.xoffBytes = params.xoffCells * MIN_CELL_DATA;
    this.tags = new SendmeTags({ acceptVersion: options.param('sendme_accept_min_version', 0, 0, 255) });
  }

  get room(): number {
    return Math.max(0, this.vegas.cwnd - this.vegas.inflight);
  }

  sent(): boolean {
    this.vegas.inflight++;
    if (++this.unacknowledged < this.sendmeInc) return false;
    this.unacknowledged = 0;
    this.sentAt.push(this.microseconds());
    return true;
  }

  remember(tag: Uint8Array): void {
    this.tags.push(tag);
  }

  received(): boolean {
    if (++this.unanswered < this.sendmeInc) return false;
    this.unanswered = 0;
    return true;
  }

  acknowledged(body: Uint8Array, blocked: boolean): void {
    this.tags.check(body);
    this.vegas.acknowledged(this.microseconds() - this.sentAt.shift()!, blocked);
  }

  closed(): void {
    this.vegas.closed();
  }

  private microseconds(): number {
    return Math.floor(this.clock.monotonic() * 1000);
  }
}

/**
 * Whether an exit's `sendme_inc` may be taken: within one of the consensus's (C tor:
 * `congestion_control_validate_sendme_increment`). Throws ProtocolError.
 */
export function checkSendmeInc(sendmeInc: number, param: ConsensusParam): void {
  const expected = param('cc_sendme_inc', RECORD, 1, 254);
  if (sendmeInc === 0 || Math.abs(sendmeInc - expected) > 1)
    throw new ProtocolError(`sendme_inc of ${sendmeInc} where the consensus says ${expected}`);
}

/** Congestion control for one end of a circuit. */
export const vegasFlow = (options: VegasOptions, clock: Clock): FlowControl => new VegasFlow(options, clock);
