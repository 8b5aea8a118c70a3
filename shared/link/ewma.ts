/**
 * Who may send next: of the circuits with cells, the one that sent least lately, by a moving average that halves every
 * 30 seconds, or as the consensus says (C tor: circuitmux_ewma.c). An interactive circuit so passes the bulk ones.
 *
 * @module
 */

/** Milliseconds, where the consensus does not say otherwise (CircuitPriorityHalflifeMsec). */
export const DEFAULT_HALFLIFE = 30_000;
/** Cells a circuit may be ahead of the next before it has to wait: cheaper than one by one, and makes better batches. */
const QUANTUM = 4;
/** Past this weight the averages are brought down again; far from where doubles lose whole numbers. */
const MAX_WEIGHT = 2 ** 40;

/** What takes turns. The scheduler owns both fields; they begin at 0 and -1. */
export interface Turn {
  /** Cells sent, each weighted by when: later counts more. */
  sent: number;
  /** Place in the heap, -1 outside. */
  place: number;
}

/** A binary heap of those with something to send, least sent first. */
export class TurnHeap<T extends Turn> {
  private readonly heap: T[] = [];
  private readonly halflife: number;
  private epoch: number;
  private weight = 1;

  constructor(now: number, halflife = DEFAULT_HALFLIFE) {
    this.epoch = now;
    this.halflife = halflife;
  }

  get size(): number {
    return this.heap.length;
  }

  /** Sets what a cell weighs now. `all` are all that ever took turns and still may. */
  advance(now: number, all: Iterable<T>): void {
    this.weight = 2 ** ((now - this.epoch) / this.halflife);
    if (this.weight <= MAX_WEIGHT) return;
    // Old cells weigh less instead of new ones more: the same order in smaller numbers.
    for (const turn of all) turn.sent /= this.weight;
    this.epoch = now;
    this.weight = 1;
  }

  /** Who goes next. */
  get first(): T | undefined {
    return this.heap[0];
  }

  /** How many cells the first may send before another should. */
  allowance(): number {
    const { heap, weight } = this;
    if (heap.length < 2) return Number.MAX_SAFE_INTEGER;
    const next = heap.length > 2 && heap[2]!.sent < heap[1]!.sent ? heap[2]! : heap[1]!;
    return QUANTUM + Math.floor((next.sent - heap[0]!.sent) / weight);
  }

  add(turn: T): void {
    if (turn.place >= 0) return;
    turn.place = this.heap.length;
    this.heap.push(turn);
    this.up(turn);
  }

  remove(turn: T): void {
    const { place } = turn;
    if (place < 0) return;
    turn.place = -1;
    const last = this.heap.pop()!;
    if (last === turn) return;
    this.heap[place] = last;
    last.place = place;
    this.up(last);
    this.down(last);
  }

  /** Counts cells of the first. */
  charge(turn: T, cells: number): void {
    turn.sent += cells * this.weight;
    if (turn.place >= 0) this.down(turn);
  }

  private up(turn: T): void {
    const { heap } = this;
    let { place } = turn;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = heap[above]!;
      if (parent.sent <= turn.sent) break;
      heap[place] = parent;
      parent.place = place;
      place = above;
    }
    heap[place] = turn;
    turn.place = place;
  }

  private down(turn: T): void {
    const { heap } = this;
    let { place } = turn;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && heap[below + 1]!.sent < heap[below]!.sent) below++;
      const child = heap[below]!;
      if (child.sent >= turn.sent) break;
      heap[place] = child;
      child.place = place;
      place = below;
    }
    heap[place] = turn;
    turn.place = place;
  }
}
