/**
 * Numbers a node shows. Code counts through these interfaces and does not know whether anybody looks: `noMetrics` is
 * what it gets when there is no MetricsPort.
 *
 * @module
 */

/** Values of a metric's labels. */
export type Labels = Readonly<Record<string, string>>;

/** One value of a metric. */
export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** A histogram's values (`tally.ts`). */
export interface TallySample {
  readonly labels?: Labels;
  readonly tally: {
    readonly buckets: readonly number[];
    readonly atMost: readonly number[];
    readonly count: number;
    readonly sum: number;
  };
}

/** Only grows. */
export interface Counter {
  add(by?: number, labels?: Labels): void;
}

/** Goes up and down. */
export interface Gauge {
  set(value: number, labels?: Labels): void;
}

/** Counts values by size. */
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/**
 * Makes metrics. Names are Prometheus's, with C tor's prefix where C tor has the same number (`tor_relay_…`);
 * counters end in `_total`. Asking again for a name gives the same metric.
 */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  gauge(name: string, help: string, labels?: readonly string[]): Gauge;
  histogram(name: string, help: string, buckets: readonly number[], labels?: readonly string[]): Histogram;
  /** A counter whose values are kept elsewhere, and asked for when somebody looks. They only grow. */
  counted(name: string, help: string, labels: readonly string[], read: () => Iterable<Sample>): void;
  /** A gauge likewise, with labels. */
  shown(name: string, help: string, labels: readonly string[], read: () => Iterable<Sample>): void;
  /** A histogram likewise. */
  tallied(name: string, help: string, read: () => Iterable<TallySample>): void;
  /** A gauge that is asked for its value when somebody looks: nothing is counted on the way of a cell. */
  observed(name: string, help: string, read: () => number): void;
}

const nothing = { add() {}, set() {}, observe() {} };

/** Counts nothing. */
export const noMetrics: Metrics = {
  counter: () => nothing,
  gauge: () => nothing,
  histogram: () => nothing,
  counted() {},
  shown() {},
  tallied() {},
  observed() {},
};
