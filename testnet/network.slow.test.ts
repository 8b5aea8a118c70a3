/** What takes whole voting intervals: authorities that die, and the command itself with real nodes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { parseConsensus } from '../shared/netdoc/consensus.js';
import type { Consensus } from '../shared/netdoc/types.js';
import { DEMO_GREETING } from './demo-site.js';
import { download } from './testing/applications.js';
import { Live, runs, until } from './testing/live.js';

const CEPA = fileURLToPath(new URL('../../testnet/bin/cepa.js', import.meta.url));
const SMALL = { authorities: 3, relays: 3, exits: 1 };

async function consensusOf(live: Live, name: string): Promise<Consensus> {
  const { address, dirPort } = live.testnet.network.state(name).plan;
  const answer = await fetch(`http://${address}:${dirPort}/tor/status-vote/current/consensus`);
  return parseConsensus(await answer.text());
}

/** Waits for the next voting event of auth1 that says so. */
async function voting(live: Live, step: string): Promise<void> {
  const since = live.events.length;
  await until(() =>
    live.told('auth1', since).some((event) => event.type === 'voting' && event.step === step),
  );
}

test.serial(
  'with one of three authorities dead the vote closes, with two the last consensus serves until it expires',
  async (t) => {
    t.timeout(600_000);
    const live = await Live.launch({ size: SMALL });
    t.teardown(() => live.stop());
    const { v3ident } = live.testnet.network.state('auth3');

    await live.kill('auth3');
    // The round under way may have its vote already.
    await voting(live, 'published');
    await voting(live, 'published');
    const without = await consensusOf(live, 'auth1');
    t.deepEqual(without.signatures.length, 2);
    t.false(without.signatures.some(({ identity }) => identity === v3ident));
    await download(live.site(), '/');

    await live.kill('auth2');
    await voting(live, 'failed');
    await voting(live, 'failed');
    t.regex(live.log('auth1'), /\[(warn|err)\].*1 of 3/);
    const last = await consensusOf(live, 'auth1');
    t.true(last.validUntil > Date.now());
    t.regex(live.log('auth1'), /the last one is served until/);
    await download(live.site(), '/');

    // Until it expires, and not a moment sooner. A client goes on with what it knows, as C tor's does for a day.
    await until(() => /no consensus that is still valid/.test(live.log('auth1')));
    t.true(last.validUntil <= Date.now());
    await download(live.site(), '/');

    for (const name of ['auth2', 'auth3']) await live.start(name, (event) => event.type === 'identity');
    t.is(live.testnet.network.state('auth3').v3ident, v3ident);
    await voting(live, 'published');
    await download(live.site(), '/');
  },
);

interface Cli {
  readonly child: ChildProcess;
  readonly events: Record<string, unknown>[];
  readonly lines: string[];
  readonly ended: Promise<number | null>;
}

function cepa(...args: string[]): Cli {
  const child = spawn(process.execPath, [CEPA, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const events: Record<string, unknown>[] = [];
  const lines: string[] = [];
  for (const stream of [child.stdout!, child.stderr!])
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (line.startsWith('{')) events.push(JSON.parse(line));
    });
  return { child, events, lines, ended: new Promise((resolve) => child.once('close', resolve)) };
}

const SIZE = [
  '--authorities',
  '3',
  '--relays',
  '3',
  '--exits',
  '1',
  '--socks',
  '127.0.0.1:auto',
  '--timeout',
  '240',
];

interface Ready {
  readonly directory: string;
  readonly nodes: readonly { readonly name: string; readonly pid: number; readonly fingerprint: string }[];
}

async function readyOf(run: Cli): Promise<Ready> {
  await until(() => run.events.some(({ event }) => event === 'ready') || run.child.exitCode !== null);
  return run.events.find(({ event }) => event === 'ready') as unknown as Ready;
}

test.serial('a network that is killed leaves no process, and a kept one is itself again', async (t) => {
  t.timeout(600_000);
  const directory = join(mkdtempSync(join(tmpdir(), 'cepa-kept-')), 'net');
  t.teardown(() => rmSync(join(directory, '..'), { recursive: true, force: true }));
  const first = cepa('testnet', '--json', '--dir', directory, ...SIZE);
  const before = await readyOf(first);
  t.is(before?.nodes.length, 7, first.lines.join('\n'));
  first.child.kill('SIGKILL');
  await first.ended;
  await until(() => !before.nodes.some(({ pid }) => runs(pid)));

  const second = cepa('testnet', '--json', '--dir', directory, ...SIZE);
  const after = await readyOf(second);
  const who = ({ nodes }: Ready) => nodes.map(({ name, fingerprint }) => `${name} ${fingerprint}`);
  t.deepEqual(who(after), who(before), second.lines.join('\n'));
  second.child.kill('SIGINT');
  t.is(await second.ended, 0);
  t.false(after.nodes.some(({ pid }) => runs(pid)));
  t.true(existsSync(directory));
});

test.serial('--run: as the README has it', async (t) => {
  t.timeout(600_000);
  const run = cepa(
    'testnet',
    ...SIZE,
    '--run',
    'curl -sf --socks5-hostname $CEPA_SOCKS $CEPA_DEMO && curl -sf $CEPA_DEMO && echo $CEPA_TORRC && exit 7',
  );
  t.is(await run.ended, 7, run.lines.join('\n'));
  t.is(
    run.lines.filter((line) => line.includes(DEMO_GREETING)).length,
    2,
    'by --socks5-hostname and by ALL_PROXY',
  );
  const torrc = run.lines.at(-2) ?? '';
  t.false(existsSync(torrc), 'what was temporary is gone');
});
