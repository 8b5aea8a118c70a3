/**
 * `npm run bench:cost`: the cost sheet of a relayed cell. One circuit of three hops carries data while `perf` samples its
 * four processes; what each was at is added up by part, and comes out as CPU nanoseconds a cell.
 *
 * ```
 * node cost.js [--kind down|up] [--streams 1] [--mb 600] [--warm 400]
 * ```
 *
 * Needs Linux's `perf` (Debian: linux-perf) and the right to use it.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { RELAY_DATA_SIZE } from '../shared/cell/commands.js';
import { type CostPart, PARTS, partOf, StackReader } from './cost-parts.js';
import { type Part, Path, THIS_BUILD } from './three-hops.js';

const { values } = parseArgs({
  options: {
    kind: { type: 'string', default: 'down' },
    streams: { type: 'string', default: '1' },
    mb: { type: 'string', default: '600' },
    warm: { type: 'string', default: '400' },
  },
});

/** Where V8 leaves the names of functions, and `perf` looks for them. */
const MAPS = '/tmp';
/** Stacks a second; not a round number, so that it keeps step with no timer. */
const RATE = 1999;

const kind = values.kind === 'up' ? 'up' : 'down';
const streams = Number(values.streams);

/** Has `perf` write to a file while `work` runs. */
async function recorded(pids: readonly number[], file: string, work: () => Promise<void>): Promise<void> {
  const args = ['record', '-q', '-g', '-F', String(RATE), '-o', file, '-p', pids.join(',')];
  const perf = spawn('perf', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const over = once(perf, 'exit').catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' ? new Error('perf is not installed (Debian: linux-perf)') : error;
  });
  await Promise.race([work(), over.then(() => Promise.reject(new Error('perf ended before its time')))]);
  perf.kill('SIGINT');
  await over;
}

/** Samples of each process by part. */
async function samples(file: string): Promise<Map<number, Map<CostPart, number>>> {
  const found = new Map<number, Map<CostPart, number>>();
  const reader = new StackReader((pid, stack) => {
    const parts = found.get(pid) ?? new Map<CostPart, number>();
    found.set(pid, parts);
    const part = partOf(stack);
    parts.set(part, (parts.get(part) ?? 0) + 1);
  });
  const script = spawn('perf', ['script', '-i', file, '-F', 'pid,ip,sym'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  for await (const line of createInterface(script.stdout)) reader.line(line);
  reader.end();
  return found;
}

const folder = mkdtempSync(join(tmpdir(), 'cepa-cost-'));
const path = new Path(THIS_BUILD, () => ['--perf-basic-prof']);
try {
  await path.start(101);
  await path.transfer(kind, Number(values.warm), streams);
  const pids = new Map<Part, number>([...path.children].map(([part, child]) => [part, child.pid!]));
  const file = join(folder, 'perf.data');
  let figures: Record<string, number> = {};
  await recorded([...pids.values()], file, async () => {
    figures = await path.transfer(kind, Number(values.mb), streams);
  });
  const found = await samples(file);
  const columns: Part[] = ['client', 'guard', 'middle', 'exit'];
  const nanoseconds = (part: Part, what: CostPart) => {
    const parts = found.get(pids.get(part)!) ?? new Map<CostPart, number>();
    const all = [...parts.values()].reduce((sum, count) => sum + count, 0);
    return ((parts.get(what) ?? 0) / all) * figures[part]! * RELAY_DATA_SIZE;
  };
  console.log(`${kind}, ${streams} streams, ${figures['MB/s']!.toFixed(0)} MB/s, CPU ns a cell`);
  console.log(`| part | ${columns.join(' | ')} |`);
  console.log(`| --- |${' --- |'.repeat(columns.length)}`);
  for (const what of PARTS)
    console.log(`| ${what} | ${columns.map((part) => nanoseconds(part, what).toFixed(0)).join(' | ')} |`);
  console.log(
    `| all | ${columns.map((part) => (figures[part]! * RELAY_DATA_SIZE).toFixed(0)).join(' | ')} |`,
  );
} finally {
  await path.stop();
  for (const child of path.children.values()) rmSync(join(MAPS, `perf-${child.pid}.map`), { force: true });
  rmSync(folder, { recursive: true, force: true });
}
