/**
 * One stream of a circuit, at either end: what is queued to be packed, its window or XOFF state, and how far each
 * direction has come. CircuitEnd moves the cells.
 *
 * Each direction ends by itself. END with DONE is the end of the sender's data (C tor's peers then forget the stream;
 * ours go on in the other direction); END with any other reason ends both.
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import { SlabPool } from '../bytes/slabs.js';
import { EndReason, RELAY_DATA_SIZE, RelayCommand } from '../cell/commands.js';
import { XOFF, XON } from '../cell/relay-cells.js';
import type { Clock, Timer } from '../runtime/types.js';
import { type FlowControl, STREAM_INCREMENT, STREAM_WINDOW } from './flow.js';
import { Pace, rateOfXon } from './pace.js';
import type { IncomingStream, StreamHandlers } from './types.js';

/** Bytes a stream queues before `write` says false, and below which it says `drain`. */
const HIGH_WATER = 128 * 1024;
const LOW_WATER = 64 * 1024;
/** Milliseconds without data after our END before we stop waiting for the peer's. */
const LINGER = 60_000;
/** Bytes a stream may bring before we have accepted it, under congestion control (a window bounds them otherwise). */
const MAX_EARLY_BYTES = 1024 * 1024;

/** What is left of lent bytes waits in blocks of so many cells, of which the process keeps 4 MB that nobody uses. */
const SLAB_CELLS = 32;
const slabs = new SlabPool(SLAB_CELLS * RELAY_DATA_SIZE, 256);

const NO_BYTES = new Uint8Array(0);
const XOFF_BODY = XOFF.encode({ version: 0 });
const IGNORE: StreamHandlers = { data() {}, drain() {}, end() {} };

/** What a stream needs of its end of the circuit. */
export interface StreamHost {
  readonly clock: Clock;
  readonly flow: FlowControl;
  /** Sends one message on this stream now. */
  post(command: number, stream: CircuitStream, data: Uint8Array): void;
  /** The stream may have something to pack. */
  wake(stream: CircuitStream): void;
  /** Both directions are over. */
  forget(stream: CircuitStream): void;
}

/**
 * connecting: we sent BEGIN; resolving: we sent RESOLVE; asked: the peer sent one of them, and we have not answered.
 */
export type StreamPhase = 'connecting' | 'resolving' | 'asked' | 'open' | 'closed';

export class CircuitStream implements IncomingStream {
  readonly id: number;
  readonly command: number;
  readonly request: Uint8Array;
  /** Whether the peer asked for it. */
  readonly incoming: boolean;
  handlers: StreamHandlers;
  phase: StreamPhase;
  /** In CircuitEnd's ring of streams that have something to pack. */
  awake = false;
  /** Its last turn to pack, by the count of all turns. */
  lastTurn = 0;
  /** Cells it has packed in the turn it has. */
  turnCells = 0;
  /** First and last cell of this stream's data in the batch in hand, and its bytes; kept by CircuitEnd. */
  firstCell = -1;
  lastCell = -1;
  gatheredBytes = 0;
  /** Whether the peer has sent END. */
  remoteEnded = false;
  /** We no longer deliver: the owner gave the stream up. */
  deaf = false;

  private readonly host: StreamHost;
  private readonly queue: Uint8Array[] = [];
  private head = 0;
  private headUsed = 0;
  private queued = 0;
  /** Monotonic milliseconds since when the chunk at the head waits to be packed. */
  private headSince = 0;
  private wantsDrain = false;
  private packageWindow = STREAM_WINDOW;
  private deliverWindow = STREAM_WINDOW;
  private paused = false;
  private unread = 0;
  private xoffSent = false;
  private xoffReceived = false;
  private pace: Pace | undefined;
  private paceTimer: Timer | undefined;
  private ending: { readonly reason: number; readonly body: Uint8Array } | undefined;
  private endSent = false;
  /** `abort` came while what was queued before `end` was still being packed. */
  private abortReason: number | undefined;
  private linger: Timer | undefined;
  private lastData = 0;

  constructor(
    host: StreamHost,
    id: number,
    ask: { command: number; request: Uint8Array; incoming: boolean },
    handlers: StreamHandlers = IGNORE,
  ) {
    this.host = host;
    this.id = id;
    this.command = ask.command;
    this.request = ask.request;
    this.incoming = ask.incoming;
    this.handlers = handlers;
    if (ask.incoming) this.phase = 'asked';
    else this.phase = ask.command === RelayCommand.RESOLVE ? 'resolving' : 'connecting';
  }

  get closed(): boolean {
    return this.phase === 'closed';
  }

  get writableLength(): number {
    return this.queued;
  }

  /** Bytes queued here, and those that the owner could not pass on. */
  get memory(): number {
    return this.queued + (this.handlers.backlog?.size ?? 0);
  }

  /** Monotonic milliseconds since when some of them have not moved; undefined when there are none. */
  get waitingSince(): number | undefined {
    const since = this.handlers.backlog?.since;
    if (this.queued === 0) return since;
    return since === undefined ? this.headSince : Math.min(since, this.headSince);
  }

  /** Cells that could arrive on this stream yet; for what is told apart after its end. */
  get cellsDue(): number {
    return this.host.flow.streamWindows ? this.deliverWindow : Number.POSITIVE_INFINITY;
  }

  // What the owner does

  write(bytes: Uint8Array): boolean {
    if (this.ending || this.closed || bytes.length === 0) return this.queued <= HIGH_WATER;
    if (this.queued === 0) this.headSince = this.host.clock.monotonic();
    this.queue.push(bytes);
    this.queued += bytes.length;
    this.host.wake(this);
    if (this.queued <= HIGH_WATER) return true;
    this.wantsDrain = true;
    return false;
  }

  lend(bytes: Uint8Array): boolean {
    const room = this.write(bytes);
    // Most of it may have been packed already.
    const i = this.queue.indexOf(bytes, this.head);
    if (i >= 0) this.keep(i, bytes);
    return room;
  }

  /** Puts copies in the place of a lent chunk. */
  private keep(i: number, bytes: Uint8Array): void {
    const copies: Uint8Array[] = [];
    const { size } = slabs;
    for (let at = i === this.head ? this.headUsed : 0; at < bytes.length; at += size) {
      const piece = bytes.subarray(at, at + size);
      // A block for a few bytes would be memory that no bound counts.
      const copy = piece.length > size / 2 ? slabs.take().subarray(0, piece.length) : Buffer.from(piece);
      if (piece.length > size / 2) copy.set(piece);
      copies.push(copy);
    }
    this.queue.splice(i, 1, ...copies);
    if (i === this.head) this.headUsed = 0;
  }

  end(reason: number, extra: Uint8Array = NO_BYTES): void {
    if (this.ending || this.closed) return;
    this.ending = { reason, body: Buffer.concat([Buffer.of(reason), extra]) };
    if (reason !== EndReason.DONE) this.deaf = true;
    this.host.wake(this);
  }

  abort(reason: number): void {
    if (this.closed) return;
    this.deaf = true;
    if (!this.ending) {
      this.dropQueue();
      this.end(reason);
    } else if (this.endSent) {
      this.sendSecondEnd(reason);
      this.finish();
    } else this.abortReason = reason;
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.unread = 0;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (this.xoffSent && !this.closed) {
      this.xoffSent = false;
      // No rate: our reader was slow for once, which says nothing about how fast it is.
      if (this.host.flow.stats) this.host.flow.stats.xonSent++;
      this.host.post(RelayCommand.XON, this, XON.encode({ version: 0, kbps: 0 }));
    }
    this.credit();
  }

  accept(body: Uint8Array): void {
    if (this.phase !== 'asked') return;
    this.phase = 'open';
    this.host.post(RelayCommand.CONNECTED, this, body);
    this.credit();
    this.host.wake(this);
  }

  answer(body: Uint8Array): void {
    if (this.phase !== 'asked') return;
    this.host.post(RelayCommand.RESOLVED, this, body);
    this.finish();
  }

  // What CircuitEnd asks and tells

  /** DATA cells' worth of queue that the stream's own flow control lets go now, at most `most`. */
  packable(most: number): number {
    if (this.queued === 0 || this.xoffReceived || this.phase === 'asked' || this.phase === 'resolving')
      return 0;
    if (this.host.flow.streamWindows) return Math.min(most, this.packageWindow);
    return this.pace ? Math.min(most, this.pacedCells(this.pace)) : most;
  }

  /** Cells the peer's advised rate lets go; with none, a timer wakes the stream. */
  private pacedCells(pace: Pace): number {
    const cells = Math.ceil(pace.allowance / RELAY_DATA_SIZE);
    if (cells > 0) return cells;
    this.paceTimer ??= this.host.clock.setTimer(pace.wait(RELAY_DATA_SIZE), () => {
      this.paceTimer = undefined;
      this.host.wake(this);
    });
    return 0;
  }

  /** Moves up to `size` queued bytes into `buf` at `at`, as one DATA cell; returns how many. */
  take(buf: Buffer, at: number, size: number): number {
    let taken = 0;
    while (taken < size && this.queued > 0) {
      const chunk = this.queue[this.head]!;
      const n = Math.min(size - taken, chunk.length - this.headUsed);
      // A view per cell is the cheapest copy Node has for half a kilobyte.
      buf.set(n === chunk.length ? chunk : chunk.subarray(this.headUsed, this.headUsed + n), at + taken);
      taken += n;
      this.headUsed += n;
      this.queued -= n;
      if (this.headUsed === chunk.length) this.dropHead();
    }
    if (this.host.flow.streamWindows) this.packageWindow--;
    this.pace?.spend(taken);
    return taken;
  }

  /** Moves whole cells' worth of queued bytes, as far as they are at hand in one piece, into `to`; returns how many. */
  takeCells(to: Uint8Array, most: number): number {
    const chunk = this.queue[this.head]!;
    const cells = Math.min(most, Math.floor((chunk.length - this.headUsed) / RELAY_DATA_SIZE));
    const size = cells * RELAY_DATA_SIZE;
    to.set(chunk.subarray(this.headUsed, this.headUsed + size));
    this.headUsed += size;
    this.queued -= size;
    if (this.headUsed === chunk.length) this.dropHead();
    if (this.host.flow.streamWindows) this.packageWindow -= cells;
    this.pace?.spend(size);
    return cells;
  }

  /** Whether END is due: all before it is packed. */
  get endDue(): boolean {
    return !this.closed && this.ending !== undefined && !this.endSent && this.queued === 0;
  }

  /** Sends the END that is due. */
  sendEnd(): void {
    if (this.closed) return;
    this.endSent = true;
    this.host.post(RelayCommand.END, this, this.ending!.body);
    if (this.abortReason !== undefined) this.sendSecondEnd(this.abortReason);
    if (this.remoteEnded || this.deaf) this.finish();
    else this.startLinger();
  }

  /** Whether the owner waits for `drain` and may have it; asking takes it. */
  takeDrain(): boolean {
    if (!this.wantsDrain || this.queued > LOW_WATER) return false;
    this.wantsDrain = false;
    return !this.closed;
  }

  /** Counts one DATA cell from the peer. Throws ProtocolError when it had no right to it. */
  countData(size: number): void {
    if (this.remoteEnded) throw new ProtocolError('DATA after END');
    if (this.phase === 'connecting' || this.phase === 'resolving')
      throw new ProtocolError('DATA before CONNECTED');
    if (this.host.flow.streamWindows) {
      if (--this.deliverWindow < 0) throw new ProtocolError('DATA past the stream window');
      return;
    }
    if (!this.paused && this.phase !== 'asked') return;
    this.unread += size;
    // An XOFF before CONNECTED is dropped by C tor's clients: all that is left is to refuse.
    if (this.phase === 'asked') {
      if (this.unread > MAX_EARLY_BYTES) this.fail(EndReason.RESOURCELIMIT);
    } else if (!this.xoffSent && !this.deaf && this.unread > this.host.flow.xoffBytes) {
      this.xoffSent = true;
      this.countXoff();
      this.host.post(RelayCommand.XOFF, this, XOFF_BODY);
    }
  }

  private countXoff(): void {
    const { stats } = this.host.flow;
    if (!stats) return;
    stats.xoffSent++;
    stats.xoffBuffered.add(this.unread);
  }

  /** Hands over gathered data. */
  deliver(bytes: Buffer): void {
    if (this.linger) this.lastData = this.host.clock.monotonic();
    this.handlers.data(bytes);
    this.credit();
  }

  connected(address: string | undefined, ttl: number): void {
    this.phase = 'open';
    this.handlers.connected?.(address, ttl);
  }

  resolved(data: Uint8Array): void {
    this.finish();
    this.handlers.resolved?.(data);
  }

  /** A stream SENDME. Throws ProtocolError past the window. */
  sendme(): void {
    if (!this.host.flow.streamWindows) throw new ProtocolError('stream SENDME under congestion control');
    if (this.packageWindow + STREAM_INCREMENT > STREAM_WINDOW)
      throw new ProtocolError('SENDME past the stream window');
    this.packageWindow += STREAM_INCREMENT;
    this.host.wake(this);
  }

  xoff(): void {
    this.xoffReceived = true;
  }

  /** XON, with the rate at which the peer's reader takes data (0 for no limit). */
  xon(kbps: number): void {
    this.xoffReceived = false;
    const rate = rateOfXon(kbps);
    this.pace = rate === undefined ? undefined : new Pace(this.host.clock, rate);
    this.host.wake(this);
  }

  /** The peer's END. */
  remoteEnd(reason: number): void {
    const half = reason === EndReason.DONE && (this.phase === 'open' || this.phase === 'asked');
    const told = this.deaf;
    this.remoteEnded = true;
    if (!half || this.endSent) this.finish();
    if (!told) this.handlers.end(reason, false);
  }

  /** Ends both directions from our side, and tells the owner. */
  fail(reason: number): void {
    if (!this.endSent) this.host.post(RelayCommand.END, this, Buffer.of(reason));
    this.die(reason);
  }

  /** The circuit is gone. */
  die(reason: number): void {
    if (this.closed) return;
    const told = this.deaf;
    this.finish();
    if (!told) this.handlers.end(reason, true);
  }

  private credit(): void {
    if (this.paused || this.deaf || this.closed || this.phase === 'asked' || this.remoteEnded) return;
    if (!this.host.flow.streamWindows) return;
    while (this.deliverWindow <= STREAM_WINDOW - STREAM_INCREMENT) {
      this.deliverWindow += STREAM_INCREMENT;
      this.host.post(RelayCommand.SENDME, this, NO_BYTES);
    }
  }

  /** After END with DONE, a peer that knows half-closed streams learns that we do not even listen any more. */
  private sendSecondEnd(reason: number): void {
    if (this.remoteEnded || this.ending?.reason !== EndReason.DONE || reason === EndReason.DONE) return;
    this.host.post(RelayCommand.END, this, Buffer.of(reason));
  }

  private startLinger(): void {
    const { clock } = this.host;
    this.lastData = clock.monotonic();
    const check = () => {
      const left = this.lastData + LINGER - clock.monotonic();
      if (left > 0) this.linger = clock.setTimer(left, check);
      else this.die(EndReason.TIMEOUT);
    };
    this.linger = clock.setTimer(LINGER, check);
  }

  private dropHead(): void {
    slabs.give(this.queue[this.head]!);
    this.head++;
    this.headUsed = 0;
    if (this.queued > 0) this.headSince = this.host.clock.monotonic();
    if (this.head < this.queue.length && this.head < 64) return;
    this.queue.splice(0, this.head);
    this.head = 0;
  }

  private dropQueue(): void {
    for (let i = this.head; i < this.queue.length; i++) slabs.give(this.queue[i]!);
    this.queue.length = 0;
    this.head = 0;
    this.headUsed = 0;
    this.queued = 0;
  }

  private finish(): void {
    if (this.closed) return;
    this.phase = 'closed';
    this.dropQueue();
    this.linger?.cancel();
    this.paceTimer?.cancel();
    this.host.forget(this);
  }
}
