/**
 * Cells out of a byte stream and into it (tor-spec 3).
 *
 * Fixed: circuit id (4), command (1), body (509). Variable: circuit id (4), command (1), length (2), body. Up to and
 * including VERSIONS, circuit ids have 2 bytes and every cell is variable.
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import { CellBatch, MAX_BATCH } from './batch.js';
import { BODY_SIZE, CELL_HEADER_SIZE, CELL_SIZE, Command, isVariable, nameOf } from './commands.js';

const { PADDING, RELAY, RELAY_EARLY, VERSIONS, VPADDING, AUTHORIZE } = Command;
const NO_BYTES = Buffer.alloc(0);
/** Circuit id and command and length, once circuit ids are wide. */
const VARIABLE_HEADER_SIZE = 7;
/** The same before. */
const NARROW_HEADER_SIZE = 5;

/** Where a decoder puts what it finds, in arrival order for each circuit. Views are gone after the call. */
export interface CellSink {
  /** RELAY and RELAY_EARLY cells of one circuit. */
  relay(circuitId: number, batch: CellBatch): void;
  /** Any other fixed cell; the body has 509 bytes. */
  fixed(circuitId: number, command: number, body: Buffer): void;
  variable(circuitId: number, command: number, body: Buffer): void;
}

// Batches are big (an index each) and short-lived: all decoders share what one turn needed.
const spare: CellBatch[] = [];
const MAX_SPARE = 256;
const takeBatch = (): CellBatch => spare.pop() ?? new CellBatch(NO_BYTES);

function returnBatch(batch: CellBatch): void {
  batch.buf = NO_BYTES;
  batch.n = 0;
  if (spare.length < MAX_SPARE) spare.push(batch);
}

// By hand: `readUInt32BE` costs more than all else that is done for a RELAY cell.
const circuitIdAt = (chunk: Buffer, at: number): number =>
  ((chunk[at]! << 24) | (chunk[at + 1]! << 16) | (chunk[at + 2]! << 8) | chunk[at + 3]!) >>> 0;

/**
 * What a cell that is no RELAY cell says, on its own: who gets it may keep it, and the chunk is only lent. (A Buffer's
 * `slice` copies nothing, so that a copy made by it later is none.)
 */
const bodyOf = (chunk: Buffer, from: number, to: number): Buffer => Buffer.from(chunk.subarray(from, to));

/**
 * Takes chunks as they are read and calls the sink. RELAY cells lie in the chunk, and are gone with it; only one that
 * two chunks share is copied. The bodies of other cells are copies.
 * RELAY cells of a chunk are gathered by circuit; any other cell flushes what is gathered first. A decoder never uses
 * a chunk's memory again after `push` returns, save the bytes of a cell that is not complete.
 *
 * Holds at most one cell back: 514 bytes, or 65,542 of a variable one.
 */
export class CellDecoder {
  private readonly sink: CellSink;
  private narrow = true;
  private stopped = false;
  /** The beginning of a cell whose end has not come. */
  private held = NO_BYTES;
  private heldLength = 0;
  /** Batches being gathered and the circuit of each. */
  private readonly batches: CellBatch[] = [];
  private readonly circuits = new Uint32Array(MAX_BATCH);
  /** Complete cells seen, all kinds. */
  cells = 0;

  constructor(sink: CellSink) {
    this.sink = sink;
  }

  /** Bytes held back for a cell that is not complete. */
  get buffered(): number {
    return this.heldLength;
  }

  /** Delivers nothing more; from inside a sink call too. */
  stop(): void {
    this.stopped = true;
    this.held = NO_BYTES;
    this.heldLength = 0;
  }

  /** Takes the next bytes. Throws what the sink throws, and ProtocolError before VERSIONS for a cell not allowed there. */
  push(chunk: Buffer): void {
    let at = 0;
    while (this.heldLength > 0 && at < chunk.length && !this.stopped) at = this.complete(chunk, at);
    try {
      if (this.narrow && !this.stopped) at = this.readNarrow(chunk, at);
      if (!this.narrow && !this.stopped) at = this.readWide(chunk, at);
      this.flush();
    } finally {
      this.dropBatches();
    }
    if (!this.stopped && at < chunk.length) this.hold(chunk, at);
  }

  private hold(chunk: Buffer, at: number): void {
    // A copy: the read buffer may be large, and the few bytes may wait long.
    this.held = Buffer.from(chunk.subarray(at));
    this.heldLength = this.held.length;
  }

  /** Bytes of the cell that `held` begins, or of its header while that is not complete. */
  private wanted(): number {
    const header = this.narrow ? NARROW_HEADER_SIZE : CELL_HEADER_SIZE;
    if (this.heldLength < header) return header;
    if (this.narrow) return NARROW_HEADER_SIZE + this.held.readUInt16BE(3);
    if (!isVariable(this.held[4]!)) return CELL_SIZE;
    if (this.heldLength < VARIABLE_HEADER_SIZE) return VARIABLE_HEADER_SIZE;
    return VARIABLE_HEADER_SIZE + this.held.readUInt16BE(5);
  }

  /** Adds to the held cell from `chunk` and, when it is whole, delivers it. Returns how far the chunk is used. */
  private complete(chunk: Buffer, at: number): number {
    const wanted = this.wanted();
    const take = Math.min(wanted - this.heldLength, chunk.length - at);
    if (this.held.length < wanted) {
      const grown = Buffer.allocUnsafe(wanted);
      this.held.copy(grown, 0, 0, this.heldLength);
      this.held = grown;
    }
    chunk.copy(this.held, this.heldLength, at, at + take);
    this.heldLength += take;
    if (this.heldLength === this.wanted()) this.deliverHeld();
    return at + take;
  }

  private deliverHeld(): void {
    const cell = this.held.subarray(0, this.heldLength);
    this.held = NO_BYTES;
    this.heldLength = 0;
    try {
      if (this.narrow) this.readNarrow(cell, 0);
      else this.readWide(cell, 0);
      this.flush();
    } finally {
      this.dropBatches();
    }
  }

  /** VERSIONS and what may come before it. */
  private readNarrow(chunk: Buffer, start: number): number {
    let at = start;
    while (this.narrow && !this.stopped && chunk.length - at >= NARROW_HEADER_SIZE) {
      const command = chunk[at + 2]!;
      if (command !== VERSIONS && command !== VPADDING && command !== AUTHORIZE)
        throw new ProtocolError(`${nameOf(Command, command)} cell before VERSIONS`);
      const end = at + NARROW_HEADER_SIZE + chunk.readUInt16BE(at + 3);
      if (end > chunk.length) break;
      this.cells++;
      if (command === VERSIONS) this.narrow = false;
      this.sink.variable(chunk.readUInt16BE(at), command, bodyOf(chunk, at + NARROW_HEADER_SIZE, end));
      at = end;
    }
    return at;
  }

  private readWide(chunk: Buffer, start: number): number {
    let at = start;
    const length = chunk.length;
    // The circuit of the cell before: runs of one circuit are the rule.
    let lastCircuit = -1;
    let last: CellBatch | undefined;
    while (length - at >= CELL_HEADER_SIZE && !this.stopped) {
      const command = chunk[at + 4]!;
      if (command === RELAY || command === RELAY_EARLY) {
        if (length - at < CELL_SIZE) break;
        const circuitId = circuitIdAt(chunk, at);
        if (circuitId !== lastCircuit || !last || last.n === MAX_BATCH) {
          last = this.batchOf(circuitId, chunk);
          lastCircuit = circuitId;
        }
        last.at[last.n++] = at + CELL_HEADER_SIZE;
        at += CELL_SIZE;
        this.cells++;
        continue;
      }
      if (isVariable(command)) {
        if (length - at < VARIABLE_HEADER_SIZE) break;
        const end = at + VARIABLE_HEADER_SIZE + chunk.readUInt16BE(at + 5);
        if (end > length) break;
        this.flush();
        this.cells++;
        this.sink.variable(circuitIdAt(chunk, at), command, bodyOf(chunk, at + VARIABLE_HEADER_SIZE, end));
        at = end;
      } else {
        if (length - at < CELL_SIZE) break;
        // Padding says nothing about order, so it need not break up what is gathered.
        if (command !== PADDING) this.flush();
        this.cells++;
        this.sink.fixed(
          circuitIdAt(chunk, at),
          command,
          bodyOf(chunk, at + CELL_HEADER_SIZE, at + CELL_SIZE),
        );
        at += CELL_SIZE;
      }
      lastCircuit = -1;
    }
    return at;
  }

  /** The batch that gathers a circuit's cells, with room for one more. */
  private batchOf(circuitId: number, chunk: Buffer): CellBatch {
    const { batches, circuits } = this;
    for (let i = batches.length - 1; i >= 0; i--)
      if (circuits[i] === circuitId && batches[i]!.n < MAX_BATCH) return batches[i]!;
    if (batches.length === MAX_BATCH) this.flush();
    const batch = takeBatch();
    batch.buf = chunk;
    batch.n = 0;
    circuits[batches.length] = circuitId;
    batches.push(batch);
    return batch;
  }

  private flush(): void {
    const { batches, circuits } = this;
    for (let i = 0; i < batches.length && !this.stopped; i++) this.sink.relay(circuits[i]!, batches[i]!);
    this.dropBatches();
  }

  private dropBatches(): void {
    // One by one: setting a length is a call into V8's runtime, here for every record that is read.
    for (let batch = this.batches.pop(); batch; batch = this.batches.pop()) returnBatch(batch);
  }
}

/** A fixed cell; `body` at most 509 bytes, zero-padded. */
export function encodeFixed(circuitId: number, command: number, body: Uint8Array): Buffer {
  const cell = Buffer.alloc(CELL_SIZE);
  writeFixed(cell, 0, circuitId, command, body);
  return cell;
}

/** The same, into `buf` at `at`; all 514 bytes are written. */
export function writeFixed(
  buf: Buffer,
  at: number,
  circuitId: number,
  command: number,
  body: Uint8Array,
): void {
  if (body.length > BODY_SIZE)
    throw new RangeError(`${nameOf(Command, command)} body of ${body.length} bytes`);
  buf.writeUInt32BE(circuitId, at);
  buf[at + 4] = command;
  buf.set(body, at + CELL_HEADER_SIZE);
  buf.fill(0, at + CELL_HEADER_SIZE + body.length, at + CELL_SIZE);
}

/** A variable cell with a wide circuit id; `body` at most 65,535 bytes. */
export function encodeVariable(circuitId: number, command: number, body: Uint8Array): Buffer {
  const cell = Buffer.allocUnsafe(VARIABLE_HEADER_SIZE + body.length);
  cell.writeUInt32BE(circuitId, 0);
  cell[4] = command;
  cell.writeUInt16BE(body.length, 5);
  cell.set(body, VARIABLE_HEADER_SIZE);
  return cell;
}

/** A variable cell with the 2-byte circuit id that is used up to VERSIONS. */
export function encodeNarrow(command: number, body: Uint8Array, circuitId = 0): Buffer {
  const cell = Buffer.allocUnsafe(NARROW_HEADER_SIZE + body.length);
  cell.writeUInt16BE(circuitId, 0);
  cell[2] = command;
  cell.writeUInt16BE(body.length, 3);
  cell.set(body, NARROW_HEADER_SIZE);
  return cell;
}
