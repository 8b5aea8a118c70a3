/**
 * Work that comes round again, one round after the other.
 *
 * @module
 */
import type { Log } from '../shared/log/types.js';
import type { Clock, Timer } from '../shared/runtime/types.js';

/** What a round is. */
export interface RoundsEnv {
  readonly clock: Clock;
  readonly log: Log;
  /** What it is there to do, for the log. */
  readonly task: string;
  /** Milliseconds from the end of one to the next. */
  readonly every: number;
  round(): Promise<void>;
}

/** The next round begins when the last is over, and virtual time stands still for it: key generation takes a while. */
export class Rounds {
  private readonly env: RoundsEnv;
  private timer: Timer | undefined;
  private stopped = false;

  constructor(env: RoundsEnv) {
    this.env = env;
  }

  start(): void {
    const { clock, every } = this.env;
    this.timer = clock.setTimer(every, async () => {
      await clock.hold(this.env.round()).catch((error: Error) => this.failed(error));
      if (!this.stopped) this.start();
    });
  }

  private failed(error: Error): void {
    this.env.log.warn(`Cannot ${this.env.task}: ${error.message}`);
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }
}
