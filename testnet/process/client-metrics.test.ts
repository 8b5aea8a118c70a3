import test from 'ava';
import type { ClientStatus } from '../../client/client-node.js';
import { createMetrics } from '../../shared/metrics/prometheus.js';
import { Tally } from '../../shared/metrics/tally.js';
import { lint, parseExposition } from '../../shared/metrics/testing.js';
import { registerClientMetrics } from './client-metrics.js';

function tallyOf(...values: number[]): Tally {
  const tally = new Tally([1000, 5000, 10_000, 30_000, 60_000]);
  for (const value of values) tally.observe(value);
  return tally;
}

test('a client’s metrics are by Prometheus’s rules, a line for each onion service it hosts', async (t) => {
  const service = (address: string, introductions: number) => ({
    address,
    descriptors: [
      { period: 1, introPoints: 3, heldBy: 8 },
      { period: 2, introPoints: 2, heldBy: 7 },
    ],
    clients: 4,
    counts: {
      introductions,
      rejected: { subcredential: 0, invalid_introduce2: 1, replay: 2 },
      rendezvous: 9,
      failed: { rp_conn_failure: 5, e2e_circ: 0 },
      introBuildTimes: tallyOf(400, 7000),
      rendezvousBuildTimes: tallyOf(90_000),
      traffic: new Map([[80, { read: 1000, written: 20 }]]),
    },
  });
  const status: ClientStatus = {
    bootstrap: { percent: 100, tag: 'done' },
    ready: true,
    consensus: undefined,
    circuits: { open: 2, building: 1 },
    waitingStreams: 0,
    appConnections: 0,
    onionServices: [service('aaaa.onion', 10), service('bbbb.onion', 20)],
  };
  const metrics = createMetrics();
  registerClientMetrics(metrics, () => status);
  const shown = parseExposition((await metrics.show()).body);
  t.deepEqual(lint(shown), []);
  const values = (name: string) =>
    shown.get(name)!.samples.map(({ labels, value }) => ({ ...labels, value }));
  t.deepEqual(values('tor_hs_intro_num_total'), [
    { onion: 'aaaa', value: 10 },
    { onion: 'bbbb', value: 20 },
  ]);
  t.deepEqual(
    values('tor_hs_intro_established').map(({ value }) => value),
    [5, 5],
  );
  t.deepEqual(
    values('tor_hs_rdv_established').map(({ value }) => value),
    [4, 4],
  );
  t.deepEqual(values('tor_hs_intro_rejected_intro_req_total')[2], {
    onion: 'aaaa',
    reason: 'replay',
    value: 2,
  });
  t.deepEqual(values('tor_hs_rdv_error_total')[0], { onion: 'aaaa', reason: 'rp_conn_failure', value: 5 });
  t.deepEqual(values('tor_hs_app_read_bytes_total')[1], { onion: 'bbbb', port: '80', value: 1000 });
  t.deepEqual(values('tor_hs_app_write_bytes_total')[0], { onion: 'aaaa', port: '80', value: 20 });
  const ofFirst = (name: string) =>
    shown
      .get(name)!
      .samples.filter(({ labels }) => labels.onion === 'aaaa')
      .map(({ value }) => value);
  // Buckets, all, sum, count.
  t.deepEqual(ofFirst('tor_hs_intro_circ_build_time'), [1, 1, 2, 2, 2, 2, 7400, 2]);
  t.deepEqual(ofFirst('tor_hs_rend_circ_build_time'), [0, 0, 0, 0, 0, 1, 90_000, 1]);
  t.deepEqual(values('cepa_onion_service_descriptors_held'), [{ value: 30 }]);
});
