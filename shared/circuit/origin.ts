/**
 * A circuit at the end that made it: hop after hop by CREATE2 and EXTEND2, a layer for each, streams at any of them
 * (tor-spec 5). Which relays make a path, and how long a build may take, is for the caller to say.
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import type { CellBatch } from '../cell/batch.js';
import { CREATE2, CREATED_FAST, CREATED2 } from '../cell/channel-cells.js';
import { CELL_SIZE, Command, DestroyReason, HandshakeType, nameOf, RelayCommand } from '../cell/commands.js';
import { EXTENDED2 } from '../cell/relay-cells.js';
import type { ChannelManager, Leg, LegHandler } from '../link/types.js';
import type { Log } from '../log/types.js';
import { CircuitEnd } from '../onion/circuit-end.js';
import type { ClientLayer } from '../onion/direction.js';
import type { ConsensusParam, FlowControl } from '../onion/flow.js';
import { tor1Client } from '../onion/tor1.js';
import type { IncomingStream, Stream, StreamHandlers } from '../onion/types.js';
import type { VegasPath } from '../onion/vegas.js';
import type { Clock, Random } from '../runtime/types.js';
import { CircuitBuildError } from './build-error.js';
import {
  defaultParam,
  extendBody,
  type HandshakeContext,
  type HopHandshake,
  type HopTarget,
  startHandshake,
} from './hop.js';
import { Layers } from './layers.js';

/** RELAY_EARLY cells a circuit may send, at most (tor-spec 5.6). */
const MAX_RELAY_EARLY = 8;
/** Hops a circuit may have: more than that many EXTEND2 cannot all be RELAY_EARLY. */
const MAX_HOPS = MAX_RELAY_EARLY + 1;

/** What circuits need of their node. */
export interface CircuitEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Circuits put themselves in, from the first cell until they are over. */
  readonly circuits?: Set<OriginCircuit>;
}

/** Options of a circuit. */
export interface OriginOptions {
  /** Consensus parameters; the specification's defaults when absent. */
  readonly param?: ConsensusParam;
  /** What the circuit is for, as congestion control sees it; `exit` when absent. */
  readonly path?: VegasPath;
  /** Whether data will flow at the first hop, so that congestion control is asked of it. */
  readonly carries?: boolean;
  /** The hop that will be asked for next: prepared while the first is made. */
  readonly next?: NextHop | undefined;
  /** Gives up the first hop when it aborts. Later: `close`. */
  readonly signal?: AbortSignal;
  /** The circuit died, not by `close`, with a DestroyReason. Its streams have been told. */
  readonly onClosed?: (reason: number) => void;
  /** Messages about the circuit that this module does not handle (onion services, padding, conflux). */
  readonly onMessage?: (message: HopMessage) => void;
}

/** A message from one hop, counted from 0. */
export interface HopMessage {
  readonly hop: number;
  readonly command: number;
  readonly streamId: number;
  /** A copy. */
  readonly data: Uint8Array;
}

/** A hop that stands. */
export interface CircuitHop {
  /** Undefined for a virtual hop. */
  readonly target: HopTarget | undefined;
  /** Keys the MAC of ESTABLISH_INTRO; undefined for a virtual hop. */
  readonly kh: Uint8Array | undefined;
}

interface StandingHop extends CircuitHop {
  readonly end: CircuitEnd;
}

/** A hop to make. */
export interface NextHop {
  readonly target: HopTarget;
  /** Data will flow there, so that congestion control is asked for where relay and consensus have it. */
  readonly carries: boolean;
}

/** A handshake with a hop, not sent yet. */
interface Prepared extends NextHop {
  readonly handshake: HopHandshake;
}

/** The hop being made; the circuit's promise of it. */
interface Pending {
  readonly target: HopTarget;
  readonly handshake: HopHandshake;
  resolve(): void;
  reject(error: CircuitBuildError): void;
}

export class OriginCircuit implements LegHandler {
  private readonly env: CircuitEnv;
  private readonly options: OriginOptions;
  private readonly context: HandshakeContext;
  private readonly standing: StandingHop[] = [];
  private readonly layers = new Layers();
  private leg: Leg | undefined;
  private pending: Pending | undefined;
  private prepared: Prepared | undefined;
  private earlyLeft: number;
  private extending = false;
  private dead = false;
  /** The DestroyReason it ended with. */
  private reason: number = DestroyReason.NONE;
  private death: CircuitBuildError | undefined;

  /** Use `createOriginCircuit`. */
  constructor(env: CircuitEnv, options: OriginOptions) {
    this.env = env;
    this.options = options;
    const param = options.param ?? defaultParam;
    this.context = { clock: env.clock, random: env.random, param, path: options.path ?? 'exit' };
    // Seven or eight, as C tor does, so that the last one tells less of the path's length.
    this.earlyLeft = MAX_RELAY_EARLY - env.random.below(2);
  }

  /** Hops that stand, the nearest first. */
  get hops(): readonly CircuitHop[] {
    return this.standing;
  }

  get closed(): boolean {
    return this.dead;
  }

  /** Why it is closed; undefined while it is not. */
  get failure(): CircuitBuildError | undefined {
    const { dead, reason } = this;
    if (dead)
      this.death ??= new CircuitBuildError('aborted', this.standing.length + 1, 'given up', { reason });
    return this.death;
  }

  /** Open streams at all hops. */
  get streams(): number {
    return this.standing.reduce((sum, hop) => sum + hop.end.streams, 0);
  }

  /** Bytes that its streams hold. */
  get streamMemory(): number {
    return this.standing.reduce((sum, hop) => sum + hop.end.queuedBytes, 0);
  }

  /** The same, and the cells that wait for its link. */
  get memory(): number {
    return (this.leg?.queued ?? 0) * CELL_SIZE + this.streamMemory;
  }

  /** Monotonic milliseconds since when the oldest of them waits. */
  get waitingSince(): number | undefined {
    const times = this.standing.map(({ end }) => end.waitingSince).filter((time) => time !== undefined);
    const queued = this.leg?.since;
    if (queued !== undefined) times.push(queued);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Ends it for want of memory: what waits is lost, and its owner is told. */
  kill(): void {
    for (const { end } of this.standing) end.dropBacklogs();
    this.fail('aborted', DestroyReason.RESOURCELIMIT, 'out of memory');
  }

  /** The leg to the first hop, once there is one. */
  get firstLeg(): Leg | undefined {
    return this.leg;
  }

  // Building

  /** Makes the first hop over a channel; see `createOriginCircuit`. */
  create(target: HopTarget, openLeg: (handler: LegHandler) => Leg): Promise<void> {
    const { carries = false, next } = this.options;
    return this.promise({ target, carries }, next, (handshake) => {
      this.leg = openLeg(this);
      this.env.circuits?.add(this);
      const { type, data } = handshake.start;
      if (type === HandshakeType.FAST) this.leg.control(Command.CREATE_FAST, data);
      else this.leg.control(Command.CREATE2, CREATE2.encode({ type, data }));
    });
  }

  /**
   * Makes one more hop. `carries`: data will flow there, so that congestion control is asked for where relay and
   * consensus have it; C tor's clients ask only exits. `next` is the hop that will be asked for after it: prepared while
   * this one is made. Rejects with CircuitBuildError; the circuit is closed then, but not where nothing was asked:
   * for want of an address, a key or a RELAY_EARLY cell.
   */
  extend(target: HopTarget, options: { carries?: boolean; next?: NextHop | undefined } = {}): Promise<void> {
    const { carries = false, next } = options;
    return this.promise({ target, carries }, next, (handshake) => {
      const last = this.standing.at(-1);
      if (!last) throw new CircuitBuildError('unable', 1, 'there is no hop to extend from');
      this.extending = true;
      last.end.send(RelayCommand.EXTEND2, 0, extendBody(target, handshake.start));
      this.extending = false;
    });
  }

  private promise(
    hop: NextHop,
    next: NextHop | undefined,
    ask: (handshake: HopHandshake) => void,
  ): Promise<void> {
    const { target } = hop;
    if (this.dead) return Promise.reject(this.failure);
    const number = this.standing.length + 1;
    const unable = this.whyUnable(target);
    if (unable) return Promise.reject(new CircuitBuildError('unable', number, unable));
    return new Promise((resolve, reject) => {
      try {
        const handshake = this.handshakeFor(hop);
        this.pending = { target, handshake, resolve, reject };
        ask(handshake);
        // Behind the write of what was asked, which is at the end of this turn too.
        this.env.clock.defer(() => this.workAhead(handshake, next));
      } catch (cause) {
        this.fail('unable', DestroyReason.INTERNAL, (cause as Error).message, cause);
        // Nothing was pending when it was the handshake that could not be started.
        reject(this.failure);
      }
    });
  }

  private handshakeFor({ target, carries }: NextHop): HopHandshake {
    const { prepared } = this;
    this.prepared = undefined;
    if (prepared?.target === target && prepared.carries === carries) return prepared.handshake;
    return startHandshake(target, carries, this.context);
  }

  /** Public-key work that needs no answer, while one is on its way. */
  private workAhead(handshake: HopHandshake, next: NextHop | undefined): void {
    if (this.dead || this.pending?.handshake !== handshake) return;
    handshake.start.ahead?.();
    this.layers.ready();
    if (!next?.target.ntorKey) return;
    try {
      this.prepared = { ...next, handshake: startHandshake(next.target, next.carries, this.context) };
    } catch {
      // An onion key that is none: whoever asks for the hop is told.
    }
  }

  private whyUnable(target: HopTarget): string | undefined {
    if (this.pending) return 'another hop is being made';
    if (this.standing.length === 0) return undefined;
    if (this.standing.length >= MAX_HOPS || this.earlyLeft === 0) return 'no RELAY_EARLY cell is left';
    if (!target.ntorKey) return 'the onion key of the relay is not known';
    const hasIpv4 = target.addresses.some((address) => !address.host.includes(':'));
    // Only relays of prop311 extend over IPv6.
    if (!hasIpv4 && !this.standing.at(-1)!.target?.protocols.has('Relay', 3))
      return 'the relay has no IPv4 address, and the one before does not extend over IPv6';
    return target.addresses.length > 0 ? undefined : 'the relay has no address';
  }

  private answered(reply: Uint8Array): void {
    const { pending } = this;
    if (!pending) throw new ProtocolError('an answer to no handshake');
    const { keys, flow } = pending.handshake.finish(reply);
    this.addHop({ target: pending.target, kh: keys.kh }, tor1Client(keys), flow);
    this.pending = undefined;
    pending.resolve();
  }

  /**
   * Adds a hop that is at the end of another circuit joined to this one (onion services). Streams asked for by the
   * other end go to `onStream`; without it they are violations.
   */
  addVirtualHop(layer: ClientLayer, flow: FlowControl, onStream?: (stream: IncomingStream) => void): void {
    if (this.dead) return;
    this.addHop({ target: undefined, kh: undefined }, layer, flow, onStream);
  }

  private addHop(
    hop: CircuitHop,
    layer: ClientLayer,
    flow: FlowControl,
    onStream?: (stream: IncomingStream) => void,
  ): void {
    const number = this.standing.length;
    const end = new CircuitEnd({
      clock: this.env.clock,
      random: this.env.random,
      flow,
      seal: (batch) => this.seal(batch, number),
      sealTag: (i) => layer.sealTag(i),
      leg: () => this.leg!,
      onMessage: (command, streamId, data) => this.message({ hop: number, command, streamId, data }),
      onViolation: (error) => this.violation(error),
      ...(onStream && { onStream }),
    });
    this.layers.push(layer);
    this.standing.push({ ...hop, end });
  }

  // Streams and messages

  /** Opens a stream with BEGIN, BEGIN_DIR or RESOLVE, at the last hop unless another is named (from 0). */
  openStream(
    command: number,
    data: Uint8Array,
    handlers: StreamHandlers,
    hop = this.standing.length - 1,
  ): Stream {
    return this.hop(hop).end.open(command, data, handlers);
  }

  /** Opens a stream to the directory of a hop, the last one unless another is named (from 0). */
  openDir(handlers: StreamHandlers, hop = this.standing.length - 1): Stream {
    return this.openStream(RelayCommand.BEGIN_DIR, new Uint8Array(0), handlers, hop);
  }

  /** Sends a message about the circuit to a hop, the last one unless another is named (from 0). */
  sendMessage(command: number, data: Uint8Array, hop = this.standing.length - 1): void {
    this.hop(hop).end.send(command, 0, data);
  }

  private hop(n: number): StandingHop {
    const hop = this.standing[n];
    if (!hop) throw new RangeError(`the circuit has no hop ${n}`);
    return hop;
  }

  private message(message: HopMessage): void {
    const { command, data, hop } = message;
    if (command === RelayCommand.EXTENDED2) {
      if (hop !== this.standing.length - 1)
        throw new ProtocolError('EXTENDED2 from a hop that is not the last');
      this.answer(() => EXTENDED2.decode(data).data);
    } else if (command === RelayCommand.TRUNCATED) {
      // What lies beyond is gone; like C tor, we do not go on with the stump.
      const reason = data[0] ?? DestroyReason.NONE;
      this.fail('destroyed', reason, `TRUNCATED by hop ${hop + 1}: ${nameOf(DestroyReason, reason)}`);
    } else this.options.onMessage?.(message);
  }

  // Cells

  /** Puts digest and layers on cells for hop `n`, and makes them RELAY_EARLY while C tor would. */
  private seal(batch: CellBatch, n: number): void {
    if (this.earlyLeft > 0 && (n > 0 || this.extending)) {
      const early = Math.min(this.earlyLeft, batch.n);
      for (let i = 0; i < early; i++) batch.buf[batch.at[i]! - 1] = Command.RELAY_EARLY;
      this.earlyLeft -= early;
    }
    this.layers.seal(batch, n);
  }

  relayCells(_leg: Leg, batch: CellBatch): void {
    if (this.dead) return;
    for (let i = 0; i < batch.n; i++)
      if (batch.buf[batch.at[i]! - 1] === Command.RELAY_EARLY) {
        this.violation(new ProtocolError('RELAY_EARLY towards the client'));
        return;
      }
    const unknown = this.layers.open(
      batch,
      (n, cells, mine, tagOf) => this.standing[n]!.end.receive(cells, mine, tagOf),
      () => !this.dead,
    );
    if (unknown > 0) this.violation(new ProtocolError(`${unknown} relay cells of no hop`));
  }

  control(_leg: Leg, command: number, body: Uint8Array): void {
    if (this.dead) return;
    const type = this.standing.length === 0 ? this.pending?.handshake.start.type : undefined;
    const expected = type === HandshakeType.FAST ? Command.CREATED_FAST : Command.CREATED2;
    if (type === undefined || command !== expected)
      this.violation(new ProtocolError(`${nameOf(Command, command)} has no place here`));
    else this.answer(() => (type === HandshakeType.FAST ? fastReply(body) : CREATED2.decode(body).data));
  }

  private answer(replyOf: () => Uint8Array): void {
    try {
      this.answered(replyOf());
    } catch (cause) {
      this.fail('handshake', DestroyReason.PROTOCOL, (cause as Error).message, cause);
    }
  }

  writable(): void {
    for (const hop of this.standing) hop.end.writable();
  }

  // The end

  destroyed(_leg: Leg, reason: number): void {
    if (this.dead) return;
    this.leg = undefined;
    this.fail('destroyed', reason, `destroyed: ${nameOf(DestroyReason, reason)}`);
  }

  /** Tears the circuit down. The network is told no reason, as C tor does; `onClosed` is not called. */
  close(reason: number = DestroyReason.NONE): void {
    this.finish(reason);
  }

  private violation(error: ProtocolError): void {
    if (this.dead) return;
    this.env.log.info('a circuit broke the protocol', { error: error.message });
    this.fail('protocol', DestroyReason.PROTOCOL, error.message, error);
  }

  private fail(kind: CircuitBuildError['kind'], reason: number, message: string, cause?: unknown): void {
    if (this.dead) return;
    const stood = !this.pending || this.standing.length > 0;
    this.finish(reason, new CircuitBuildError(kind, this.standing.length + 1, message, { reason, cause }));
    if (stood) this.options.onClosed?.(reason);
  }

  /** Without an error it was given up; one that nobody asks for is never made: they are dear. */
  private finish(reason: number, error?: CircuitBuildError): void {
    if (this.dead) return;
    this.dead = true;
    this.env.circuits?.delete(this);
    this.reason = reason;
    this.death = error;
    this.leg?.destroy(DestroyReason.NONE);
    for (const hop of this.standing) hop.end.destroyed(reason);
    if (this.pending) this.pending.reject(this.failure!);
    this.pending = undefined;
    this.prepared = undefined;
  }
}

function fastReply(body: Uint8Array): Uint8Array {
  const { y, kh } = CREATED_FAST.decode(body);
  return Buffer.concat([y, kh]);
}

/** `work`, or a rejection as soon as the signal aborts. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(new CircuitBuildError('aborted', 1, 'given up'));
    signal.addEventListener('abort', abort);
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/**
 * A circuit of one hop: a channel to the relay, then CREATE2 with ntor or ntor-v3, or CREATE_FAST where its onion key
 * is not known. Rejects with CircuitBuildError.
 */
export async function createOriginCircuit(
  env: CircuitEnv,
  channels: Pick<ChannelManager, 'get'>,
  hop: HopTarget,
  options: OriginOptions = {},
): Promise<OriginCircuit> {
  const circuit = new OriginCircuit(env, options);
  const abort = () => circuit.close();
  options.signal?.addEventListener('abort', abort);
  if (options.signal?.aborted) abort();
  try {
    if (circuit.failure) throw circuit.failure;
    const target = {
      addresses: hop.addresses,
      rsaId: hop.rsaId,
      ...(hop.ed25519Id && { ed25519Id: hop.ed25519Id }),
    };
    const dialled = channels.get(target).catch((cause: Error) => {
      throw new CircuitBuildError('channel', 1, cause.message, { cause });
    });
    const channel = await orAborted(dialled, options.signal);
    await circuit.create(hop, (handler) => channel.openLeg(handler));
    return circuit;
  } finally {
    options.signal?.removeEventListener('abort', abort);
  }
}
