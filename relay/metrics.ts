/**
 * A relay's metrics: C tor's names and labels where it has the number (relay_metrics.c), `cepa_` where it has not.
 * Nothing is counted for them on the way of a cell: values are read from counters that are there anyway.
 *
 * Two names of C tor's break Prometheus's rules and are put right here: `tor_relay_traffic_bytes` is a counter and gets
 * `_total`; `tor_relay_circuits_total` is a gauge and loses it. `tor_relay_load_socket_total` has no counterpart: what it
 * tells is in `process_open_fds` and `process_max_fds`, which Prometheus's own client libraries agree on.
 *
 * @module
 */
import { Command, nameOf } from '../shared/cell/commands.js';
import type { BandwidthLimiter } from '../shared/limits/bandwidth-limit.js';
import type { LinkChannel } from '../shared/link/channel.js';
import type { LinkStats } from '../shared/link/stats.js';
import type { Metrics, Sample } from '../shared/metrics/types.js';
import type { RouterStatus } from '../shared/netdoc/types.js';
import { familyOf } from './addresses.js';
import { registerCongestionMetrics } from './congestion-metrics.js';
import type { ExitStats } from './exit-stats.js';
import type { HsMessage } from './hs-actions.js';
import type { RelayStatus } from './relay-node.js';

/** Flags that are always shown, held or not. */
const FLAGS = ['Authority', 'Exit', 'Fast', 'Guard', 'HSDir', 'Running', 'Stable', 'Sybil', 'V2Dir', 'Valid'];

/** Where the numbers come from. */
export interface MetricSources {
  status(): RelayStatus;
  readonly links: LinkStats;
  channels(): Iterable<LinkChannel>;
  readonly limiter: BandwidthLimiter;
  readonly exit: ExitStats;
  /** Bytes in queues, and how many there may be. */
  memory(): { readonly used: number; readonly limit: number };
  /** This relay's entry in the consensus. */
  router(): RouterStatus | undefined;
  /** When the signing key's certificate ends, milliseconds since 1970. */
  signingExpires(): number;
  /** Bytes of the accounting period, and the most there may be. */
  accounting(): { readonly used: number; readonly max: number } | undefined;
  /** Whether the ORPort was found reachable from outside, by IP version. */
  reachable(): Readonly<Record<4 | 6, boolean>>;
}

const one = (value: number): Sample[] => [{ value }];
const by =
  (label: string) =>
  (values: Readonly<Record<string, number>>): Sample[] =>
    Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }));
const byType = by('type');

/** Registers everything. */
export function registerRelayMetrics(metrics: Metrics, from: MetricSources): void {
  trafficMetrics(metrics, from);
  circuitMetrics(metrics, from);
  registerCongestionMetrics(metrics, () => from.status().circuits.congestion);
  onionMetrics(metrics, from);
  exitMetrics(metrics, from);
  defenceMetrics(metrics, from);
  standingMetrics(metrics, from);
}

function trafficMetrics(metrics: Metrics, { status, limiter, links, channels, memory }: MetricSources): void {
  metrics.counted('tor_relay_traffic_bytes_total', 'Traffic related counters', ['direction'], () => {
    const { read, written } = status().bandwidth;
    return by('direction')({ read, written });
  });
  metrics.counted(
    'tor_relay_load_global_rate_limit_reached_total',
    'Total number of global connection bucket limit reached',
    ['side'],
    () => by('side')({ read: limiter.reading.exhausted, write: limiter.writing.exhausted }),
  );
  metrics.counted(
    'cepa_relay_cells_total',
    'Cells by command and direction',
    ['command', 'direction'],
    () => [...cellSamples(links.cellsIn, 'in'), ...cellSamples(links.cellsOut, 'out')],
  );
  metrics.counted('tor_relay_destroy_cell_total', 'Total number of DESTROY cell we received', [], () =>
    one(links.cellsIn[Command.DESTROY]!),
  );
  metrics.counted(
    'tor_relay_connections_total',
    'Total number of created/rejected connections',
    ['type', 'direction', 'state', 'family'],
    () => connectionCounts(links),
  );
  metrics.shown(
    'tor_relay_connections',
    'Total number of opened connections',
    ['type', 'direction', 'state', 'family'],
    () => connectionSamples(channels()),
  );
  metrics.shown('cepa_relay_handshakes_open', 'Connections whose link handshake is not done', [], () =>
    one(links.halfOpen),
  );
  metrics.shown(
    'cepa_relay_queue_bytes',
    'Bytes in the queues of circuits, streams and connections',
    [],
    () => one(memory().used),
  );
  metrics.shown('cepa_relay_queue_limit_bytes', 'The bound on queues (MaxMemInQueues)', [], () =>
    one(memory().limit),
  );
  metrics.shown('cepa_relay_queue_cells', 'Cells waiting in the queues of circuits', [], () =>
    one(status().circuits.queuedCells),
  );
}

function cellSamples(counts: Float64Array, direction: string): Sample[] {
  return [...counts].flatMap((value, command) =>
    value === 0 ? [] : [{ labels: { command: nameOf(Command, command), direction }, value }],
  );
}

/** C tor's, and `failed` of our own: those of the created that came to no link. It rejects only what others begin. */
function connectionCounts({ connections }: LinkStats): Sample[] {
  return Object.entries(connections).flatMap(([kind, counts]) => {
    const [direction = '', family = ''] = kind.split(' ');
    return Object.entries(counts)
      .filter(([state]) => direction === 'received' || state !== 'rejected')
      .map(([state, value]) => ({ labels: { type: 'OR', direction, state, family }, value }));
  });
}

function connectionSamples(channels: Iterable<LinkChannel>): Sample[] {
  const counts = new Map<string, Sample & { value: number }>();
  for (const direction of ['initiated', 'received'])
    for (const family of ['ipv4', 'ipv6'])
      counts.set(direction + family, {
        labels: { type: 'OR', direction, state: 'opened', family },
        value: 0,
      });
  for (const channel of channels) {
    const direction = channel.initiator ? 'initiated' : 'received';
    counts.get(`${direction}ipv${familyOf(channel.remote.host) ?? 4}`)!.value++;
  }
  return [...counts.values()];
}

function circuitMetrics(metrics: Metrics, { status, links }: MetricSources): void {
  metrics.shown('tor_relay_circuits', 'Total number of circuits', ['state'], () =>
    by('state')({ opened: status().circuits.circuits }),
  );
  metrics.counted('cepa_relay_circuits_created_total', 'Circuits made, by handshake', ['type'], () =>
    byType(named(status().circuits.handshakes)),
  );
  metrics.counted('cepa_relay_circuits_refused_total', 'Circuits refused', [], () =>
    one(status().circuits.refused),
  );
  metrics.counted(
    'tor_relay_load_onionskins_total',
    'Total number of onionskins handled',
    ['type', 'action'],
    () => {
      const { processed, dropped } = status().circuits.onionskins;
      const samples = (counts: Readonly<Record<string, number>>, action: string): Sample[] =>
        Object.entries(named(counts)).map(([type, value]) => ({ labels: { type, action }, value }));
      return [...samples(processed, 'processed'), ...samples(dropped, 'dropped')];
    },
  );
  metrics.shown('cepa_relay_onionskins_waiting', 'Onionskins waiting to be answered', [], () =>
    one(status().circuits.onionskins.waiting),
  );
  metrics.counted(
    'tor_relay_circ_proto_violation_total',
    'Total number of circuit protocol violation',
    [],
    () => one(status().circuits.violations),
  );
  metrics.counted('tor_relay_drop_cell_total', 'Total number of DROP cell we received', [], () =>
    one(status().circuits.drops),
  );
  metrics.counted('cepa_relay_stray_cells_total', 'Cells for circuits that are not there', [], () =>
    one(links.strayCells),
  );
}

function onionMetrics(metrics: Metrics, { status }: MetricSources): void {
  const counted = (name: string, cell: string, message: HsMessage) =>
    metrics.counted(name, `Total number of ${cell} cells we received`, ['action'], () =>
      by('action')(status().circuits.onionServices.actions[message]),
    );
  counted('tor_relay_est_intro_total', 'EST_INTRO', 'estIntro');
  counted('tor_relay_est_rend_total', 'EST_REND', 'estRend');
  counted('tor_relay_intro1_total', 'INTRO1', 'intro1');
  counted('tor_relay_rend1_total', 'REND1', 'rend1');
  metrics.shown('cepa_relay_intro_points', 'Circuits on which this relay is an introduction point', [], () =>
    one(status().circuits.onionServices.introPoints),
  );
  metrics.shown('cepa_relay_rendezvous_waiting', 'Clients that wait for a service here', [], () =>
    one(status().circuits.onionServices.rendezvousWaiting),
  );
  metrics.shown('cepa_relay_hsdir_descriptors', 'Descriptors of onion services held', [], () =>
    one(status().hsDescriptors ?? 0),
  );
}

/** C tor writes ntor_v3. */
const named = ({ 'ntor-v3': ntor_v3 = 0, ...rest }: Readonly<Record<string, number>>) => ({
  ...rest,
  ntor_v3,
});

function exitMetrics(metrics: Metrics, { status, exit }: MetricSources): void {
  metrics.counted('tor_relay_streams_total', 'Total number of streams', ['type'], () => byType(exit.streams));
  metrics.shown('cepa_relay_exit_streams', 'Exit streams that are open or being connected', [], () =>
    one(status().exitStreams),
  );
  metrics.counted('cepa_relay_exit_streams_total', 'Exit streams by class of port', ['ports'], () =>
    by('ports')(Object.fromEntries(exit.ports)),
  );
  metrics.counted(
    'tor_relay_exit_dns_query_total',
    'Total number of DNS queries done by this relay',
    [],
    () => one([...exit.dns.values()].reduce((sum, count) => sum + count, 0)),
  );
  metrics.counted(
    'tor_relay_exit_dns_error_total',
    'Total number of DNS errors encountered by this relay',
    ['reason'],
    () => by('reason')(Object.fromEntries(exit.dns)),
  );
  metrics.counted(
    'tor_relay_load_tcp_exhaustion_total',
    'Total number of times we ran out of TCP ports',
    [],
    () => one(exit.exhausted),
  );
}

function defenceMetrics(metrics: Metrics, { status, exit }: MetricSources): void {
  metrics.counted('tor_relay_dos_total', 'Denial of Service defenses related counters', ['type'], () => {
    const { defences, circuits } = status();
    return byType({
      circuit_rejected: defences.circuitsRefused,
      circuit_killed_max_cell: circuits.fullQueues.back + circuits.fullQueues.onward,
      circuit_killed_max_cell_outq: circuits.fullQueues.onward,
      marked_address: defences.marked,
      marked_address_maxq: defences.markedForQueues,
      conn_rejected: defences.connectionsRefused,
      concurrent_conn_rejected: defences.concurrentRefused,
      single_hop_refused: exit.singleHopRefused,
      stream_rejected: defences.streamsRefused,
    });
  });
  metrics.counted(
    'tor_relay_load_oom_bytes_total',
    'Total number of bytes the OOM has freed by subsystem',
    ['subsys'],
    () => by('subsys')({ cell: status().memory.bytesFreed }),
  );
  metrics.counted('cepa_relay_oom_killed_total', 'Ended because MaxMemInQueues was reached', ['what'], () => {
    const { circuitsKilled, linksKilled, streamsKilled } = status().memory;
    return by('what')({ circuit: circuitsKilled, link: linksKilled, stream: streamsKilled });
  });
}

function standingMetrics(metrics: Metrics, from: MetricSources): void {
  const { status, router } = from;
  metrics.shown('tor_relay_flag', 'Relay flags from consensus', ['type'], () => {
    const held = router()?.flags ?? new Set<string>();
    return byType(Object.fromEntries(FLAGS.map((flag) => [flag, held.has(flag) ? 1 : 0])));
  });
  metrics.shown(
    'tor_relay_signing_cert_expiry_timestamp',
    'Timestamp at which the current online keys will expire',
    [],
    () => one(Math.floor(from.signingExpires() / 1000)),
  );
  metrics.shown('cepa_relay_uptime_seconds', 'Time since the relay started or last woke', [], () =>
    one(status().uptime),
  );
  metrics.shown('cepa_relay_published_authorities', 'Authorities that took the current descriptor', [], () =>
    one(status().publishedTo),
  );
  metrics.shown('cepa_relay_observed_bandwidth_bytes', 'Bytes a second as told in the descriptor', [], () =>
    one(status().bandwidth.observed),
  );
  metrics.shown(
    'cepa_relay_reachable',
    'Whether the ORPort was found reachable from outside',
    ['family'],
    () => {
      const { 4: ipv4, 6: ipv6 } = from.reachable();
      return by('family')({ ipv4: Number(ipv4), ipv6: Number(ipv6) });
    },
  );
  metrics.shown('cepa_accounting_used_bytes', 'Bytes that count in this accounting period', [], () =>
    one(from.accounting()?.used ?? 0),
  );
  metrics.shown('cepa_accounting_limit_bytes', 'AccountingMax; 0 without one', [], () =>
    one(from.accounting()?.max ?? 0),
  );
}
