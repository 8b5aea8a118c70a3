/**
 * What is measured, row by row. A row is run on one network at a time; its figures go by name.
 *
 * @module
 */
import type { NetAddress } from '../shared/runtime/types.js';
import { quantile } from './stats.js';
import { CLIENT, GUEST, HOST, type OnionShape, type Setting, type System, visitor } from './systems.js';
import { download, firstByte, upload, type Way } from './traffic.js';
import { measureTransfer, type TransferSize, type Work } from './transfers.js';
import { residentMegabytes } from './usage.js';

/** How much is done. */
export interface Sizes extends TransferSize {
  /** Circuits and first bytes of one run. */
  readonly count: number;
  /** Circuits and first bytes before those that count, but in the rows that say `cold`. */
  readonly warm: number;
}

export type Figures = Readonly<Record<string, number>>;

/** What is wanted of a figure: of its ratio to C tor's best, or of itself. */
export interface Wanted {
  readonly figure: string;
  readonly of: 'ratio' | 'figure';
  readonly sign: '<=' | '>=';
  readonly value: number;
}

/** A row of the table, whoever measures it. `better`: which way C tor's best is found. */
export interface RowKind {
  readonly name: string;
  readonly better: 'higher' | 'lower';
  readonly wanted: readonly Wanted[];
  /** Its columns measure different things: ratios say nothing. */
  readonly apart?: boolean;
}

/** A row that is measured on networks that run. */
export interface Row extends RowKind {
  /** How often on each network at most; the number of rounds when absent. */
  readonly times?: number;
  /** The networks it says something about; all when absent. */
  readonly on?: (setting: Setting) => boolean;
  run(system: System, sizes: Sizes, round: number): Promise<Figures>;
}

const wantRatio = (figure: string, sign: Wanted['sign'], value: number): Wanted => ({
  ...{ figure, of: 'ratio', sign, value },
});

/** CPU time a gigabyte, all roles together. */
const CPU = wantRatio('CPU s/GB', '<=', 0.6);

const wayOf = (system: System, client: string, user?: string): Way => ({
  proxy: system.network.proxy(client),
  site: system.site,
  ...(user !== undefined && { user }),
});

function transferRow(name: string, streams: number, work: Work, wanted: number): Row {
  return {
    name,
    better: 'higher',
    wanted: [wantRatio('MB/s', '>=', wanted), CPU],
    run: (system, sizes) => {
      const way = wayOf(system, CLIENT);
      return measureTransfer(system, { client: CLIENT, way, streams, work, onion: false }, sizes);
    },
  };
}

/** The client of the other software, on Cepa's relays and on C tor's at their best: nothing is wanted of it. */
const mixedRow = (name: string, work: Work): Row => ({
  name,
  better: 'higher',
  wanted: [],
  apart: true,
  on: (setting) => setting.name === 'cepa' || setting.name === 'tor-vanilla',
  run: (system, sizes) => {
    const way = wayOf(system, GUEST);
    return measureTransfer(system, { client: GUEST, way, streams: 1, work, onion: false }, sizes);
  },
});

/** The service of the throughput rows. */
const visited = new WeakMap<System, NetAddress>();

/** An address that nobody but the other software's client has been to. */
async function freshService(system: System): Promise<NetAddress> {
  await system.onionsReady();
  const host = system.fresh.pop();
  if (host === undefined) throw new Error('no onion service is left that its clients have not been to');
  return { host, port: 80 };
}

/** Of a client that has been to no onion service yet, then its next one, to another. */
async function firstConnections(system: System, round: number): Promise<Figures> {
  const connect = async () =>
    (await firstByte({ proxy: system.network.proxy(visitor(round)), site: await freshService(system) })) /
    1000;
  return { 's new client': await connect(), s: await connect() };
}

/** How many there have to be for so many rounds. */
export const onionsFor = (rounds: number): OnionShape => ({ services: 2 * rounds + 1, visitors: rounds });

function onionRow(streams: number): Row {
  return {
    name: `onion-${streams}`,
    better: 'higher',
    wanted: [wantRatio('MB/s', '>=', 1.5), CPU],
    async run(system, sizes) {
      const site = visited.get(system) ?? (await freshService(system));
      visited.set(system, site);
      const way = { proxy: system.network.proxy(CLIENT), site };
      return measureTransfer(system, { client: CLIENT, way, streams, work: download, onion: true }, sizes);
    },
  };
}

async function firstBytes(way: Way, count: number): Promise<number[]> {
  for (let i = 0; i < 3; i++) await firstByte(way);
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push(await firstByte(way));
  return times;
}

/** First bytes on a circuit of its own, idle first, then while another of the same client carries all it can. */
async function besideBulk(system: System, count: number): Promise<Figures> {
  const quick = wayOf(system, CLIENT, 'quick');
  const bulkWay = wayOf(system, CLIENT, 'bulk');
  await download(bulkWay, 100_000);
  const idle = quantile(await firstBytes(quick, count), 0.5);
  let going = true;
  const bulk = (async () => {
    while (going) await download(bulkWay, 10_000_000);
  })();
  // It is waited for below, and may fail before.
  bulk.catch(() => {});
  // The other's window has grown.
  await download(bulkWay, 1_000_000);
  const times = await firstBytes(quick, count).finally(() => {
    going = false;
  });
  await bulk;
  const p50 = quantile(times, 0.5);
  return { 'x idle': p50 / idle, 'ms p50': p50, 'ms p95': quantile(times, 0.95), 'ms p50 idle': idle };
}

/** What was warmed up, of which network. */
const warmed = new Map<string, WeakSet<System>>();

/**
 * Does the work of a row before it counts, once on each network, the same number of times on all: what is measured is a
 * network that has been up for some time, as networks are. The rows that say `cold` show the first of it.
 */
async function warmUp(what: string, system: System, work: () => Promise<unknown>): Promise<void> {
  const done = warmed.get(what) ?? new WeakSet();
  warmed.set(what, done);
  if (done.has(system)) return;
  done.add(system);
  await work();
}

/** In sequence and at once, a hundred at a time. */
const warmCircuits = (system: System, { warm, count }: Sizes): Promise<void> =>
  warmUp('circuits', system, async () => {
    for (let made = 0; made < warm; made += 2 * count) {
      await inSequence(system, count);
      await atOnce(system, count);
    }
  });

const warmStreams = (system: System, { warm }: Sizes): Promise<void> =>
  warmUp('streams', system, () => firstBytes(wayOf(system, CLIENT), warm));

async function inSequence(system: System, count: number): Promise<Figures> {
  const builder = await system.builders.get();
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await builder.build();
    times.push(performance.now() - start);
  }
  await builder.clear();
  return { 'ms p50': quantile(times, 0.5), 'ms p95': quantile(times, 0.95) };
}

async function atOnce(system: System, count: number): Promise<Figures> {
  const builder = await system.builders.get();
  const start = performance.now();
  await Promise.all(Array.from({ length: count }, () => builder.build()));
  const seconds = (performance.now() - start) / 1000;
  await builder.clear();
  return { 'circuits/s': count / seconds };
}

/** The largest node of each role. */
async function memory(system: System): Promise<Figures> {
  const most = (pick: (name: string) => boolean) =>
    Math.max(...system.pidsOf(pick).map((pid) => residentMegabytes(pid)));
  return {
    'MB relay': most((name) => name.startsWith('relay')),
    'MB exit': most((name) => name.startsWith('exit')),
    'MB authority': most((name) => name.startsWith('auth')),
    'MB client': most((name) => name === CLIENT),
    'MB host': most((name) => name === HOST),
  };
}

const memoryRow = (name: string): Row => ({
  name,
  better: 'lower',
  wanted: [wantRatio('MB relay', '<=', 1.5), wantRatio('MB exit', '<=', 1.5)],
  times: 1,
  run: memory,
});

async function oneByOne(system: System, count: number): Promise<Figures> {
  const times = await firstBytes(wayOf(system, CLIENT), count);
  return { 'ms p50': quantile(times, 0.5), 'ms p95': quantile(times, 0.95) };
}

/** The first of their kind on a network, one run of each: nothing is wanted of them. */
const coldRow = (name: string, better: RowKind['better'], run: Row['run']): Row => ({
  ...{ name: `${name}-cold`, better, wanted: [], times: 1, run },
});

/** All rows; the first of memory is before any load, the last after all of it. */
export const ROWS: readonly Row[] = [
  memoryRow('memory-idle'),
  coldRow('circuit-build', 'lower', (system, { count }) => inSequence(system, count)),
  coldRow('circuits-at-once', 'higher', (system, { count }) => atOnce(system, count)),
  {
    name: 'circuit-build',
    better: 'lower',
    wanted: [wantRatio('ms p50', '<=', 1)],
    async run(system, sizes) {
      await warmCircuits(system, sizes);
      return inSequence(system, sizes.count);
    },
  },
  {
    name: 'circuits-at-once',
    better: 'higher',
    wanted: [wantRatio('circuits/s', '>=', 1)],
    async run(system, sizes) {
      await warmCircuits(system, sizes);
      return atOnce(system, sizes.count);
    },
  },
  coldRow('first-byte', 'lower', (system, { count }) => oneByOne(system, count)),
  {
    name: 'first-byte',
    better: 'lower',
    wanted: [wantRatio('ms p50', '<=', 0.8)],
    async run(system, sizes) {
      await warmStreams(system, sizes);
      return oneByOne(system, sizes.count);
    },
  },
  {
    name: 'first-byte-beside-bulk',
    better: 'lower',
    wanted: [{ figure: 'x idle', of: 'figure', sign: '<=', value: 2 }],
    run: (system, { count }) => besideBulk(system, count),
  },
  transferRow('download-1', 1, download, 1.5),
  transferRow('download-4', 4, download, 1.5),
  transferRow('download-16', 16, download, 1.5),
  transferRow('upload-1', 1, upload, 1.3),
  {
    name: 'onion-first',
    better: 'lower',
    wanted: [wantRatio('s new client', '<=', 0.5), wantRatio('s', '<=', 0.5)],
    run: (system, _, round) => firstConnections(system, round),
  },
  onionRow(1),
  onionRow(4),
  mixedRow('mixed-download', download),
  mixedRow('mixed-upload', upload),
  memoryRow('memory-loaded'),
];
