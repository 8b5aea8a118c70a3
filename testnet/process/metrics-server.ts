/**
 * Serves a node's metrics and its state over HTTP (`MetricsPort`):
 *
 * ```
 * GET /metrics   for Prometheus
 * GET /healthz   200 while the process answers
 * GET /readyz    200 when the node is of use; 503, and what is missing, when it is not
 * ```
 *
 * @module
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Log } from '../../shared/log/types.js';
import { createMetrics } from '../../shared/metrics/prometheus.js';
import type { NodeEvent } from '../../shared/runtime/env.js';
import type { PortOption } from '../../shared/torrc/options.js';
import type { Missing } from './readiness.js';

/** Opens the ports; gives what has to hear the node's events. */
export async function serveMetrics(
  ports: readonly PortOption[],
  log: Log,
  report: (event: NodeEvent) => void,
  missing: () => Missing,
): Promise<(event: NodeEvent) => void> {
  const metrics = createMetrics({ processMetrics: true });
  for (const port of ports) {
    const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
      const path = request.method === 'GET' ? request.url?.split('?', 1)[0] : undefined;
      if (path === '/healthz' || path === '/readyz') {
        const lacks = path === '/readyz' ? missing() : undefined;
        response.writeHead(lacks === undefined ? 200 : 503).end(`${lacks ?? 'ok'}\n`);
        return;
      }
      if (path !== '/metrics') {
        response.writeHead(404).end('There are /metrics, /healthz and /readyz\n');
        return;
      }
      metrics.show().then(
        ({ contentType, body }) => response.writeHead(200, { 'content-type': contentType }).end(body),
        (error) => {
          log.warn('Could not show metrics', { error });
          response.writeHead(500).end();
        },
      );
    });
    server.maxConnections = 16;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port.port === 'auto' ? 0 : port.port, port.host ?? '127.0.0.1', resolve);
    });
    const { address, port: bound } = server.address() as AddressInfo;
    server.unref();
    report({ type: 'listening', what: 'metrics', host: address, port: bound });
  }

  const consensus = metrics.gauge('cepa_consensus_valid_until_seconds', 'When the consensus in use expires');
  const relays = metrics.gauge('cepa_consensus_relays', 'Relays in the consensus in use');
  const bootstrap = metrics.gauge('cepa_bootstrap_percent', 'Progress of the client');
  const published = metrics.gauge('cepa_published_authorities', 'Authorities that took the descriptor');
  return (event) => {
    if (event.type === 'consensus') {
      consensus.set(event.validUntil / 1000);
      relays.set(event.relays);
    } else if (event.type === 'bootstrap') bootstrap.set(event.percent);
    else if (event.type === 'published') published.set(event.authorities);
  };
}
