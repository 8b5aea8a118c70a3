/**
 * `npm run bench:path`: one circuit of three hops, every node a process, without directories: up in a second, so that
 * the data path alone can be measured and profiled.
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
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { NetAddress } from '../shared/runtime/types.js';
import type { HopAddress } from './hop-address.js';
import { median } from './stats.js';
import { download, firstByte, upload, type Way } from './traffic.js';
import { cpuTimes, residentMegabytes } from './usage.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const { values } = parseArgs({
  options: {
    mb: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '3' },
    streams: { type: 'string', default: '1' },
    kinds: { type: 'string', default: 'down,up,ttfb' },
    builds: { type: 'string', default: here('..') },
    profile: { type: 'string' },
    node: { type: 'string', default: '' },
  },
});

const ROLES = ['guard', 'middle', 'exit'] as const;
/** In place of a build: nothing but links. */
const LINKS = 'links';
type Part = (typeof ROLES)[number] | 'client';

const told = async <T>(child: ChildProcess): Promise<T> => (await once(child, 'message'))[0] as T;

/** A path of one build. */
class Path {
  readonly name: string;
  readonly children = new Map<Part, ChildProcess>();
  way!: Way;
  private site: ChildProcess | undefined;

  constructor(name: string) {
    this.name = name;
  }

  async start(base: number): Promise<void> {
    this.site = fork(here('./site.js'), ['127.0.0.1']);
    const site = { host: '127.0.0.1', port: await told<number>(this.site) };
    const proxy = await (this.name === LINKS ? this.startPipes(base, site) : this.startRelays(base));
    this.way = { proxy, site };
  }

  private async startRelays(base: number): Promise<NetAddress> {
    const hop = join(this.name, 'bench', 'hop.js');
    const path: HopAddress[] = [];
    for (const [i, role] of ROLES.entries())
      path.push(await told(this.run(role, hop, ['relay', `127.${base + i}.0.1`, String(20_000 + base)])));
    return told(this.run('client', hop, ['client', JSON.stringify(path)]));
  }

  /** From the far end on, since each connects to the next. */
  private async startPipes(base: number, site: NetAddress): Promise<NetAddress> {
    let next = site;
    for (const [i, role] of [...ROLES.entries()].reverse()) {
      const args = [
        'tls',
        `127.${base + i}.0.1`,
        next === site ? 'tcp' : 'tls',
        next.host,
        String(next.port),
      ];
      next = await told(this.run(role, here('./pipe.js'), args));
    }
    const args = ['socks', '127.0.0.1', 'tls', next.host, String(next.port)];
    return told(this.run('client', here('./pipe.js'), args));
  }

  private run(part: Part, module: string, args: string[]): ChildProcess {
    const flags = values.node.split(' ').filter((flag) => flag !== '');
    const execArgv =
      values.profile === undefined
        ? flags
        : [
            ...flags,
            '--cpu-prof',
            '--cpu-prof-interval',
            '500',
            `--cpu-prof-dir=${values.profile}`,
            `--cpu-prof-name=${part}.cpuprofile`,
          ];
    const child = fork(module, args, { execArgv });
    this.children.set(part, child);
    return child;
  }

  cpu(): Map<Part, { user: number; system: number }> {
    return new Map([...this.children].map(([part, child]) => [part, cpuTimes(child.pid!)]));
  }

  async stop(): Promise<void> {
    this.site?.disconnect();
    for (const child of this.children.values()) {
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    }
  }
}

const mb = Number(values.mb);
const streams = Number(values.streams);

async function transfer(path: Path, kind: string): Promise<Record<string, number>> {
  const before = path.cpu();
  const start = performance.now();
  const work = kind === 'down' ? download : upload;
  await Promise.all(Array.from({ length: streams }, () => work(path.way, Math.floor((mb * 1e6) / streams))));
  const seconds = (performance.now() - start) / 1000;
  const figures: Record<string, number> = { 'MB/s': mb / seconds, 's/GB': 0, user: 0, system: 0 };
  for (const [part, now] of path.cpu()) {
    const user = ((now.user - before.get(part)!.user) * 1000) / mb;
    const system = ((now.system - before.get(part)!.system) * 1000) / mb;
    figures[part] = user + system;
    figures['s/GB']! += user + system;
    figures.user! += user;
    figures.system! += system;
  }
  return figures;
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

const paths = values.builds.split(',').map((name) => new Path(name));
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
      const figures = kind === 'ttfb' ? await firstBytes(path) : await transfer(path, kind);
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
