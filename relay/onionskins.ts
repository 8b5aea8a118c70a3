/**
 * The queue of CREATE2 handshakes. A handshake costs a hundred microseconds of public-key work, so they are taken a
 * few at a time between turns of reading, and a burst of them waits here without delaying the cells of open circuits.
 * With other threads at hand the work of a burst is theirs.
 * The queue is bounded by the time it would take to empty it (`MaxOnionQueueDelay`); over that the oldest goes, since
 * its client has waited longest and is nearest to giving up (C tor: `have_room_for_onionskin`, `onion_pending_add`).
 *
 * @module
 */
import type { Clock } from '../shared/runtime/types.js';

/** One handshake to answer. */
export interface Onionskin {
  /** Does the public-key work and answers the circuit. Never throws. */
  answer(): void;
  /** Was dropped because the queue is too long, or it waited too long. */
  dropped(): void;
}

/** Limits, in milliseconds, read anew at each use: they are consensus parameters. */
export interface OnionskinLimits {
  /** `MaxOnionQueueDelay`, default 1750. */
  readonly maxDelay: number;
  /** `onion_queue_wait_cutoff` (given there in seconds), default 5000. */
  readonly waitCutoff: number;
}

/** Always room for this many (C tor: `have_room_for_onionskin`). */
const MIN_ROOM = 50;
/** Never more than this many, whatever the measured cost says. */
const MAX_ROOM = 20_000;
/** Handshakes in one turn: some 2 ms of work. */
const PER_TURN = 16;
/** Milliseconds one handshake is taken to cost before any was measured. */
const FIRST_GUESS = 0.3;

/** Where handshakes are answered that are many. */
export interface Elsewhere<S> {
  /** How many batches may be under way. */
  readonly batches: number;
  /** Answers a batch; `done` is called when all are. */
  answer(skins: readonly S[], done: () => void): void;
}

/** Counts since the start. */
export interface OnionskinCounts {
  readonly waiting: number;
  readonly answered: number;
  readonly dropped: number;
}

/** First in, first out; a Map keeps the order and lets a dead circuit's entry go in O(1). */
export class OnionskinQueue<S extends Onionskin = Onionskin> {
  private readonly waiting = new Map<S, number>();
  private cost = FIRST_GUESS;
  private scheduled = false;
  private answered = 0;
  private droppedCount = 0;
  private readonly clock: Clock;
  private readonly limits: () => OnionskinLimits;
  private readonly elsewhere: Elsewhere<S> | undefined;
  private underWay = 0;

  constructor(clock: Clock, limits: () => OnionskinLimits, elsewhere?: Elsewhere<S>) {
    this.clock = clock;
    this.limits = limits;
    this.elsewhere = elsewhere;
  }

  get counts(): OnionskinCounts {
    return { waiting: this.waiting.size, answered: this.answered, dropped: this.droppedCount };
  }

  add(skin: S): void {
    const limits = this.limits();
    const room = Math.min(MAX_ROOM, Math.max(MIN_ROOM, Math.floor(limits.maxDelay / this.cost)));
    if (this.waiting.size >= room) this.dropOldest();
    this.waiting.set(skin, this.clock.monotonic());
    this.schedule();
  }

  /** The circuit is gone: its handshake need not be done. */
  cancel(skin: S): void {
    this.waiting.delete(skin);
  }

  private dropOldest(): void {
    const first = this.waiting.keys().next();
    if (!first.done) this.drop(first.value);
  }

  private drop(skin: S): void {
    this.waiting.delete(skin);
    this.droppedCount++;
    skin.dropped();
  }

  private schedule(): void {
    if (this.scheduled || this.waiting.size === 0) return;
    if (this.elsewhere && this.underWay >= this.elsewhere.batches) return;
    this.scheduled = true;
    this.clock.defer(this.run);
  }

  private readonly run = (): void => {
    this.scheduled = false;
    // The way to another thread takes longer than one handshake.
    if (this.elsewhere && this.waiting.size > 1) this.handOut(this.elsewhere);
    else this.answerHere();
  };

  private answerHere(): void {
    const start = this.clock.monotonic();
    const skins = this.take(start);
    for (const skin of skins) skin.answer();
    this.answered += skins.length;
    if (skins.length > 0) this.learnCost((this.clock.monotonic() - start) / skins.length);
    this.schedule();
  }

  private handOut(elsewhere: Elsewhere<S>): void {
    while (this.underWay < elsewhere.batches && this.waiting.size > 0) {
      const start = this.clock.monotonic();
      const skins = this.take(start);
      if (skins.length === 0) return;
      const ahead = ++this.underWay;
      elsewhere.answer(skins, () => {
        this.underWay--;
        this.answered += skins.length;
        // What was under way before it took its share of the time.
        this.learnCost((this.clock.monotonic() - start) / (skins.length * ahead));
        this.schedule();
      });
    }
  }

  /** Takes the oldest off the queue, as many as one turn has time for; those that waited too long are dropped. */
  private take(now: number): S[] {
    const oldest = now - this.limits().waitCutoff;
    const skins: S[] = [];
    for (const [skin, since] of this.waiting) {
      if (since < oldest) {
        this.drop(skin);
        continue;
      }
      if (skins.length === PER_TURN) break;
      this.waiting.delete(skin);
      skins.push(skin);
    }
    return skins;
  }

  /** A moving average, so that one slow turn does not shrink the queue. */
  private learnCost(perHandshake: number): void {
    this.cost = Math.max(0.01, this.cost * 0.95 + perHandshake * 0.05);
  }
}
