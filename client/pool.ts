/**
 * Circuits of a client as a list: what each can be used for, and which is best for a request. Pure bookkeeping;
 * `circuits.ts` builds and closes them.
 *
 * @module
 */
import type { Stream } from '../shared/onion/types.js';
import type { Build, ClientCircuit } from './circuit-factory.js';
import type { GuardTicket } from './guards.js';
import type { CircuitIsolation, Isolation } from './isolation.js';
import type { Relay } from './network.js';
import { mightSupport, type PathPurpose } from './path.js';

/** One circuit, being built or standing. Times are monotonic milliseconds. */
export interface PooledCircuit {
  readonly id: number;
  readonly path: readonly Relay[];
  readonly kind: 'exit' | 'internal';
  /** All its relays are Stable. */
  readonly stable: boolean;
  readonly began: number;
  build: Build;
  /** Undefined while it is built. */
  circuit: ClientCircuit | undefined;
  builtAt: number | undefined;
  /** Hops that stand. */
  hops: number;
  /** Undefined when the first hop is no guard. */
  readonly ticket: GuardTicket | undefined;
  readonly isolation: CircuitIsolation;
  /** While being built: the requests it will serve, as far as one can tell. */
  promised: CircuitIsolation;
  /** When its first stream came. */
  dirtySince: number | undefined;
  /** Stays as good as new while it has streams (KeepAliveIsolateSOCKSAuth). */
  keepAlive: boolean;
  /** Takes no new streams. */
  retired: boolean;
  /** Past its use timeout: it is measured, and used only if somebody still waits. */
  late: boolean;
  /** Open streams; those that ended by themselves go at the next sweep. */
  readonly streams: Set<Stream>;
  /** When a clean one is closed for want of use. */
  readonly idleUntil: number;
}

/** What a stream wants of a circuit. */
export interface CircuitNeed {
  readonly purpose: PathPurpose;
  readonly stable: boolean;
  readonly isolation: Isolation;
  readonly avoidExits: ReadonlySet<string>;
}

/** Whether every relay has the Stable flag. */
export const isStable = (path: readonly Relay[]): boolean =>
  path.every((relay) => relay.status.flags.has('Stable'));

/** Whether its last hop and its relays suit a purpose, whatever its streams. */
export function suits(circuit: PooledCircuit, purpose: PathPurpose, stable: boolean): boolean {
  if (stable && !circuit.stable) return false;
  if (purpose.kind === 'internal') return circuit.kind === 'internal';
  return circuit.kind === 'exit' && mightSupport(circuit.path.at(-1)!, purpose);
}

/** Whether a stream may be opened on it now. */
export function isUsable(
  circuit: PooledCircuit,
  need: CircuitNeed,
  now: number,
  maxDirtiness: number,
): boolean {
  if (!circuit.circuit || circuit.retired) return false;
  if (circuit.ticket && circuit.ticket.state !== 'complete') return false;
  if (circuit.dirtySince !== undefined && now - circuit.dirtySince > maxDirtiness) return false;
  return (
    suits(circuit, need.purpose, need.stable) &&
    !need.avoidExits.has(circuit.path.at(-1)!.id) &&
    circuit.isolation.allows(need.isolation)
  );
}

/** The better of two usable circuits: used before clean, then the one used for less long, then the younger (C tor: `circuit_is_better`). */
export function better(a: PooledCircuit, b: PooledCircuit): PooledCircuit {
  if (a.dirtySince !== undefined || b.dirtySince !== undefined)
    return (a.dirtySince ?? -1) >= (b.dirtySince ?? -1) ? a : b;
  return a.began >= b.began ? a : b;
}

/** The best circuit for a request. */
export function bestFor(
  circuits: Iterable<PooledCircuit>,
  need: CircuitNeed,
  now: number,
  maxDirtiness: number,
): PooledCircuit | undefined {
  let best: PooledCircuit | undefined;
  for (const circuit of circuits)
    if (isUsable(circuit, need, now, maxDirtiness)) best = best ? better(best, circuit) : circuit;
  return best;
}

/** A building circuit that may serve a request and is not promised to others; `patience`: how long it may have taken. */
export function promiseFor(
  circuits: Iterable<PooledCircuit>,
  need: CircuitNeed,
  now: number,
  patience: number,
): PooledCircuit | undefined {
  for (const circuit of circuits) {
    if (circuit.circuit && circuit.ticket?.state !== 'waiting-for-better') continue;
    if (circuit.retired || circuit.late || now - circuit.began > patience) continue;
    if (!suits(circuit, need.purpose, need.stable) || need.avoidExits.has(circuit.path.at(-1)!.id)) continue;
    if (circuit.promised.allows(need.isolation)) return circuit;
  }
  return undefined;
}

/** Whether it was never used and can be. */
export const isClean = (circuit: PooledCircuit): boolean =>
  circuit.dirtySince === undefined && !circuit.retired && !circuit.late && !circuit.promised.used;
