/**
 * The events of a simulated world: a heap by time, first come first served within one instant.
 *
 * @module
 */

/** Something that happens at an instant. */
export interface SimEvent {
  readonly at: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** A binary heap of events. */
export class EventQueue {
  private readonly heap: SimEvent[] = [];
  private order = 0;

  get size(): number {
    return this.heap.length;
  }

  /** Adds an event; clearing its `run` cancels it. */
  add(at: number, run: () => void): SimEvent {
    const event: SimEvent = { at, order: this.order++, run };
    const { heap } = this;
    let index = heap.push(event) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
    return event;
  }

  /** The instant of the first event that was not cancelled. */
  next(): number | undefined {
    while (this.heap.length > 0 && this.heap[0]!.run === undefined) this.shift();
    return this.heap[0]?.at;
  }

  /** Takes the first event. */
  shift(): SimEvent | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

const before = (a: SimEvent, b: SimEvent) => a.at < b.at || (a.at === b.at && a.order < b.order);
