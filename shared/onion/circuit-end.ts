/**
 * One end of a circuit at one hop: its streams, its flow control, the messages between the two ends. A relay has one,
 * towards the client; a client has one for each hop it speaks with; so has an onion service.
 *
 * Outgoing data is packed many cells a call, straight into a scratch batch in wire form, sealed there and queued on
 * the leg. Incoming data is gathered: what a batch brings for one stream is one buffer and one call.
 *
 * A peer that breaks the rules (windows, SENDME digests, messages that have no place) kills the circuit:
 * `onViolation` is told, and is to destroy it.
 *
 * @module
 */
import { CepaError, DecodeError, ProtocolError } from '../bytes/errors.js';
import { type CellBatch, MAX_BATCH } from '../cell/batch.js';
import { EndReason, nameOf, RELAY_DATA_SIZE, RELAY_HEADER_SIZE, RelayCommand } from '../cell/commands.js';
import { CONNECTED, SENDME, XOFF, XON } from '../cell/relay-cells.js';
import type { Leg } from '../link/types.js';
import type { Clock, Random } from '../runtime/types.js';
import { collect, roomForData } from './cell-data.js';
import { CircuitStream, type StreamHost } from './circuit-stream.js';
import type { FlowControl } from './flow.js';
import { Packer } from './packer.js';
import { place } from './place.js';
import type { IncomingStream, Stream, StreamHandlers } from './types.js';

/** Streams the peer may have open at once. */
const MAX_INCOMING = 2048;
/** The ways and hooks of one end. */
export interface CircuitEndOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly flow: FlowControl;
  /** Sets digest and layers on a batch of RELAY cells for the other end, in place; may make them RELAY_EARLY. */
  seal(batch: CellBatch): void;
  /** SENDME tag of cell `i` of the batch just sealed. */
  sealTag(i: number): Uint8Array;
  /** Where sealed cells are queued. */
  leg(): Leg;
  /** Messages about the circuit, in order; `data` is a copy. */
  onMessage(command: number, streamId: number, data: Uint8Array): void;
  /** BEGIN, BEGIN_DIR, RESOLVE. Without it they are violations: this end only opens streams. */
  onStream?(stream: IncomingStream): void;
  /** A DROP came: long-range padding. */
  onDrop?(): void;
  /** The peer broke the protocol: destroy the circuit. No more comes through this end. */
  onViolation(error: ProtocolError): void;
}

/**
 * For each cell of the batch in hand, the next one of the same stream. Used within one call of `receive` only: calls
 * of different circuits never nest (runtime: `ConnHandlers`).
 */
const nextCell = new Int16Array(MAX_BATCH);
/** What a batch brings for one stream, lent to its owner. */
const gathered = roomForData(MAX_BATCH);

export class CircuitEnd implements StreamHost {
  readonly clock: Clock;
  readonly flow: FlowControl;
  private readonly options: CircuitEndOptions;
  private readonly packer: Packer;
  private readonly byId = new Map<number, CircuitStream>();
  /** Streams we gave up whose END has not come: cells that may yet arrive on them. */
  private readonly halfClosed = new Map<number, number>();
  private touched: CircuitStream[] = [];
  private lastId: number;
  private incoming = 0;
  private receiving = false;
  private dead = false;

  constructor(options: CircuitEndOptions) {
    this.options = options;
    this.clock = options.clock;
    this.flow = options.flow;
    this.packer = new Packer({
      clock: options.clock,
      random: options.random,
      flow: options.flow,
      seal: (batch) => options.seal(batch),
      sealTag: (i) => options.sealTag(i),
      leg: () => options.leg(),
      overflowed: () => this.violated(new ProtocolError('the circuit’s queue is over its bound')),
    });
    this.lastId = options.random.below(0x10000);
  }

  /** Open streams. */
  get streams(): number {
    return this.byId.size;
  }

  /** Bytes that streams hold, in either direction. */
  get queuedBytes(): number {
    let sum = 0;
    for (const stream of this.byId.values()) sum += stream.memory;
    return sum;
  }

  /** Monotonic milliseconds since when what some stream holds has not moved; undefined when none holds anything. */
  get waitingSince(): number | undefined {
    let oldest: number | undefined;
    for (const { waitingSince } of this.byId.values())
      if (waitingSince !== undefined && (oldest === undefined || waitingSince < oldest))
        oldest = waitingSince;
    return oldest;
  }

  /** Sends a message; `data` at most 498 bytes. */
  send(command: number, streamId: number, data: Uint8Array): void {
    this.packer.send(command, streamId, data);
  }

  /**
   * Opens a stream: BEGIN, BEGIN_DIR or RESOLVE with its body. Data may be written at once. Throws CepaError when the
   * circuit is gone or has no id left.
   */
  open(command: number, data: Uint8Array, handlers: StreamHandlers): Stream {
    if (this.dead) throw new CepaError('circuit', 'the circuit is gone');
    const id = this.freshId();
    const ask = { command, request: data, incoming: false };
    const stream = new CircuitStream(this, id, ask, handlers);
    this.byId.set(id, stream);
    this.send(command, id, data);
    return stream;
  }

  /** Takes the cells of a batch that are for this end (`mine[i]` is 1), layers off. */
  receive(batch: CellBatch, mine: Uint8Array, tagOf: (i: number) => Uint8Array): void {
    if (this.dead) return;
    this.receiving = true;
    let violation: ProtocolError | undefined;
    try {
      violation = this.readCells(batch, mine, tagOf);
      for (const stream of this.touched) this.deliver(batch, stream);
    } finally {
      this.touched.length = 0;
      this.receiving = false;
    }
    if (violation) this.violated(violation);
    else this.pack();
  }

  /** The leg has room again. */
  writable(): void {
    this.pack();
  }

  /** The circuit is gone: every stream ends with DESTROY. */
  destroyed(_reason: number): void {
    if (this.dead) return;
    this.dead = true;
    this.flow.closed?.();
    this.packer.stop();
    for (const stream of [...this.byId.values()]) stream.die(EndReason.DESTROY);
    this.halfClosed.clear();
  }

  /** Has the owners of streams let go of what they could not pass on. */
  dropBacklogs(): void {
    for (const stream of this.byId.values()) stream.handlers.backlog?.drop();
  }

  // Incoming

  private readCells(
    batch: CellBatch,
    mine: Uint8Array,
    tagOf: (i: number) => Uint8Array,
  ): ProtocolError | undefined {
    try {
      for (let i = 0; i < batch.n && !this.dead; i++) if (mine[i] === 1) this.cell(batch, i, tagOf);
      return undefined;
    } catch (error) {
      return asViolation(error);
    }
  }

  private cell(batch: CellBatch, i: number, tagOf: (i: number) => Uint8Array): void {
    const { buf } = batch;
    const at = batch.at[i]!;
    const command = buf[at]!;
    const id = (buf[at + 3]! << 8) | buf[at + 4]!;
    const size = dataSize(batch, i);
    if (size > RELAY_DATA_SIZE) throw new DecodeError('relay cell.length', `${size} is more than fits`);
    const from = at + RELAY_HEADER_SIZE;
    if (command === RelayCommand.DATA) this.data(i, id, size, tagOf);
    else this.message(batch, command, id, buf.subarray(from, from + size));
  }

  private data(i: number, id: number, size: number, tagOf: (i: number) => Uint8Array): void {
    if (this.flow.received()) this.send(RelayCommand.SENDME, 0, SENDME.encode({ version: 1, tag: tagOf(i) }));
    const stream = this.byId.get(id);
    if (!stream) this.strayData(id);
    else {
      stream.countData(size);
      if (size > 0 && !stream.deaf && !stream.closed) this.gather(stream, i, size);
    }
  }

  private gather(stream: CircuitStream, i: number, size: number): void {
    if (stream.firstCell < 0) {
      stream.firstCell = i;
      this.touched.push(stream);
    } else nextCell[stream.lastCell] = i;
    stream.lastCell = i;
    stream.gatheredBytes += size;
  }

  /** DATA for no stream: legal for a while after we gave one up. */
  private strayData(id: number): void {
    // At a relay, a client may not know yet that we refused or ended the stream.
    if (this.options.onStream) return;
    const due = this.halfClosed.get(id);
    if (due === undefined) throw new ProtocolError('DATA for a stream that never was');
    if (due === 0) throw new ProtocolError('DATA past the window of a closed stream');
    this.halfClosed.set(id, due - 1);
  }

  private message(batch: CellBatch, command: number, id: number, body: Buffer): void {
    switch (command) {
      case RelayCommand.DROP:
        this.options.onDrop?.();
        break;
      case RelayCommand.BEGIN:
      case RelayCommand.BEGIN_DIR:
      case RelayCommand.RESOLVE:
        this.asked(command, id, body);
        break;
      case RelayCommand.SENDME:
        if (id === 0) this.flow.acknowledged(body, this.options.leg().full);
        else this.byId.get(id)?.sendme();
        break;
      case RelayCommand.CONNECTED:
        this.connected(id, body);
        break;
      case RelayCommand.RESOLVED:
        this.resolved(id, body);
        break;
      case RelayCommand.END:
        this.ended(batch, id, body);
        break;
      case RelayCommand.XOFF:
      case RelayCommand.XON:
        this.throttled(command, id, body);
        break;
      default:
        this.options.onMessage(command, id, Buffer.from(body));
    }
  }

  private asked(command: number, id: number, body: Buffer): void {
    const { onStream } = this.options;
    const name = nameOf(RelayCommand, command);
    if (!onStream) throw new ProtocolError(`${name} at an end that only opens streams`);
    if (id === 0) throw new ProtocolError(`${name} with stream id 0`);
    if (this.byId.has(id)) throw new ProtocolError(`${name} with the id of an open stream`);
    if (this.incoming >= MAX_INCOMING) {
      this.send(RelayCommand.END, id, Buffer.of(EndReason.RESOURCELIMIT));
      return;
    }
    const ask = { command, request: Buffer.from(body), incoming: true };
    const stream = new CircuitStream(this, id, ask);
    this.byId.set(id, stream);
    this.incoming++;
    onStream(stream);
  }

  private connected(id: number, body: Buffer): void {
    const stream = this.byId.get(id);
    if (!stream) return;
    if (stream.phase !== 'connecting')
      throw new ProtocolError(`CONNECTED for a stream that is ${stream.phase}`);
    let answer: ReturnType<typeof CONNECTED.decode>;
    try {
      answer = CONNECTED.decode(body);
    } catch {
      // As C tor: the stream dies of it, not the circuit.
      stream.fail(EndReason.TORPROTOCOL);
      return;
    }
    if (!stream.deaf) stream.connected(answer.address, answer.ttl ?? 0);
  }

  private resolved(id: number, body: Buffer): void {
    const stream = this.byId.get(id);
    if (!stream) return;
    if (stream.phase !== 'resolving')
      throw new ProtocolError(`RESOLVED for a stream that is ${stream.phase}`);
    stream.resolved(Buffer.from(body));
  }

  private ended(batch: CellBatch, id: number, body: Buffer): void {
    if (body.length === 0) throw new DecodeError('END.reason', 'is missing');
    const stream = this.byId.get(id);
    if (!stream) {
      this.halfClosed.delete(id);
      return;
    }
    this.deliver(batch, stream);
    stream.remoteEnd(body[0]!);
  }

  private throttled(command: number, id: number, body: Buffer): void {
    if (this.flow.streamWindows) throw new ProtocolError('XON or XOFF without congestion control');
    const stream = this.byId.get(id);
    if (command === RelayCommand.XON) stream?.xon(XON.decode(body).kbps);
    else {
      XOFF.decode(body);
      stream?.xoff();
    }
  }

  /** Hands a stream what this batch has brought it so far. */
  private deliver(batch: CellBatch, stream: CircuitStream): void {
    const first = stream.firstCell;
    if (first < 0) return;
    const last = stream.lastCell;
    place(batch);
    let filled = 0;
    for (let i = first; ; i = nextCell[i]!) {
      const run = i;
      while (i !== last && nextCell[i] === i + 1 && dataSize(batch, i) === RELAY_DATA_SIZE) i++;
      filled = gatherRun(batch, run, i, filled);
      if (i === last) break;
    }
    stream.firstCell = -1;
    stream.gatheredBytes = 0;
    if (!stream.deaf && !stream.closed) stream.deliver(gathered.subarray(0, filled));
  }

  private violated(error: ProtocolError): void {
    if (this.dead) return;
    this.options.onViolation(error);
    this.destroyed(0);
  }

  private pack(): void {
    if (!this.receiving && !this.dead) this.packer.pack();
  }

  // Streams

  private freshId(): number {
    for (let tries = 0; tries < 0xffff; tries++) {
      this.lastId = this.lastId >= 0xffff ? 1 : this.lastId + 1;
      if (!this.byId.has(this.lastId) && !this.halfClosed.has(this.lastId)) return this.lastId;
    }
    throw new CepaError('circuit', 'the circuit has no stream id left');
  }

  /** For streams of this end. */
  post(command: number, stream: CircuitStream, data: Uint8Array): void {
    this.send(command, stream.id, data);
  }

  /** For streams of this end. */
  wake(stream: CircuitStream): void {
    if (this.packer.wake(stream)) this.pack();
  }

  /** For streams of this end. */
  forget(stream: CircuitStream): void {
    this.byId.delete(stream.id);
    if (stream.incoming) this.incoming--;
    else if (!stream.remoteEnded && !this.dead) this.halfClosed.set(stream.id, stream.cellsDue);
  }
}

const dataSize = ({ buf, at }: CellBatch, i: number): number => {
  const end = at[i]! + RELAY_HEADER_SIZE;
  return (buf[end - 2]! << 8) | buf[end - 1]!;
};

/** Copies the data of cells `first` to `last` of a batch that was placed; all but the last are full. */
function gatherRun(batch: CellBatch, first: number, last: number, filled: number): number {
  const size = dataSize(batch, last);
  const end = size === RELAY_DATA_SIZE ? last + 1 : last;
  collect(first, end, gathered, filled);
  const to = filled + (end - first) * RELAY_DATA_SIZE;
  if (end > last) return to;
  const from = batch.at[last]! + RELAY_HEADER_SIZE;
  gathered.set(batch.buf.subarray(from, from + size), to);
  return to + size;
}

const asViolation = (error: unknown): ProtocolError => {
  if (error instanceof ProtocolError) return error;
  if (error instanceof DecodeError) return new ProtocolError(error.message, { cause: error });
  throw error;
};
