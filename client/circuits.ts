/**
 * Circuits: chosen, built ahead of need and on demand, watched, retired (path-spec 2.1, 2.5; C tor: circuituse.c).
 * What to do with a circuit that stands is `streams.ts`'s business.
 *
 * @module
 */
import { CepaError } from '../shared/bytes/errors.js';
import { DestroyReason, nameOf } from '../shared/cell/commands.js';
import { isFirstHopRefusal } from '../shared/circuit/build-error.js';
import type { Log } from '../shared/log/types.js';
import type { Stream } from '../shared/onion/types.js';
import type { Clock, Random } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';
import type { BuildTimes } from './build-timeout.js';
import type { CircuitFactory } from './circuit-factory.js';
import { firstHops } from './first-hops.js';
import type { GuardManager, GuardTicket } from './guards.js';
import { CircuitIsolation } from './isolation.js';
import { hopOf, type Network } from './network.js';
import { choosePath, type PathFailure, type PathNeed, type PathRules } from './path.js';
import {
  bestFor,
  type CircuitNeed,
  isClean,
  isStable,
  type PooledCircuit,
  promiseFor,
  suits,
} from './pool.js';
import type { Predictor } from './predictor.js';

/** Clean circuits kept for each port that is expected (C tor: MIN_CIRCUITS_HANDLING_STREAM). */
const SPARE = 2;
/** Clean circuits kept at most (C tor: MAX_UNUSED_OPEN_CIRCUITS). */
const MAX_CLEAN = 12;
/** Milliseconds that a clean circuit lives when nothing is expected any more. */
const LEAST_IDLE = 1000;
/** A request waits this long for a circuit that is being built before another one is started for it as well. */
const PATIENCE = 4000;
/** Failures in a row after which building slows down, and the longest pause. */
const FREE_FAILURES = 5;
const MAX_PAUSE = 5000;
/** Milliseconds between warnings that no path can be made. */
const COMPLAINT_INTERVAL = 60_000;

/** What the manager works with. */
export interface CircuitParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly options: Options;
  readonly rules: PathRules;
  readonly factory: CircuitFactory;
  readonly guards: GuardManager;
  readonly buildTimes: BuildTimes;
  readonly predictor: Predictor;
}

/** Who wants to know. */
export interface CircuitWatcher {
  /** A circuit can be used (again), or one less is being built: requests that wait should be looked at. */
  changed(): void;
  /** A circuit stands. */
  built(circuit: PooledCircuit): void;
  /** The first stream is opened on a circuit. */
  used(circuit: PooledCircuit): void;
  /** A circuit that stood is gone. */
  gone(circuit: PooledCircuit): void;
  /** A first hop stands. */
  hop(): void;
}

/** Why no circuit could be started. */
export type LaunchFailure = PathFailure['missing'] | 'network' | 'busy';

/** All circuits of a client but the directory's. */
export class CircuitManager {
  private readonly parts: CircuitParts;
  private readonly watcher: CircuitWatcher;
  private readonly circuits = new Set<PooledCircuit>();
  /** What is chosen from; undefined while too little is known. */
  network: Network | undefined;
  private nextId = 1;
  private failures = 0;
  private notBefore = 0;
  private lastTest = 0;
  private lastComplaint = Number.NEGATIVE_INFINITY;
  private periodBegan = 0;

  constructor(parts: CircuitParts, watcher: CircuitWatcher) {
    this.parts = parts;
    this.watcher = watcher;
  }

  /** The network to choose from; undefined while too little is known of it. */
  setNetwork(network: Network | undefined): void {
    this.network = network;
    this.watcher.changed();
  }

  get ready(): boolean {
    return this.network !== undefined;
  }

  get list(): Iterable<PooledCircuit> {
    return this.circuits;
  }

  private get now(): number {
    return this.parts.clock.monotonic();
  }

  private get building(): PooledCircuit[] {
    return [...this.circuits].filter((circuit) => !circuit.circuit);
  }

  /** A circuit that can take the stream now. */
  find(need: CircuitNeed): PooledCircuit | undefined {
    return bestFor(this.circuits, need, this.now, this.parts.options.MaxCircuitDirtiness);
  }

  /** Forgets what the circuits being built were promised to; then `cover` promises anew. */
  clearPromises(): void {
    for (const circuit of this.circuits) circuit.promised = new CircuitIsolation();
  }

  /** Makes sure that a circuit is on its way for a request; returns why not when that cannot be. */
  cover(need: CircuitNeed): LaunchFailure | undefined {
    const coming = promiseFor(this.circuits, need, this.now, PATIENCE);
    if (coming) {
      coming.promised.join(need.isolation);
      return undefined;
    }
    const started = this.launch(need);
    if (typeof started === 'string') return started;
    started.promised.join(need.isolation);
    return undefined;
  }

  /** Starts a circuit. */
  launch(need: PathNeed): PooledCircuit | LaunchFailure {
    const { options, random, rules, log } = this.parts;
    const { network } = this;
    if (!network) return 'network';
    if (this.now < this.notBefore || this.building.length >= options.MaxClientCircuitsPending) return 'busy';
    const chosen = choosePath(network, rules, need, random, firstHops(this.parts, network));
    if ('missing' in chosen) {
      log.info(`no ${chosen.missing} for a path`, { purpose: need.purpose.kind });
      if (chosen.missing !== 'exit') this.complain(chosen.missing);
      return chosen.missing;
    }
    return this.start(chosen.path, need, chosen.guard);
  }

  /** Says, now and then, that the configuration or the network leaves no choice. */
  private complain(missing: PathFailure['missing']): void {
    if (this.now - this.lastComplaint < COMPLAINT_INTERVAL) return;
    this.lastComplaint = this.now;
    this.parts.log.warn(
      `No relay can be the ${missing} of a circuit: too few are running, or EntryNodes, MiddleNodes, ExcludeNodes ` +
        'and EnforceDistinctSubnets leave none.',
    );
  }

  private start(path: PooledCircuit['path'], need: PathNeed, ticket: GuardTicket | undefined): PooledCircuit {
    const { factory, log, options } = this.parts;
    const now = this.now;
    const pooled: PooledCircuit = {
      id: this.nextId++,
      path,
      kind: need.purpose.kind === 'internal' ? 'internal' : 'exit',
      stable: isStable(path),
      began: now,
      build: undefined as never,
      circuit: undefined,
      builtAt: undefined,
      hops: 0,
      ticket,
      isolation: new CircuitIsolation(),
      promised: new CircuitIsolation(),
      dirtySince: undefined,
      keepAlive: false,
      retired: false,
      late: false,
      streams: new Set(),
      idleUntil: now + this.idleTime(),
    };
    this.circuits.add(pooled);
    log.debug('building a circuit', { circuit: pooled.id, path: path.map((relay) => relay.status.nickname) });
    pooled.build = factory.build(
      path.map((relay, i) => hopOf(relay, i > 0 || options.ClientUseIPv6)),
      {
        hop: (n) => {
          pooled.hops = n;
          if (n === 1) this.watcher.hop();
        },
        closed: (reason) => this.closed(pooled, reason),
      },
    );
    pooled.build.circuit.then(
      (circuit) => this.done(pooled, circuit),
      (error: Error) => this.failed(pooled, error),
    );
    return pooled;
  }

  /**
   * Clean circuits live as long as more of the same is expected, and a little longer, not all equally. While build times
   * are being learned, they make room for further ones soon (path-spec 2.4.6 cbtlearntimeout).
   */
  private idleTime(): number {
    const { buildTimes, predictor, random } = this.parts;
    if (buildTimes.learning) return buildTimes.parameters.learnTimeout;
    const left = predictor.remaining(this.now);
    return left + LEAST_IDLE + random.below(LEAST_IDLE + Math.ceil(left / 20));
  }

  private done(pooled: PooledCircuit, circuit: NonNullable<PooledCircuit['circuit']>): void {
    if (!this.circuits.has(pooled)) {
      circuit.close(DestroyReason.REQUESTED);
      return;
    }
    const { guards, buildTimes, clock, log } = this.parts;
    pooled.circuit = circuit;
    pooled.builtAt = this.now;
    const took = pooled.builtAt - pooled.began;
    if (pooled.path.length === 3) buildTimes.built(took);
    this.failures = 0;
    if (pooled.ticket) guards.succeeded(pooled.ticket, clock.now());
    this.upgrade();
    log.debug('circuit built', { circuit: pooled.id, ms: Math.round(took), guard: pooled.ticket?.state });
    this.watcher.built(pooled);
    this.watcher.changed();
    // Late ones were only measured, unless somebody who waits takes it now: requests are looked at before this runs.
    if (pooled.late)
      clock.defer(() => {
        if (pooled.streams.size === 0) this.close(pooled, DestroyReason.FINISHED);
      });
  }

  /** Lets circuits that waited for better guards go ahead where none can come. */
  private upgrade(): void {
    const { guards, clock } = this.parts;
    const tickets = [...this.circuits]
      .map((circuit) => circuit.ticket)
      .filter((ticket) => ticket !== undefined);
    if (guards.upgrade(tickets, clock.now()).length > 0) this.watcher.changed();
  }

  private failed(pooled: PooledCircuit, error: Error): void {
    if (!this.circuits.delete(pooled)) return;
    this.parts.log.info('circuit failed', {
      circuit: pooled.id,
      hop: pooled.hops + 1,
      reason: error.message,
    });
    this.settleGuard(pooled, error);
    this.backOff();
    this.upgrade();
    this.watcher.changed();
  }

  /** Blames the guard when the first hop did not come about, unless it refused. */
  private settleGuard(pooled: PooledCircuit, error: Error): void {
    const { guards, clock } = this.parts;
    if (!pooled.ticket) return;
    if (pooled.hops === 0 && !isFirstHopRefusal(error)) guards.failed(pooled.ticket, clock.now());
    else guards.release(pooled.ticket);
  }

  /** A first few failures cost nothing, so that one dead relay is passed over at once; then pauses double. */
  private backOff(): void {
    this.failures++;
    const excess = this.failures - FREE_FAILURES;
    if (excess > 0) this.notBefore = this.now + Math.min(MAX_PAUSE, 50 * 2 ** Math.min(excess, 10));
  }

  private closed(pooled: PooledCircuit, reason: number): void {
    if (!this.circuits.delete(pooled)) return;
    this.parts.log.info('circuit closed from afar', {
      circuit: pooled.id,
      reason: nameOf(DestroyReason, reason),
    });
    if (pooled.ticket) this.parts.guards.release(pooled.ticket);
    if (pooled.circuit) this.watcher.gone(pooled);
    this.watcher.changed();
  }

  /** Closes a circuit; its streams end. */
  close(pooled: PooledCircuit, reason: number): void {
    if (!this.circuits.delete(pooled)) return;
    if (pooled.ticket && pooled.ticket.state !== 'complete') this.parts.guards.release(pooled.ticket);
    if (!pooled.circuit) {
      pooled.build.abort(reason);
      return;
    }
    pooled.circuit.close(reason);
    this.watcher.gone(pooled);
  }

  /** A stream was opened on it. */
  attach(pooled: PooledCircuit, need: CircuitNeed, stream: Stream): void {
    pooled.streams.add(stream);
    pooled.isolation.join(need.isolation);
    if (pooled.dirtySince !== undefined) return;
    pooled.dirtySince = this.now;
    this.watcher.used(pooled);
    if (need.isolation.keepAlive) pooled.keepAlive = true;
  }

  /** A stream on it is over. Those nobody reports are noticed by `tick`. */
  detach(pooled: PooledCircuit, stream: Stream): void {
    pooled.streams.delete(stream);
    this.closeIfSpent(pooled);
  }

  /** Lets a circuit take no new streams; those it has go on. */
  retire(pooled: PooledCircuit): void {
    pooled.retired = true;
    this.closeIfSpent(pooled);
  }

  private closeIfSpent(pooled: PooledCircuit): void {
    if (pooled.retired && pooled.streams.size === 0) this.close(pooled, DestroyReason.FINISHED);
  }

  /** What is due: call it about once a second. */
  tick(): void {
    // Failures are forgotten with each period (C tor: circuit_expire_old_circs_as_needed).
    if (this.now - this.periodBegan >= this.parts.options.NewCircuitPeriod) {
      this.periodBegan = this.now;
      this.failures = 0;
    }
    for (const circuit of [...this.circuits]) this.expire(circuit);
    this.upgrade();
    if (this.network) this.buildAhead();
  }

  private expire(pooled: PooledCircuit): void {
    const { guards, clock, options } = this.parts;
    const now = this.now;
    if (!pooled.circuit) {
      this.expireBuild(pooled, now - pooled.began);
      return;
    }
    for (const stream of pooled.streams) if (stream.closed) pooled.streams.delete(stream);
    if (pooled.keepAlive && pooled.streams.size > 0) pooled.dirtySince = now;
    const worn = pooled.dirtySince !== undefined && now - pooled.dirtySince > options.MaxCircuitDirtiness;
    if (worn || (pooled.dirtySince === undefined && now > pooled.idleUntil)) this.retire(pooled);
    else if (pooled.ticket && guards.waitedTooLong(pooled.ticket, clock.now()))
      this.close(pooled, DestroyReason.TIMEOUT);
  }

  private expireBuild(pooled: PooledCircuit, age: number): void {
    const { buildTimes } = this.parts;
    const { use, close } = buildTimes.timeouts();
    if (!pooled.late && age > use) {
      pooled.late = true;
      this.watcher.changed();
    }
    if (age <= close) return;
    if (pooled.hops > 0) buildTimes.timedOut();
    pooled.build.abort(DestroyReason.TIMEOUT);
    this.failed(pooled, new CepaError('client/build-timeout', `not built within ${Math.round(close)} ms`));
  }

  /** Keeps clean circuits for what is expected, and tests circuits while build times are being learned. */
  private buildAhead(): void {
    const { predictor, rules, buildTimes } = this.parts;
    const clean = [...this.circuits].filter(isClean);
    const want = (need: PathNeed): LaunchFailure | undefined => {
      const ready = clean.filter((circuit) => suits(circuit, need.purpose, need.stable)).length;
      for (let i = ready; i < SPARE && clean.length < MAX_CLEAN; i++) {
        const started = this.launch(need);
        if (typeof started === 'string') return started;
        clean.push(started);
      }
      return undefined;
    };
    for (const port of predictor.expected(this.now)) {
      const need: PathNeed = {
        purpose: { kind: 'exit', port, host: 'name' },
        stable: rules.longLivedPorts.has(port),
      };
      if (want(need) === 'exit') predictor.drop(port);
    }
    if (predictor.expectsInternal(this.now)) want({ purpose: { kind: 'internal' }, stable: true });
    if (buildTimes.learning) this.testBuild(clean.length);
  }

  private testBuild(clean: number): void {
    const { buildTimes } = this.parts;
    const { testInterval, maxOpenCircuits } = buildTimes.parameters;
    if (this.now - this.lastTest < testInterval || clean >= Math.min(MAX_CLEAN, maxOpenCircuits)) return;
    this.lastTest = this.now;
    this.launch({ purpose: { kind: 'resolve' }, stable: false });
  }

  /** Closes everything. */
  stop(): void {
    for (const circuit of [...this.circuits]) this.close(circuit, DestroyReason.FINISHED);
  }
}
