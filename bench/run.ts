/**
 * `npm run bench`: the same work over networks of C tor and one of Cepa in turn, A B A B, and a table of all.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { arch, cpus, platform } from 'node:os';
import { parseArgs } from 'node:util';
import { findProgram, torVersion } from '../testnet/interop/find-program.js';
import { FIRST_FETCH, measureStart, startsAlone } from './first-fetch.js';
import { type Figures, onionsFor, ROWS, type RowKind, type Sizes } from './rows.js';
import { summarize } from './stats.js';
import { ASKED_FOR, type OnionShape, SETTINGS, type Setting, System } from './systems.js';
import { renderSides, renderTable, type TableRow, verdicts } from './table.js';
import { within } from './waiting.js';

const HELP = `npm run bench -- [options]
  --systems A,B   networks to run: ${SETTINGS.map(({ name }) => name).join(', ')} (all but ${ASKED_FOR.join(', ')})
  --rows A,B      ${[FIRST_FETCH, ...ROWS].map(({ name }) => name).join(', ')}
  --rounds N      runs of each row on each network, in turn (3)
  --starts N      starts of each network alone, for ${FIRST_FETCH.name} (2)
  --seconds N     about how long a transfer takes (3)
  --mb N          megabytes of a transfer at most (200)
  --count N       circuits, and first bytes, of a run (100)
  --warm N        circuits, and first bytes, before those that count, but in the rows that say cold (1500)
  --minutes N     leaves out later rounds where all would take longer (14)
  --quick         cepa and tor-vanilla, 1 round, 1 start, 1 s, 30 MB, 30 circuits, 120 to warm up
  --json FILE     writes all figures there
Exit status: 0 when every row was measured, 1 when some failed.
`;

const { values } = parseArgs({
  options: {
    systems: { type: 'string' },
    rows: { type: 'string' },
    rounds: { type: 'string' },
    starts: { type: 'string' },
    seconds: { type: 'string' },
    mb: { type: 'string' },
    count: { type: 'string' },
    warm: { type: 'string' },
    minutes: { type: 'string', default: '14' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

/** One run of a row on one network may take so long, milliseconds. */
const RUN_LIMIT = 180_000;
const START_LIMIT = 240_000;

/** The ones that are asked for, in their own order; every name must be one. */
function chosen<T extends { readonly name: string }>(all: readonly T[], names: string | undefined): T[] {
  if (names === undefined) return [...all];
  const wanted = names.split(',');
  const unknown = wanted.find((name) => !all.some((one) => one.name === name));
  if (unknown !== undefined)
    throw new Error(`there is no ${unknown}; choose from ${all.map(({ name }) => name).join(', ')}`);
  return all.filter(({ name }) => wanted.includes(name));
}

function count(
  name: 'rounds' | 'starts' | 'seconds' | 'mb' | 'count' | 'warm' | 'minutes',
  usual: number,
): number {
  const value = Number(values[name] ?? usual);
  if (!(value > 0)) throw new Error(`--${name} takes a number above 0, not "${values[name]}"`);
  return value;
}

const progress = (text: string) => process.stderr.write(`${text}\n`);
const show = (figures: Figures) =>
  Object.entries(figures)
    .map(([name, value]) => `${name} ${value.toFixed(2)}`)
    .join(', ');
const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** What the runs of a row brought. */
class Results {
  readonly kind: RowKind;
  private readonly figures = new Map<string, Figures[]>();
  private readonly failures = new Map<string, string>();

  constructor(kind: RowKind) {
    this.kind = kind;
  }

  /** Runs it once; a failure is kept, and told. */
  async take(system: string, limit: number, run: () => Promise<Figures>): Promise<void> {
    try {
      const figures = await within(limit, `${this.kind.name} on ${system}`, run());
      this.figures.set(system, [...(this.figures.get(system) ?? []), figures]);
      progress(`${this.kind.name} ${system}: ${show(figures)}`);
    } catch (error) {
      this.fail(system, reason(error));
    }
  }

  fail(system: string, why: string): void {
    this.failures.set(system, why);
    progress(`${this.kind.name} ${system} failed: ${why}`);
  }

  get row(): TableRow {
    const systems = [...this.figures].map(([name, runs]) => {
      const summaries = Object.keys(runs[0]!).map(
        (figure) => [figure, summarize(runs.map((run) => run[figure]!))] as const,
      );
      return [name, Object.fromEntries(summaries)] as const;
    });
    return {
      ...this.kind,
      systems: Object.fromEntries(systems),
      failures: Object.fromEntries(this.failures),
    };
  }
}

async function measureStarts(settings: readonly Setting[], starts: number): Promise<Results> {
  const results = new Results(FIRST_FETCH);
  for (let i = 0; i < starts; i++)
    for (const setting of settings.filter(startsAlone))
      await results.take(setting.name, START_LIMIT, () => measureStart(setting));
  return results;
}

/** Starts a network; stops what there is of it when it does not come up. */
async function start(setting: Setting, onions: OnionShape): Promise<{ ready: Promise<System> }> {
  const system = await System.start(setting, onions);
  const ready = within(START_LIMIT, `starting ${setting.name}`, system.ready()).then(
    () => system,
    async (error: unknown) => {
      await system.stop();
      throw error;
    },
  );
  // It is waited for once all are started.
  ready.catch(() => {});
  return { ready };
}

/** Is looked at later. */
function rejected(error: unknown): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(() => {});
  return promise;
}

/** Starts the networks' processes one network after the other; one that fails has a second try, alone. */
async function startAll(settings: readonly Setting[], onions: OnionShape, failed: Map<string, string>) {
  const starting: { readonly setting: Setting; readonly ready: Promise<System> }[] = [];
  for (const setting of settings) {
    progress(`starting ${setting.name}`);
    const started = await start(setting, onions).catch((error: unknown) => ({ ready: rejected(error) }));
    starting.push({ setting, ...started });
  }
  const systems: System[] = [];
  for (const { setting, ready } of starting)
    try {
      systems.push(await ready);
    } catch (error) {
      progress(`${setting.name} did not start, once more: ${reason(error)}`);
      try {
        systems.push(await (await start(setting, onions)).ready);
      } catch (again) {
        failed.set(setting.name, `did not start: ${reason(again)}`);
      }
    }
  return systems;
}

/** Rows in turn over all networks. Later rounds of a row are left out when they would take the time of other rows. */
async function measureRows(
  systems: readonly System[],
  failed: ReadonlyMap<string, string>,
  rows: typeof ROWS,
  rounds: number,
  sizes: Sizes,
  end: number,
): Promise<Results[]> {
  const all: Results[] = [];
  for (const [i, row] of rows.entries()) {
    const results = new Results(row);
    all.push(results);
    const on = (name: string) => row.on?.(SETTINGS.find((setting) => setting.name === name)!) ?? true;
    for (const [name, why] of failed) if (on(name)) results.fail(name, why);
    const left = end - performance.now();
    const until = performance.now() + left / (rows.length - i);
    for (let round = 0; round < Math.min(rounds, row.times ?? rounds); round++) {
      const start = performance.now();
      for (const system of systems)
        if (on(system.name)) await results.take(system.name, RUN_LIMIT, () => row.run(system, sizes, round));
      const now = performance.now();
      if (now + (now - start) / 2 > until) break;
    }
  }
  return all;
}

async function main(): Promise<boolean> {
  if (values.help) {
    process.stdout.write(HELP);
    return true;
  }
  if (!findProgram('tor'))
    throw new Error('tor is not installed (Debian package tor): nothing to compare with');
  const { quick } = values;
  const usual = SETTINGS.filter(({ name }) => !ASKED_FOR.includes(name));
  const asked = values.systems ?? (quick ? 'cepa,tor-vanilla' : undefined);
  const settings = asked === undefined ? usual : chosen(SETTINGS, asked);
  const names = chosen([FIRST_FETCH, ...ROWS], values.rows).map(({ name }) => name);
  const rows = ROWS.filter(({ name }) => names.includes(name));
  const rounds = count('rounds', quick ? 1 : 3);
  const starts = count('starts', quick ? 1 : 2);
  const sizes = {
    seconds: count('seconds', quick ? 1 : 3),
    most: count('mb', quick ? 30 : 200) * 1e6,
    count: count('count', quick ? 30 : 100),
    warm: count('warm', quick ? 120 : 1500),
  };
  const end = performance.now() + count('minutes', 14) * 60_000;
  const date = new Date().toISOString();
  const all: Results[] = [];
  const systems: System[] = [];
  try {
    if (names.includes(FIRST_FETCH.name)) all.push(await measureStarts(settings, starts));
    if (rows.length > 0) {
      const failed = new Map<string, string>();
      const onion = names.some((name) => name.startsWith('onion'));
      const onions = onion ? onionsFor(rounds) : { services: 0, visitors: 0 };
      systems.push(...(await startAll(settings, onions, failed)));
      all.push(...(await measureRows(systems, failed, rows, rounds, sizes, end)));
    }
  } finally {
    await Promise.allSettled(systems.map((system) => system.stop()));
  }
  const table = all.map(({ row }) => row);
  const about = {
    date,
    node: process.version,
    tor: torVersion(),
    machine: `${cpus().length} x ${cpus()[0]?.model ?? arch()}, ${platform()}`,
    minutes: (performance.now() / 60_000).toFixed(1),
    rounds,
    starts,
    ...sizes,
  };
  const head = Object.entries(about).map(([name, value]) => `${name}: ${value}\n`);
  const shown = settings.map(({ name }) => name);
  process.stdout.write(`${head.join('')}\n${renderTable(table, shown)}\n${renderSides(table)}`);
  const failures = table.flatMap(({ name, failures: of }) =>
    Object.entries(of).map(([system, why]) => `failed: ${name} on ${system}: ${why}\n`),
  );
  process.stdout.write(failures.length > 0 ? `\n${failures.join('')}` : '');
  if (values.json !== undefined) {
    const rowsWithVerdicts = table.map((row) => ({ ...row, verdicts: verdicts(row) }));
    writeFileSync(values.json, `${JSON.stringify({ about, rows: rowsWithVerdicts }, undefined, 2)}\n`);
  }
  return failures.length === 0;
}

// So that what runs when a process exits does run: it ends what was started.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
const whole = await main().catch((error: unknown) => {
  progress(`bench: ${reason(error)}`);
  return false;
});
process.exit(whole ? 0 : 1);
