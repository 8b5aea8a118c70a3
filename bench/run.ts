/**
 * `npm run bench`: the same work over a network of C tor and one of Cepa in turn, A B A B, and a table of both.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { parseArgs } from 'node:util';
import { findProgram, torVersion } from '../testnet/interop/find-program.js';
import { type Figures, forget, ROWS, type Sizes } from './rows.js';
import { type Summary, summarize } from './stats.js';
import { SETTINGS, System } from './systems.js';
import { renderTable } from './table.js';
import { firstByte } from './traffic.js';

const HELP = `npm run bench -- [options]
  --systems A,B   networks to run: ${SETTINGS.map(({ name }) => name).join(', ')}
  --rows A,B      ${ROWS.map(({ name }) => name).join(', ')}
  --rounds N      runs of each row on each network, in turn (3)
  --mb N          megabytes of a transfer (200)
  --count N       circuits, and first bytes, of a run (100)
  --quick         cepa and tor-vanilla, 1 round, 30 MB, 30 circuits
  --json FILE     writes all figures there
`;

const { values } = parseArgs({
  options: {
    systems: { type: 'string' },
    rows: { type: 'string' },
    rounds: { type: 'string' },
    mb: { type: 'string' },
    count: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

/** The ones that are asked for, in their own order; every name must be one. */
function chosen<T extends { readonly name: string }>(all: readonly T[], names: string | undefined): T[] {
  if (names === undefined) return [...all];
  const wanted = names.split(',');
  const unknown = wanted.find((name) => !all.some((one) => one.name === name));
  if (unknown !== undefined)
    throw new Error(`there is no ${unknown}; choose from ${all.map(({ name }) => name)}`);
  return all.filter(({ name }) => wanted.includes(name));
}

const progress = (text: string) => process.stderr.write(`${text}\n`);

/** Figures of each row and network, all rounds. */
type Results = Map<string, Map<string, Figures[]>>;

async function measure(
  systems: readonly System[],
  rows: typeof ROWS,
  rounds: number,
  sizes: Sizes,
): Promise<Results> {
  const results: Results = new Map(rows.map(({ name }) => [name, new Map()]));
  for (const row of rows) {
    // These say how it is at one moment.
    const times = row.name.startsWith('memory') || row.name === 'first-fetch' ? 1 : rounds;
    for (let round = 0; round < times; round++)
      for (const system of systems) {
        const figures = await row.run(system, sizes);
        const of = results.get(row.name)!;
        of.set(system.name, [...(of.get(system.name) ?? []), figures]);
        const shown = Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(2)}`);
        progress(`${row.name} ${system.name}: ${shown.join(', ')}`);
      }
  }
  return results;
}

const summaries = (runs: readonly Figures[]): Record<string, Summary> =>
  Object.fromEntries(
    Object.keys(runs[0] ?? {}).map((name) => [name, summarize(runs.map((run) => run[name]!))]),
  );

async function main(): Promise<void> {
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  if (!findProgram('tor'))
    throw new Error('tor is not installed (Debian package tor): nothing to compare with');
  const { quick } = values;
  const settings = chosen(SETTINGS, values.systems ?? (quick ? 'cepa,tor-vanilla' : undefined));
  const rows = chosen(ROWS, values.rows);
  const rounds = Number(values.rounds ?? (quick ? 1 : 3));
  const sizes = {
    bytes: Number(values.mb ?? (quick ? 30 : 200)) * 1e6,
    count: Number(values.count ?? (quick ? 30 : 100)),
  };
  const systems: System[] = [];
  try {
    // One after another: the time to the first fetch is measured too.
    for (const setting of settings) {
      progress(`starting ${setting.name}`);
      systems.push(await System.start(setting, (proxy, site) => firstByte({ proxy, site })));
    }
    const results = await measure(systems, rows, rounds, sizes);
    const table = rows.map((row) => ({
      row: row.name,
      figure: row.figure,
      better: row.better,
      wanted: row.wanted,
      systems: Object.fromEntries([...results.get(row.name)!].map(([name, runs]) => [name, summaries(runs)])),
    }));
    const about = {
      date: new Date().toISOString(),
      node: process.version,
      tor: torVersion(),
      machine: `${cpus().length} x ${cpus()[0]?.model ?? arch()}, ${platform()}`,
      rounds,
      ...sizes,
    };
    process.stdout.write(
      `${Object.entries(about)
        .map(([name, value]) => `${name}: ${value}`)
        .join('\n')}\n\n`,
    );
    process.stdout.write(renderTable(table));
    if (values.json !== undefined)
      writeFileSync(values.json, `${JSON.stringify({ about, table }, undefined, 2)}\n`);
  } finally {
    for (const system of systems) {
      await forget(system);
      await system.stop();
    }
  }
}

await main();
process.exit(0);
