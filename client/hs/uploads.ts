/**
 * One descriptor on its way to all the HSDirs that are responsible for it, each over a circuit of its own, tried again
 * where it fails.
 *
 * @module
 */
import { CepaError } from '../../shared/bytes/errors.js';
import type { Log } from '../../shared/log/types.js';
import type { Clock, Timer } from '../../shared/runtime/types.js';
import type { Relay } from '../network.js';
import type { HsDirClient } from './directory.js';

/** Milliseconds before each further try. */
const DELAYS = [3000, 15_000, 60_000, 300_000];

/** What uploads work with. */
export interface UploadParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly directory: HsDirClient;
  /** An HSDir refused the newest descriptor: that one will not be taken, a newer one may be. */
  refused(): void;
}

/** The uploads of one descriptor; a newer one takes their place. */
export class Uploads {
  private readonly parts: UploadParts;
  private stopper: AbortController | undefined;
  private timers = new Set<Timer>();
  private readonly taken = new Set<string>();

  constructor(parts: UploadParts) {
    this.parts = parts;
  }

  /** HSDirs that took the newest descriptor. */
  get held(): number {
    return this.taken.size;
  }

  /** Gives a descriptor to the relays; what was still under way is dropped. */
  start(relays: readonly Relay[], text: string): void {
    this.stop();
    const stopper = new AbortController();
    this.stopper = stopper;
    for (const relay of relays) void this.upload(relay, text, stopper.signal, 0);
  }

  private async upload(relay: Relay, text: string, signal: AbortSignal, failures: number): Promise<void> {
    const { directory, clock, log } = this.parts;
    const failed = (reason: string) => {
      if (signal.aborted) return;
      log.info('a descriptor was not taken', { directory: relay.status.nickname, reason });
      const delay = DELAYS[failures];
      if (delay === undefined) return;
      const timer = clock.setTimer(delay, () => {
        this.timers.delete(timer);
        void this.upload(relay, text, signal, failures + 1);
      });
      this.timers.add(timer);
    };
    try {
      const { status, reason } = await directory.publish(relay, text, signal);
      if (signal.aborted) return;
      if (status === 200) this.taken.add(relay.id);
      else if (status === 400) {
        // What it refuses once it refuses again.
        log.info('an HSDir refused a descriptor', { directory: relay.status.nickname, reason });
        this.parts.refused();
      } else failed(`${status} ${reason}`);
    } catch (error) {
      if (!(error instanceof CepaError)) throw error;
      failed(error.message);
    }
  }

  stop(): void {
    this.stopper?.abort();
    for (const timer of this.timers) timer.cancel();
    this.timers.clear();
    this.taken.clear();
  }
}
