/**
 * Circuits built ahead for onion services: guard, vanguard and a relay that may be a rendezvous point. One hop more
 * makes any onion-service circuit of them; as it is, one can be a client's rendezvous circuit (C tor:
 * circuit_predict_and_launch_new, HS_VANGUARDS). They are there for the first hour, as circuits to the web are, and then
 * only where onion services were used of late.
 *
 * @module
 */
import type { OriginCircuit } from '../../shared/circuit/origin.js';
import type { Log } from '../../shared/log/types.js';
import type { Clock } from '../../shared/runtime/types.js';
import type { HsTarget } from './paths.js';

/** Circuits kept ready: for a rendezvous, a descriptor, an introduction. */
const SPARE = 3;
/** Milliseconds from the start until they are begun, if nobody asks before: what is asked for first has the machine. */
const FIRST_PAUSE = 3000;
/** Use is expected again for so long after the last one, milliseconds (C tor: PredictedPortsRelevanceTime). */
const RELEVANCE = 3_600_000;
/** A circuit nobody wanted is closed after so long (C tor: CircuitsAvailableTimeout, at least). */
const IDLE = 30 * 60_000;
/** Milliseconds to the next try after one that failed. */
const PAUSE = 5000;
/** Milliseconds of quiet after one was taken until others are begun: whoever took it has the machine. */
const QUIET = 2000;

/** Who is told what happens on a circuit; whoever takes the circuit puts its own in. */
export interface CircuitHooks {
  message(command: number, data: Uint8Array): void;
  closed(reason: number): void;
}

/** A circuit that stands and is nobody's. */
export interface Spare {
  readonly origin: OriginCircuit;
  readonly hooks: CircuitHooks;
  /** Its last relay. */
  readonly target: HsTarget;
  /** All its relays. */
  readonly relays: readonly string[];
}

/** What it works with. */
export interface PreparedParts<S extends Spare> {
  readonly clock: Clock;
  readonly log: Log;
  /** Builds one. Rejects when none comes about. */
  make(): Promise<S>;
}

/** The circuits. */
export class PreparedCircuits<S extends Spare> {
  private readonly parts: PreparedParts<S>;
  /** And when they were made (monotonic). */
  private readonly spares = new Map<S, number>();
  private building = 0;
  private readonly began: number;
  private lastUse: number | undefined;
  private notBefore: number;
  private stopped = false;

  constructor(parts: PreparedParts<S>) {
    this.parts = parts;
    this.began = parts.clock.monotonic();
    this.notBefore = this.began + FIRST_PAUSE;
  }

  /** Circuits that are ready. */
  get size(): number {
    return this.spares.size;
  }

  /** A circuit is wanted: the oldest that suits, if any. It is the caller's then. */
  take(suits: (spare: S) => boolean): S | undefined {
    const now = this.parts.clock.monotonic();
    const first = this.lastUse === undefined;
    this.lastUse = now;
    for (const spare of this.spares.keys()) {
      if (spare.origin.closed || !suits(spare)) continue;
      this.spares.delete(spare);
      this.notBefore = Math.max(this.notBefore, now + QUIET);
      return spare;
    }
    // Asked before any was there: what follows can have the use of them.
    if (first && this.spares.size + this.building === 0) {
      this.notBefore = now;
      this.fill();
    }
    return undefined;
  }

  /** What is due: call it about once a second. */
  tick(): void {
    const now = this.parts.clock.monotonic();
    for (const [spare, made] of [...this.spares]) {
      if (spare.origin.closed) this.spares.delete(spare);
      else if (now - made >= IDLE) this.drop(spare);
    }
    this.fill();
  }

  private fill(): void {
    const now = this.parts.clock.monotonic();
    if (now - (this.lastUse ?? this.began) > RELEVANCE || now < this.notBefore) return;
    while (!this.stopped && this.spares.size + this.building < SPARE) void this.prepare();
  }

  private async prepare(): Promise<void> {
    const { clock, log, make } = this.parts;
    this.building++;
    try {
      const spare = await make();
      if (this.stopped) spare.origin.close();
      else this.spares.set(spare, clock.monotonic());
    } catch (error) {
      this.notBefore = clock.monotonic() + PAUSE;
      log.debug('no onion-service circuit could be built ahead', { reason: (error as Error).message });
    } finally {
      this.building--;
    }
  }

  private drop(spare: S): void {
    this.spares.delete(spare);
    spare.origin.close();
  }

  stop(): void {
    this.stopped = true;
    for (const spare of [...this.spares.keys()]) this.drop(spare);
  }
}
