/**
 * A real C tor as a node of a test network: its keys, its torrc, its process, its log.
 *
 * @module
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CepaError } from '../../shared/bytes/errors.js';
import type { NodePlan } from '../plan.js';
import type { AuthorityIdentity } from '../torrc-of.js';
import { TorControl } from './control.js';
import { findProgram } from './find-program.js';

const run = promisify(execFile);

/** What every C tor of a test says besides what its role does. */
const ownLines = (folder: string): string[] => [
  'RunAsDaemon 0',
  `Log info file ${join(folder, 'info.log')}`,
  'SafeLogging 0',
  'ProtocolWarnings 1',
  `ControlSocket ${join(folder, 'control')}`,
  'CookieAuthentication 1',
  // It goes when the tests do, however they end.
  `__OwningControllerProcess ${process.pid}`,
];

/** Instead of the system's torrc; tor takes nothing but regular files. */
function emptyFile(folder: string): string {
  const path = join(folder, 'torrc-defaults');
  writeFileSync(path, '');
  return path;
}

/** Makes the keys of a C tor authority in its data directory. */
export async function identifyTorAuthority(node: NodePlan, folder: string): Promise<AuthorityIdentity> {
  const keys = join(folder, 'keys');
  mkdirSync(keys, { recursive: true, mode: 0o700 });
  const address = `${node.address}:${node.dirPort}`;
  const passphrase = join(folder, 'passphrase');
  writeFileSync(passphrase, 'test\n');
  // The program opens /dev/tty unless it is told of a descriptor.
  await run(
    '/bin/sh',
    [
      '-c',
      `exec "$0" --create-identity-key -m 12 -a ${address} --passphrase-fd 0 < "$1"`,
      findProgram('tor-gencert')!,
      passphrase,
    ],
    { cwd: keys },
  );
  const certificate = readFileSync(join(keys, 'authority_certificate'), 'latin1');
  const nothing = emptyFile(folder);
  const { stdout } = await run(findProgram('tor')!, [
    ...['--list-fingerprint', '--quiet', '-f', nothing, '--defaults-torrc', nothing],
    ...['--DataDirectory', folder, '--Nickname', node.name, '--ORPort', `${node.address}:${node.orPort}`],
    ...['--Address', node.address, '--SocksPort', '0'],
  ]);
  return {
    v3ident: /^fingerprint ([0-9A-F]{40})$/m.exec(certificate)![1]!,
    fingerprint: /((?:[0-9A-F]{4} ?){10})\s*$/m.exec(stdout)![1]!.replaceAll(' ', ''),
  };
}

/** Processes that run. A tor looks for its owning controller only now and then, and a busy one may miss that it is gone. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** One `tor` process. */
export class TorNode {
  readonly plan: NodePlan;
  readonly folder: string;
  private child: ChildProcess | undefined;
  private controller: TorControl | undefined;

  constructor(plan: NodePlan, folder: string) {
    this.plan = plan;
    this.folder = folder;
  }

  /** Starts it with a torrc of these lines and what every test says. */
  start(lines: string): void {
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    const torrc = join(this.folder, 'torrc');
    writeFileSync(torrc, [lines, ...ownLines(this.folder), ''].join('\n'));
    const child = spawn(findProgram('tor')!, ['-f', torrc, '--defaults-torrc', emptyFile(this.folder)], {
      stdio: 'ignore',
    });
    running.add(child);
    child.once('exit', () => running.delete(child));
    this.child = child;
  }

  /** Its process id; 0 before the start. */
  get pid(): number {
    return this.child?.pid ?? 0;
  }

  get running(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  private read(name: string): string {
    const path = join(this.folder, name);
    return existsSync(path) ? readFileSync(path, 'latin1') : '';
  }

  /** Its log at level notice. */
  get log(): string {
    return this.read('notice.log');
  }

  /** Its log at level info. */
  get infoLog(): string {
    return this.read('info.log');
  }

  /** The texts of warnings and errors. */
  get warnings(): string[] {
    return [...this.log.matchAll(/^.*? \[(?:warn|err)\] (.*)$/gm)].map(([, text]) => text!);
  }

  /** Its control port. */
  async control(): Promise<TorControl> {
    this.controller ??= await this.retry(() => TorControl.connect(this.folder));
    return this.controller;
  }

  /** Waits until it is done with its start, and counts how long it has been up. */
  async isUp(): Promise<void> {
    const control = await this.control();
    await this.retry(async () => {
      const [uptime] = await control.info('uptime');
      if (Number(uptime) < 1) throw new CepaError('interop', `${this.plan.name} is still starting`);
    });
  }

  /** Waits until its consensus lists these relays (fingerprints). */
  async knows(relays: readonly string[]): Promise<void> {
    const control = await this.control();
    for (const id of relays) await this.retry(() => control.command(`GETINFO ns/id/${id}`));
  }

  private async retry<T>(attempt: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        return await attempt();
      } catch (error) {
        if (tries > 1500 || !this.running) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }

  /** Waits until it says that it is bootstrapped. */
  async bootstrapped(timeout = 300_000): Promise<void> {
    const until = performance.now() + timeout;
    while (!this.log.includes('Bootstrapped 100%')) {
      if (!this.running || performance.now() > until)
        throw new CepaError('interop', `${this.plan.name} did not bootstrap:\n${this.log.slice(-4000)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async stop(): Promise<void> {
    this.controller?.close();
    const { child } = this;
    if (!child || !this.running) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
}
