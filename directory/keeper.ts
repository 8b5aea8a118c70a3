/**
 * Saves what changed: soon, one file after the other, each as often as it changes and no oftener.
 *
 * @module
 */
import type { Log } from '../shared/log/types.js';
import type { Clock, Timer } from '../shared/runtime/types.js';

/** Writes one kind of state. */
export type Save = () => Promise<void>;

/** The saver. */
export class Keeper<Kind extends string> {
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly saves: Readonly<Record<Kind, Save>>;
  private readonly delay: number;
  private readonly changed = new Set<Kind>();
  private timer: Timer | undefined;
  private writing: Promise<void> = Promise.resolve();

  /** `delay`: milliseconds for which changes are gathered. */
  constructor(env: { clock: Clock; log: Log }, saves: Readonly<Record<Kind, Save>>, delay: number) {
    this.clock = env.clock;
    this.log = env.log;
    this.saves = saves;
    this.delay = delay;
  }

  /** Something of this kind is new: save it soon. */
  soon(...kinds: Kind[]): void {
    for (const kind of kinds) this.changed.add(kind);
    this.timer ??= this.clock.setTimer(this.delay, () => this.flush());
  }

  /** Saves these now; the others wait their time. */
  now(...kinds: Kind[]): Promise<void> {
    this.writing = this.clock.hold(this.writing.then(() => this.write(kinds)));
    return this.writing;
  }

  private flush(): void {
    this.timer = undefined;
    void this.now(...this.changed);
  }

  private async write(kinds: readonly Kind[]): Promise<void> {
    for (const kind of kinds) {
      this.changed.delete(kind);
      try {
        await this.saves[kind]();
      } catch (error) {
        this.log.warn(`Cannot save ${kind}: ${(error as Error).message}`);
        // Tried again with the next change.
        this.changed.add(kind);
      }
    }
  }
}
