/**
 * A client's metrics, read from its status when somebody looks. Nothing of what it is used for.
 *
 * @module
 */
import type { ClientStatus } from '../../client/client-node.js';
import type { Metrics } from '../../shared/metrics/types.js';

/** Registers them. */
export function registerClientMetrics(metrics: Metrics, status: () => ClientStatus): void {
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
