/**
 * A circuit at a relay: cells from the client's side lose our layer and go on, cells from further out get it and go
 * back, and those meant for us go to this circuit's end. Control of it: EXTEND2, TRUNCATE, DESTROY (tor-spec 5.3-5.6).
 *
 * @module
 */
import { CellBatch, MAX_BATCH } from '../shared/cell/batch.js';
import { CREATE2, CREATED2 } from '../shared/cell/channel-cells.js';
import { CELL_SIZE, Command, DestroyReason, RelayCommand } from '../shared/cell/commands.js';
import { EXTENDED2 } from '../shared/cell/relay-cells.js';
import type { Channel, ChannelManager, Leg, LegHandler } from '../shared/link/types.js';
import type { Log } from '../shared/log/types.js';
import { CircuitEnd } from '../shared/onion/circuit-end.js';
import { tor1Relay } from '../shared/onion/tor1.js';
import type { HopKeys, IncomingStream, RelayLayer } from '../shared/onion/types.js';
import type { Clock, Random } from '../shared/runtime/types.js';
import { dialFailureReason, type ExtendRules, parseExtend } from './extend.js';
import type { Answered } from './handshakes.js';
import type { EndCircuit } from './hs-circuit.js';

/** RELAY_EARLY cells a client may send over one circuit (tor-spec 5.6). */
const MAX_RELAY_EARLY = 8;

/** A relay command that there is not. */
const NO_COMMAND = 0;

/** What circuits need of their relay. */
export interface CircuitHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly channels: Pick<ChannelManager, 'get'>;
  readonly extendRules: ExtendRules;
  /** BEGIN, BEGIN_DIR or RESOLVE from the client behind `from`. */
  stream(stream: IncomingStream, from: Channel, circuit: RelayCircuit): void;
  /** The circuit is about to die of a full queue, towards the next relay or back. */
  queueFull?(circuit: RelayCircuit, onward: boolean): void;
  /** A DROP cell came. */
  drop?(): void;
  /** A message for an onion-service role; false when it is for none. */
  hsMessage?(circuit: EndCircuit, command: number, data: Uint8Array): boolean;
  /** The circuit is over. */
  closed(circuit: RelayCircuit, reason: number): void;
}

/** Where the circuit goes from here. */
type Onward =
  | { readonly is: 'end' }
  /** EXTEND2 came; the link to the next relay is being made. */
  | { readonly is: 'dialling' }
  /** CREATE2 was sent on the leg; CREATED2 has not come. */
  | { readonly is: 'creating'; readonly leg: Leg }
  | { readonly is: 'extended'; readonly leg: Leg }
  /** We are a rendezvous point: what goes on goes back on the other circuit. */
  | { readonly is: 'joined'; readonly other: RelayCircuit };

const END: Onward = { is: 'end' };

/** Marks of the batch in hand: circuits are handled one at a time. */
const mine = new Uint8Array(MAX_BATCH);
/** The cells of a batch that are not ours, for a circuit joined to this one. */
const others = new CellBatch(Buffer.alloc(0));

const NO_KEY = new Uint8Array(0);

/** One circuit; the handler of both its legs. */
export class RelayCircuit implements LegHandler, EndCircuit {
  /** Towards the client. */
  readonly previous: Leg;
  /** Milliseconds (monotonic). */
  readonly created: number;
  /** Called when the circuit is over before its handshake was answered. */
  onGone: (() => void) | undefined;
  private readonly host: CircuitHost;
  private onward: Onward = END;
  /** From the handshake to the layer, and the layer. */
  private keys: HopKeys | undefined;
  private made: RelayLayer | undefined;
  private nonce: Uint8Array = NO_KEY;
  private end: CircuitEnd | undefined;
  private earlyLeft = MAX_RELAY_EARLY;
  private dead = false;

  constructor(previous: Leg, host: CircuitHost) {
    this.previous = previous;
    this.host = host;
    this.created = host.clock.monotonic();
    previous.handler = this;
  }

  get closed(): boolean {
    return this.dead;
  }

  /** Whether the handshake is done. */
  get open(): boolean {
    return (this.keys !== undefined || this.made !== undefined) && !this.dead;
  }

  get kh(): Uint8Array {
    return this.keys?.kh ?? this.nonce;
  }

  get atEnd(): boolean {
    return this.onward.is === 'end';
  }

  get fromClient(): boolean {
    return !this.previous.channel.authenticated;
  }

  /** Streams that end here. */
  get streams(): number {
    return this.end?.streams ?? 0;
  }

  /** Cells waiting on both legs. */
  get queued(): number {
    return this.previous.queued + ('leg' in this.onward ? this.onward.leg.queued : 0);
  }

  /** Bytes in its queues and streams. */
  get memory(): number {
    return this.queued * CELL_SIZE + (this.end?.queuedBytes ?? 0);
  }

  /** Monotonic milliseconds since when the oldest of them waits. */
  get waitingSince(): number | undefined {
    const onward = 'leg' in this.onward ? this.onward.leg.since : undefined;
    const times = [this.previous.since, onward, this.end?.waitingSince].filter((time) => time !== undefined);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Ends it for want of memory. */
  kill(): void {
    this.end?.dropBacklogs();
    this.close(DestroyReason.RESOURCELIMIT);
  }

  /** The handshake is done: answers the client and takes cells from now on. */
  answer(command: number, body: Uint8Array, answered: Answered): void {
    if (this.dead) return;
    this.keys = answered.keys;
    this.end = new CircuitEnd({
      clock: this.host.clock,
      random: this.host.random,
      seal: (batch) => this.layer.sealBackward(batch),
      sealTag: (i) => this.layer.sealTag(i),
      leg: () => this.previous,
      flow: answered.flow,
      onMessage: (relayCommand, streamId, data) => this.message(relayCommand, streamId, data),
      onStream: (stream) => this.host.stream(stream, this.previous.channel, this),
      onDrop: () => this.host.drop?.(),
      onViolation: (error) => {
        this.host.log.info('a client broke the protocol', { error: error.message });
        this.close(DestroyReason.PROTOCOL);
      },
    });
    this.previous.control(command, body);
    // Behind the write of the answer, which the client waits for.
    this.host.clock.defer(() => {
      if (!this.dead) this.layer.ready();
    });
  }

  /** Of an open circuit. */
  private get layer(): RelayLayer {
    if (this.made) return this.made;
    const keys = this.keys!;
    this.made = tor1Relay(keys);
    this.nonce = keys.kh;
    this.keys = undefined;
    return this.made;
  }

  // Cells

  relayCells(leg: Leg, batch: CellBatch): void {
    if (this.dead) return;
    if (leg === this.previous) this.forward(batch);
    else this.backward(batch);
  }

  private forward(batch: CellBatch): void {
    if (!this.open) {
      this.violation('relay cell before the handshake was answered');
      return;
    }
    if (!this.allowEarly(batch)) {
      this.violation('too many RELAY_EARLY cells');
      return;
    }
    const count = this.layer.openForward(batch, mine);
    if (count < batch.n && !this.passOn(batch, count)) return;
    if (count === 0) return;
    this.dropLateExtends(batch);
    this.end?.receive(batch, mine, (i) => this.layer.openTag(i));
  }

  /** Counts the RELAY_EARLY cells of a batch; false when there were too many. */
  private allowEarly(batch: CellBatch): boolean {
    for (let i = 0; i < batch.n; i++)
      if (batch.buf[batch.at[i]! - 1] === Command.RELAY_EARLY && --this.earlyLeft < 0) return false;
    return true;
  }

  /** Sends on the cells that are not ours, in runs. False when that ended the circuit. */
  private passOn(batch: CellBatch, ours: number): boolean {
    if (this.onward.is === 'joined') {
      this.onward.other.splice(unclaimed(batch, ours));
      return !this.dead;
    }
    if (!('leg' in this.onward)) {
      this.violation('unrecognised cell, and the circuit ends here');
      return false;
    }
    const leg = this.onward.leg;
    if (ours === 0) return this.sent(leg.send(batch, 0, batch.n), true);
    let from = 0;
    while (from < batch.n) {
      while (from < batch.n && mine[from] === 1) from++;
      let to = from;
      while (to < batch.n && mine[to] === 0) to++;
      if (to > from && !this.sent(leg.send(batch, from, to), true)) return false;
      from = to;
    }
    return true;
  }

  /** Cells from the circuit joined to this one, towards our client. */
  private splice(batch: CellBatch): void {
    if (this.dead) return;
    for (let i = 0; i < batch.n; i++) batch.buf[batch.at[i]! - 1] = Command.RELAY;
    this.layer.wrapBackward(batch);
    this.sent(this.previous.send(batch, 0, batch.n));
  }

  /**
   * EXTEND2 counts only in a RELAY_EARLY cell; in another it is dropped, not punished (C tor: `handle_relay_msg`).
   * Where the message is read its cell is no longer known, so it is turned into what nobody knows here.
   */
  private dropLateExtends(batch: CellBatch): void {
    for (let i = 0; i < batch.n; i++) {
      const at = batch.at[i]!;
      if (mine[i] !== 1 || batch.buf[at] !== RelayCommand.EXTEND2) continue;
      if (batch.buf[at - 1] !== Command.RELAY_EARLY) batch.buf[at] = NO_COMMAND;
    }
  }

  private backward(batch: CellBatch): void {
    for (let i = 0; i < batch.n; i++)
      if (batch.buf[batch.at[i]! - 1] === Command.RELAY_EARLY) {
        this.violation('inbound RELAY_EARLY');
        return;
      }
    this.layer.wrapBackward(batch);
    this.sent(this.previous.send(batch, 0, batch.n));
  }

  private sent(taken: boolean, onward = false): boolean {
    if (!taken) this.host.queueFull?.(this, onward);
    if (!taken) this.close(DestroyReason.RESOURCELIMIT);
    return taken && !this.dead;
  }

  // Messages for us

  send(command: number, data: Uint8Array): void {
    if (!this.dead) this.end?.send(command, 0, data);
  }

  join(other: RelayCircuit): void {
    this.onward = { is: 'joined', other };
    other.onward = { is: 'joined', other: this };
  }

  private message(command: number, streamId: number, data: Uint8Array): void {
    if (this.dead || streamId !== 0) return;
    if (command === RelayCommand.EXTEND2) this.extend(data);
    else if (command === RelayCommand.TRUNCATE) this.truncate(data);
    else if (command === RelayCommand.EXTEND) this.violation('EXTEND is no longer spoken');
    else this.host.hsMessage?.(this, command, data);
    // Others are dropped, so that newer clients can try new ones (tor-spec 6.1).
  }

  private extend(data: Uint8Array): void {
    if (this.onward.is !== 'end') {
      this.violation('EXTEND2 on a circuit that goes on already');
      return;
    }
    const parsed = parseExtend(data, this.previous.channel.peer, this.host.extendRules);
    if ('refused' in parsed) {
      this.violation(parsed.refused);
      return;
    }
    const dialling: Onward = { is: 'dialling' };
    this.onward = dialling;
    this.host.channels
      .get(parsed.target)
      .then((channel) => {
        // TRUNCATE or DESTROY may have come meanwhile.
        if (!this.dead && this.onward === dialling) this.create(channel, parsed.type, parsed.data);
      })
      .catch((error: unknown) => {
        if (this.dead || this.onward !== dialling) return;
        this.host.log.info('cannot extend a circuit', { error });
        this.close(dialFailureReason(error));
      });
  }

  private create(channel: Channel, type: number, data: Uint8Array): void {
    let leg: Leg;
    try {
      leg = channel.openLeg(this);
    } catch (error) {
      this.host.log.info('no circuit id for an extended circuit', { error: String(error) });
      this.close(DestroyReason.RESOURCELIMIT);
      return;
    }
    this.onward = { is: 'creating', leg };
    leg.control(Command.CREATE2, CREATE2.encode({ type, data }));
  }

  private truncate(data: Uint8Array): void {
    if ('leg' in this.onward) {
      if (data.length === 0) {
        this.violation('TRUNCATE without a reason');
        return;
      }
      this.onward.leg.destroy(data[0]!);
    }
    if (this.onward.is !== 'joined') this.onward = END;
    this.end?.send(RelayCommand.TRUNCATED, 0, Uint8Array.of(DestroyReason.REQUESTED));
  }

  // Other cells

  control(leg: Leg, command: number, body: Uint8Array): void {
    if (this.dead) return;
    if (leg === this.previous || this.onward.is !== 'creating' || command !== Command.CREATED2) {
      this.violation(`cell ${command} has no place here`);
      return;
    }
    let data: Uint8Array;
    try {
      data = CREATED2.decode(body).data;
    } catch (error) {
      this.violation(String(error));
      return;
    }
    this.onward = { is: 'extended', leg };
    this.end?.send(RelayCommand.EXTENDED2, 0, EXTENDED2.encode({ data }));
  }

  /** The reason that came is not passed on: it would be a side channel (C tor: `command_process_destroy_cell`). */
  destroyed(leg: Leg, reason: number): void {
    if (this.dead) return;
    const why = reason === DestroyReason.CHANNEL_CLOSED ? reason : DestroyReason.DESTROYED;
    if (leg === this.previous) this.finish(why, false, true);
    else this.finish(why, true, false);
  }

  writable(leg: Leg): void {
    if (leg === this.previous) this.end?.writable();
  }

  /** Ends the circuit: DESTROY both ways. */
  close(reason: number): void {
    if (!this.dead) this.finish(reason, true, true);
  }

  private violation(what: string): void {
    this.host.log.info('closing a circuit', { reason: what, channel: this.previous.channel.id });
    this.close(DestroyReason.PROTOCOL);
  }

  private finish(reason: number, back: boolean, on: boolean): void {
    this.dead = true;
    if (back) this.previous.destroy(reason);
    const { onward } = this;
    this.onward = END;
    if (on && 'leg' in onward) onward.leg.destroy(reason);
    if (onward.is === 'joined') onward.other.close(reason);
    this.end?.destroyed(reason);
    this.onGone?.();
    this.host.closed(this, reason);
  }
}

/** The cells of a batch that are not marked as ours. */
function unclaimed(batch: CellBatch, ours: number): CellBatch {
  if (ours === 0) return batch;
  others.buf = batch.buf;
  others.n = 0;
  for (let i = 0; i < batch.n; i++) if (mine[i] !== 1) others.at[others.n++] = batch.at[i]!;
  return others;
}
