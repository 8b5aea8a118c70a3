import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import test from 'ava';
import { CepaError } from '../../shared/bytes/errors.js';
import { memoryLog } from '../../shared/log/memory.js';
import type { NodeEvent } from '../../shared/runtime/env.js';
import { mayAsk, serveMetrics } from './metrics-server.js';

test('by default only this machine may ask', (t) => {
  t.true(mayAsk([], '127.0.0.1'));
  t.true(mayAsk([], '::1'));
  t.true(mayAsk([], '::ffff:127.0.0.1'));
  t.false(mayAsk([], '10.0.0.1'));
  t.false(mayAsk([], ''));
});

test('a policy says who may ask, and refuses whom it does not name', (t) => {
  const policy = ['reject 10.0.0.1', 'accept 10.0.0.0/8'];
  t.true(mayAsk(policy, '10.0.0.2'));
  t.false(mayAsk(policy, '10.0.0.1'));
  t.false(mayAsk(policy, '127.0.0.1'));
});

test('metrics, health and readiness over HTTP, to whom the policy lets in', async (t) => {
  const events: NodeEvent[] = [];
  const options = {
    MetricsPort: [{ host: '127.0.0.1', port: 'auto' as const, flags: new Set<string>() }],
    MetricsPortPolicy: [] as string[],
  };
  let missing: string | undefined = 'a consensus';
  const { metrics, heard } = await serveMetrics({
    log: memoryLog(),
    options: () => options,
    report: (event) => void events.push(event),
    missing: () => missing,
  });
  const listening = events.find((event) => event.type === 'listening');
  const ask = (path: string) => fetch(`http://127.0.0.1:${listening?.port}${path}`);
  metrics.counter('cepa_test_total', 'A test').add(2);
  heard({ type: 'consensus', validAfter: 1000, validUntil: 5000, relays: 7 });
  const shown = await (await ask('/metrics')).text();
  t.regex(shown, /^cepa_test_total 2$/m);
  t.regex(shown, /^cepa_consensus_valid_until_timestamp_seconds 5$/m);
  t.regex(shown, /^cepa_ready 0$/m);
  t.is((await ask('/healthz')).status, 200);
  t.is((await ask('/readyz')).status, 503);
  missing = undefined;
  t.is((await ask('/readyz')).status, 200);
  t.is((await ask('/other')).status, 404);
  options.MetricsPortPolicy = ['accept 10.0.0.0/8'];
  t.is((await ask('/metrics')).status, 403);
});

test('a port that somebody has is an error that names it', async (t) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.teardown(() => other.close());
  const { port } = other.address() as AddressInfo;
  const serving = serveMetrics({
    log: memoryLog(),
    options: () => ({ MetricsPort: [{ host: '127.0.0.1', port, flags: new Set() }], MetricsPortPolicy: [] }),
    report: () => {},
    missing: () => undefined,
  });
  const error = await t.throwsAsync(serving, { instanceOf: CepaError });
  t.regex(error.message, new RegExp(`^cannot open metrics port 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`));
});

test('who may not ask holds no connection that others could have', async (t) => {
  const ports: number[] = [];
  await serveMetrics({
    log: memoryLog(),
    options: () => ({
      MetricsPort: [{ host: '127.0.0.1', port: 'auto', flags: new Set() }],
      MetricsPortPolicy: ['accept 127.0.0.1'],
    }),
    report: (event) => void (event.type === 'listening' && ports.push(event.port)),
    missing: () => undefined,
  });
  const [port = 0] = ports;
  for (let i = 0; i < 20; i++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
    t.teardown(() => socket.destroy());
    socket.on('error', () => {});
    await once(socket, 'connect');
  }
  t.is((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
});
