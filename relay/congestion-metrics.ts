/**
 * Congestion control in a relay's metrics, by C tor's states and actions (relay_metrics.c: `fill_cc_*_values`).
 *
 * Of C tor's gauges `buffers`/`xon_outbuf` stays 0: it is of XONs that advise another rate while data waits, and here an
 * XON is sent when a stream reads again, without a rate.
 *
 * @module
 */
import type { Metrics, Sample } from '../shared/metrics/types.js';
import type { CongestionStats } from '../shared/onion/congestion-stats.js';

type Row = readonly [state: string, action: string, read: (stats: CongestionStats) => number];

const COUNTERS: readonly Row[] = [
  ['starvation', 'rtt_reset', (stats) => stats.rttResets],
  ['clock_stalls', 'rtt_skipped', (stats) => stats.clockStalls],
  ['flow_control', 'xoff_num_sent', (stats) => stats.xoffSent],
  ['flow_control', 'xon_num_sent', (stats) => stats.xonSent],
  ['cc_limits', 'above_delta', (stats) => stats.aboveDelta],
  ['cc_limits', 'above_ss_cwnd_max', (stats) => stats.aboveSlowStartMax],
  ['cc_limits', 'below_ss_inc_floor', (stats) => stats.belowIncrementFloor],
  ['cc_circuits', 'circs_created', (stats) => stats.created],
  ['cc_circuits', 'circs_closed', (stats) => stats.closed],
  ['cc_circuits', 'circs_exited_ss', (stats) => stats.exitedSlowStart],
];

/** Running means, shown as whole numbers as C tor does. */
const GAUGES: readonly Row[] = [
  ['slow_start_exit', 'cwnd', (stats) => stats.exitWindow.value],
  ['slow_start_exit', 'bdp', (stats) => stats.exitBdp.value],
  ['slow_start_exit', 'inc', (stats) => stats.exitIncrement.value],
  ['on_circ_close', 'cwnd', (stats) => stats.closedWindow.value],
  ['on_circ_close', 'ss_cwnd', (stats) => stats.closedSlowStartWindow.value],
  ['buffers', 'xon_outbuf', () => 0],
  ['buffers', 'xoff_outbuf', (stats) => stats.xoffBuffered.value],
  ['cc_backoff', 'chan_blocked_pct', (stats) => stats.blockedShare.value],
  ['cc_backoff', 'gamma_drop', (stats) => stats.gammaDrop.value],
  ['cc_backoff', 'delta_drop', (stats) => stats.deltaDrop.value],
  ['cc_backoff', 'ss_chan_blocked_pct', (stats) => stats.slowStartBlockedShare.value],
  ['cc_cwnd_update', 'alpha_pct', (stats) => stats.alphaShare.value],
  ['cc_cwnd_update', 'beta_pct', (stats) => stats.betaShare.value],
  ['cc_cwnd_update', 'delta_pct', (stats) => stats.deltaShare.value],
  ['cc_estimates', 'ss_queue', (stats) => stats.slowStartQueue.value],
  ['cc_estimates', 'queue', (stats) => stats.queue.value],
  ['cc_estimates', 'bdp', (stats) => stats.bdp.value],
];

const samples = (rows: readonly Row[], stats: CongestionStats): Sample[] =>
  rows.map(([state, action, read]) => ({ labels: { state, action }, value: Math.round(read(stats)) }));

/** Registers them. */
export function registerCongestionMetrics(metrics: Metrics, stats: () => CongestionStats): void {
  const labels = ['state', 'action'];
  metrics.counted('tor_relay_congestion_control_total', 'Congestion control related counters', labels, () =>
    samples(COUNTERS, stats()),
  );
  metrics.shown('tor_relay_congestion_control', 'Congestion control related gauges', labels, () =>
    samples(GAUGES, stats()),
  );
}
