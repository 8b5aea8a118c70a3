import test from 'ava';
import { summarize } from './stats.js';
import { renderSides, renderTable, type TableRow, verdicts } from './table.js';

const runs = (figures: Readonly<Record<string, readonly number[]>>) =>
  Object.fromEntries(Object.entries(figures).map(([name, values]) => [name, summarize(values)]));

const download: TableRow = {
  name: 'download-1',
  better: 'higher',
  wanted: [
    { figure: 'MB/s', of: 'ratio', sign: '>=', value: 1.5 },
    { figure: 'CPU s/GB', of: 'ratio', sign: '<=', value: 0.6 },
  ],
  systems: {
    cepa: runs({ 'MB/s': [80, 90, 100], 'CPU s/GB': [20, 21, 22] }),
    'tor-vanilla': runs({ 'MB/s': [60], 'CPU s/GB': [40] }),
    'tor-kist': runs({ 'MB/s': [15], 'CPU s/GB': [30] }),
  },
  failures: {},
};

const stateOf = (row: TableRow, figure: string) =>
  verdicts(row).find((verdict) => verdict.figure === figure)?.state;

test('a ratio is to the best of C tor for each figure: the fastest, and the one that needs least', (t) => {
  const ratios = verdicts(download).map(({ figure, ratio, state }) => [figure, ratio, state]);
  t.deepEqual(ratios, [
    ['MB/s', 1.5, 'ok'],
    ['CPU s/GB', 0.7, 'short'],
  ]);
});

test('seconds are compared with the least', (t) => {
  const row: TableRow = {
    ...{ name: 'first-fetch', better: 'lower', failures: {} },
    wanted: [{ figure: 's', of: 'ratio', sign: '<=', value: 0.4 }],
    systems: { cepa: runs({ s: [9] }), 'tor-vanilla': runs({ s: [20] }), 'tor-kist': runs({ s: [30] }) },
  };
  t.is(verdicts(row)[0]!.ratio, 0.45);
  t.is(stateOf(row, 's'), 'short');
});

test('what is wanted of a figure itself is not asked of its ratio', (t) => {
  const row: TableRow = {
    ...{ name: 'beside', better: 'lower', failures: {} },
    wanted: [{ figure: 'x idle', of: 'figure', sign: '<=', value: 2 }],
    systems: { cepa: runs({ 'x idle': [1.8] }), 'tor-vanilla': runs({ 'x idle': [1.2] }) },
  };
  t.is(stateOf(row, 'x idle'), 'ok');
});

test('a row that failed says so, and one without C tor says nothing', (t) => {
  const { cepa, ...others } = download.systems;
  const failed = { ...download, systems: others, failures: { cepa: 'the proxy refused' } };
  t.is(stateOf(failed, 'MB/s'), 'failed');
  t.regex(renderTable([failed], ['cepa', 'tor-vanilla']), /\| download-1 \| MB\/s \| failed \| 60 \|/);
  const alone = { ...download, systems: { cepa: cepa! } };
  t.is(stateOf(alone, 'MB/s'), undefined);
});

test('a row that failed everywhere is still in the table', (t) => {
  const row = { ...download, systems: {}, failures: { cepa: 'no', 'tor-vanilla': 'no' } };
  t.regex(renderTable([row], ['cepa', 'tor-vanilla']), /MB\/s \| failed \| failed \|.*\| failed \|/);
});

test('medians come with their range, and rows whose columns differ in kind without a ratio', (t) => {
  t.regex(renderTable([download], ['cepa']), /\| 90 \(80-100\) \| 1\.50 \| >= 1\.5 \| ok \|/);
  const mixed = { ...download, wanted: [], apart: true };
  t.true(verdicts(mixed).every(({ ratio }) => ratio === undefined));
});

test('own and mixed transfers together show which side is the limit', (t) => {
  const row = (name: string, cepa: number, tor: number): TableRow => ({
    ...download,
    name,
    systems: { cepa: runs({ 'MB/s': [cepa] }), 'tor-vanilla': runs({ 'MB/s': [tor] }) },
  });
  const text = renderSides([row('download-1', 90, 60), row('mixed-download', 70, 65)]);
  t.regex(text, /\| download \| Cepa \| 90 \| 70 \|\n\| download \| C tor \| 65 \| 60 \|/);
  t.is(renderSides([row('download-1', 90, 60)]), '');
});
