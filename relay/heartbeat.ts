/**
 * The line that sums up a relay every few hours (C tor: log_heartbeat, rep_hist).
 *
 * @module
 */
import type { Log } from '../shared/log/types.js';
import type { Clock, Timer } from '../shared/runtime/types.js';
import type { RelayStatus } from './relay-node.js';

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const;

/** `1.20 GB`. */
export function sizeText(bytes: number): string {
  const step = Math.min(UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  return step === 0 ? `${bytes} bytes` : `${(bytes / 1024 ** step).toFixed(2)} ${UNITS[step]}`;
}

/** `2 days 3:05 hours`. */
export function uptimeText(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3600);
  const minutes = String(Math.floor((seconds % 3600) / 60)).padStart(2, '0');
  return `${days > 0 ? `${days} day${days > 1 ? 's' : ''} ` : ''}${hours}:${minutes} hours`;
}

const list = (counts: Readonly<Record<string, number>>) =>
  Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');

/** The lines. `flags` are those of the consensus; undefined when it does not list the relay. */
export function heartbeatText(
  status: RelayStatus,
  links: number,
  flags: Iterable<string> | undefined,
): string[] {
  const { circuits, bandwidth, defences } = status;
  const held = flags ? `Flags: ${[...flags].sort().join(' ') || 'none'}.` : 'The consensus does not list us.';
  return [
    `Heartbeat: uptime is ${uptimeText(status.uptime)}, with ${circuits.circuits} circuits open on ${links} links. \
Sent ${sizeText(bandwidth.written)} and received ${sizeText(bandwidth.read)}. ${held}`,
    `Circuit handshakes since the start: ${list(circuits.handshakes)}; ${circuits.refused} refused, \
${list(circuits.onionskins.dropped)} dropped. Exit streams open: ${status.exitStreams}.`,
    `DoS mitigation since the start: ${defences.circuitsRefused} circuits, ${defences.concurrentRefused} concurrent \
connections, ${defences.connectionsRefused} connections and ${defences.streamsRefused} streams refused, \
${defences.marked + defences.markedForQueues} marked addresses, \
${circuits.fullQueues.onward + circuits.fullQueues.back} circuits killed with too many cells, \
${status.memory.circuitsKilled} for want of memory.`,
  ];
}

/** What the heartbeat needs. */
export interface HeartbeatEnv {
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds between two; 0 for none. */
  period(): number;
  status(): RelayStatus;
  links(): number;
  flags(): Iterable<string> | undefined;
}

/** Writes the lines again and again. */
export class Heartbeat {
  private readonly env: HeartbeatEnv;
  private timer: Timer | undefined;

  constructor(env: HeartbeatEnv) {
    this.env = env;
  }

  /** From now on; also when the period has changed. */
  start(): void {
    this.stop();
    const { clock, log, period, status, links, flags } = this.env;
    if (period() === 0) return;
    this.timer = clock.setTimer(period(), () => {
      for (const line of heartbeatText(status(), links(), flags())) log.notice(line);
      this.start();
    });
  }

  stop(): void {
    this.timer?.cancel();
  }
}
