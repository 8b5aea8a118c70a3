/**
 * All circuits of a relay: takes create cells from the channels, has their handshakes answered, counts.
 *
 * @module
 */
import { CREATE2 } from '../shared/cell/channel-cells.js';
import {
  CELL_SIZE,
  Command,
  DestroyReason,
  EndReason,
  HandshakeType,
  RelayCommand,
} from '../shared/cell/commands.js';
import { RESOLVED } from '../shared/cell/relay-cells.js';
import type { Channel, ChannelHandler, Leg } from '../shared/link/types.js';
import type { Log } from '../shared/log/types.js';
import { CongestionStats } from '../shared/onion/congestion-stats.js';
import type { IncomingStream } from '../shared/onion/types.js';
import type { Crew } from '../shared/runtime/types.js';
import { type CircuitHost, RelayCircuit } from './circuit.js';
import type { DosDefences } from './dos.js';
import { exchangedOf, type HandshakeAnswers, handshakeJob } from './handshake-job.js';
import { type Answer, answerCreate, answerExchanged, type HandshakeEnv, isCheap } from './handshakes.js';
import { HsRoles, type HsRolesStatus } from './hs-roles.js';
import { type Elsewhere, type Onionskin, OnionskinQueue } from './onionskins.js';

/** RESOLVED: an error that may pass. */
const TRY_AGAIN = RESOLVED.encode({ answers: [{ type: 'error', transient: true, ttl: 0 }] });

/** What the switch needs besides what its circuits need. */
export interface SwitchEnv
  extends HandshakeEnv,
    Omit<CircuitHost, 'closed' | 'hsMessage' | 'queueFull' | 'drop'> {
  readonly defences: DosDefences;
  /** Threads for handshakes. */
  readonly crew?: Crew;
  /** A circuit was asked for on the channel. */
  asked?(channel: Channel): void;
  /** Whether new circuits are refused because the relay is going down. */
  hibernating(): boolean;
}

/** A CREATE2 handshake that waits. */
interface WaitingSkin extends Onionskin {
  readonly body: Uint8Array;
  /** Was answered by another thread. */
  answered(answer: HandshakeAnswers[number]): void;
}

/** Batches for each thread: one to work on, and one to go on with. */
const BATCHES_EACH = 2;

type Handshake = 'fast' | 'ntor' | 'ntor-v3' | 'other';
type HandshakeCounts = Readonly<Record<Handshake, number>>;

const noHandshakes = (): Record<Handshake, number> => ({ fast: 0, ntor: 0, 'ntor-v3': 0, other: 0 });

/** Counts since the start, and what is there now. */
export interface SwitchStatus {
  readonly circuits: number;
  readonly created: number;
  readonly refused: number;
  readonly handshakes: HandshakeCounts;
  readonly onionskins: {
    readonly waiting: number;
    readonly answered: number;
    /** By handshake. */
    readonly processed: HandshakeCounts;
    readonly dropped: HandshakeCounts;
  };
  /** Circuits that ended because a peer broke the protocol. */
  readonly violations: number;
  /** DROP cells that came for this relay. */
  readonly drops: number;
  readonly congestion: CongestionStats;
  readonly queuedCells: number;
  /** Circuits that died of a full queue. */
  readonly fullQueues: { readonly onward: number; readonly back: number };
  readonly streams: number;
  readonly onionServices: HsRolesStatus;
}

/** The relay's ChannelHandler. */
export class CircuitSwitch implements ChannelHandler {
  private readonly env: SwitchEnv;
  private readonly log: Log;
  private readonly circuits = new Set<RelayCircuit>();
  private readonly host: CircuitHost;
  private readonly onionskins: OnionskinQueue<WaitingSkin>;
  private readonly roles: HsRoles;
  private readonly handshakes = noHandshakes();
  private readonly processed = noHandshakes();
  private readonly dropped = noHandshakes();
  private readonly congestion = new CongestionStats();
  private violations = 0;
  private drops = 0;
  private created = 0;
  private refused = 0;
  private readonly fullQueues = { onward: 0, back: 0 };

  constructor(env: SwitchEnv) {
    this.env = { ...env, congestion: this.congestion };
    this.log = env.log;
    const limits = () => ({
      maxDelay: env.param('MaxOnionQueueDelay', 1750, 1, 0x7fffffff),
      waitCutoff: 1000 * env.param('onion_queue_wait_cutoff', 5, 1, 0x7fffffff),
    });
    this.onionskins = new OnionskinQueue(env.clock, limits, env.crew && this.byCrew(env.crew));
    this.roles = new HsRoles(env);
    this.host = {
      clock: env.clock,
      random: env.random,
      log: env.log,
      channels: env.channels,
      extendRules: env.extendRules,
      stream: (stream, from, circuit) => this.stream(stream, from, circuit),
      queueFull: (circuit, onward) => this.queueFull(circuit, onward),
      drop: () => void this.drops++,
      hsMessage: (circuit, relayCommand, data) => this.roles.message(circuit, relayCommand, data),
      closed: (circuit, reason) => {
        if (reason === DestroyReason.PROTOCOL) this.violations++;
        this.circuits.delete(circuit);
        this.roles.closed(circuit);
      },
    };
  }

  create(leg: Leg, command: number, body: Uint8Array): void {
    this.env.asked?.(leg.channel);
    const handshake = handshakeOf(command, body);
    this.handshakes[handshake]++;
    if (this.env.hibernating()) {
      this.refuse(leg, DestroyReason.HIBERNATING);
      return;
    }
    if (this.env.defences.refusesCircuit(leg.channel)) {
      this.refuse(leg, DestroyReason.RESOURCELIMIT);
      return;
    }
    if (command === Command.CREATE) {
      this.refuse(leg, DestroyReason.PROTOCOL);
      return;
    }
    const circuit = new RelayCircuit(leg, this.host);
    this.circuits.add(circuit);
    this.created++;
    if (isCheap(command)) {
      this.answer(circuit, handshake, () => answerCreate(command, body, this.env));
      return;
    }
    const copy = Uint8Array.from(body);
    const onionskin: WaitingSkin = {
      body: copy,
      answer: () => this.answer(circuit, handshake, () => answerCreate(command, copy, this.env)),
      answered: (answer) =>
        this.answer(circuit, handshake, () => answerExchanged(exchangedOf(answer), this.env)),
      dropped: () => {
        this.dropped[handshake]++;
        circuit.close(DestroyReason.RESOURCELIMIT);
      },
    };
    this.onionskins.add(onionskin);
    circuit.onGone = () => this.onionskins.cancel(onionskin);
  }

  private refuse(leg: Leg, reason: number): void {
    this.refused++;
    leg.destroy(reason);
  }

  private byCrew(crew: Crew): Elsewhere<WaitingSkin> {
    return {
      batches: BATCHES_EACH * crew.size,
      answer: (skins, done) => {
        const bodies = skins.map(({ body }) => body);
        crew.ask(handshakeJob(bodies, this.env), (answers) => {
          for (const [i, answer] of (answers as HandshakeAnswers).entries()) skins[i]!.answered(answer);
          done();
        });
      },
    };
  }

  private answer(circuit: RelayCircuit, handshake: Handshake, make: () => Answer): void {
    if (circuit.closed) return;
    circuit.onGone = undefined;
    try {
      const answer = make();
      circuit.answer(answer.command, answer.body, answer);
      this.processed[handshake]++;
    } catch (error) {
      this.refused++;
      this.log.info('refusing a circuit', {
        channel: circuit.previous.channel.id,
        error: (error as Error).message,
      });
      circuit.close(DestroyReason.PROTOCOL);
    }
  }

  private stream(stream: IncomingStream, from: Channel, circuit: RelayCircuit): void {
    switch (this.env.defences.stream(circuit, stream.command)) {
      case 'serve':
        this.env.stream(stream, from, circuit);
        return;
      case 'refuse':
        // Not RESOURCELIMIT: for that a client would avoid this exit until the next consensus.
        if (stream.command === RelayCommand.RESOLVE) stream.answer(TRY_AGAIN);
        else stream.abort(EndReason.MISC);
        return;
      case 'close circuit':
        circuit.close(DestroyReason.RESOURCELIMIT);
    }
  }

  private queueFull(circuit: RelayCircuit, onward: boolean): void {
    this.fullQueues[onward ? 'onward' : 'back']++;
    if (onward) this.env.defences.queueFull(circuit.previous.channel);
  }

  closed(channel: Channel, reason: string): void {
    this.env.defences.closed(channel);
    this.log.debug('channel closed', { channel: channel.id, reason });
  }

  /** Ends every circuit. */
  closeAll(reason: number): void {
    for (const circuit of [...this.circuits]) circuit.close(reason);
  }

  /** How many there are. */
  get count(): number {
    return this.circuits.size;
  }

  /** All of them, for whoever has to free memory. */
  get all(): Iterable<RelayCircuit> {
    return this.circuits;
  }

  /** Bytes that streams hold; what waits in queues of cells the links count. */
  get streamMemory(): number {
    let bytes = 0;
    for (const circuit of this.circuits) bytes += circuit.memory - circuit.queued * CELL_SIZE;
    return bytes;
  }

  status(): SwitchStatus {
    let queuedCells = 0;
    let streams = 0;
    for (const circuit of this.circuits) {
      queuedCells += circuit.queued;
      streams += circuit.streams;
    }
    return {
      circuits: this.circuits.size,
      created: this.created,
      refused: this.refused,
      handshakes: { ...this.handshakes },
      onionskins: {
        waiting: this.onionskins.counts.waiting,
        answered: this.onionskins.counts.answered,
        processed: { ...this.processed },
        dropped: { ...this.dropped },
      },
      violations: this.violations,
      drops: this.drops,
      congestion: this.congestion,
      queuedCells,
      fullQueues: { ...this.fullQueues },
      streams,
      onionServices: this.roles.status(),
    };
  }
}

function handshakeOf(command: number, body: Uint8Array): Handshake {
  if (command === Command.CREATE_FAST) return 'fast';
  if (command !== Command.CREATE2) return 'other';
  try {
    const { type } = CREATE2.decode(body);
    if (type === HandshakeType.NTOR) return 'ntor';
    return type === HandshakeType.NTOR_V3 ? 'ntor-v3' : 'other';
  } catch {
    return 'other';
  }
}
