/** The Grafana board in deploy/ against what a relay really shows. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { network } from '../relay/testing/network.js';
import { memoryLog } from '../shared/log/memory.js';
import { type ParsedFamily, parseExposition } from '../shared/metrics/testing.js';
import { serveMetrics } from './process/metrics-server.js';

// Compiled, this is dist/testnet/board.test.js.
const BOARD = new URL('../../deploy/grafana-relay.json', import.meta.url);

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat?: string }[];
}
interface Board {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly query: unknown }[] };
}

/** Words of PromQL that name neither a metric nor a label. */
const WORDS = new Set(['by', 'without', 'on', 'ignoring', 'and', 'or', 'unless', 'bool', 'offset']);
/** Labels that Prometheus itself puts on. */
const OWN_LABELS = new Set(['instance', 'job']);

/** The metrics an expression reads, and the labels it speaks of. */
function namesIn(expr: string): { metrics: string[]; labels: string[] } {
  const labels: string[] = [];
  const bare = expr
    .replace(/\{([^}]*)\}/g, (_whole, matchers: string) => {
      labels.push(...[...matchers.matchAll(/(\w+)\s*[=!]/g)].map((match) => match[1]!));
      return ' ';
    })
    .replace(/\b(?:by|without|on|ignoring)\s*\(([^)]*)\)/g, (_whole, list: string) => {
      labels.push(...list.split(',').map((name) => name.trim()));
      return ' ';
    })
    .replace(/\[[^\]]*\]/g, ' ');
  const metrics = [...bare.matchAll(/[A-Za-z_:][\w:]*(?!\w)(?!\s*\()/g)].map((match) => match[0]);
  return { metrics: metrics.filter((name) => !WORDS.has(name)), labels };
}

/** What a relay shows in the process that runs it. */
async function shownByARelay(): Promise<Map<string, ParsedFamily>> {
  const ports: number[] = [];
  const server = await serveMetrics({
    log: memoryLog(),
    options: () => ({
      MetricsPort: [{ host: '127.0.0.1', port: 'auto', flags: new Set() }],
      MetricsPortPolicy: [],
    }),
    report: (event) => void (event.type === 'listening' && ports.push(event.port)),
    missing: () => undefined,
  });
  server.heard({ type: 'consensus', validAfter: 1000, validUntil: 5000, relays: 3 });
  await network(
    () => [],
    (n) => (n === 3 ? { metrics: server.metrics } : {}),
  );
  return parseExposition(await (await fetch(`http://127.0.0.1:${ports[0]}/metrics`)).text());
}

test('the board asks for metrics and labels that a relay has', async (t) => {
  const board: Board = JSON.parse(readFileSync(BOARD, 'utf8'));
  const shown = await shownByARelay();
  const asked = board.panels.flatMap(({ title, targets = [] }) =>
    targets.map((target) => ({ title, ...target })),
  );
  t.true(asked.length > 20);
  for (const { title, expr, legendFormat = '' } of asked) {
    const { metrics, labels } = namesIn(expr);
    t.true(metrics.length > 0, `${title}: ${expr}`);
    labels.push(...[...legendFormat.matchAll(/\{\{\s*(\w+)\s*\}\}/g)].map((match) => match[1]!));
    for (const name of metrics) {
      const family = shown.get(name);
      t.truthy(family, `${title}: there is no metric ${name}`);
      // One without values yet shows no labels.
      const sample = family?.samples[0];
      for (const label of sample ? labels : [])
        t.true(OWN_LABELS.has(label) || label in sample!.labels, `${title}: ${name} has no label ${label}`);
    }
  }
  for (const { query } of board.templating.list) {
    const from = /label_values\((\w+),/.exec(JSON.stringify(query))?.[1];
    if (from !== undefined) t.true(shown.has(from), from);
  }
});

test('names are found in expressions', (t) => {
  t.deepEqual(namesIn('sum by (a, b) (rate(x_total{i=~"$i", s!="u"}[$__rate_interval])) / y_bytes > 0'), {
    metrics: ['x_total', 'y_bytes'],
    labels: ['i', 's', 'a', 'b'],
  });
  t.deepEqual(namesIn('until_timestamp - time()').metrics, ['until_timestamp']);
});
