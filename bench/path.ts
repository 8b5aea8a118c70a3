/**
 * `npm run bench:path`: one circuit of three hops, so that the data path alone can be measured and profiled.
 *
 * ```
 * node path.js [--mb 100] [--rounds 3] [--streams 1] [--kinds down,up,ttfb] [--builds DIR,DIR] [--profile DIR] [--node FLAGS]
 * ```
 *
 * `--builds` takes other compiled trees and runs them in turn, A B A B; `links` among them is a path of pipes (`pipe.ts`)
 * instead of relays: what is left without cells. `--profile` writes a CPU profile a process; `--node` gives
 * flags of Node's to every process of the path.
 *
 * @module
 */
import { parseArgs } from 'node:util';
import { median } from './stats.js';
import { type Part, Path, THIS_BUILD } from './three-hops.js';
import { download, firstByte, upload } from './traffic.js';
import { residentMegabytes } from './usage.js';

const { values } = parseArgs({
  options: {
    mb: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '3' },
    streams: { type: 'string', default: '1' },
    kinds: { type: 'string', default: 'down,up,ttfb' },
    builds: { type: 'string', default: THIS_BUILD },
    profile: { type: 'string' },
    node: { type: 'string', default: '' },
  },
});

const mb = Number(values.mb);
const streams = Number(values.streams);

function flags(part: Part): string[] {
  const given = values.node.split(' ').filter((flag) => flag !== '');
  if (values.profile === undefined) return given;
  return [
    ...given,
    '--cpu-prof',
    '--cpu-prof-interval',
    '500',
    `--cpu-prof-dir=${values.profile}`,
    `--cpu-prof-name=${part}.cpuprofile`,
  ];
}

async function firstBytes(path: Path): Promise<Record<string, number>> {
  const times: number[] = [];
  for (let i = 0; i < 50; i++) times.push(await firstByte(path.way));
  return { 'ms p50': median(times) };
}

const show = (figures: Record<string, number>) =>
  Object.entries(figures)
    .map(([name, value]) => `${name} ${value.toFixed(value < 10 ? 2 : 1)}`)
    .join('  ');

const paths = values.builds.split(',').map((name) => new Path(name, flags));
for (const [i, path] of paths.entries()) {
  await path.start(101 + i * 3);
  // Compiled code, grown windows.
  await download(path.way, 30e6);
  await upload(path.way, 30e6);
}
const results = new Map<string, Record<string, number>[]>();
for (let round = 0; round < Number(values.rounds); round++)
  for (const kind of values.kinds.split(','))
    for (const path of paths) {
      const figures =
        kind === 'ttfb'
          ? await firstBytes(path)
          : await path.transfer(kind === 'up' ? 'up' : 'down', mb, streams);
      const key = `${kind} ${path.name}`;
      results.set(key, [...(results.get(key) ?? []), figures]);
    }
for (const [key, rows] of [...results].sort()) {
  const medians = Object.keys(rows[0]!).map((name) => [name, median(rows.map((row) => row[name]!))] as const);
  console.log(key, show(Object.fromEntries(medians)));
}
for (const path of paths) {
  const memory = [...path.children].map(
    ([part, child]) => `${part} ${residentMegabytes(child.pid!).toFixed(0)}`,
  );
  console.log(`resident MB ${path.name}`, memory.join('  '));
  await path.stop();
}
