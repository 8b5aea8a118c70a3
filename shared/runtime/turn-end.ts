/**
 * What is left for the end of a turn of the event loop, when the input at hand was handled.
 *
 * @module
 */

type Work = () => void;

/**
 * Runs what was deferred, and after it what that deferred in its turn, as a handshake that is answered defers the write:
 * a turn of its own for that would cost every hop of a circuit a round of the loop. What defers itself again, or is
 * deferred by the second round, waits for the next turn, so that input is never kept out.
 */
export class TurnEnd {
  private waiting: Work[] = [];
  private scheduled = false;
  private readonly schedule: (run: Work) => void;

  /** `schedule` calls what it is given once, at the end of this turn; of the next when it is called at the end of one. */
  constructor(schedule: (run: Work) => void) {
    this.schedule = schedule;
  }

  defer(work: Work): void {
    this.waiting.push(work);
    if (this.scheduled) return;
    this.scheduled = true;
    this.schedule(this.end);
  }

  private readonly end = (): void => {
    try {
      const first = this.take();
      this.run(first);
      if (this.waiting.length === 0) return;
      const ran = new Set(first);
      const deferred = this.take();
      this.waiting = deferred.filter((work) => ran.has(work));
      this.run(deferred.filter((work) => !ran.has(work)));
    } finally {
      this.scheduled = this.waiting.length > 0;
      if (this.scheduled) this.schedule(this.end);
    }
  };

  private take(): Work[] {
    const { waiting } = this;
    this.waiting = [];
    return waiting;
  }

  /** When one throws, the others still run: in the next turn. */
  private run(list: readonly Work[]): void {
    let next = 0;
    try {
      while (next < list.length) list[next++]!();
    } finally {
      if (next < list.length) this.waiting.unshift(...list.slice(next));
    }
  }
}
