/**
 * The relay as introduction point (rend-spec-v3 3.1, 3.2): services leave a circuit under a key, clients send them
 * one message each by that key.
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import { toHex } from '../shared/bytes/text.js';
import { DestroyReason, RelayCommand } from '../shared/cell/commands.js';
import {
  dosParamsIn,
  INTRO_ESTABLISHED,
  INTRODUCE_ACK,
  INTRODUCE1,
  INTRODUCE1_MAX_SIZE,
  type IntroDosParams,
  IntroduceStatus,
} from '../shared/cell/hs-cells.js';
import { checkEstablishIntro } from '../shared/hs/establish.js';
import type { Log } from '../shared/log/types.js';
import type { ConsensusParam } from '../shared/onion/flow.js';
import type { Clock } from '../shared/runtime/types.js';
import { type HsOutcome, HsRefusal } from './hs-actions.js';
import type { EndCircuit } from './hs-circuit.js';

const MAX_RATE = 0x7fff_ffff;
/** INTRODUCE2 a second, and at once, where the service says nothing and the consensus has the defence on. */
const DEFAULT_RATE = 25;
const DEFAULT_BURST = 200;

/** How many INTRODUCE2 a service is to be sent; undefined for no limit. */
interface Limit {
  readonly rate: number;
  readonly burst: number;
}

/** The limit a service asked for; undefined: none. What makes no sense is none, as in C tor. */
function limitAsked({ rate, burst }: IntroDosParams): Limit | undefined {
  if (rate === 0n || burst === 0n) return undefined;
  if (rate > MAX_RATE || burst > MAX_RATE || burst < rate) return undefined;
  return { rate: Number(rate), burst: Number(burst) };
}

/** What a client is answered. A service under attack looks, to those it is spared, as if it were not here. */
const STATUS = {
  success: IntroduceStatus.SUCCESS,
  malformed: IntroduceStatus.BAD_FORMAT,
  unknown_service: IntroduceStatus.UNKNOWN_ID,
  rate_limited: IntroduceStatus.UNKNOWN_ID,
  circuit_dead: IntroduceStatus.UNKNOWN_ID,
};

/** One service's circuit. */
interface Established {
  readonly key: string;
  readonly circuit: EndCircuit;
  /** What the service asked for; undefined when it left it to the consensus. */
  readonly asked: { readonly limit: Limit | undefined } | undefined;
  tokens: number;
  /** Whole seconds, monotonic. */
  filled: number;
}

/** All services that this relay introduces. */
export class IntroPoints {
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly param: ConsensusParam;
  private readonly byKey = new Map<string, Established>();
  private readonly byCircuit = new Map<EndCircuit, Established>();
  /** Circuits that have introduced their client: once is all they may. */
  private readonly used = new WeakSet<EndCircuit>();

  constructor(env: { readonly clock: Clock; readonly log: Log; readonly param: ConsensusParam }) {
    this.clock = env.clock;
    this.log = env.log;
    this.param = env.param;
  }

  get size(): number {
    return this.byKey.size;
  }

  /** Throws HsRefusal when the circuit is an introduction circuit. */
  mustBeFree(circuit: EndCircuit): void {
    if (this.byCircuit.has(circuit))
      throw new HsRefusal('unsuitable_circuit', 'the circuit is an introduction circuit');
    if (this.used.has(circuit)) throw new HsRefusal('circuit_reused', 'the circuit has introduced a client');
  }

  /** ESTABLISH_INTRO. Throws ProtocolError or DecodeError. */
  establish(circuit: EndCircuit, data: Uint8Array): HsOutcome {
    this.mustBeFree(circuit);
    if (!circuit.atEnd)
      throw new HsRefusal('unsuitable_circuit', 'ESTABLISH_INTRO on a circuit that goes on');
    const { authKey, extensions } = checkEstablishIntro(data, circuit.kh);
    const params = dosParamsIn(extensions);
    const key = toHex(authKey);
    const established: Established = {
      key,
      circuit,
      asked: params && { limit: limitAsked(params) },
      tokens: Number.POSITIVE_INFINITY,
      filled: this.seconds,
    };
    // A service that lost its circuit before we did comes back with the same key.
    this.byKey.get(key)?.circuit.close(DestroyReason.FINISHED);
    this.byKey.set(key, established);
    this.byCircuit.set(circuit, established);
    circuit.send(RelayCommand.INTRO_ESTABLISHED, INTRO_ESTABLISHED.encode({ extensions: [] }));
    return circuit.closed ? 'circuit_dead' : 'success';
  }

  /** INTRODUCE1. Throws ProtocolError where there is nobody to answer. */
  introduce(circuit: EndCircuit, data: Uint8Array): HsOutcome {
    this.mustBeFree(circuit);
    if (!circuit.atEnd) throw new HsRefusal('unsuitable_circuit', 'INTRODUCE1 on a circuit that goes on');
    // Whatever the consensus says of rendezvous points [circuit_is_suitable_for_introduce1].
    if (circuit.fromClient) throw new HsRefusal('single_hop', 'INTRODUCE1 over a single hop');
    this.used.add(circuit);
    const outcome = this.pass(data);
    const status = STATUS[outcome];
    circuit.send(RelayCommand.INTRODUCE_ACK, INTRODUCE_ACK.encode({ status, extensions: [] }));
    return outcome;
  }

  /** Gives an INTRODUCE1 on as INTRODUCE2. */
  private pass(data: Uint8Array): keyof typeof STATUS {
    if (data.length > INTRODUCE1_MAX_SIZE) return 'malformed';
    let key: string;
    try {
      key = toHex(INTRODUCE1.decode(data).authKey);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.log.info('refusing INTRODUCE1', { error: error.message });
      return 'malformed';
    }
    const established = this.byKey.get(key);
    if (!established) return 'unknown_service';
    if (!this.mayPass(established)) return 'rate_limited';
    established.circuit.send(RelayCommand.INTRODUCE2, data);
    return established.circuit.closed ? 'circuit_dead' : 'success';
  }

  private get seconds(): number {
    return Math.floor(this.clock.monotonic() / 1000);
  }

  /** Takes a token; the last one is never given out [hs_dos_can_send_intro2]. */
  private mayPass(established: Established): boolean {
    const limit = established.asked ? established.asked.limit : this.limitOfConsensus();
    if (!limit) return true;
    const now = this.seconds;
    established.tokens = Math.min(limit.burst, established.tokens + (now - established.filled) * limit.rate);
    established.filled = now;
    if (established.tokens > 0) established.tokens--;
    return established.tokens > 0;
  }

  private limitOfConsensus(): Limit | undefined {
    const { param } = this;
    if (param('HiddenServiceEnableIntroDoSDefense', 0, 0, 1) === 0) return undefined;
    return {
      rate: param('HiddenServiceEnableIntroDoSRatePerSec', DEFAULT_RATE, 0, MAX_RATE),
      burst: param('HiddenServiceEnableIntroDoSBurstPerSec', DEFAULT_BURST, 0, MAX_RATE),
    };
  }

  /** The circuit is over. */
  closed(circuit: EndCircuit): void {
    const established = this.byCircuit.get(circuit);
    if (!established) return;
    this.byCircuit.delete(circuit);
    if (this.byKey.get(established.key) === established) this.byKey.delete(established.key);
  }
}
