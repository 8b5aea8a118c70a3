/**
 * Metrics in Prometheus's text format (prom-client).
 *
 * @module
 */
import prom from 'prom-client';
import type { Labels, Metrics, TallySample } from './types.js';

/** Metrics that can be shown. */
export interface ShownMetrics extends Metrics {
  /** The exposition, and its content type. */
  show(): Promise<{ contentType: string; body: string }>;
}

/** Gauges of prom-client's that end in `_total`, which is for counters. */
const ODD_NAMES = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

/** The lines of a histogram. */
function* linesOf(name: string, samples: Iterable<TallySample>) {
  for (const { labels = {}, tally } of samples) {
    const bucket = (le: number | string, value: number) => ({
      metricName: `${name}_bucket`,
      labels: { ...labels, le },
      value,
    });
    yield* tally.buckets.map((bound, i) => bucket(bound, tally.atMost[i]!));
    yield bucket('+Inf', tally.count);
    yield { metricName: `${name}_sum`, labels, value: tally.sum };
    yield { metricName: `${name}_count`, labels, value: tally.count };
  }
}

/** A registry of its own; `processMetrics` adds memory, CPU and event-loop delay of this process. */
export function createMetrics(options: { processMetrics?: boolean } = {}): ShownMetrics {
  const registry = new prom.Registry();
  if (options.processMetrics) {
    prom.collectDefaultMetrics({ register: registry });
    for (const name of ODD_NAMES) registry.removeSingleMetric(name);
  }
  const known = new Map<string, unknown>();

  const once = <T>(name: string, make: () => T): T => {
    if (!known.has(name)) known.set(name, make());
    return known.get(name) as T;
  };
  const shape = (name: string, help: string, labels: readonly string[] = []) => ({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
  });

  return {
    counter: (name, help, labels) =>
      once(name, () => {
        const counter = new prom.Counter(shape(name, help, labels));
        return { add: (by = 1, values: Labels = {}) => counter.inc(values, by) };
      }),
    gauge: (name, help, labels) =>
      once(name, () => {
        const gauge = new prom.Gauge(shape(name, help, labels));
        return { set: (value: number, values: Labels = {}) => gauge.set(values, value) };
      }),
    histogram: (name, help, buckets, labels) =>
      once(name, () => {
        const histogram = new prom.Histogram({ ...shape(name, help, labels), buckets: [...buckets] });
        return { observe: (value: number, values: Labels = {}) => histogram.observe(values, value) };
      }),
    counted(name, help, labels, read) {
      once(
        name,
        () =>
          new prom.Counter({
            ...shape(name, help, labels),
            collect() {
              this.reset();
              for (const { labels: values, value } of read()) this.inc(values ?? {}, value);
            },
          }),
      );
    },
    shown(name, help, labels, read) {
      once(
        name,
        () =>
          new prom.Gauge({
            ...shape(name, help, labels),
            collect() {
              this.reset();
              for (const { labels: values, value } of read()) this.set(values ?? {}, value);
            },
          }),
      );
    },
    tallied(name, help, read) {
      once(name, () => {
        const get = async () => ({
          name,
          help,
          type: 'histogram',
          aggregator: 'sum',
          values: [...linesOf(name, read())],
        });
        // prom-client's own histogram cannot be given its counts; all that a registry asks of a metric is this.
        registry.registerMetric({ name, get } as unknown as prom.Metric);
      });
    },
    observed(name, help, read) {
      once(
        name,
        () =>
          new prom.Gauge({
            ...shape(name, help),
            collect() {
              this.set(read());
            },
          }),
      );
    },
    show: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}
