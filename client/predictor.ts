/**
 * What circuits will be wanted (path-spec 2.1.1): ports that were asked for lately. Held in memory only.
 *
 * @module
 */

/** Most ports remembered. */
const MAX_PORTS = 64;
/** Expected from the start, as the likeliest: the web. */
const FIRST_PORTS = [80, 443];

/** Remembers requests. Times are monotonic milliseconds. */
export class Predictor {
  private readonly ports = new Map<number, number>();
  private readonly draw: () => number;
  /** A port is expected to be asked for again within this time; drawn anew when nothing was any more. */
  private relevance: number;
  private lastAsked: number;
  private internalAt: number | undefined;

  /** `draw`: how long to be ready for more of the same, in milliseconds. */
  constructor(now: number, draw: () => number) {
    this.draw = draw;
    this.relevance = draw();
    this.lastAsked = now;
    for (const port of FIRST_PORTS) this.ports.set(port, now);
  }

  /** A connection to a port was asked for. */
  note(port: number, now: number): void {
    this.asked(now);
    this.ports.delete(port);
    this.ports.set(port, now);
    if (this.ports.size <= MAX_PORTS) return;
    const oldest = this.ports.keys().next();
    if (!oldest.done) this.ports.delete(oldest.value);
  }

  /** No exit serves a port: nothing can be kept ready for it. */
  drop(port: number): void {
    this.ports.delete(port);
  }

  /** A circuit that ends inside the network was asked for. */
  noteInternal(now: number): void {
    this.asked(now);
    this.internalAt = now;
  }

  private asked(now: number): void {
    if (this.expected(now).length === 0 && !this.expectsInternal(now)) this.relevance = this.draw();
    this.lastAsked = now;
  }

  /** Milliseconds for which circuits are kept ready from now on, if nothing more is asked for. */
  remaining(now: number): number {
    return Math.max(0, this.relevance - (now - this.lastAsked));
  }

  /** Ports to be ready for. */
  expected(now: number): number[] {
    for (const [port, at] of this.ports) if (now - at > this.relevance) this.ports.delete(port);
    return [...this.ports.keys()];
  }

  /** Whether to be ready for circuits inside the network. */
  expectsInternal(now: number): boolean {
    return this.internalAt !== undefined && now - this.internalAt <= this.relevance;
  }
}
