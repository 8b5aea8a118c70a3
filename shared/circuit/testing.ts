/**
 * A little network for this room's tests: relays that answer create cells, extend, and echo streams, joined by legs
 * whose cells move when the test says so.
 *
 * @module
 */
import { Buffer } from 'node:buffer';
import { MAX_BATCH } from '../cell/batch.js';
import { CREATE_FAST, CREATE2, CREATED2 } from '../cell/channel-cells.js';
import { Command, HandshakeType, RelayCommand } from '../cell/commands.js';
import { relayNamed } from '../cell/link-specifiers.js';
import { EXTEND2, EXTENDED2 } from '../cell/relay-cells.js';
import { decodeClientParams, encodeServerParams } from '../crypto/circuitExtensions.js';
import { answerFast, answerNtor, answerNtorV3, type HandshakeAnswer } from '../crypto/handshake.js';
import { onionKeys } from '../crypto/onion-keys.js';
import { generateX25519 } from '../crypto/x25519.js';
import type { Channel, ChannelManager, ChannelTarget, Leg, LegHandler } from '../link/types.js';
import { parseProtocols } from '../netdoc/protover.js';
import { CircuitEnd } from '../onion/circuit-end.js';
import { type FlowControl, windowFlow } from '../onion/flow.js';
import { FakeLeg, HandClock } from '../onion/testing.js';
import { tor1Relay } from '../onion/tor1.js';
import type { IncomingStream, RelayLayer } from '../onion/types.js';
import { vegasFlow } from '../onion/vegas.js';
import { seededRandom } from '../runtime/sim/random.js';
import type { Random } from '../runtime/types.js';
import { defaultParam, type HopTarget } from './hop.js';

/** One of two legs that face each other. */
class WireLeg extends FakeLeg {
  other!: WireLeg;
  onDestroy: (reason: number) => void = () => {};

  override destroy(reason: number): void {
    if (this.dead) return;
    super.destroy(reason);
    this.cells.length = 0;
    this.onDestroy(reason);
  }

  /** Hands what is queued, up to `n` relay cells, to the other side; how many cells that were. */
  deliver(n: number): number {
    const controls = this.controls.splice(0);
    for (const cell of controls) this.other.handler.control(this.other, cell.command, cell.body);
    const batch = this.take(n);
    if (batch.n > 0) this.other.handler.relayCells(this.other, batch);
    return controls.length + batch.n;
  }
}

/** Relays, and the legs between them. */
export class TestNet {
  readonly clock = new HandClock();
  readonly random: Random = seededRandom(1, 'net');
  readonly relays: TestRelay[] = [];
  readonly legs: WireLeg[] = [];
  /** Identities asked for. */
  readonly dialled: ChannelTarget[] = [];
  refuse: Error | undefined;

  add(protocols: string): TestRelay {
    const relay = new TestRelay(this, this.relays.length + 1, protocols);
    this.relays.push(relay);
    return relay;
  }

  /** Two legs; the one for `near` comes back. */
  join(near: LegHandler, relay: TestRelay): WireLeg {
    const here = new WireLeg();
    const there = new WireLeg();
    here.other = there;
    there.other = here;
    for (const leg of [here, there])
      leg.onDestroy = (reason) => {
        if (leg.other.dead) return;
        leg.other.dead = true;
        leg.other.handler.destroyed(leg.other, reason);
      };
    here.handler = near;
    relay.accept(there);
    this.legs.push(here, there);
    return here;
  }

  find(rsaId: Uint8Array): TestRelay | undefined {
    return this.relays.find((relay) => Buffer.from(rsaId).equals(relay.target.rsaId));
  }

  readonly channels: Pick<ChannelManager, 'get'> = {
    get: async (target) => {
      this.dialled.push(target);
      if (this.refuse) throw this.refuse;
      const relay = this.find(target.rsaId!)!;
      return { openLeg: (handler: LegHandler): Leg => this.join(handler, relay) } as Channel;
    },
  };

  /** Moves cells until none is left; lets promises run between. */
  async settle(size: () => number = () => MAX_BATCH): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      await null;
      let moved = 0;
      for (const leg of this.legs) moved += leg.deliver(size());
      this.clock.pass(1);
      quiet = moved === 0 ? quiet + 1 : 0;
    }
  }

  /** Moves cells until a promise settles. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const watch = promise.finally(() => {
      over = true;
    });
    watch.catch(() => {});
    for (let i = 0; i < 1000 && !over; i++) await this.settle();
    return watch;
  }
}

/** A relay: as much of one as a client can see. */
export class TestRelay {
  readonly target: HopTarget;
  readonly net: TestNet;
  readonly asked: IncomingStream[] = [];
  readonly seen: number[] = [];
  end: CircuitEnd | undefined;
  layer: RelayLayer | undefined;
  back: WireLeg | undefined;
  onward: WireLeg | undefined;
  /** How it answers; a test may change it. */
  answer: (command: number, body: Uint8Array) => HandshakeAnswer & { flow: FlowControl };
  onStream: (stream: IncomingStream) => void = () => {};
  handshakes: number[] = [];

  constructor(net: TestNet, n: number, protocols: string) {
    this.net = net;
    const pair = generateX25519(net.random);
    const keys = onionKeys(pair, undefined, generateX25519(net.random));
    const rsaId = Buffer.alloc(20, n);
    const ed25519Id = Buffer.alloc(32, n);
    this.target = {
      addresses: [{ host: `127.${n}.0.1`, port: 9001 }],
      rsaId,
      ed25519Id,
      ntorKey: pair.publicKey,
      protocols: parseProtocols(protocols),
    };
    this.answer = (command, body) => {
      if (command === Command.CREATE_FAST)
        return { ...answerFast(CREATE_FAST.decode(body).x, net.random), flow: windowFlow() };
      const { type, data } = CREATE2.decode(body);
      this.handshakes.push(type);
      if (type === HandshakeType.NTOR)
        return { ...answerNtor(data, { rsaId, keys }, net.random), flow: windowFlow() };
      let flow = windowFlow();
      const respond = (message: Uint8Array) => {
        if (!decodeClientParams(message).congestionControl) return encodeServerParams({});
        flow = vegasFlow({ sendmeInc: 31, param: defaultParam, path: 'exit' }, net.clock);
        return encodeServerParams({ sendmeInc: 31 });
      };
      const answered = answerNtorV3(data, { ed25519Id, keys }, respond, net.random);
      return { ...answered, flow };
    };
  }

  accept(leg: WireLeg): void {
    this.back = leg;
    const mine = new Uint8Array(MAX_BATCH);
    leg.handler = {
      control: (_leg, command, body) => this.create(leg, command, body),
      destroyed: (_leg, reason) => this.onward?.destroy(reason),
      writable: () => this.end?.writable(),
      relayCells: (_leg, batch) => {
        for (let i = 0; i < batch.n; i++) this.seen.push(batch.buf[batch.at[i]! - 1]!);
        const layer = this.layer!;
        const count = layer.openForward(batch, mine);
        if (count < batch.n && this.onward)
          for (let i = 0; i < batch.n; i++) if (mine[i] === 0) this.onward.send(batch, i, i + 1);
        this.end!.receive(batch, mine, (i) => layer.openTag(i));
      },
    };
  }

  private create(leg: WireLeg, command: number, body: Uint8Array): void {
    const { reply, keys, flow } = this.answer(command, body);
    const layer = tor1Relay(keys);
    this.layer = layer;
    this.end = new CircuitEnd({
      clock: this.net.clock,
      random: this.net.random,
      flow,
      seal: (batch) => layer.sealBackward(batch),
      sealTag: (i) => layer.sealTag(i),
      leg: () => leg,
      onMessage: (relayCommand, _id, data) => {
        if (relayCommand === RelayCommand.EXTEND2) this.extend(data);
      },
      onStream: (stream) => {
        this.asked.push(stream);
        this.onStream(stream);
      },
      onViolation: () => leg.destroy(1),
    });
    if (command === Command.CREATE_FAST) leg.control(Command.CREATED_FAST, reply);
    else leg.control(Command.CREATED2, CREATED2.encode({ data: reply }));
  }

  private extend(data: Uint8Array): void {
    const { specifiers, type, data: skin } = EXTEND2.decode(data);
    const next = this.net.find(relayNamed(specifiers).rsaId!)!;
    const onward = this.net.join(
      {
        control: (_leg, _command, body) =>
          this.end!.send(RelayCommand.EXTENDED2, 0, EXTENDED2.encode(CREATED2.decode(body))),
        relayCells: (_leg, batch) => {
          this.layer!.wrapBackward(batch);
          this.back!.send(batch);
        },
        destroyed: (_leg, reason) => this.end!.send(RelayCommand.TRUNCATED, 0, Buffer.of(reason)),
        writable() {},
      },
      next,
    );
    this.onward = onward;
    onward.control(Command.CREATE2, CREATE2.encode({ type, data: skin }));
  }
}
