/**
 * One circuit of three hops, every node a process, without directories: up in a second.
 *
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NetAddress } from '../shared/runtime/types.js';
import type { HopAddress } from './hop-address.js';
import { download, upload, type Way } from './traffic.js';
import { cpuTimes } from './usage.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The compiled tree this module is part of. */
export const THIS_BUILD = here('..');

const ROLES = ['guard', 'middle', 'exit'] as const;
/** In place of a build: nothing but links (`pipe.ts`). */
const LINKS = 'links';

/** A process of the path. */
export type Part = (typeof ROLES)[number] | 'client';

const told = async <T>(child: ChildProcess): Promise<T> => (await once(child, 'message'))[0] as T;

/** A path of one build. */
export class Path {
  readonly name: string;
  readonly children = new Map<Part, ChildProcess>();
  way!: Way;
  private readonly flags: (part: Part) => string[];
  private site: ChildProcess | undefined;

  /** `flags`: Node's, for each process. */
  constructor(name: string, flags: (part: Part) => string[] = () => []) {
    this.name = name;
    this.flags = flags;
  }

  /** Starts the processes at 127.BASE.0.1 and the two addresses after it. */
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
    const child = fork(module, args, { execArgv: this.flags(part) });
    this.children.set(part, child);
    return child;
  }

  private cpu(): Map<Part, { user: number; system: number }> {
    return new Map([...this.children].map(([part, child]) => [part, cpuTimes(child.pid!)]));
  }

  /** Moves `mb` megabytes in `streams` streams: MB/s, and CPU seconds per gigabyte, in all and of each process. */
  async transfer(kind: 'down' | 'up', mb: number, streams: number): Promise<Record<string, number>> {
    const before = this.cpu();
    const start = performance.now();
    const work = kind === 'down' ? download : upload;
    await Promise.all(
      Array.from({ length: streams }, () => work(this.way, Math.floor((mb * 1e6) / streams))),
    );
    const seconds = (performance.now() - start) / 1000;
    const figures: Record<string, number> = { 'MB/s': mb / seconds, 's/GB': 0, user: 0, system: 0 };
    for (const [part, now] of this.cpu()) {
      const user = ((now.user - before.get(part)!.user) * 1000) / mb;
      const system = ((now.system - before.get(part)!.system) * 1000) / mb;
      figures[part] = user + system;
      figures['s/GB']! += user + system;
      figures.user! += user;
      figures.system! += system;
    }
    return figures;
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
