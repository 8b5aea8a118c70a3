/**
 * What is measured, row by row. A row is run on one network at a time; its figures go by name.
 *
 * @module
 */
import { type Builder, cepaBuilder, torBuilder } from './circuits.js';
import { quantile } from './stats.js';
import { CLIENT, GUEST, type Part, type System } from './systems.js';
import { download, firstByte, upload, type Way } from './traffic.js';
import { cpuSeconds, residentMegabytes } from './usage.js';

/** How much is done. */
export interface Sizes {
  /** Bytes of one transfer, all streams together. */
  readonly bytes: number;
  /** Circuits and first bytes of one run. */
  readonly count: number;
}

export type Figures = Readonly<Record<string, number>>;

/** One row. `better`: whether a ratio above or below 1 is ahead of C tor. */
export interface Row {
  readonly name: string;
  /** The figure that is compared, and what the issue wants of its ratio to C tor's. */
  readonly figure: string;
  readonly better: 'higher' | 'lower';
  readonly wanted: number;
  run(system: System, sizes: Sizes): Promise<Figures>;
}

const wayOf = (system: System, client: string, user?: string): Way => ({
  proxy: system.network.proxy(client),
  site: system.site,
  ...(user !== undefined && { user }),
});

async function transfer(
  system: System,
  client: string,
  streams: number,
  work: typeof download,
  bytes: number,
): Promise<Figures> {
  const way = wayOf(system, client);
  // The circuit is there, and its window has begun to grow.
  await work(way, 100_000);
  const parts = Object.entries(system.pids(client)) as [Part, readonly number[]][];
  const used = () => parts.map(([, pids]) => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0));
  const before = used();
  const start = performance.now();
  await Promise.all(Array.from({ length: streams }, () => work(way, Math.ceil(bytes / streams))));
  const seconds = (performance.now() - start) / 1000;
  const perGigabyte = used().map((now, i) => ((now - before[i]!) * 1e9) / bytes);
  return {
    'MB/s': bytes / 1e6 / seconds,
    'CPU s/GB': perGigabyte.reduce((sum, value) => sum + value, 0),
    ...Object.fromEntries(parts.map(([part], i) => [`s/GB ${part}`, perGigabyte[i]!])),
  };
}

const transferRow = (
  name: string,
  client: string,
  streams: number,
  work: typeof download,
  wanted: number,
): Row => ({
  name,
  figure: 'MB/s',
  better: 'higher',
  wanted,
  run: (system, { bytes }) => transfer(system, client, streams, work, bytes),
});

async function firstBytes(system: System, count: number, user?: string): Promise<Figures> {
  const way = wayOf(system, CLIENT, user);
  for (let i = 0; i < 3; i++) await firstByte(way);
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push(await firstByte(way));
  return { 'ms p50': quantile(times, 0.5), 'ms p95': quantile(times, 0.95) };
}

/** First bytes on one circuit while another of the same client carries all it can. */
async function besideBulk(system: System, count: number): Promise<Figures> {
  let going = true;
  const bulk = (async () => {
    while (going) await download(wayOf(system, CLIENT, 'bulk'), 10_000_000);
  })();
  try {
    return await firstBytes(system, count, 'quick');
  } finally {
    going = false;
    await bulk;
  }
}

const builders = new Map<System, Promise<Builder>>();

function builderOf(system: System): Promise<Builder> {
  const known = builders.get(system);
  if (known) return known;
  const made = system.kind === 'tor' ? torBuilder(system.network, CLIENT) : cepaBuilder(system.network);
  builders.set(system, made);
  return made;
}

/** Ends what rows keep of a network. */
export async function forget(system: System): Promise<void> {
  (await builders.get(system))?.close();
}

async function inSequence(system: System, count: number): Promise<Figures> {
  const builder = await builderOf(system);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await builder.build();
    times.push(performance.now() - start);
  }
  return { 'ms p50': quantile(times, 0.5), 'ms p95': quantile(times, 0.95) };
}

async function atOnce(system: System, count: number): Promise<Figures> {
  const builder = await builderOf(system);
  const start = performance.now();
  await Promise.all(Array.from({ length: count }, () => builder.build()));
  return { 'circuits/s': (count * 1000) / (performance.now() - start) };
}

async function memory(system: System): Promise<Figures> {
  const sizes = system.relayPids.map(residentMegabytes);
  return { 'MB least': Math.min(...sizes), 'MB most': Math.max(...sizes) };
}

/** All rows; the first of memory is before any load, the last after all of it. */
export const ROWS: readonly Row[] = [
  {
    name: 'first-fetch',
    figure: 's',
    better: 'lower',
    wanted: 0.4,
    run: async (system) => ({ s: system.firstFetch }),
  },
  { name: 'memory-idle', figure: 'MB most', better: 'lower', wanted: 1.5, run: memory },
  transferRow('download-1', CLIENT, 1, download, 1.5),
  transferRow('download-4', CLIENT, 4, download, 1.5),
  transferRow('download-16', CLIENT, 16, download, 1.5),
  transferRow('upload-1', CLIENT, 1, upload, 1.3),
  {
    name: 'circuit-build',
    figure: 'ms p50',
    better: 'lower',
    wanted: 1,
    run: (system, { count }) => inSequence(system, count),
  },
  {
    name: 'circuits-at-once',
    figure: 'circuits/s',
    better: 'higher',
    wanted: 1,
    run: (system, { count }) => atOnce(system, count),
  },
  {
    name: 'first-byte',
    figure: 'ms p50',
    better: 'lower',
    wanted: 0.8,
    run: (system, { count }) => firstBytes(system, count),
  },
  {
    name: 'first-byte-beside-bulk',
    figure: 'ms p50',
    better: 'lower',
    wanted: 1,
    run: (system, { count }) => besideBulk(system, count),
  },
  transferRow('mixed-download', GUEST, 1, download, 1),
  transferRow('mixed-upload', GUEST, 1, upload, 1),
  { name: 'memory-loaded', figure: 'MB most', better: 'lower', wanted: 1.5, run: memory },
];
