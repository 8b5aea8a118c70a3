/**
 * Tells systemd how the process is (sd_notify(3)): ready, reloading, stopping, alive.
 *
 * Node.js has no datagram sockets of the Unix family, which is what sd_notify speaks, so the messages go through
 * systemd's own `systemd-notify`, which is there wherever NOTIFY_SOCKET is set by systemd. It is a process of its own:
 * the unit needs `NotifyAccess=all`.
 *
 * @module
 */
import { execFile } from 'node:child_process';
import type { Log } from '../../shared/log/types.js';

/** What can be said. Names are sd_notify's. */
export interface SystemdState {
  readonly READY?: 1;
  readonly RELOADING?: 1;
  readonly STOPPING?: 1;
  readonly WATCHDOG?: 1;
  readonly STATUS?: string;
  readonly EXTEND_TIMEOUT_USEC?: number;
  readonly MONOTONIC_USEC?: number;
}

/** Says it to systemd, or to nobody. */
export interface Systemd {
  tell(state: SystemdState): void;
  stop(): void;
}

/** Runs a command; for tests. */
export type Runner = (args: readonly string[], done: (error: Error | null) => void) => void;

const NOBODY: Systemd = { tell() {}, stop() {} };

const systemdNotify =
  (environment: NodeJS.ProcessEnv): Runner =>
  (args, done) => {
    execFile('systemd-notify', [...args], { env: environment, timeout: 10_000 }, (error) => done(error));
  };

/** Whether the watchdog is meant for this process, and how often it wants to hear, milliseconds. */
function watchdogEvery(environment: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { WATCHDOG_USEC, WATCHDOG_PID } = environment;
  if (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(pid)) return undefined;
  const period = Number(WATCHDOG_USEC ?? '') / 1000;
  return Number.isFinite(period) && period > 0 ? period / 2 : undefined;
}

/** Speaks to systemd when it started this process (`NOTIFY_SOCKET`). */
export function connectSystemd(
  log: Log,
  environment: NodeJS.ProcessEnv = process.env,
  run: Runner = systemdNotify({ ...environment }),
): Systemd {
  if (environment.NOTIFY_SOCKET === undefined) return NOBODY;
  const every = watchdogEvery(environment, process.pid);
  // What this process starts itself must not speak for it.
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name];
  let broken = false;
  let busy = false;
  const waiting: SystemdState[] = [];
  // One after the other: systemd must not hear STOPPING before READY.
  const next = () => {
    const state = busy || broken ? undefined : waiting.shift();
    if (!state) return;
    busy = true;
    run(
      Object.entries(state).map(([name, value]) => `${name}=${value}`),
      (error) => {
        busy = false;
        if (error) {
          broken = true;
          log.warn(`systemd cannot be told how this process is: systemd-notify: ${error.message}`);
        }
        next();
      },
    );
  };
  const tell = (state: SystemdState) => {
    waiting.push(state);
    next();
  };
  const watchdog = every === undefined ? undefined : setInterval(() => tell({ WATCHDOG: 1 }), every);
  watchdog?.unref();
  return { tell, stop: () => clearInterval(watchdog) };
}
