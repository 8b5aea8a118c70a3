/**
 * Requests of applications, from the moment they are made to the CONNECTED or RESOLVED that answers them: each waits
 * for a circuit, is tried on it, and on another one where that is worth while (path-spec 3; C tor:
 * `connection_ap_process_end_not_open`, `connection_ap_expire_beginning`).
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import { EndReason, nameOf, RelayCommand } from '../shared/cell/commands.js';
import { BEGIN, BeginFlag, RESOLVE, RESOLVED, type ResolvedAnswer } from '../shared/cell/relay-cells.js';
import type { Log } from '../shared/log/types.js';
import type { Stream, StreamHandlers } from '../shared/onion/types.js';
import type { Clock, Timer } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';
import type { Host } from './address.js';
import type { CircuitManager, LaunchFailure } from './circuits.js';
import { type FailureKind, failureOfEnd, StreamError } from './failure.js';
import { isInternal } from './internal-address.js';
import type { Isolation } from './isolation.js';
import type { PathPurpose } from './path.js';
import type { CircuitNeed, PooledCircuit } from './pool.js';
import type { Predictor } from './predictor.js';

/** Exits that may refuse or fail a request before it is given up (C tor: MAX_RESOLVE_FAILURES). */
const MAX_REFUSALS = 3;
/** Circuits that may die under a request. */
const MAX_CIRCUIT_DEATHS = 8;
/** Requests that may wait at once. */
const MAX_WAITING = 4096;
/** Milliseconds an attempt may take: the first two, then the rest (C tor: `compute_retry_timeout`). */
const FIRST_ATTEMPTS = 10_000;
const LATER_ATTEMPTS = 15_000;

/** What is asked for. */
export type StreamTarget =
  /** `flags`: BeginFlag bits. */
  | { readonly kind: 'connect'; readonly host: Host; readonly port: number; readonly flags: number }
  /** `name`: a host name, or the in-addr.arpa or ip6.arpa form of an address. */
  | { readonly kind: 'resolve'; readonly name: string };

/** Who asks. Exactly one of these is called, once, unless the request is cancelled. Calls do not come from within `request`. */
export interface StreamClient {
  /** The stream is open: `handlers` must be set before this returns, since data may be at hand. */
  connected(stream: Stream): void;
  resolved(answers: readonly ResolvedAnswer[]): void;
  failed(error: StreamError): void;
}

/** A request under way. */
export interface StreamRequest {
  /** Drops it: nobody is called any more, its stream (if any was opened and not handed over) ends. */
  cancel(): void;
}

interface Pending {
  readonly target: StreamTarget;
  readonly need: CircuitNeed & { readonly avoidExits: Set<string> };
  readonly client: StreamClient;
  readonly since: number;
  attempts: number;
  refusals: number;
  deaths: number;
  /** The last refusal, for the final error. */
  refusal: { kind: FailureKind; endReason: number } | undefined;
  current: { circuit: PooledCircuit; stream: Stream; timer: Timer } | undefined;
  over: boolean;
}

/** What the manager works with. */
export interface StreamParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly options: Options;
  readonly longLivedPorts: ReadonlySet<number>;
  readonly predictor: Predictor;
  /** Exits that went back on their policy, until the next consensus. */
  readonly brokenExits: Set<string>;
}

/** END reasons for which another exit may do better (C tor: `edge_reason_is_retriable`). */
const RETRIABLE = new Set<number>([
  EndReason.HIBERNATING,
  EndReason.RESOURCELIMIT,
  EndReason.EXITPOLICY,
  EndReason.RESOLVEFAILED,
  EndReason.MISC,
  EndReason.NOROUTE,
  // Not in C tor's list, but says nothing about the destination either.
  EndReason.DESTROY,
  EndReason.INTERNAL,
  EndReason.TORPROTOCOL,
]);

const LAUNCH_FAILURE: Readonly<Record<LaunchFailure, readonly [FailureKind, string]>> = {
  exit: ['not-allowed', 'no exit relay allows this destination'],
  guard: ['network-unreachable', 'no guard can be reached'],
  middle: ['network-unreachable', 'too few relays for a path'],
  network: ['network-unreachable', 'not enough is known of the network yet'],
  busy: ['network-unreachable', 'too many circuits are being built'],
};

const STOPPING = 'the client is stopping';

/** All requests. */
export class StreamManager {
  private readonly parts: StreamParts;
  private readonly circuits: () => CircuitManager;
  private readonly waiting = new Set<Pending>();
  private pumpDue = false;
  private stopped = false;

  constructor(parts: StreamParts, circuits: () => CircuitManager) {
    this.parts = parts;
    this.circuits = circuits;
  }

  /** Requests that wait for a circuit. */
  get waitingCount(): number {
    return this.waiting.size;
  }

  /** Makes a request. */
  request(target: StreamTarget, isolation: Isolation, client: StreamClient): StreamRequest {
    const { clock, predictor, longLivedPorts } = this.parts;
    const connect = target.kind === 'connect';
    if (connect) predictor.note(target.port, clock.monotonic());
    const purpose: PathPurpose = connect
      ? { kind: 'exit', port: target.port, host: this.familyOf(target) }
      : { kind: 'resolve' };
    const stable = connect && longLivedPorts.has(target.port);
    const pending: Pending = {
      target,
      need: { purpose, stable, isolation, avoidExits: new Set(this.parts.brokenExits) },
      client,
      since: clock.monotonic(),
      attempts: 0,
      refusals: 0,
      deaths: 0,
      refusal: undefined,
      current: undefined,
      over: false,
    };
    // `StreamClient` is not called from within.
    if (this.stopped) clock.defer(() => this.again(pending));
    else this.again(pending);
    return { cancel: () => this.cancel(pending) };
  }

  /** Which policy of an exit decides (C tor: `connection_ap_can_use_exit`). */
  private familyOf({ host, flags }: StreamTarget & { kind: 'connect' }): Host['kind'] {
    return host.kind === 'name' && (flags & BeginFlag.IPV4_NOT_OK) !== 0 ? 'ipv6' : host.kind;
  }

  private cancel(pending: Pending): void {
    if (pending.over) return;
    pending.over = true;
    this.waiting.delete(pending);
    const { current } = pending;
    if (!current) return;
    this.release(pending);
    current.stream.abort(EndReason.MISC);
  }

  /** Something about the circuits changed: looks at the requests again, once, at the end of this turn. */
  changed(): void {
    if (this.pumpDue || this.waiting.size === 0) return;
    this.pumpDue = true;
    this.parts.clock.defer(() => {
      this.pumpDue = false;
      this.pump();
    });
  }

  private pump(): void {
    const circuits = this.circuits();
    circuits.clearPromises();
    for (const pending of [...this.waiting]) {
      if (pending.over) continue;
      const circuit = circuits.find(pending.need);
      if (circuit) this.attempt(pending, circuit);
      else this.await(pending, circuits);
    }
    while (this.waiting.size > MAX_WAITING) {
      const oldest = this.waiting.values().next().value!;
      this.fail(oldest, 'general', 'too many requests are waiting');
    }
  }

  /** Nothing fits yet: a circuit is started, or the request fails when none can ever fit. */
  private await(pending: Pending, circuits: CircuitManager): void {
    const failure = circuits.cover(pending.need);
    if (failure !== 'exit') return;
    const { refusal } = pending;
    const [kind, text] = LAUNCH_FAILURE.exit;
    if (refusal) this.fail(pending, refusal.kind, `refused by every exit that was tried`, refusal.endReason);
    else this.fail(pending, kind, text);
  }

  /** Gives up requests that waited too long; call it about once a second. */
  tick(): void {
    const { clock, options } = this.parts;
    for (const pending of [...this.waiting]) {
      if (clock.monotonic() - pending.since < options.SocksTimeout) continue;
      const why = this.circuits().ready ? 'no circuit could be built in time' : LAUNCH_FAILURE.network[1];
      // Whatever it waited for (C tor: connection_ap_expire_beginning).
      this.fail(pending, 'timeout', why);
    }
    this.changed();
  }

  private attempt(pending: Pending, circuit: PooledCircuit): void {
    const { clock, options } = this.parts;
    const circuits = this.circuits();
    this.waiting.delete(pending);
    pending.attempts++;
    const handlers: StreamHandlers = {
      connected: (address) => this.connected(pending, address),
      // DATA before CONNECTED is refused below us; nothing to keep.
      data() {},
      drain() {},
      end: (reason, local) => this.ended(pending, reason, local),
      resolved: (data) => this.resolved(pending, data),
    };
    let stream: Stream;
    try {
      stream = circuit.circuit!.openStream(...this.opening(pending.target), handlers);
    } catch (error) {
      this.parts.log.info('a circuit took no stream', { circuit: circuit.id, error });
      circuits.retire(circuit);
      this.died(pending);
      return;
    }
    circuits.attach(circuit, pending.need, stream);
    if (stream.closed) {
      this.died(pending);
      return;
    }
    const limit = options.CircuitStreamTimeout || (pending.attempts <= 2 ? FIRST_ATTEMPTS : LATER_ATTEMPTS);
    const timer = clock.setTimer(limit, () => this.timedOut(pending));
    pending.current = { circuit, stream, timer };
  }

  private opening(target: StreamTarget): [command: number, body: Uint8Array] {
    if (target.kind === 'resolve') return [RelayCommand.RESOLVE, RESOLVE.encode({ name: target.name })];
    const { host, port, flags } = target;
    return [RelayCommand.BEGIN, BEGIN.encode({ host: host.text, port, flags })];
  }

  /** Lets go of the current attempt's circuit and timer. */
  private release(pending: Pending): void {
    const { current } = pending;
    if (!current) return;
    pending.current = undefined;
    current.timer.cancel();
    this.circuits().detach(current.circuit, current.stream);
  }

  private connected(pending: Pending, address: string | undefined): void {
    const { current } = pending;
    if (!current || pending.over) return;
    const wrong = address === undefined ? undefined : this.whatIsWrong(pending.target, address);
    if (wrong) {
      this.release(pending);
      current.stream.abort(EndReason.MISC);
      this.fail(pending, 'host-unreachable', `the name resolved to an address ${wrong}`);
      return;
    }
    pending.over = true;
    current.timer.cancel();
    pending.client.connected(current.stream);
  }

  private whatIsWrong(target: StreamTarget, address: string): string | undefined {
    if (this.isForbidden(address)) return 'of an inner network';
    const flags = target.kind === 'connect' ? target.flags : BeginFlag.IPV6_OK;
    const allowed = address.includes(':') ? flags & BeginFlag.IPV6_OK : ~flags & BeginFlag.IPV4_NOT_OK;
    return allowed === 0 ? 'of a family that was not allowed' : undefined;
  }

  /** A name that stands for an address of some inner network is a trick (C tor: ClientDNSRejectInternalAddresses). */
  private isForbidden(address: string): boolean {
    return this.parts.options.ClientRejectInternalAddresses && isInternal(address);
  }

  private resolved(pending: Pending, data: Uint8Array): void {
    if (!pending.current || pending.over) return;
    let answers: ResolvedAnswer[];
    try {
      ({ answers } = RESOLVED.decode(data));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.parts.log.info('an exit sent a malformed RESOLVED', { field: error.field });
      this.refused(pending, EndReason.TORPROTOCOL);
      return;
    }
    const transient = answers.some((answer) => answer.type === 'error' && answer.transient);
    if (transient && !answers.some((answer) => answer.type !== 'error')) {
      this.refused(pending, EndReason.RESOLVEFAILED);
      return;
    }
    pending.over = true;
    this.release(pending);
    pending.client.resolved(
      answers.filter((answer) => answer.type !== 'address' || !this.isForbidden(answer.address)),
    );
  }

  /** END, or the circuit died, before CONNECTED. */
  private ended(pending: Pending, reason: number, local: boolean): void {
    if (!pending.current || pending.over) return;
    if (!local) {
      this.refused(pending, reason);
      return;
    }
    this.release(pending);
    this.died(pending);
  }

  /** The circuit closed under the request: no fault of the destination's. */
  private died(pending: Pending): void {
    pending.deaths++;
    if (pending.deaths > MAX_CIRCUIT_DEATHS) this.fail(pending, 'general', 'circuit after circuit closed');
    else this.again(pending);
  }

  /** The exit said no. */
  private refused(pending: Pending, reason: number): void {
    const { circuit } = pending.current!;
    const exit = circuit.path.at(-1)!;
    this.release(pending);
    const kind = failureOfEnd(reason);
    pending.refusal = { kind, endReason: reason };
    pending.refusals++;
    if (!RETRIABLE.has(reason) || pending.refusals >= MAX_REFUSALS) {
      this.fail(pending, kind, `the exit answered ${nameOf(EndReason, reason)}`, reason);
      return;
    }
    if (reason === EndReason.HIBERNATING || reason === EndReason.RESOURCELIMIT)
      this.parts.brokenExits.add(exit.id);
    pending.need.avoidExits.add(exit.id);
    this.again(pending);
  }

  /** No answer: the circuit is not used for new streams, and the request goes elsewhere. */
  private timedOut(pending: Pending): void {
    const { current } = pending;
    if (!current || pending.over) return;
    this.release(pending);
    this.circuits().retire(current.circuit);
    current.stream.abort(EndReason.MISC);
    const waited = this.parts.clock.monotonic() - pending.since;
    if (waited >= this.parts.options.SocksTimeout) this.fail(pending, 'timeout', 'no exit answered in time');
    else this.again(pending);
  }

  private again(pending: Pending): void {
    if (pending.over) return;
    if (this.stopped) {
      this.fail(pending, 'general', STOPPING);
      return;
    }
    this.waiting.add(pending);
    this.changed();
  }

  private fail(pending: Pending, kind: FailureKind, message: string, endReason?: number): void {
    if (pending.over) return;
    pending.over = true;
    this.waiting.delete(pending);
    this.release(pending);
    pending.client.failed(new StreamError(kind, message, endReason === undefined ? {} : { endReason }));
  }

  /** Fails all requests: those that wait now, those on circuits when these close. */
  stop(): void {
    this.stopped = true;
    for (const pending of [...this.waiting]) this.fail(pending, 'general', STOPPING);
  }
}
