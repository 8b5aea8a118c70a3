/**
 * Real `tor` processes on loopback, for interop tests: data directories, authority keys, torrc files.
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where a program is, if it is installed. */
function find(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/bin'];
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

/** Why interop tests cannot run here; undefined if they can. */
export function missingTor(): string | undefined {
  for (const program of ['tor', 'tor-gencert']) if (!find(program)) return `${program} is not installed`;
  return undefined;
}

/** One `tor`. */
export class TorProcess {
  readonly nickname: string;
  readonly address: string;
  readonly folder: string;
  readonly fingerprint: string;
  /** Of an authority. */
  readonly v3ident: string | undefined;
  private child: ChildProcess | undefined;

  /** Makes keys and folder; `authority` also those of an authority. */
  constructor(root: string, nickname: string, address: string, authority: boolean) {
    this.nickname = nickname;
    this.address = address;
    this.folder = join(root, nickname);
    mkdirSync(join(this.folder, 'keys'), { recursive: true, mode: 0o700 });
    this.v3ident = authority ? this.makeAuthorityKeys() : undefined;
    this.fingerprint = this.askFingerprint();
  }

  private makeAuthorityKeys(): string {
    const keys = join(this.folder, 'keys');
    execFileSync(
      find('tor-gencert')!,
      ['--create-identity-key', '-m', '12', '-a', `${this.address}:9030`, '--passphrase-fd', '0'],
      { cwd: keys, input: 'secret\n', stdio: ['pipe', 'ignore', 'pipe'] },
    );
    const certificate = readFileSync(join(keys, 'authority_certificate'), 'latin1');
    return /^fingerprint ([0-9A-F]{40})$/m.exec(certificate)![1]!;
  }

  private askFingerprint(): string {
    const torrc = join(this.folder, 'torrc-fingerprint');
    writeFileSync(
      torrc,
      [`Nickname ${this.nickname}`, 'ORPort 9001', 'SocksPort 0', 'Log err stderr'].join('\n'),
    );
    const out = execFileSync(
      find('tor')!,
      [
        '--list-fingerprint',
        '-f',
        torrc,
        '--DataDirectory',
        this.folder,
        '--Address',
        this.address,
        '--quiet',
      ],
      { encoding: 'latin1', stdio: ['ignore', 'pipe', 'pipe'] },
    );
    return /((?:[0-9A-F]{4} ?){10})\s*$/m.exec(out)![1]!.replaceAll(' ', '');
  }

  /** The DirAuthority line of an authority. */
  get line(): string {
    return `DirAuthority ${this.nickname} orport=9001 v3ident=${this.v3ident} ${this.address}:9030 ${this.fingerprint}`;
  }

  start(...lines: string[]): void {
    const torrc = join(this.folder, 'torrc');
    const own = [
      `Nickname ${this.nickname}`,
      `DataDirectory ${this.folder}`,
      `Address ${this.address}`,
      `ORPort ${this.address}:9001`,
      `OutboundBindAddress ${this.address}`,
      'SocksPort 0',
      'RunAsDaemon 0',
      `Log info file ${join(this.folder, 'log')}`,
      // It goes when the tests do, however they end.
      `__OwningControllerProcess ${process.pid}`,
    ];
    const authority = [
      `DirPort ${this.address}:9030`,
      'AuthoritativeDirectory 1',
      'V3AuthoritativeDirectory 1',
      'ContactInfo tor@example.com',
    ];
    writeFileSync(torrc, [...own, ...(this.v3ident ? authority : []), ...lines, ''].join('\n'));
    this.child = spawn(find('tor')!, ['-f', torrc], { stdio: 'ignore' });
  }

  /** Its log so far. */
  log(): string {
    const file = join(this.folder, 'log');
    return existsSync(file) ? readFileSync(file, 'latin1') : '';
  }

  async stop(): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
}

let places = randomInt(250);

/** A temporary folder and addresses of its own, so that tests side by side do not meet. */
export function loopbackPlace(): { root: string; address(n: number): string; remove(): void } {
  const root = mkdtempSync(join(tmpdir(), 'cepa-tor-'));
  const second = 20 + (process.pid % 200);
  const third = places++ % 250;
  return {
    root,
    address: (n) => `127.${second}.${third}.${n}`,
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}
