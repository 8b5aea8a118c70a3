/**
 * A client's metrics, read from its status when somebody looks. Nothing of where its user goes.
 *
 * @module
 */
import type { ClientStatus } from '../../client/client-node.js';
import type { PortTraffic } from '../../client/hs/app-traffic.js';
import type { ServiceCounts, ServiceStatus } from '../../client/hs/service.js';
import type { Tally } from '../../shared/metrics/tally.js';
import type { Metrics } from '../../shared/metrics/types.js';

/**
 * Of the onion services hosted here, C tor's names (hs_metrics_entry.c) with the service as label `onion`; those that
 * break Prometheus's rules are put right: no `_count` on a gauge, `_total` on each counter.
 */
function registerServiceMetrics(metrics: Metrics, status: () => ClientStatus): void {
  const each = (value: (service: ServiceStatus) => number) => () =>
    status().onionServices.map((service) => ({ labels: { onion: nameOf(service) }, value: value(service) }));
  const byReason = (counts: (service: ServiceStatus) => Readonly<Record<string, number>>) => () =>
    status().onionServices.flatMap((service) =>
      Object.entries(counts(service)).map(([reason, value]) => ({
        labels: { onion: nameOf(service), reason },
        value,
      })),
    );
  const onion = ['onion'];
  metrics.counted(
    'tor_hs_intro_num_total',
    'Total number of introduction received',
    onion,
    each(({ counts }) => counts.introductions),
  );
  metrics.counted(
    'tor_hs_intro_rejected_intro_req_total',
    'Total number of rejected introduction circuits',
    ['onion', 'reason'],
    byReason(({ counts }) => counts.rejected),
  );
  const byPort = (count: (traffic: PortTraffic) => number) => () =>
    status().onionServices.flatMap((service) =>
      [...service.counts.traffic].map(([port, traffic]) => ({
        labels: { onion: nameOf(service), port: `${port}` },
        value: count(traffic),
      })),
    );
  metrics.counted(
    'tor_hs_app_write_bytes_total',
    'Total number of bytes written to the application',
    ['onion', 'port'],
    byPort(({ written }) => written),
  );
  metrics.counted(
    'tor_hs_app_read_bytes_total',
    'Total number of bytes read from the application',
    ['onion', 'port'],
    byPort(({ read }) => read),
  );
  metrics.shown(
    'tor_hs_intro_established',
    'Total number of established introduction circuit',
    onion,
    each(({ descriptors }) => descriptors.reduce((sum, { introPoints }) => sum + introPoints, 0)),
  );
  metrics.counted(
    'tor_hs_rdv_num_total',
    'Total number of rendezvous circuits created',
    onion,
    each(({ counts }) => counts.rendezvous),
  );
  metrics.counted(
    'tor_hs_rdv_error_total',
    'Total number of rendezvous circuit errors',
    ['onion', 'reason'],
    byReason(({ counts }) => counts.failed),
  );
  metrics.shown(
    'tor_hs_rdv_established',
    'Total number of established rendezvous circuits',
    onion,
    each(({ clients }) => clients),
  );
  const buildTimes = (tally: (counts: ServiceCounts) => Tally) => () =>
    status().onionServices.map((service) => ({
      labels: { onion: nameOf(service) },
      tally: tally(service.counts),
    }));
  metrics.tallied(
    'tor_hs_intro_circ_build_time',
    'The introduction circuit build time in milliseconds',
    buildTimes(({ introBuildTimes }) => introBuildTimes),
  );
  metrics.tallied(
    'tor_hs_rend_circ_build_time',
    'The rendezvous circuit build time in milliseconds',
    buildTimes(({ rendezvousBuildTimes }) => rendezvousBuildTimes),
  );
}

const nameOf = ({ address }: ServiceStatus): string => address.replace(/\.onion$/, '');

/** Registers them. */
export function registerClientMetrics(metrics: Metrics, status: () => ClientStatus): void {
  registerServiceMetrics(metrics, status);
  metrics.shown('cepa_client_circuits', 'Circuits by state', ['state'], () => {
    const { open, building } = status().circuits;
    return [
      { labels: { state: 'open' }, value: open },
      { labels: { state: 'building' }, value: building },
    ];
  });
  metrics.observed(
    'cepa_client_streams_waiting',
    'Streams that wait for a circuit',
    () => status().waitingStreams,
  );
  metrics.observed('cepa_client_connections', 'Connections of programs', () => status().appConnections);
  metrics.shown(
    'cepa_onion_service_descriptors_held',
    'HSDirs that hold the current descriptors of the onion services hosted here',
    [],
    () => [
      {
        value: status()
          .onionServices.flatMap(({ descriptors }) => descriptors)
          .reduce((sum, { heldBy }) => sum + heldBy, 0),
      },
    ],
  );
}
