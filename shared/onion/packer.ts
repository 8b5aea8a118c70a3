/**
 * The outgoing side of one end of a circuit: streams' data packed into cells, many a call, straight into a batch in
 * wire form, which is sealed there and queued on the leg. Nothing is made per cell but a view or two for copying.
 *
 * @module
 */
import { takeArena } from '../bytes/arena.js';
import { CellBatch } from '../cell/batch.js';
import {
  BODY_SIZE,
  CELL_HEADER_SIZE,
  CELL_SIZE,
  Command,
  RELAY_DATA_SIZE,
  RELAY_HEADER_SIZE,
  RelayCommand,
} from '../cell/commands.js';
import type { Leg } from '../link/types.js';
import type { Clock, Random } from '../runtime/types.js';
import { roomForData, spread } from './cell-data.js';
import type { CircuitStream } from './circuit-stream.js';
import type { FlowControl } from './flow.js';
import { MAX_DATA_WITH_RANDOM, type PadCell, padding } from './padding.js';

/** Cells packed before the leg is asked again whether it is full. */
const PACK_BATCH = 32;
/**
 * Cells a stream packs before it is the next one's turn, where there are several and batches follow each other fast: what
 * comes in one piece costs the other end one write to its application. What two SENDMEs let go (prop324: 31 cells each).
 */
const LONG_TURN = 62;
/** The same where a batch takes its time, and for a stream that has just come. */
const TURN = 8;
/** Cells that are packed together, where they are full, rather than one by one. */
const FULL_FROM = 4;
/** Milliseconds between two times that something was packed, from which turns are short. */
const FAST = 5;
/** At least one cell in so many has random bytes (C tor: `connection_edge_get_inbuf_bytes_to_package`). */
const RANDOM_EVERY = 100;

/** Where packed cells go. */
export interface Outlet {
  readonly clock: Clock;
  readonly random: Random;
  readonly flow: FlowControl;
  /** Sets digest and layers on a batch of RELAY cells for the other end, in place; may make them RELAY_EARLY. */
  seal(batch: CellBatch): void;
  /** SENDME tag of cell `i` of the batch just sealed. */
  sealTag(i: number): Uint8Array;
  /** Where sealed cells are queued. */
  leg(): Leg;
  /** The leg's queue is past its bound. */
  overflowed(): void;
}

// Used within one call only; calls of different circuits never nest (runtime: `ConnHandlers`).
const scratch = new CellBatch(takeArena(PACK_BATCH * CELL_SIZE));
for (let i = 0; i < PACK_BATCH; i++) scratch.at[i] = i * CELL_SIZE + CELL_HEADER_SIZE;

/** Which of its cells a SENDME will answer. */
const marks = new Uint8Array(PACK_BATCH);
let marked = 0;
/** Data on its way to cells that it fills. */
const full = roomForData(PACK_BATCH);

const endDue = (stream: CircuitStream): boolean => stream.endDue;

export class Packer {
  private readonly out: Outlet;
  private readonly flow: FlowControl;
  private readonly pad: PadCell;
  /** Streams with something to pack, those in turn first; and those that had nothing for a whole round. */
  private ring: CircuitStream[] = [];
  private fresh: CircuitStream[] = [];
  private lastWasFresh = false;
  /** Turns that streams have had. */
  private turns = 0;
  private packedAt = Number.NEGATIVE_INFINITY;
  private packing = false;
  private stopped = false;
  private untilRandom: number;
  private randomSent = false;

  constructor(out: Outlet) {
    this.out = out;
    this.flow = out.flow;
    this.pad = padding(out.random);
    this.untilRandom = this.randomInterval();
  }

  /** Sends a message; `data` at most 498 bytes. */
  send(command: number, streamId: number, data: Uint8Array): void {
    if (this.stopped) return;
    if (data.length > RELAY_DATA_SIZE)
      throw new RangeError(`${data.length} bytes do not fit into a relay cell`);
    const { buf } = scratch;
    const at = scratch.at[0]!;
    writeHeader(buf, at, command, streamId, data.length);
    buf.set(data, at + RELAY_HEADER_SIZE);
    this.pad(buf, at + RELAY_HEADER_SIZE + data.length, at + BODY_SIZE);
    this.flush(1);
  }

  /** A stream may have something to pack; whether it does. */
  wake(stream: CircuitStream): boolean {
    if (!stream.awake && (stream.endDue || stream.packable(1) > 0)) {
      stream.awake = true;
      if (this.turns - stream.lastTurn > this.ring.length) this.fresh.push(stream);
      else this.ring.push(stream);
    }
    return stream.awake;
  }

  private get waiting(): number {
    return this.ring.length + this.fresh.length;
  }

  /** Who is next. Every second turn at least is of the ring, however many streams come and go. */
  private next(): CircuitStream {
    this.lastWasFresh = this.fresh.length > 0 && (this.ring.length === 0 || !this.lastWasFresh);
    const stream = (this.lastWasFresh ? this.fresh : this.ring).shift()!;
    stream.lastTurn = ++this.turns;
    return stream;
  }

  /** Nothing is sent from now on. */
  stop(): void {
    this.stopped = true;
    this.ring = [];
    this.fresh = [];
  }

  /** Packs what windows and leg let go: streams in turn, a batch at a time. */
  pack(): void {
    if (this.packing || this.stopped || this.waiting === 0) return;
    this.packing = true;
    const now = this.out.clock.monotonic();
    const usual = now - this.packedAt < FAST ? PACK_BATCH : TURN;
    const drained: CircuitStream[] = [];
    while (this.waiting > 0 && !this.stopped && !this.out.leg().full && this.packBatch(usual, drained))
      this.packedAt = now;
    this.packing = false;
    for (const stream of drained) if (stream.takeDrain()) stream.handlers.drain();
  }

  /** Fills and sends one batch: one look at every stream. False when nothing could be packed. */
  private packBatch(usual: number, drained: CircuitStream[]): boolean {
    let n = 0;
    let packed = false;
    for (let looks = this.waiting; looks > 0 && n < PACK_BATCH && !this.stopped; looks--) {
      // Whose turn it is keeps it until there is room. An END needs none.
      if (this.flow.room <= 0) {
        this.flush(n);
        return this.sendEnds() || packed;
      }
      const stream = this.next();
      const turn = this.waiting === 0 ? PACK_BATCH : this.lastWasFresh ? TURN : usual;
      const before = n;
      n = this.packStream(stream, n, Math.min(turn, PACK_BATCH - n, this.flow.room));
      stream.turnCells += n - before;
      packed ||= n > 0;
      drained.push(stream);
      if (stream.endDue) {
        // What is packed goes first, so that END follows it.
        this.flush(n);
        n = 0;
        packed = true;
        stream.sendEnd();
      }
      stream.awake = stream.packable(1) > 0;
      const long = usual === PACK_BATCH && !this.lastWasFresh;
      if (stream.awake && long && stream.turnCells < LONG_TURN) this.ring.unshift(stream);
      else {
        stream.turnCells = 0;
        if (stream.awake) this.ring.push(stream);
      }
    }
    this.flush(n);
    return packed;
  }

  /** Sends the ENDs that nothing is before; whether there were any. */
  private sendEnds(): boolean {
    // Asked at each turn without room: nothing is made where there are none.
    if (!this.ring.some(endDue) && !this.fresh.some(endDue)) return false;
    const due = [...this.fresh, ...this.ring].filter(endDue);
    this.fresh = this.fresh.filter((stream) => !endDue(stream));
    this.ring = this.ring.filter((stream) => !endDue(stream));
    for (const stream of due) {
      stream.awake = false;
      stream.sendEnd();
    }
    return true;
  }

  /** Packs up to `most` cells of one stream behind the `n` of the scratch batch; returns how many it then has. */
  private packStream(stream: CircuitStream, n: number, most: number): number {
    const { buf, at } = scratch;
    const first = n;
    const packable = stream.packable(most);
    n = this.packFull(stream, n, packable);
    for (let left = packable - (n - first); left > 0 && stream.writableLength > 0; left--) {
      const head = at[n]!;
      const from = head + RELAY_HEADER_SIZE;
      const size = stream.take(buf, from, this.nextSize());
      writeHeader(buf, head, RelayCommand.DATA, stream.id, size);
      if (size < RELAY_DATA_SIZE) this.pad(buf, from + size, head + BODY_SIZE);
      if (size <= MAX_DATA_WITH_RANDOM) this.randomSent = true;
      if (this.flow.sent()) marks[marked++] = n;
      n++;
    }
    return n;
  }

  /** The same of cells that are full, as many as are at hand in one piece. */
  private packFull(stream: CircuitStream, first: number, most: number): number {
    const wanted = Math.min(most, this.untilRandom - 1);
    if (wanted < FULL_FROM) return first;
    const n = first + stream.takeCells(full, wanted);
    if (n === first) return n;
    const { buf, at } = scratch;
    scratch.n = n;
    spread(scratch, first, full);
    this.untilRandom -= n - first;
    for (let i = first; i < n; i++) {
      writeHeader(buf, at[i]!, RelayCommand.DATA, stream.id, RELAY_DATA_SIZE);
      if (this.flow.sent()) marks[marked++] = i;
    }
    return n;
  }

  /** Bytes the next DATA cell may have: now and then fewer, so that random ones follow. */
  private nextSize(): number {
    if (--this.untilRandom > 0) return RELAY_DATA_SIZE;
    const size = this.randomSent ? RELAY_DATA_SIZE : MAX_DATA_WITH_RANDOM;
    this.untilRandom = this.randomInterval();
    this.randomSent = false;
    return size;
  }

  private randomInterval(): number {
    return RANDOM_EVERY / 2 + this.out.random.below(RANDOM_EVERY / 2);
  }

  /** Seals and queues the first `n` cells of the scratch batch. */
  private flush(n: number): void {
    if (n === 0) return;
    scratch.n = n;
    this.out.seal(scratch);
    for (let i = 0; i < marked; i++) this.flow.remember(this.out.sealTag(marks[i]!));
    marked = 0;
    const leg = this.out.leg();
    if (leg.send(scratch, 0, n) || leg.dead) return;
    this.out.overflowed();
  }
}

/** The header of a v0 relay cell, digest and recognized zero. */
function writeHeader(buf: Buffer, at: number, command: number, id: number, size: number): void {
  // The cell's command, which lies before the body.
  buf[at - 1] = Command.RELAY;
  buf[at] = command;
  buf[at + 1] = 0;
  buf[at + 2] = 0;
  buf[at + 3] = id >>> 8;
  buf[at + 4] = id & 255;
  buf[at + 5] = 0;
  buf[at + 6] = 0;
  buf[at + 7] = 0;
  buf[at + 8] = 0;
  buf[at + 9] = size >>> 8;
  buf[at + 10] = size & 255;
}
