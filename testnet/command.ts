/**
 * `cepa testnet`: a network for as long as the command runs, or as long as the command it was given.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { CepaError } from '../shared/bytes/errors.js';
import { jsonEvent, readyEvent, readyText, socksText } from './announce.js';
import { type LaunchEvent, launchTestnet, type Testnet, type TestnetOptions } from './launch.js';
import { Progress } from './progress.js';

/** The command's options. */
export interface TestnetCommand {
  readonly authorities: number;
  readonly relays: number;
  readonly exits: number;
  readonly socks?: string;
  readonly dir?: string;
  readonly json: boolean;
  readonly run?: string;
  readonly timeout: number;
}

/** The network did not come up, so CMD never ran; apart from the statuses a command gives. */
const EXIT_NO_NETWORK = 125;

const SIGNALS: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const exitOf = (signal: NodeJS.Signals) => 128 + (constants.signals[signal] ?? 0);

/** Runs the command; the exit status. `nodes` is for tests, which have other programs for nodes. */
export async function runTestnet(
  command: TestnetCommand,
  nodes: Pick<TestnetOptions, 'entry' | 'identify'> = {},
): Promise<number> {
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  // With --run, stdout belongs to the command that is run.
  const out = command.run === undefined ? process.stdout : process.stderr;
  // Whoever read there may have read enough (`2>&1 | head`), which is no reason to end the command.
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  const json = (event: Record<string, unknown> | undefined) => {
    if (command.json && event) out.write(`${JSON.stringify(event)}\n`);
  };
  const progress = new Progress({ write: (text) => out.write(text), tty: out.isTTY === true }, seconds);

  const signals = new SignalQueue();
  let testnet: Testnet;
  try {
    testnet = await launchTestnet({
      ...nodes,
      size: { authorities: command.authorities, relays: command.relays, exits: command.exits },
      socks: command.socks,
      directory: command.dir,
      timeout: command.timeout * 1000,
      progress: (event: LaunchEvent) => (command.json ? json(jsonEvent(event)) : progress.heard(event)),
      aborted: signals.first,
    });
  } catch (error) {
    if (signals.last) return exitOf(signals.last);
    if (!(error instanceof CepaError)) throw error;
    json({ event: 'failed', message: error.message });
    process.stderr.write(`cepa testnet: ${error.message}\n`);
    return EXIT_NO_NETWORK;
  }

  // The network goes when this process does, whatever ends it.
  process.on('exit', () => testnet.kill());
  json(readyEvent(testnet, seconds()));
  if (!command.json) out.write(readyText(testnet, seconds(), command.dir === undefined));
  if (!command.json && command.run === undefined) watch(testnet);

  const status =
    command.run === undefined ? await untilStopped(signals) : await runInside(command.run, testnet, signals);
  if (!command.json && command.run === undefined) out.write('\nStopping every process …\n');
  signals.on(() => {
    testnet.kill();
    process.exit(status);
  });
  await testnet.stop();
  json({ event: 'stopped' });
  return status;
}

/** Says when a node ends by itself. */
function watch(testnet: Testnet): void {
  testnet.network.listen((event) => {
    if (event.type !== 'exit' || event.expected) return;
    const how = event.end.signal ?? `status ${event.end.code}`;
    process.stdout.write(`${event.name} ended (${how}); the network goes on without it.\n`);
  });
}

/** The signals this process gets, from its first moment on. */
class SignalQueue {
  last: NodeJS.Signals | undefined;
  /** Settles with the first one. */
  readonly first: Promise<NodeJS.Signals>;
  private listener: ((signal: NodeJS.Signals) => void) | undefined;

  constructor() {
    let got: (signal: NodeJS.Signals) => void = () => {};
    this.first = new Promise((resolve) => {
      got = resolve;
    });
    for (const signal of SIGNALS)
      process.on(signal, () => {
        this.last = signal;
        got(signal);
        this.listener?.(signal);
      });
  }

  on(listener: (signal: NodeJS.Signals) => void): void {
    this.listener = listener;
  }
}

async function untilStopped(signals: SignalQueue): Promise<number> {
  const signal = await signals.first;
  // Ctrl-C is how this command is meant to end.
  return signal === 'SIGINT' ? 0 : exitOf(signal);
}

/**
 * Sends the command a signal. Without a terminal it is a process group of its own, and all of it gets the signal: a shell
 * passes none on to what it runs. On a terminal it stays in ours, since none else may read from there.
 */
function signalCommand(
  { pid, exitCode, signalCode }: ChildProcess,
  own: boolean,
  signal: NodeJS.Signals,
): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(own ? -pid : pid, signal);
  } catch (error) {
    // It may have ended this moment.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Runs CMD in a shell inside the network; its status. */
async function runInside(cmd: string, testnet: Testnet, signals: SignalQueue): Promise<number> {
  const socks = socksText(testnet);
  const own = !process.stdin.isTTY;
  const child: ChildProcess = spawn(cmd, {
    shell: true,
    detached: own,
    stdio: 'inherit',
    env: {
      ...process.env,
      ALL_PROXY: `socks5h://${socks}`,
      CEPA_SOCKS: socks,
      CEPA_TORRC: testnet.torrc,
      CEPA_DEMO: testnet.demo,
      CEPA_ONION: testnet.onion,
    },
  });
  signals.on((signal) => {
    // A terminal's Ctrl-C went to the command already: it is in the same process group.
    if (signal === 'SIGINT' && !own) return;
    signalCommand(child, own, signal);
  });
  if (signals.last) signalCommand(child, own, signals.last);
  return new Promise((resolve) => {
    child.once('error', () => resolve(EXIT_NO_NETWORK));
    child.once('exit', (code, signal) => resolve(code ?? (signal ? exitOf(signal) : EXIT_NO_NETWORK)));
  });
}
