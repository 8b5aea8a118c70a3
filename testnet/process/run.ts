/**
 * One node as a process: configuration, lock, log, role, signals, and an orderly end.
 *
 * Signals are C tor's: SIGTERM and SIGINT stop (a relay finishes what it can first; a second signal stops at once),
 * SIGHUP reads the configuration anew, takes over what can change while running, and opens the log files again.
 *
 * @module
 */
import { unlinkSync, writeFileSync } from 'node:fs';
import { CepaError } from '../../shared/bytes/errors.js';
import { createLog, type NodeLog } from '../../shared/log/log.js';
import type { Metrics } from '../../shared/metrics/types.js';
import type { Env, NodeEvent } from '../../shared/runtime/env.js';
import { diskStore } from '../../shared/store/disk.js';
import { systemError } from '../../shared/store/errors.js';
import type { Options } from '../../shared/torrc/options.js';
import { OPTION_NAMES } from '../../shared/torrc/table.js';
import { type ConfigSource, loadConfig } from './config.js';
import { lockDirectory } from './lock.js';
import { openReporter, type Reporter } from './pipe.js';
import { type RunningNode, startRole } from './roles.js';
import { closeSecrets } from './secrets.js';
import { sourceStack } from './stack.js';
import { connectSystemd, type Systemd } from './systemd.js';

/** Told to whoever watches: bad options, and everything else that keeps a node from starting. */
export const EXIT_CONFIG = 2;
export const EXIT_FAILED = 1;

/** Says what is wrong with the configuration, if anything; the exit code. */
export function verifyConfig(source: ConfigSource, out: (line: string) => void): number {
  try {
    for (const warning of loadConfig(source).warnings) out(`warning: ${warning}`);
  } catch (error) {
    if (!(error instanceof CepaError)) throw error;
    for (const line of error.message.split('\n')) out(`error: ${line}`);
    return EXIT_CONFIG;
  }
  out('Configuration was valid');
  return 0;
}

/** Runs a node until it is told to stop, and ends the process. */
export async function runNode(source: ConfigSource): Promise<void> {
  let loaded: ReturnType<typeof loadConfig>;
  try {
    loaded = loadConfig(source);
  } catch (error) {
    fail(EXIT_CONFIG, error);
  }
  const { options, warnings } = loaded;
  try {
    const held = new Held(options);
    const node = new NodeProcess(source, options, held);
    // Before anything is said: who reads that it starts may send a signal the next moment.
    node.catchSignals();
    held.log.notice(`Cepa ${source.role} starts`, { pid: process.pid, data: options.DataDirectory });
    for (const warning of warnings) held.log.warn(warning);
    await node.run();
  } catch (error) {
    fail(EXIT_FAILED, error);
  }
}

const stackOf = (error: unknown): string =>
  error instanceof Error ? sourceStack(error.stack ?? error.message) : String(error);

function fail(code: number, error: unknown): never {
  const text = error instanceof CepaError ? error.message : stackOf(error);
  process.stderr.write(`cepa: ${text}\n`);
  process.exit(code);
}

/** What is taken at the start and given back at the end, whatever the end. */
class Held {
  readonly log: NodeLog;
  private readonly lock: { release(): void };
  private readonly pidFile: string | undefined;

  constructor(options: Options) {
    this.lock = lockDirectory(options.DataDirectory);
    this.pidFile = options.PidFile;
    try {
      this.log = createLog(options);
      if (this.pidFile) writePid(this.pidFile);
    } catch (error) {
      this.lock.release();
      throw error;
    }
    process.on('exit', () => this.giveBack());
  }

  private giveBack(): void {
    this.log.flush();
    this.lock.release();
    if (!this.pidFile) return;
    try {
      unlinkSync(this.pidFile);
    } catch {
      // Somebody else removed it.
    }
  }
}

function writePid(file: string): void {
  try {
    writeFileSync(file, `${process.pid}\n`);
  } catch (error) {
    throw systemError(file, 'written', error);
  }
}

const PORT_NAMES = { or: 'onion routing', dir: 'directory requests', metrics: 'metrics' } as const;

/** What a client tells it logs itself. */
function eventText(event: NodeEvent): string | undefined {
  switch (event.type) {
    case 'listening':
      if (event.what === 'socks' || event.what === 'http') return undefined;
      return `Listening for ${PORT_NAMES[event.what]} on ${event.host}:${event.port}`;
    case 'identity':
      return `Nickname ${event.nickname}, fingerprint ${event.fingerprint}`;
    default:
      return undefined;
  }
}

/** Milliseconds for what comes after the wait of a stop. */
const STOP_MARGIN = 30_000;
/** Milliseconds from the start until what pays later is done: a start has enough to do. */
const IDLE_WORK_DELAY = 15_000;
/** Options that the process itself reads, and takes over whenever the configuration is read again. */
const PROCESS_OPTIONS = ['Log', 'SafeLogging', 'MetricsPortPolicy'] as const;

class NodeProcess {
  private readonly source: ConfigSource;
  private readonly options: Options;
  private readonly held: Held;
  private readonly reporter: Reporter | undefined;
  private readonly systemd: Systemd;
  private readonly listeners: ((event: NodeEvent) => void)[] = [];
  private node: RunningNode | undefined;
  private stopping = 0;
  private reloadDue = false;
  private ended: () => void = () => {};
  private closeThreads: () => Promise<void> = async () => {};

  constructor(source: ConfigSource, options: Options, held: Held) {
    this.source = source;
    this.options = options;
    this.held = held;
    this.systemd = connectSystemd(held.log);
    this.reporter = openReporter(() => {
      held.log.notice('The process that started this one is gone; stopping.');
      process.exit(0);
    });
  }

  catchSignals(): void {
    process.on('SIGTERM', () => void this.stop('SIGTERM'));
    // A launcher's children get the terminal's Ctrl-C too; the launcher decides what becomes of them.
    process.on('SIGINT', () => {
      if (!this.reporter) void this.stop('SIGINT');
    });
    process.on('SIGHUP', () => this.reload());
    process.on('unhandledRejection', (error) => this.bug(error));
    process.on('uncaughtException', (error) => this.bug(error));
  }

  async run(): Promise<void> {
    const { log } = this.held;
    closeSecrets(this.options, log);
    const world = await import('./world.js');
    const { availableMemory, realClock, osRandom, startThreads, resolverOf, keepX25519Ahead, settle } = world;
    const { transport, crew, close } = startThreads(this.options, (error) => this.bug(error));
    this.closeThreads = close;
    const env: Env = {
      clock: realClock,
      random: osRandom,
      transport,
      ...(crew && { crew }),
      resolver: await resolverOf(this.options),
      log,
      store: diskStore(this.options.DataDirectory),
      memory: availableMemory(),
      storeAt: diskStore,
      report: (event) => this.event(event),
    };
    const metrics = await this.openMetrics();
    this.node = await startRole(this.source.role, this.options, { ...env, ...(metrics && { metrics }) });
    keepX25519Ahead(realClock, osRandom, IDLE_WORK_DELAY);
    realClock.setTimer(IDLE_WORK_DELAY, () => settle(this.source.role));
    if (this.stopping > 0) await this.stop('asked to before the start was over');
    else if (this.reloadDue) this.reload();
    else this.systemd.tell({ READY: 1, STATUS: `${this.source.role} runs` });
    // Timers of a node never keep a process alive, and a client may have no port open.
    const awake = realClock.keepAlive();
    await new Promise<void>((resolve) => {
      this.ended = resolve;
    });
    awake.cancel();
    this.reporter?.close();
    process.exit(0);
  }

  private async openMetrics(): Promise<Metrics | undefined> {
    if (this.options.MetricsPort.length === 0) return undefined;
    const { serveMetrics } = await import('./metrics-server.js');
    const { metrics, heard } = await serveMetrics({
      log: this.held.log,
      options: () => this.options,
      report: (event) => this.event(event),
      missing: () => (this.node ? this.node.missing() : 'it is starting'),
    });
    this.listeners.push(heard);
    return metrics;
  }

  private event(event: NodeEvent): void {
    const text = eventText(event);
    if (text !== undefined) this.held.log.notice(text);
    this.reporter?.report(event);
    for (const listener of this.listeners) listener(event);
  }

  /** A mistake in Cepa: better to end than to go on in an unknown state. */
  private bug(error: unknown): void {
    this.held.log.error('A bug in Cepa; stopping. Please report it with these lines.', {
      error,
      stack: stackOf(error),
    });
    process.exit(EXIT_FAILED);
  }

  private async stop(reason: string): Promise<void> {
    const { log } = this.held;
    this.stopping++;
    if (this.stopping > 2) process.exit(EXIT_FAILED);
    const graceful = this.stopping === 1 && this.options.ShutdownWaitLength > 0;
    this.event({ type: 'stopping', reason });
    log.notice(graceful ? `${reason}: stopping.` : `${reason}: stopping at once.`);
    // systemd would not wait for a long ShutdownWaitLength by itself.
    const wait = graceful ? this.options.ShutdownWaitLength : 0;
    this.systemd.tell({ STOPPING: 1, EXTEND_TIMEOUT_USEC: (wait + STOP_MARGIN) * 1000 });
    if (!this.node) {
      // Still starting: nothing to be graceful about.
      process.exit(0);
    }
    try {
      await this.node.stop(graceful);
    } catch (error) {
      log.error('Could not stop in order', { error });
    }
    await this.closeThreads();
    this.ended();
  }

  private reload(): void {
    const { log } = this.held;
    this.reloadDue = !this.node;
    // What starts with the old configuration has to take over the new one, but can do so only then.
    if (this.reloadDue) return;
    this.systemd.tell({ RELOADING: 1, MONOTONIC_USEC: Number(process.hrtime.bigint() / 1000n) });
    try {
      this.takeOver();
    } catch (error) {
      log.reopen();
      log.error('SIGHUP: the new configuration cannot be used; the old one stays.', { error });
    }
    this.systemd.tell({ READY: 1 });
  }

  private takeOver(): void {
    const { log } = this.held;
    const { options, warnings } = loadConfig(this.source);
    const changed = OPTION_NAMES.filter((name) => !same(options[name], this.options[name]));
    if (changed.includes('Log') || changed.includes('SafeLogging')) log.configure(options);
    else log.reopen();
    for (const name of PROCESS_OPTIONS) Object.assign(this.options, { [name]: options[name] });
    for (const warning of warnings) log.warn(warning);
    closeSecrets(options, log);
    const taken = new Set<string>([...PROCESS_OPTIONS, ...(this.node?.reload?.(options) ?? [])]);
    const now = changed.filter((name) => taken.has(name));
    const later = changed.filter((name) => !taken.has(name));
    log.notice(
      `SIGHUP: configuration read; ${now.length > 0 ? `changed ${now.join(', ')}` : 'nothing to change'}.`,
    );
    if (later.length > 0) log.warn(`A restart is needed for a change of ${later.join(', ')}.`);
  }
}

const plain = (_: string, value: unknown) => (value instanceof Set ? [...value] : value);
const same = (a: unknown, b: unknown) => JSON.stringify(a, plain) === JSON.stringify(b, plain);
