/**
 * Helpers of this room's tests: batches out of bodies, keys out of a number, a leg that goes nowhere else.
 *
 * @module
 */
import { CellBatch, MAX_BATCH } from '../cell/batch.js';
import { BODY_SIZE, CELL_HEADER_SIZE, CELL_SIZE, Command, RelayCommand } from '../cell/commands.js';
import type { Channel, Leg, LegHandler } from '../link/types.js';
import { seededRandom } from '../runtime/sim/random.js';
import type { Clock, Timer } from '../runtime/types.js';
import { CircuitEnd } from './circuit-end.js';
import type { ClientLayer } from './direction.js';
import { type FlowControl, windowFlow } from './flow.js';
import { tor1Client, tor1Relay } from './tor1.js';
import type { HopKeys, IncomingStream, Stream, StreamHandlers } from './types.js';
import { vegasFlow } from './vegas.js';

/** A batch of cells with these bodies, laid out as on the wire, `shift` bytes into its buffer. */
export function batchOf(bodies: readonly Uint8Array[], shift = 0): CellBatch {
  const batch = new CellBatch(Buffer.alloc(shift + bodies.length * CELL_SIZE));
  batch.n = bodies.length;
  for (const [i, body] of bodies.entries()) {
    const at = shift + i * CELL_SIZE + CELL_HEADER_SIZE;
    batch.at[i] = at;
    batch.buf[at - 1] = Command.RELAY;
    batch.buf.set(body, at);
  }
  return batch;
}

/** The same batch with its bytes copied to `room`, if there is some. */
export function inPlace(batch: CellBatch, room: Buffer | undefined): CellBatch {
  if (room) {
    batch.buf.copy(room);
    batch.buf = room;
  }
  return batch;
}

/** The bodies of a batch, copied. */
export const bodiesOf = (batch: CellBatch): Buffer[] =>
  Array.from({ length: batch.n }, (_, i) =>
    Buffer.from(batch.buf.subarray(batch.at[i]!, batch.at[i]! + BODY_SIZE)),
  );

/** Different keys for every `n`. */
export const keysOf = (n: number): HopKeys => ({
  df: Buffer.alloc(20, n + 1),
  db: Buffer.alloc(20, n + 101),
  kf: Buffer.alloc(16, n + 51),
  kb: Buffer.alloc(16, n + 151),
  kh: Buffer.alloc(20, n),
});

/** A cell as a FakeLeg keeps it. */
export interface SentCell {
  readonly command: number;
  readonly body: Buffer;
}

/** A leg that keeps what is sent over it until `take`; over `high` cells it is full. */
export class FakeLeg implements Leg {
  readonly circuitId = 0x80000001;
  readonly cells: SentCell[] = [];
  readonly controls: SentCell[] = [];
  high = 256;
  hard = 100_000;
  dead = false;
  destroyReason: number | undefined;
  handler: LegHandler = { relayCells() {}, control() {}, destroyed() {}, writable() {} };

  get channel(): Channel {
    throw new Error('a fake leg has no channel');
  }

  get queued(): number {
    return this.cells.length;
  }

  get since(): number | undefined {
    return this.cells.length > 0 ? 0 : undefined;
  }

  get full(): boolean {
    return this.cells.length >= this.high;
  }

  send(batch: CellBatch, from = 0, to = batch.n): boolean {
    for (let i = from; i < to; i++) {
      const at = batch.at[i]!;
      this.cells.push({
        command: batch.buf[at - 1]!,
        body: Buffer.from(batch.buf.subarray(at, at + BODY_SIZE)),
      });
    }
    return this.cells.length <= this.hard;
  }

  control(command: number, body: Uint8Array): void {
    this.controls.push({ command, body: Buffer.from(body) });
  }

  destroy(reason: number): void {
    this.dead = true;
    this.destroyReason = reason;
  }

  /** Takes up to `n` cells off the queue, as one batch; tells the handler when there is room again. */
  take(n = MAX_BATCH): CellBatch {
    const wasFull = this.full;
    const taken = this.cells.splice(0, Math.min(n, MAX_BATCH));
    const batch = batchOf(taken.map((cell) => cell.body));
    for (const [i, cell] of taken.entries()) batch.buf[batch.at[i]! - 1] = cell.command;
    if (wasFull && !this.full) this.handler.writable(this);
    return batch;
  }
}

/** A clock that stands still until it is moved. */
export class HandClock implements Clock {
  private time = 0;
  private timers: { at: number; wake: () => void }[] = [];

  now(): number {
    return this.time;
  }

  monotonic(): number {
    return this.time;
  }

  setTimer(delay: number, wake: () => void): Timer {
    const timer = { at: this.time + delay, wake };
    this.timers.push(timer);
    return {
      cancel: () => {
        this.timers = this.timers.filter((other) => other !== timer);
      },
    };
  }

  keepAlive(): Timer {
    return { cancel() {} };
  }

  defer(run: () => void): void {
    this.setTimer(0, run);
  }

  hold<T>(work: Promise<T>): Promise<T> {
    return work;
  }

  /** Lets `ms` pass. */
  pass(ms: number): void {
    const until = this.time + ms;
    for (;;) {
      const next = this.timers.sort((a, b) => a.at - b.at)[0];
      if (!next || next.at > until) break;
      this.timers.shift();
      this.time = next.at;
      next.wake();
    }
    this.time = until;
  }
}

/** The two ends of a circuit through three relays, and the legs between. */
export class Loop {
  readonly clock = new HandClock();
  readonly out = new FakeLeg();
  readonly back = new FakeLeg();
  readonly client: CircuitEnd;
  readonly exit: CircuitEnd;
  readonly asked: IncomingStream[] = [];
  readonly messages: { at: 'client' | 'exit'; command: number; id: number; data: Uint8Array }[] = [];
  readonly violations: { at: 'client' | 'exit'; error: Error }[] = [];
  onStream: (stream: IncomingStream) => void = () => {};
  private readonly clientLayers = [1, 2, 3].map((n) => tor1Client(keysOf(n)));
  private readonly relayLayers = [1, 2, 3].map((n) => tor1Relay(keysOf(n)));
  private readonly mine = new Uint8Array(MAX_BATCH);

  constructor(flows: { client: (clock: Clock) => FlowControl; exit: (clock: Clock) => FlowControl }) {
    const [c0, c1, c2] = this.clientLayers as [ClientLayer, ClientLayer, ClientLayer];
    const last = this.relayLayers[2]!;
    const hooks = (at: 'client' | 'exit') => ({
      clock: this.clock,
      random: seededRandom(1, at),
      onMessage: (command: number, id: number, data: Uint8Array) =>
        void this.messages.push({ at, command, id, data }),
      onViolation: (error: Error) => void this.violations.push({ at, error }),
    });
    this.client = new CircuitEnd({
      ...hooks('client'),
      flow: flows.client(this.clock),
      leg: () => this.out,
      seal: (batch) => {
        c2.sealForward(batch);
        c1.wrapForward(batch);
        c0.wrapForward(batch);
      },
      sealTag: (i) => c2.sealTag(i),
    });
    this.exit = new CircuitEnd({
      ...hooks('exit'),
      flow: flows.exit(this.clock),
      leg: () => this.back,
      seal: (batch) => last.sealBackward(batch),
      sealTag: (i) => last.sealTag(i),
      onStream: (stream) => {
        this.asked.push(stream);
        this.onStream(stream);
      },
    });
    this.out.handler = { ...this.out.handler, writable: () => this.client.writable() };
    this.back.handler = { ...this.back.handler, writable: () => this.exit.writable() };
  }

  /** Moves up to `n` cells from client to exit; how many there were. */
  forth(n = MAX_BATCH): number {
    const batch = this.out.take(n);
    if (batch.n === 0) return 0;
    for (const layer of this.relayLayers) layer.openForward(batch, this.mine);
    this.exit.receive(batch, this.mine, (i) => this.relayLayers[2]!.openTag(i));
    return batch.n;
  }

  /** Moves up to `n` cells from exit to client. */
  home(n = MAX_BATCH): number {
    const batch = this.back.take(n);
    if (batch.n === 0) return 0;
    this.relayLayers[1]!.wrapBackward(batch);
    this.relayLayers[0]!.wrapBackward(batch);
    for (const layer of this.clientLayers) layer.openBackward(batch, this.mine);
    this.client.receive(batch, this.mine, (i) => this.clientLayers[2]!.openTag(i));
    return batch.n;
  }

  /** Moves cells both ways until none is left, in batches of the sizes given. */
  settle(size: () => number = () => MAX_BATCH): number {
    let moved = 0;
    for (;;) {
      const n = this.forth(size()) + this.home(size());
      if (n === 0) return moved;
      moved += n;
      this.clock.pass(1);
    }
  }
}

/** Handlers that keep everything. */
export class Sink implements StreamHandlers {
  readonly chunks: Buffer[] = [];
  readonly ends: { reason: number; local: boolean }[] = [];
  readonly answers: Uint8Array[] = [];
  connectedTo: (string | undefined)[] = [];
  drains = 0;
  onDrain: () => void = () => {};

  data(bytes: Buffer): void {
    this.chunks.push(Buffer.from(bytes));
  }
  drain(): void {
    this.drains++;
    this.onDrain();
  }
  end(reason: number, local: boolean): void {
    this.ends.push({ reason, local });
  }
  connected(address: string | undefined): void {
    this.connectedTo.push(address);
  }
  resolved(data: Uint8Array): void {
    this.answers.push(data);
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

const param = (_name: string, fallback: number) => fallback;

/** A circuit of one hop between two ends, with fixed windows. */
export const windows = () => new Loop({ client: () => windowFlow(), exit: () => windowFlow() });
/** The same under congestion control. */
export const vegas = () => {
  const flow = (clock: Clock) => vegasFlow({ sendmeInc: 31, param, path: 'exit' }, clock);
  return new Loop({ client: flow, exit: flow });
};

/** Opens a stream and lets the exit take it. */
export function connect(loop: Loop): { here: Stream; there: IncomingStream; client: Sink; exit: Sink } {
  const client = new Sink();
  const exit = new Sink();
  const here = loop.client.open(RelayCommand.BEGIN, Buffer.from('a:80\0'), client);
  loop.settle();
  const there = loop.asked.at(-1)!;
  there.handlers = exit;
  there.accept(Buffer.from([1, 2, 3, 4, 0, 0, 0, 9]));
  loop.settle();
  return { here, there, client, exit };
}

/** Writes all of `bytes` in pieces, as fast as the stream takes them; `done` comes when all was accepted. */
export function feed(stream: Stream, sink: Sink, bytes: Buffer, piece: () => number, done: () => void): void {
  let at = 0;
  const more = () => {
    while (at < bytes.length) {
      const next = Math.min(bytes.length, at + piece());
      const chunk = bytes.subarray(at, next);
      at = next;
      if (!stream.write(chunk) && at < bytes.length) return;
    }
    if (at === bytes.length) {
      at++;
      done();
    }
  };
  sink.onDrain = more;
  more();
}

/** `n` bytes by which an offset can be told. */
export const mixed = (seed: number, n: number): Buffer => {
  const out = Buffer.alloc(n);
  for (let i = 0, x = seed | 1; i < n; i++) {
    x = (Math.imul(x, 1103515245) + 12345) | 0;
    out[i] = x >>> 16;
  }
  return out;
};
