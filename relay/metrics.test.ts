import test from 'ava';
import { EndReason } from '../shared/cell/commands.js';
import { createMetrics } from '../shared/metrics/prometheus.js';
import { lint, parseExposition } from '../shared/metrics/testing.js';
import { begin, echo, listen, network } from './testing/network.js';

test('a relay’s metrics are by Prometheus’s rules, and its counters only grow', async (t) => {
  const metrics = createMetrics();
  const { world, build } = await network(
    () => ['AccountingMax 1 TByte'],
    (n) => (n === 3 ? { metrics } : {}),
  );
  await listen(world, echo);
  const circuit = await build(true);
  const exchange = async () => {
    const { stream } = begin(circuit, 'site.example');
    begin(circuit, 'nobody.example');
    stream.write(Buffer.alloc(10_000));
    stream.end(EndReason.DONE);
    await world.advance(20_000);
    return parseExposition((await metrics.show()).body);
  };
  const first = await exchange();
  t.deepEqual(lint(first), []);
  const value = (name: string, labels: Record<string, string> = {}) =>
    first
      .get(name)!
      .samples.find(({ labels: own }) =>
        Object.entries(labels).every(([key, wanted]) => own[key] === wanted),
      )!.value;
  t.true(value('tor_relay_traffic_bytes_total', { direction: 'read' }) > 20_000);
  t.is(value('tor_relay_circuits', { state: 'opened' }), 1);
  t.is(value('tor_relay_load_onionskins_total', { type: 'ntor_v3', action: 'processed' }), 1);
  const congestion = (state: string, action: string) =>
    value('tor_relay_congestion_control_total', { state, action });
  t.is(congestion('cc_circuits', 'circs_created'), 1);
  t.is(congestion('cc_circuits', 'circs_closed'), 0);
  t.is(value('tor_relay_congestion_control', { state: 'slow_start_exit', action: 'cwnd' }), 0);
  t.is(value('tor_relay_drop_cell_total'), 0);
  t.is(value('tor_relay_streams_total', { type: 'BEGIN' }), 2);
  t.is(value('cepa_relay_exit_streams_total', { ports: 'web' }), 1);
  t.is(value('tor_relay_exit_dns_error_total', { reason: 'notexist' }), 1);
  t.is(value('tor_relay_exit_dns_query_total'), 2);
  t.is(value('tor_relay_est_intro_total', { action: 'success' }), 0);
  t.is(value('tor_relay_est_rend_total', { action: 'duplicate_cookie' }), 0);
  t.is(value('tor_relay_intro1_total', { action: 'rate_limited' }), 0);
  t.is(value('tor_relay_rend1_total', { action: 'unknown_cookie' }), 0);
  t.is(value('tor_relay_flag', { type: 'Running' }), 0);
  t.is(value('tor_relay_dos_total', { type: 'stream_rejected' }), 0);
  const made = (direction: string, state: string, family = 'ipv4') =>
    value('tor_relay_connections_total', { type: 'OR', direction, state, family });
  t.deepEqual([made('received', 'created'), made('received', 'created', 'ipv6')], [1, 0]);
  t.deepEqual([made('received', 'failed'), made('received', 'rejected')], [0, 0]);
  t.is(congestion('flow_control', 'xon_num_sent'), 0);
  t.is(value('tor_relay_congestion_control', { state: 'buffers', action: 'xon_outbuf' }), 0);
  t.is(value('tor_relay_connections', { direction: 'received', family: 'ipv4' }), 1);
  t.true(value('tor_relay_signing_cert_expiry_timestamp') > 1_700_000_000);
  t.is(value('cepa_accounting_limit_bytes'), 1024 ** 4);
  t.true(value('cepa_relay_cells_total', { command: 'RELAY', direction: 'in' }) > 10);

  const second = await exchange();
  for (const [name, family] of first) {
    if (family.type !== 'counter') continue;
    for (const sample of family.samples) {
      const later = second.get(name)!.samples.find(({ key }) => key === sample.key)!;
      t.true(later.value >= sample.value, sample.key);
    }
  }
  t.is(second.get('tor_relay_streams_total')!.samples[0]!.value, 4);
});
