/**
 * A node of a testnet as a child process.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { NodeEvent } from '../shared/runtime/env.js';
import type { NodePlan } from './plan.js';
import { hear, REPORT_FD } from './process/pipe.js';

/** The program a node runs: `node ENTRY ROLE -f TORRC`. */
export const NODE_ENTRY = fileURLToPath(new URL('../../testnet/bin/node.cjs', import.meta.url));

/** The bundle this process runs (testnet/bin/start.cjs), for a child to run the same without looking for it. */
function bundleOf(self: object): Record<string, string> {
  const name: unknown = Reflect.get(self, Symbol.for('cepa.bundle'));
  return typeof name === 'string' ? { CEPA_BUNDLE: name } : {};
}

/** Milliseconds a node has to end in order. */
const GRACE = 3_000;

/** How a process ended. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a child is started with. */
export interface ChildSpec {
  readonly plan: NodePlan;
  readonly entry: string;
  readonly torrc: string;
  /** Takes what the process writes to stdout and stderr: next to nothing, its log goes elsewhere. */
  readonly output: string;
  heard(event: NodeEvent): void;
  ended(end: ChildEnd): void;
}

/** A running node. */
export class NodeChild {
  readonly plan: NodePlan;
  readonly pid: number;
  private readonly child: ChildProcess;
  private readonly output: string;
  /** Set once the process is gone. */
  end: ChildEnd | undefined;
  private readonly gone: Promise<void>;

  constructor(spec: ChildSpec) {
    this.plan = spec.plan;
    this.output = spec.output;
    const output = openSync(spec.output, 'a', 0o600);
    try {
      this.child = spawn(process.execPath, [spec.entry, spec.plan.role, '-f', spec.torrc], {
        stdio: ['ignore', output, output, 'pipe'],
        // Certificate authorities, which Node would read at each start, have no say in Tor's links.
        env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined, ...bundleOf(process), [REPORT_FD]: '3' },
      });
    } finally {
      closeSync(output);
    }
    this.pid = this.child.pid ?? 0;
    hear(
      this.child.stdio[3] as Readable,
      (event) => spec.heard(event),
      () => void this.kill(),
    );
    this.gone = new Promise((resolve) => {
      const finish = (end: ChildEnd) => {
        if (this.end) return;
        this.end = end;
        spec.ended(end);
        resolve();
      };
      this.child.once('exit', (code, signal) => finish({ code, signal }));
      this.child.once('error', () => finish({ code: 127, signal: null }));
    });
  }

  /** At once, as a crash would. Resolves when the process is gone. */
  kill(): Promise<void> {
    if (!this.end) this.child.kill('SIGKILL');
    return this.gone;
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.end) this.child.kill(signal);
  }

  /** In order, and by force when that takes too long. Resolves when the process is gone. */
  async stop(): Promise<void> {
    if (this.end) return;
    this.child.kill('SIGTERM');
    const force = setTimeout(() => void this.kill(), GRACE);
    await this.gone;
    clearTimeout(force);
  }

  /** The last lines the process wrote, for an error message. */
  lastWords(lines = 8): string {
    try {
      return readFileSync(this.output, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
    } catch {
      return '';
    }
  }
}
