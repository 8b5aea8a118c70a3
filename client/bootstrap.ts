/**
 * How far a client has come, in C tor's percents and tags (control_bootstrap.c). It only goes forward.
 *
 * @module
 */
import type { Log } from '../shared/log/types.js';
import type { NodeEvent } from '../shared/runtime/env.js';
import type { DirStep } from './dir-manager.js';

/** Tags with their percents and summaries. */
const PHASES = {
  starting: [0, 'Starting'],
  conn: [5, 'Connecting to a relay'],
  conn_done: [10, 'Connected to a relay'],
  handshake: [14, 'Handshaking with a relay'],
  handshake_done: [15, 'Handshake with a relay done'],
  onehop_create: [20, 'Establishing an encrypted directory connection'],
  requesting_status: [25, 'Asking for networkstatus consensus'],
  loading_status: [30, 'Loading networkstatus consensus'],
  loading_keys: [40, 'Loading authority key certs'],
  requesting_descriptors: [45, 'Asking for relay descriptors'],
  loading_descriptors: [50, 'Loading relay descriptors'],
  enough_dirinfo: [75, 'Loaded enough directory info to build circuits'],
  ap_conn: [80, 'Connecting to a relay to build circuits'],
  ap_handshake_done: [90, 'Handshake finished with a relay to build circuits'],
  circuit_create: [95, 'Establishing a Tor circuit'],
  done: [100, 'Done'],
} as const satisfies Record<string, readonly [number, string]>;

/** A phase by its tag. */
export type BootstrapTag = keyof typeof PHASES;

/** The progress of one client. */
export class Bootstrap {
  private readonly log: Log;
  private readonly report: ((event: NodeEvent) => void) | undefined;
  percent = -1;
  tag: BootstrapTag = 'starting';

  constructor(log: Log, report: ((event: NodeEvent) => void) | undefined) {
    this.log = log;
    this.report = report;
  }

  /** Whether a circuit has carried through. */
  get done(): boolean {
    return this.percent === 100;
  }

  /** A phase was reached, at its percent or a little beyond. */
  reached(tag: BootstrapTag, percent: number = PHASES[tag][0]): void {
    if (percent <= this.percent) return;
    this.percent = percent;
    this.tag = tag;
    const summary = PHASES[tag][1];
    this.log.notice(`Bootstrapped ${percent}% (${tag}): ${summary}`);
    this.report?.({ type: 'bootstrap', percent, tag, summary });
  }

  /** A step of the directory manager. */
  directory(step: DirStep): void {
    switch (step.step) {
      case 'requesting-status':
        // Truly asked only once a hop stands (`DirSourcesEnv.onHop`).
        this.reached('conn');
        return;
      case 'loading-status':
        this.reached('loading_status');
        return;
      case 'loading-keys':
        this.reached('loading_keys');
        return;
      case 'descriptors': {
        if (step.have === 0) this.reached('requesting_descriptors');
        else this.reached('loading_descriptors', 50 + Math.floor((24 * step.have) / Math.max(1, step.total)));
        return;
      }
      default:
        step satisfies never;
    }
  }
}
