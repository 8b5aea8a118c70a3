/**
 * The wait of a relay that goes down, for its circuits to end.
 *
 * @module
 */
import type { Clock } from '../shared/runtime/types.js';

/** Milliseconds between looks at how many circuits are left. */
const CHECK = 500;

/** Waits until no circuit is left, for so long, or until somebody is impatient. */
export class Drain {
  private readonly clock: Clock;
  private readonly circuits: () => number;
  private impatient = false;
  private finish: (() => void) | undefined;

  constructor(clock: Clock, circuits: () => number) {
    this.clock = clock;
    this.circuits = circuits;
  }

  /** Resolves when the wait is over, at most `longest` milliseconds from now. */
  done(longest: number): Promise<void> {
    const deadline = this.clock.monotonic() + longest;
    return new Promise((resolve) => {
      this.finish = resolve;
      const look = () => {
        const over = this.impatient || this.circuits() === 0 || this.clock.monotonic() >= deadline;
        if (over) resolve();
        else this.clock.setTimer(CHECK, look);
      };
      look();
    });
  }

  /** Ends the wait now. */
  end(): void {
    this.impatient = true;
    this.finish?.();
  }
}
