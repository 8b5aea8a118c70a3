/**
 * Requests for names in .onion: streams on circuits that end at the services (rend-spec-v3 4.2; prop304).
 *
 * @module
 */
import { CepaError, DecodeError } from '../../shared/bytes/errors.js';
import { toHex } from '../../shared/bytes/text.js';
import { EndReason, nameOf, RelayCommand } from '../../shared/cell/commands.js';
import { BEGIN } from '../../shared/cell/relay-cells.js';
import { parseOnionAddress } from '../../shared/crypto/onion-address.js';
import type { Log } from '../../shared/log/types.js';
import type { Stream } from '../../shared/onion/types.js';
import type { Clock, Timer } from '../../shared/runtime/types.js';
import type { Options } from '../../shared/torrc/options.js';
import { failureOfEnd, StreamError } from '../failure.js';
import { CircuitIsolation, type Isolation } from '../isolation.js';
import type { Network } from '../network.js';
import type { Requester } from '../socks-server.js';
import type { StreamClient, StreamRequest, StreamTarget } from '../streams.js';
import type { HsCircuit } from './circuit-builder.js';
import type { Meetings } from './meeting.js';

/** Circuits that may die under a request. */
const MAX_DEATHS = 3;
/** Requests at once. */
const MAX_REQUESTS = 4096;
/** Milliseconds a service may take to answer BEGIN. */
const STREAM_TIMEOUT = 60_000;

/** What the client of services works with. */
export interface OnionClientParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly options: Options;
  readonly meetings: Meetings;
  network(): Network | undefined;
}

interface Pending {
  readonly identity: Uint8Array;
  readonly key: string;
  readonly port: number;
  readonly isolation: Isolation;
  readonly client: StreamClient;
  timer: Timer | undefined;
  stream: Stream | undefined;
  way: Way | undefined;
  deaths: number;
  over: boolean;
}

/** A circuit to a service, or the making of one. */
interface Way {
  readonly key: string;
  readonly isolation: CircuitIsolation;
  readonly stop: AbortController;
  readonly waiting: Set<Pending>;
  readonly streams: Set<Stream>;
  circuit: HsCircuit | undefined;
  /** Monotonic milliseconds of the last request. */
  used: number;
}

/** Carries out requests for onion services. */
export class OnionClient implements Requester {
  private readonly parts: OnionClientParts;
  private readonly ways = new Set<Way>();
  private readonly pending = new Set<Pending>();
  /** Those that wait for the network to be known. */
  private readonly early: (() => void)[] = [];

  constructor(parts: OnionClientParts) {
    this.parts = parts;
  }

  /** Circuits to services. */
  get circuits(): number {
    return [...this.ways].filter(({ circuit }) => circuit).length;
  }

  get waiting(): number {
    return this.pending.size;
  }

  request(target: StreamTarget, isolation: Isolation, client: StreamClient): StreamRequest {
    const { clock, options } = this.parts;
    const pending: Pending = {
      identity: new Uint8Array(0),
      key: '',
      port: target.kind === 'connect' ? target.port : 0,
      isolation,
      client,
      timer: undefined,
      stream: undefined,
      way: undefined,
      deaths: 0,
      over: false,
    };
    const refused = (error: StreamError): StreamRequest => {
      clock.defer(() => this.fail(pending, error));
      return { cancel: () => this.cancel(pending) };
    };
    if (target.kind !== 'connect')
      return refused(new StreamError('host-unreachable', 'an onion service has no address'));
    if (this.pending.size >= MAX_REQUESTS)
      return refused(new StreamError('general', 'too many requests are waiting'));
    let identity: Uint8Array;
    try {
      identity = parseOnionAddress(target.host.text.replace(/\.$/, ''));
    } catch (cause) {
      if (!(cause instanceof DecodeError)) throw cause;
      return refused(new StreamError('onion-bad-address', cause.message, { cause }));
    }
    const asked: Pending = { ...pending, identity, key: toHex(identity) };
    this.pending.add(asked);
    asked.timer = clock.setTimer(options.SocksTimeout, () =>
      this.fail(asked, new StreamError('timeout', 'the onion service was not reached in time')),
    );
    clock.defer(() => this.serve(asked));
    return { cancel: () => this.cancel(asked) };
  }

  // Ways

  private serve(pending: Pending): void {
    if (pending.over) return;
    const way = this.wayFor(pending) ?? this.begin(pending);
    way.isolation.join(pending.isolation);
    way.used = this.parts.clock.monotonic();
    if (way.circuit) this.open(pending, way);
    else {
      pending.way = way;
      way.waiting.add(pending);
    }
  }

  private wayFor(pending: Pending): Way | undefined {
    const { clock, options } = this.parts;
    const oldest = clock.monotonic() - options.MaxCircuitDirtiness;
    return [...this.ways].find(
      (way) =>
        way.key === pending.key &&
        way.isolation.allows(pending.isolation) &&
        !way.circuit?.closed &&
        way.used >= oldest,
    );
  }

  private begin(pending: Pending): Way {
    const way: Way = {
      key: pending.key,
      isolation: new CircuitIsolation(),
      stop: new AbortController(),
      waiting: new Set(),
      streams: new Set(),
      circuit: undefined,
      used: this.parts.clock.monotonic(),
    };
    this.ways.add(way);
    this.meet(way, pending.identity).then(
      (circuit) => this.met(way, circuit),
      (error: unknown) => this.failed(way, error),
    );
    return way;
  }

  private async meet(way: Way, identity: Uint8Array): Promise<HsCircuit> {
    const { network, meetings } = this.parts;
    const { signal } = way.stop;
    while (!network() && !signal.aborted) await new Promise<void>((resolve) => this.early.push(resolve));
    return meetings.meet(identity, signal);
  }

  private met(way: Way, circuit: HsCircuit): void {
    if (!this.ways.has(way) || circuit.closed) {
      circuit.close();
      this.failed(way, new StreamError('onion-rendezvous-failed', 'the circuit to the onion service closed'));
      return;
    }
    way.circuit = circuit;
    circuit.onClosed = () => this.ways.delete(way);
    circuit.onMessage = () => {};
    for (const pending of [...way.waiting]) {
      way.waiting.delete(pending);
      this.open(pending, way);
    }
  }

  private failed(way: Way, error: unknown): void {
    this.ways.delete(way);
    const failure =
      error instanceof StreamError
        ? error
        : new StreamError('general', error instanceof Error ? error.message : String(error), {
            cause: error,
          });
    if (!(error instanceof CepaError) && !way.stop.signal.aborted)
      this.parts.log.warn('An onion service could not be reached for a reason that should not be.', {
        error,
      });
    for (const pending of [...way.waiting]) this.fail(pending, failure);
    way.waiting.clear();
  }

  // Streams

  private open(pending: Pending, way: Way): void {
    const { clock, options } = this.parts;
    if (pending.over) return;
    pending.way = way;
    pending.timer?.cancel();
    let stream: Stream;
    try {
      stream = way.circuit!.origin.openStream(
        RelayCommand.BEGIN,
        BEGIN.encode({ host: '', port: pending.port, flags: 0 }),
        {
          connected: () => this.connected(pending),
          data() {},
          drain() {},
          end: (reason, local) => this.ended(pending, reason, local),
        },
      );
    } catch (error) {
      this.parts.log.info('a circuit to an onion service took no stream', { error });
      this.ways.delete(way);
      this.again(pending);
      return;
    }
    pending.stream = stream;
    way.streams.add(stream);
    pending.timer = clock.setTimer(options.CircuitStreamTimeout || STREAM_TIMEOUT, () => {
      this.fail(pending, new StreamError('timeout', 'the onion service does not answer'));
    });
  }

  private connected(pending: Pending): void {
    if (pending.over || !pending.stream) return;
    pending.over = true;
    this.pending.delete(pending);
    pending.timer?.cancel();
    pending.client.connected(pending.stream);
  }

  private ended(pending: Pending, reason: number, local: boolean): void {
    if (pending.over) return;
    const { way } = pending;
    // Where the circuit lives it was the answer: CONNECTED with nonsense in it.
    if (local && way?.circuit?.closed) {
      this.ways.delete(way);
      this.again(pending);
      return;
    }
    const message = `the onion service answered ${local ? 'nonsense' : nameOf(EndReason, reason)}`;
    this.fail(pending, new StreamError(failureOfEnd(reason), message, { endReason: reason }));
  }

  /** The circuit died under the request. */
  private again(pending: Pending): void {
    pending.stream = undefined;
    pending.way = undefined;
    if (++pending.deaths > MAX_DEATHS)
      this.fail(pending, new StreamError('onion-rendezvous-failed', 'circuit after circuit closed'));
    else this.serve(pending);
  }

  private fail(pending: Pending, error: StreamError): void {
    if (pending.over) return;
    this.letGo(pending);
    pending.client.failed(error);
  }

  private cancel(pending: Pending): void {
    if (!pending.over) this.letGo(pending);
  }

  /** Ends a request; nobody else waits for its way, the way ends too. */
  private letGo(pending: Pending): void {
    pending.over = true;
    this.pending.delete(pending);
    pending.timer?.cancel();
    pending.stream?.abort(EndReason.MISC);
    const { way } = pending;
    if (!way) return;
    way.waiting.delete(pending);
    if (way.circuit || way.waiting.size > 0) return;
    this.ways.delete(way);
    way.stop.abort();
  }

  // Life

  /** What is due: call it about once a second, and when the network has become known. */
  tick(): void {
    const { clock, options } = this.parts;
    for (const look of this.early.splice(0)) look();
    const oldest = clock.monotonic() - options.MaxCircuitDirtiness;
    for (const way of [...this.ways]) {
      for (const stream of way.streams) if (stream.closed) way.streams.delete(stream);
      if (!way.circuit || way.streams.size > 0 || way.used >= oldest) continue;
      this.ways.delete(way);
      way.circuit.close();
    }
  }

  stop(): void {
    for (const look of this.early.splice(0)) look();
    for (const way of this.ways) {
      way.stop.abort();
      way.circuit?.close();
    }
    this.ways.clear();
    for (const pending of [...this.pending])
      this.fail(pending, new StreamError('general', 'the client is stopping'));
  }
}
