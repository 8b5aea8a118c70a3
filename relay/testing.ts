/**
 * Helpers of this room's tests: options from torrc lines, channels that go nowhere, a client of one hop.
 *
 * @module
 */
import { MAX_BATCH } from '../shared/cell/batch.js';
import { BODY_SIZE, Command, RELAY_HEADER_SIZE } from '../shared/cell/commands.js';
import type { Channel, Leg, LegHandler, PeerIdentity } from '../shared/link/types.js';
import { memoryLog } from '../shared/log/memory.js';
import type { ClientLayer } from '../shared/onion/direction.js';
import { batchOf, FakeLeg } from '../shared/onion/testing.js';
import { tor1Client } from '../shared/onion/tor1.js';
import type { HopKeys, IncomingStream, StreamHandlers } from '../shared/onion/types.js';
import type { Clock, Random } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';
import { loadOptions } from '../shared/torrc/parse.js';
import { DosDefences } from './dos.js';
import { DosParams } from './dos-params.js';

/** An authority that nobody answers for. */
const NOBODY = `DirAuthority nobody orport=7001 v3ident=${'A'.repeat(40)} 127.250.0.1:7000 ${'B'.repeat(40)}`;

/** The options of a torrc; a line that names an authority takes the place of one that is not there. */
export const optionsOf = (...lines: string[]): Options =>
  loadOptions({
    files: [
      {
        name: 'torrc',
        text: [
          'DataDirectory /nowhere',
          ...(lines.some((line) => line.startsWith('DirAuthority')) ? [] : [NOBODY]),
          ...lines,
        ].join('\n'),
      },
    ],
    args: [],
    role: 'relay',
  }).options;

/** Defences that nothing has switched on. */
export const noDefences = (clock: Clock, random: Random): DosDefences =>
  new DosDefences({
    clock,
    random,
    log: memoryLog(),
    dos: new DosParams(optionsOf('ORPort 9001'), (_name, fallback) => fallback),
    isRelay: () => false,
  });

/** A channel that keeps the legs it opens. */
export class FakeChannel implements Channel {
  readonly id = 1;
  readonly remote = { host: '127.9.0.1', port: 4000 };
  readonly initiator = false;
  readonly linkProtocol = 5;
  readonly canonical = true;
  readonly open = true;
  readonly circuits = 0;
  readonly lastActive = 0;
  readonly opened: RelayLeg[] = [];
  readonly peer: PeerIdentity;

  constructor(peer: Partial<PeerIdentity> = {}) {
    this.peer = { rsaId: undefined, ed25519Id: undefined, ...peer };
  }

  get authenticated(): boolean {
    return this.peer.rsaId !== undefined;
  }

  openLeg(handler: LegHandler): Leg {
    const leg = new RelayLeg(this);
    leg.handler = handler;
    this.opened.push(leg);
    return leg;
  }

  sendControl(): void {}
  close(): void {}
}

/** A FakeLeg that knows its channel. */
export class RelayLeg extends FakeLeg {
  private readonly on: Channel;

  constructor(on: Channel) {
    super();
    this.on = on;
  }

  override get channel(): Channel {
    return this.on;
  }
}

/** A message as the client reads it. */
export interface ReadMessage {
  readonly command: number;
  readonly streamId: number;
  readonly data: Buffer;
}

/** The client's end of a circuit of one hop, over the leg that the relay answers on. */
export class OneHop {
  private readonly layer: ClientLayer;
  private readonly leg: RelayLeg;

  constructor(leg: RelayLeg, keys: HopKeys) {
    this.leg = leg;
    this.layer = tor1Client(keys);
  }

  /** Sends one message in a RELAY or RELAY_EARLY cell. */
  send(command: number, streamId: number, data: Uint8Array, cell: number = Command.RELAY): void {
    const body = Buffer.alloc(BODY_SIZE);
    body[0] = command;
    body.writeUInt16BE(streamId, 3);
    body.writeUInt16BE(data.length, 9);
    body.set(data, RELAY_HEADER_SIZE);
    const batch = batchOf([body]);
    batch.buf[batch.at[0]! - 1] = cell;
    this.layer.sealForward(batch);
    this.leg.handler.relayCells(this.leg, batch);
  }

  /** Sends cells that this hop does not recognise. */
  sendOnward(count: number, cell: number = Command.RELAY): void {
    const batch = batchOf(Array.from({ length: count }, (_, i) => Buffer.alloc(BODY_SIZE, i + 1)));
    for (let i = 0; i < count; i++) batch.buf[batch.at[i]! - 1] = cell;
    this.layer.wrapForward(batch);
    this.leg.handler.relayCells(this.leg, batch);
  }

  /** Reads what has come back: messages of the hop; what is of a hop further out counts as undefined. */
  read(): (ReadMessage | undefined)[] {
    const batch = this.leg.take();
    const mine = new Uint8Array(MAX_BATCH);
    this.layer.openBackward(batch, mine);
    return Array.from({ length: batch.n }, (_, i) => {
      if (mine[i] !== 1) return undefined;
      const at = batch.at[i]!;
      const size = batch.buf.readUInt16BE(at + 9);
      const from = at + RELAY_HEADER_SIZE;
      return {
        command: batch.buf[at]!,
        streamId: batch.buf.readUInt16BE(at + 3),
        data: Buffer.from(batch.buf.subarray(from, from + size)),
      };
    });
  }
}

/** A stream that keeps what is done with it. */
export class FakeStream implements IncomingStream {
  readonly id = 1;
  readonly command: number;
  readonly request: Uint8Array;
  handlers: StreamHandlers = { data() {}, drain() {}, end() {} };
  closed = false;
  writableLength = 0;
  paused = false;
  room = true;
  accepted: Uint8Array | undefined;
  answered: Uint8Array | undefined;
  written: Uint8Array[] = [];
  ended: { reason: number; extra: Uint8Array | undefined } | undefined;
  aborted: number | undefined;

  constructor(command: number, request: Uint8Array) {
    this.command = command;
    this.request = request;
  }

  write(bytes: Uint8Array): boolean {
    this.written.push(bytes);
    return this.room;
  }
  lend(bytes: Uint8Array): boolean {
    return this.write(Uint8Array.from(bytes));
  }
  end(reason: number, extra?: Uint8Array): void {
    this.ended ??= { reason, extra };
  }
  abort(reason: number): void {
    this.aborted = reason;
    this.closed = true;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  accept(body: Uint8Array): void {
    this.accepted = body;
  }
  answer(body: Uint8Array): void {
    this.answered = body;
  }
}
