/**
 * Serves a node's metrics and its state over HTTP (`MetricsPort`), to whom `MetricsPortPolicy` lets in:
 *
 * ```
 * GET /metrics   for Prometheus
 * GET /healthz   200 while the process answers
 * GET /readyz    200 when the node is of use; 503, and what is missing, when it is not
 * ```
 *
 * On node:http, and not with fastify as the directory's answers are: three answers to GET need no routes, and a client
 * would load fastify for them alone, which takes as long as the rest of it. Nor by way of the node's transport: what
 * monitoring asks for is no traffic of the network, is not counted in the bandwidth history and must come while the
 * bandwidth limit is reached, or while a relay hibernates.
 *
 * @module
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CepaError } from '../../shared/bytes/errors.js';
import type { Log } from '../../shared/log/types.js';
import { createMetrics, type ShownMetrics } from '../../shared/metrics/prometheus.js';
import type { Metrics } from '../../shared/metrics/types.js';
import { parsePolicyLines } from '../../shared/netdoc/policy.js';
import type { NodeEvent } from '../../shared/runtime/env.js';
import type { Options } from '../../shared/torrc/options.js';
import type { Missing } from './readiness.js';

const UNTIL = 'When the consensus in use expires';
const AFTER = 'From when on the consensus in use is valid';

/** Who may ask when no policy is given. */
const THIS_MACHINE = ['accept 127.0.0.0/8', 'accept6 [::1]'];

/** Connections at once of those who may ask, and of those who may not, and are told so: they keep nobody else out. */
const MAX_CONNECTIONS = 16;

/** What is served. */
export interface MetricsServer {
  /** Where the node's own code registers what it counts. */
  readonly metrics: Metrics;
  /** Has to hear the node's events. */
  heard(event: NodeEvent): void;
}

/** What a server needs. */
export interface MetricsServerEnv {
  readonly log: Log;
  /** The options in force: the policy may change while running. */
  options(): Pick<Options, 'MetricsPort' | 'MetricsPortPolicy'>;
  report(event: NodeEvent): void;
  missing(): Missing;
}

/** Whether an address may ask. An own policy refuses whom it does not name. */
export function mayAsk(policy: readonly string[], host: string): boolean {
  const lines = policy.length > 0 ? policy : THIS_MACHINE;
  const address = host.startsWith('::ffff:') && host.includes('.') ? host.slice(7) : host;
  return parsePolicyLines([...lines, 'reject *:*']).allows(address, 1);
}

/** Opens the ports. Rejects with a CepaError that names the one that cannot be. */
export async function serveMetrics(env: MetricsServerEnv): Promise<MetricsServer> {
  const metrics = createMetrics({ processMetrics: true });
  for (const port of env.options().MetricsPort) {
    const server = createServer({ requestTimeout: 10_000 }, (request, response) =>
      answer(request, response, env, metrics),
    );
    server.maxConnections = 2 * MAX_CONNECTIONS;
    let strangers = 0;
    server.on('connection', (socket) => {
      if (mayAsk(env.options().MetricsPortPolicy, socket.remoteAddress ?? '')) return;
      if (strangers >= MAX_CONNECTIONS) {
        socket.destroy();
        return;
      }
      strangers++;
      socket.once('close', () => strangers--);
    });
    const host = port.host ?? '127.0.0.1';
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) =>
        reject(
          new CepaError('metrics/listen', `cannot open metrics port ${host}:${port.port}: ${cause.message}`, {
            cause,
          }),
        ),
      );
      server.listen(port.port === 'auto' ? 0 : port.port, host, resolve);
    });
    const { address, port: bound } = server.address() as AddressInfo;
    server.unref();
    env.report({ type: 'listening', what: 'metrics', host: address, port: bound });
  }
  return { metrics, heard: eventMetrics(metrics, env) };
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  env: MetricsServerEnv,
  metrics: ShownMetrics,
): void {
  // The policy may have changed since it connected.
  if (!mayAsk(env.options().MetricsPortPolicy, request.socket.remoteAddress ?? '')) {
    response.writeHead(403).end('MetricsPortPolicy does not let this address in\n');
    return;
  }
  const path = request.method === 'GET' ? request.url?.split('?', 1)[0] : undefined;
  if (path === '/healthz' || path === '/readyz') {
    const lacks = path === '/readyz' ? env.missing() : undefined;
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
      env.log.warn('Could not show metrics', { error });
      response.writeHead(500).end();
    },
  );
}

/** What every role tells by its events; what a role never tells of is not shown. */
function eventMetrics(metrics: Metrics, env: MetricsServerEnv): (event: NodeEvent) => void {
  metrics.observed('cepa_ready', 'Whether the node is of use (/readyz)', () =>
    env.missing() === undefined ? 1 : 0,
  );
  const show = (name: string, help: string, value: number) => metrics.gauge(name, help).set(value);
  return (event) => {
    if (event.type === 'consensus') {
      const { validAfter, validUntil } = event;
      show('cepa_consensus_valid_until_timestamp_seconds', UNTIL, validUntil / 1000);
      show('cepa_consensus_valid_after_timestamp_seconds', AFTER, validAfter / 1000);
      show('cepa_consensus_relays', 'Relays in the consensus in use', event.relays);
    } else if (event.type === 'bootstrap')
      show('cepa_bootstrap_ratio', 'Progress of the client, from 0 to 1', event.percent / 100);
    else if (event.type === 'voting')
      metrics
        .counter('cepa_authority_voting_steps_total', 'Steps of votes', ['step'])
        .add(1, { step: event.step });
  };
}
