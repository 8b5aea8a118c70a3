import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';

/** `cepa`, as compiled beside this test. */
const CLI = join(dirname(fileURLToPath(import.meta.url)), '..', 'cli.js');
const AUTHORITY = `a orport=1 v3ident=${'A'.repeat(40)} 127.0.0.1:2 ${'B'.repeat(40)}`;

function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cepa-run-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

interface Run {
  readonly child: ChildProcess;
  text(): string;
  /** Resolves once the output has this, or the process is gone. */
  says(part: string): Promise<void>;
  readonly ended: Promise<number | null>;
}

function cepa(t: ExecutionContext, ...args: string[]): Run {
  const script = `const { main } = await import(${JSON.stringify(CLI)}); await main(process.argv.slice(1));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let text = '';
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk) => {
      text += chunk;
      for (const look of waiting) look();
    });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const says = (part: string) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (text.includes(part)) resolve();
      };
      waiting.add(look);
      look();
      void ended.then(() => resolve());
    });
  return { child, text: () => text, says, ended };
}

/** A client that tries to reach an authority which is not there: it starts, and goes on trying. */
const client = (t: ExecutionContext, data: string, ...more: string[]) =>
  cepa(
    t,
    'client',
    '--DataDirectory',
    data,
    '--DirAuthority',
    AUTHORITY,
    '--SocksPort',
    '127.0.0.1:auto',
    ...more,
  );

test('a node starts, holds its directory, writes its PidFile, and ends on SIGTERM with 0', async (t) => {
  const directory = scratch(t);
  const data = join(directory, 'data');
  const pidFile = join(directory, 'pid');
  const run = client(t, data, '--PidFile', pidFile);
  await run.says('Listening for SOCKS on 127.0.0.1:');
  t.regex(run.text(), /\[notice\] Listening for SOCKS/, run.text());
  t.is(readFileSync(pidFile, 'utf8'), `${run.child.pid}\n`);

  const second = client(t, data);
  t.is(await second.ended, 1);
  t.true(second.text().includes(`${data} is in use by process ${run.child.pid}`), second.text());

  run.child.kill('SIGHUP');
  await run.says('configuration read');
  t.regex(run.text(), /SIGHUP: configuration read; nothing to change/);

  run.child.kill('SIGTERM');
  t.is(await run.ended, 0, run.text());
  t.false(existsSync(pidFile));
  t.false(existsSync(join(data, 'lock')));
});

test('SIGHUP names what needs a restart, and keeps the old configuration when the new one is wrong', async (t) => {
  const directory = scratch(t);
  const torrc = join(directory, 'torrc');
  const write = (more: string) =>
    writeFileSync(
      torrc,
      `DataDirectory ${directory}/data\nDirAuthority ${AUTHORITY}\nSocksPort 127.0.0.1:auto\n${more}\n`,
    );
  write('');
  const run = cepa(t, 'client', '-f', torrc);
  await run.says('Listening for SOCKS');
  write('MaxCircuitDirtiness 5 minutes');
  run.child.kill('SIGHUP');
  await run.says('A restart is needed');
  t.regex(run.text(), /A restart is needed for a change of MaxCircuitDirtiness\./);
  write('Bogus 1');
  run.child.kill('SIGHUP');
  await run.says('the old one stays');
  t.regex(run.text(), /unknown option/);
  run.child.kill('SIGINT');
  t.is(await run.ended, 0);
});

test('SIGHUP amid the start is heard after it', async (t) => {
  const directory = scratch(t);
  const torrc = join(directory, 'torrc');
  const lines = [
    `DataDirectory ${directory}/data`,
    `DirAuthority ${AUTHORITY}`,
    'TestingTorNetwork 1',
    'ORPort 127.0.0.1:auto',
    'Address 127.0.0.1',
  ];
  writeFileSync(torrc, lines.join('\n'));
  const run = cepa(t, 'relay', '-f', torrc);
  await run.says('Cepa relay starts');
  writeFileSync(torrc, [...lines, 'ContactInfo new'].join('\n'));
  run.child.kill('SIGHUP');
  await run.says('configuration read');
  t.regex(run.text(), /SIGHUP: configuration read; changed ContactInfo\./);
  run.child.kill('SIGKILL');
  await run.ended;
});

test('a relay with a thread for its links opens its port, and ends on SIGTERM with 0', async (t) => {
  const data = join(scratch(t), 'data');
  const options = ['--TestingTorNetwork', '1', '--ORPort', '127.0.0.1:auto', '--Address', '127.0.0.1'];
  const run = cepa(
    t,
    'relay',
    '--DataDirectory',
    data,
    '--DirAuthority',
    AUTHORITY,
    '--NumCPUs',
    '2',
    ...options,
  );
  await run.says('Listening for onion routing on 127.0.0.1:');
  run.child.kill('SIGTERM');
  t.is(await run.ended, 0, run.text());
});

test('a configuration that cannot be used ends with 2 and says everything', async (t) => {
  const run = cepa(t, 'relay', '--Nicknam', 'x', '--DirCache', 'perhaps');
  t.is(await run.ended, 2);
  t.regex(run.text(), /did you mean Nickname\?/);
  t.regex(run.text(), /DirCache: "perhaps" is neither 0 nor 1/);
  t.regex(run.text(), /a relay needs an ORPort/);
});

test('a PidFile that cannot be written is an error that says why', async (t) => {
  const directory = scratch(t);
  for (const file of ['/proc/pid', join(directory, 'none', 'pid')]) {
    const run = client(t, join(directory, 'data'), '--PidFile', file);
    t.is(await run.ended, 1);
    t.true(
      run
        .text()
        .endsWith(`cepa: ${file}: could not be written: its directory is not there, or takes no files; \
make it, or choose another place\n`),
      run.text(),
    );
    t.false(existsSync(join(directory, 'data', 'lock')));
  }
});

test('--verify-config, --version, help, and a mistyped command', async (t) => {
  const data = join(scratch(t), 'data');
  const good = client(t, data, '--verify-config');
  t.is(await good.ended, 0);
  t.is(good.text(), 'Configuration was valid\n');
  t.false(existsSync(data));

  const bad = cepa(t, 'client', '--verify-config');
  t.is(await bad.ended, 2);
  t.regex(bad.text(), /^error: no DirAuthority line/m);

  const version = cepa(t, '--version');
  t.is(await version.ended, 0);
  t.regex(version.text(), /^Cepa \d+\.\d+\.\d+/);

  const help = cepa(t, 'relay', '--help');
  t.is(await help.ended, 0);
  for (const name of ['ORPort', 'ExitPolicy', 'BandwidthRate', '--verify-config'])
    t.true(help.text().includes(name));

  for (const [option, ...command] of [
    ['--months', 'keygen', 'authority'],
    ['--days', 'keygen', 'relay'],
    ['--timeout', 'testnet'],
  ] as const) {
    const run = cepa(t, ...command, option, '0');
    t.is(await run.ended, 1);
    t.regex(run.text(), /It has to be 1 to \d+\./);
  }
  const nothing = cepa(t, 'testnet', '--run', ' ');
  t.is(await nothing.ended, 1);
  t.regex(nothing.text(), /There is no command in it/);

  const typo = cepa(t, 'realy');
  t.is(await typo.ended, 1);
  t.regex(typo.text(), /Did you mean relay\?/);
});

test('a reader that has read enough is no failure', async (t) => {
  const run = cepa(t, 'relay', '--help');
  run.child.stdout?.destroy();
  t.is(await run.ended, 0);
  t.is(run.text(), '');
});
