import test from 'ava';
import { createMetrics } from './prometheus.js';
import { Tally } from './tally.js';
import { lint, parseExposition } from './testing.js';
import { noMetrics } from './types.js';

test('what was counted is shown, once a name', async (t) => {
  const metrics = createMetrics();
  metrics.counter('tor_relay_cells_total', 'Cells by command', ['command']).add(2, { command: 'relay' });
  metrics.counter('tor_relay_cells_total', 'Cells by command', ['command']).add(1, { command: 'relay' });
  metrics.gauge('tor_relay_circuits', 'Circuits').set(5);
  metrics.histogram('cepa_vote_seconds', 'Time to vote', [1, 5]).observe(3);
  let queued = 7;
  metrics.observed('cepa_queue_bytes', 'Bytes in queues', () => queued);
  queued = 9;
  const { contentType, body } = await metrics.show();
  t.regex(contentType, /^text\/plain/);
  const lines = body.split('\n');
  t.true(lines.includes('tor_relay_cells_total{command="relay"} 3'), body);
  t.true(lines.includes('# TYPE tor_relay_cells_total counter'));
  t.true(lines.includes('# HELP tor_relay_circuits Circuits'));
  t.true(lines.includes('tor_relay_circuits 5'));
  t.true(lines.includes('cepa_vote_seconds_bucket{le="5"} 1'));
  t.true(lines.includes('cepa_queue_bytes 9'));
});

test('two registries know nothing of each other', async (t) => {
  const one = createMetrics();
  const other = createMetrics({ processMetrics: true });
  one.counter('cepa_a_total', 'a').add();
  const { body } = await other.show();
  t.false(body.includes('cepa_a_total'));
  t.true(body.includes('process_cpu_seconds_total'));
});

test('no metrics take everything', (t) => {
  t.notThrows(() => {
    noMetrics.counter('a', 'a').add();
    noMetrics.gauge('a', 'a').set(1);
    noMetrics.histogram('a', 'a', []).observe(1);
    noMetrics.observed('a', 'a', () => 1);
    noMetrics.tallied('a', 'a', () => []);
  });
});

test('what is shown is by Prometheus’s rules, the process’s own metrics included', async (t) => {
  const metrics = createMetrics({ processMetrics: true });
  metrics.counted('cepa_a_total', 'a', ['x'], () => [{ labels: { x: 'one' }, value: 3 }]);
  metrics.shown('cepa_b', 'b', [], () => [{ value: 4 }]);
  const tally = new Tally([1, 5]);
  for (const value of [1, 3, 30]) tally.observe(value);
  metrics.tallied('cepa_c', 'c', () => [{ labels: { x: 'one' }, tally }]);
  const parsed = parseExposition((await metrics.show()).body);
  t.deepEqual(
    lint(parsed).filter((line) => !line.endsWith('no values')),
    [],
  );
  t.is(parsed.get('cepa_a_total')!.samples[0]!.value, 3);
  t.is(parsed.get('cepa_c')!.type, 'histogram');
  t.deepEqual(
    parsed.get('cepa_c')!.samples.map(({ key, value }) => `${key} ${value}`),
    [
      'cepa_c_bucket{x="one",le="1"} 1',
      'cepa_c_bucket{x="one",le="5"} 2',
      'cepa_c_bucket{x="one",le="+Inf"} 3',
      'cepa_c_sum{x="one"} 34',
      'cepa_c_count{x="one"} 3',
    ],
  );
  // Asked for again, a counter shows what there is, not the sum of all answers.
  t.is(parseExposition((await metrics.show()).body).get('cepa_a_total')!.samples[0]!.value, 3);
});

test('the complaints are promtool’s', (t) => {
  const text = [
    '# HELP a_total help',
    '# TYPE a_total gauge',
    'a_total 1',
    '# HELP b help',
    '# TYPE b counter',
    'b{x="1"} 2',
    '# TYPE c_gauge gauge',
    'c_gauge 1',
    '# HELP d_milliseconds help',
    '# TYPE d_milliseconds gauge',
    'd_milliseconds 1',
    '',
  ].join('\n');
  t.deepEqual(lint(parseExposition(text)), [
    'a_total: only counters end in _total',
    'b: a counter ends in _total',
    'c_gauge: no help',
    'c_gauge: the type is in the name',
    'd_milliseconds: not in base units',
  ]);
  t.throws(() => parseExposition('a 1\na 1\n'), { message: /twice/ });
  t.throws(() => parseExposition('a{x} 1\n'), { message: /bad labels/ });
  t.throws(() => parseExposition('nonsense here\n'), { message: /not a line/ });
});
