/**
 * What circuits will be wanted (path-spec 2.1.1): ports that were asked for in the past hour. Held in memory only.
 *
 * @module
 */

/** A port is expected to be asked for again within this time, milliseconds (C tor: PredictedPortsRelevanceTime). */
const RELEVANCE = 3_600_000;
/** Most ports remembered. */
const MAX_PORTS = 64;
/** Expected from the start, as the likeliest: the web. */
const FIRST_PORTS = [80, 443];

/** Remembers requests. Times are monotonic milliseconds. */
export class Predictor {
  private readonly ports = new Map<number, number>();
  private internalAt: number | undefined;

  constructor(now: number) {
    for (const port of FIRST_PORTS) this.ports.set(port, now);
  }

  /** A connection to a port was asked for. */
  note(port: number, now: number): void {
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
    this.internalAt = now;
  }

  /** Ports to be ready for. */
  expected(now: number): number[] {
    for (const [port, at] of this.ports) if (now - at > RELEVANCE) this.ports.delete(port);
    return [...this.ports.keys()];
  }

  /** Whether to be ready for circuits inside the network. */
  expectsInternal(now: number): boolean {
    return this.internalAt !== undefined && now - this.internalAt <= RELEVANCE;
  }
}
