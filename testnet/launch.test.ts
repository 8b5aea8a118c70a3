import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test, { type ExecutionContext } from 'ava';
import { StoreError } from '../shared/store/errors.js';
import type { Role } from '../shared/torrc/table-types.js';
import { DEMO_GREETING } from './demo-site.js';
import { launchTestnet, type TestnetOptions } from './launch.js';
import { loadConfig } from './process/config.js';
import { LockedError } from './process/lock.js';
import { fetchBySocks } from './socks-fetch.js';
import { FAKE_CLI, FAKE_NODE, fakeIdentity } from './testing/fakes.js';
import { runs, until } from './testing/live.js';

const size = { authorities: 1, relays: 3, exits: 1 };

const fakes = (more: Partial<TestnetOptions> = {}): TestnetOptions => ({
  size,
  socks: '127.0.0.1:auto',
  entry: FAKE_NODE,
  identify: fakeIdentity,
  ...more,
});

function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cepa-launch-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('a network comes up, serves, and is gone without a trace', async (t) => {
  const testnet = await launchTestnet(fakes());
  const { host, port } = testnet.network.context.plan.demo;
  const page = await fetchBySocks({ proxy: testnet.socks, host, port, path: '/', timeout: 60_000 });
  t.true(page.includes(DEMO_GREETING));
  t.is(testnet.demo, `http://demo.cepa.test:${port}/`);
  const states = [...testnet.network.nodes.values()];
  t.is(states.length, 5);
  // Ready is when the page came, which these fakes may do before all have said who they are.
  await until(() => states.every(({ fingerprint }) => fingerprint !== undefined));
  for (const { plan, fingerprint, child } of states) {
    t.regex(fingerprint ?? '', /^[0-9A-F]{40}$/, plan.name);
    t.true(runs(child?.pid ?? 0), plan.name);
  }
  t.is(
    new Set(states.map(({ plan }) => plan.address.split('.').slice(0, 2).join('.'))).size,
    5,
    'a /16 each',
  );

  await testnet.network.state('relay1').child?.kill();
  testnet.network.startNode('relay1');
  await until(() => testnet.network.state('relay1').published > 0);

  const pids = states.map(({ child }) => child?.pid ?? 0);
  await testnet.stop();
  t.deepEqual(pids.filter(runs), []);
  t.false(existsSync(testnet.directory));
});

test('a kept directory gives the same ports again, to one network at a time', async (t) => {
  const directory = join(scratch(t), 'net');
  const first = await launchTestnet(fakes({ directory }));
  const { basePort } = first.network.context.plan;
  await t.throwsAsync(launchTestnet(fakes({ directory })), { instanceOf: LockedError });
  await first.stop();
  const other = { authorities: 1, relays: 4, exits: 1 };
  await t.throwsAsync(launchTestnet(fakes({ directory, size: other })), { message: /holds a network of 1/ });
  const second = await launchTestnet(fakes({ directory }));
  t.is(second.network.context.plan.basePort, basePort);
  await second.stop();
  t.true(existsSync(join(directory, 'nodes/relay1/torrc')));
});

test('a full disk is said, with the file that it has no room for', async (t) => {
  const directory = scratch(t);
  symlinkSync('/dev/full', join(directory, 'resolv.conf'));
  const error = await t.throwsAsync(launchTestnet(fakes({ directory })), { instanceOf: StoreError });
  t.is(error.message, `${directory}/resolv.conf: could not be written: the disk is full; make room there`);
});

test.serial('ports that cannot be remembered are given back', async (t) => {
  const servers: Server[] = [];
  const { listen } = Server.prototype;
  t.teardown(() => {
    Server.prototype.listen = listen;
  });
  Server.prototype.listen = function (this: Server, ...args: Parameters<typeof listen>) {
    servers.push(this);
    return listen.apply(this, args);
  } as typeof listen;
  const directory = scratch(t);
  mkdirSync(join(directory, 'testnet.state.tmp'));
  await t.throwsAsync(launchTestnet(fakes({ directory })), { instanceOf: StoreError });
  t.true(servers.length > 0);
  t.deepEqual(
    servers.filter((server) => server.listening),
    [],
  );
});

test('networks that start at the same moment do not both have the usual SOCKS port', async (t) => {
  const both = await Promise.allSettled([1, 2].map(() => launchTestnet(fakes({ socks: undefined }))));
  const up = both.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  t.teardown(() => Promise.all(up.map((testnet) => testnet.stop())));
  t.is(up.length, 2, both.map((each) => (each.status === 'rejected' ? each.reason.message : '')).join('\n'));
});

test('a kept directory may have any name', async (t) => {
  const directory = join(scratch(t), 'a #1 "b" \\c');
  const testnet = await launchTestnet(fakes({ directory }));
  t.teardown(() => testnet.stop());
  const optionsOf = (name: string, role: Role) =>
    loadConfig({ role, files: [join(directory, 'nodes', name, 'torrc')], args: [] }).options;
  const exit = optionsOf('exit1', 'relay');
  t.is(exit.DataDirectory, join(directory, 'nodes/exit1'));
  t.deepEqual(exit.Log, [`notice file ${directory}/nodes/exit1/notice.log`]);
  t.is(exit.ServerDNSResolvConfFile, join(directory, 'resolv.conf'));
  const [service] = optionsOf('client', 'client').HiddenServiceDir;
  t.is(service?.directory, join(directory, 'nodes/client/onion-service'));
});

test('a node that dies before the network works fails it, with its name and last words', async (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'fail-relay2'), '');
  const error = await t.throwsAsync(launchTestnet(fakes({ directory })));
  t.regex(error.message, /^relay2 ended with status 3\. .*notice\.log\n.*told to fail/);
});

interface Cli {
  readonly child: ChildProcess;
  readonly events: Record<string, unknown>[];
  text(): string;
  readonly ended: Promise<number | null>;
}

function cli(command: Record<string, unknown>, json = true, env: NodeJS.ProcessEnv = process.env): Cli {
  const full = { ...size, socks: '127.0.0.1:auto', json, timeout: 600, ...command };
  const child = spawn(process.execPath, [FAKE_CLI, JSON.stringify(full)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  const events: Record<string, unknown>[] = [];
  let text = '';
  child.stderr?.on('data', (chunk) => {
    text += chunk;
  });
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    text += `${line}\n`;
    if (line.startsWith('{')) events.push(JSON.parse(line));
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, events, text: () => text, ended };
}

const ready = (run: Cli) =>
  run.events.find(({ event }) => event === 'ready') as
    | {
        socks: string;
        torrc: string;
        directory: string;
        onion: string;
        onionReady: boolean;
        nodes: { pid: number; name: string; role: string; fingerprint: string; address: string }[];
      }
    | undefined;

test('--json: one event a line, and everything in `ready`; Ctrl-C ends it with 0', async (t) => {
  const run = cli({});
  await until(() => ready(run) !== undefined || run.child.exitCode !== null);
  const event = ready(run);
  t.regex(event?.onion ?? '', /^http:\/\/[a-z2-7]{56}\.onion\/$/);
  t.true(event?.onionReady ?? false);
  t.truthy(event, run.text());
  t.regex(event?.socks ?? '', /^127\.0\.0\.1:\d+$/);
  t.deepEqual(
    event?.nodes.map(({ name }) => name),
    ['auth1', 'relay1', 'relay2', 'exit1', 'client'],
  );
  const fragment = readFileSync(event?.torrc ?? '', 'utf8');
  t.regex(
    fragment,
    /^DirAuthority auth1 orport=\d+ no-v2 v3ident=[0-9A-F]{40} 127\.1\.0\.1:\d+ [0-9A-F]{40}$/m,
  );
  run.child.kill('SIGINT');
  t.is(await run.ended, 0);
  t.is(run.events.at(-1)?.event, 'stopped');
  t.deepEqual(
    event?.nodes.filter(({ pid }) => runs(pid)),
    [],
  );
  t.false(existsSync(event?.directory ?? ''));
});

test('a second Ctrl-C ends it at once, and with 0 like the first', async (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'linger-relay2'), '');
  const run = cli({ dir: directory }, false);
  await until(() => run.text().includes('is ready') || run.child.exitCode !== null);
  run.child.kill('SIGINT');
  await until(() => run.text().includes('Stopping') || run.child.exitCode !== null);
  run.child.kill('SIGINT');
  t.is(await run.ended, 0, run.text());
});

test('a killed launcher leaves no orphan', async (t) => {
  const run = cli({});
  await until(() => ready(run) !== undefined || run.child.exitCode !== null);
  const nodes = ready(run)?.nodes ?? [];
  t.is(nodes.length, 5, run.text());
  run.child.kill('SIGKILL');
  await run.ended;
  await until(() => !nodes.some(({ pid }) => runs(pid)));
  rmSync(ready(run)?.directory ?? '', { recursive: true, force: true });
  t.pass();
});

test('--run: the command finds the network, and its status is the status', async (t) => {
  const run = cli({ run: 'cat "$CEPA_TORRC" && echo "$ALL_PROXY $CEPA_SOCKS $CEPA_DEMO" && exit 7' }, false);
  t.is(await run.ended, 7);
  t.regex(run.text(), /^TestingTorNetwork 1$/m);
  t.regex(run.text(), /^socks5h:\/\/127\.0\.0\.1:\d+ 127\.0\.0\.1:\d+ http:\/\/demo\.cepa\.test:\d+\/$/m);
  t.regex(run.text(), /The network is ready after/);
});

test('--run: the command runs when nobody reads of the progress', async (t) => {
  const run = cli({ run: 'echo done; exit 7' }, false);
  run.child.stderr?.destroy();
  t.is(await run.ended, 7);
  t.is(run.text(), 'done\n');
});

test('a launcher that ends on its way leaves no directory behind', async (t) => {
  const temporary = scratch(t);
  const run = cli({}, false, { ...process.env, TMPDIR: temporary });
  run.child.stdout?.destroy();
  await run.ended;
  t.deepEqual(readdirSync(temporary), []);
});

test('--run: a signal goes to the command, and everything stops', async (t) => {
  const run = cli(
    { run: 'trap "echo caught; exit 9" TERM; echo running; while :; do sleep 0.05; done' },
    false,
  );
  await until(() => run.text().includes('running') || run.child.exitCode !== null);
  run.child.kill('SIGTERM');
  t.is(await run.ended, 9);
  t.true(run.text().includes('caught'));
});

test('--run: a signal goes to all that the command started, of which none outlives it', async (t) => {
  const run = cli({ run: `sh -c 'echo "process $$ runs"; exec sleep 600'; true` }, false);
  const pid = () => Number(/process (\d+) runs/.exec(run.text())?.[1] ?? 0);
  await until(() => pid() > 0 || run.child.exitCode !== null);
  t.true(runs(pid()), run.text());
  run.child.kill('SIGTERM');
  t.is(await run.ended, 143);
  await until(() => !runs(pid()));
});

test('a network that cannot be is refused with status 125', async (t) => {
  const run = cli({ exits: 2 }, false);
  t.is(await run.ended, 125);
  t.regex(run.text(), /--exits must be 1 to 1 for 3 relays, not 2/);
  t.deepEqual(
    readdirSync(tmpdir()).filter((name) => name === `cepa-testnet-${run.child.pid}`),
    [],
  );
});

test('a node that dies in a network that is not kept is no reason to look for its log', async (t) => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  t.teardown(() => holder.close());
  const { port } = holder.address() as AddressInfo;
  const error = await t.throwsAsync(launchTestnet(fakes({ socks: `127.0.0.1:${port}` })));
  t.regex(error.message, /^client ended with status 1\. Keep its log with --dir\./);
});

test('a proxy address that is none is refused before anything starts', async (t) => {
  for (const port of ['0', '65536', '99999'])
    await t.throwsAsync(launchTestnet(fakes({ socks: `127.0.0.1:${port}` })), {
      message: /a port is 1 to 65535/,
    });
  await t.throwsAsync(launchTestnet(fakes({ socks: 'foo' })), { message: /--socks "foo" is not host:port/ });
});
