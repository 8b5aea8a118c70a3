/**
 * A client's way to one service: a rendezvous point of its own choice, an introduction through one of the service's,
 * and the circuit that comes of it (rend-spec-v3 3.2, 4.1; C tor: hs_client.c).
 *
 * @module
 */
import { CepaError, ProtocolError } from '../../shared/bytes/errors.js';
import { RelayCommand } from '../../shared/cell/commands.js';
import { INTRODUCE_ACK, IntroduceStatus } from '../../shared/cell/hs-cells.js';
import { hopSpecifiers } from '../../shared/circuit/hop.js';
import { type Introduction, introduce } from '../../shared/hs/introduce.js';
import type { Log } from '../../shared/log/types.js';
import type { IntroPoint } from '../../shared/netdoc/hs-descriptor.js';
import type { ConsensusParam } from '../../shared/onion/flow.js';
import { tor1Hs } from '../../shared/onion/tor1-hs.js';
import type { Clock, Random } from '../../shared/runtime/types.js';
import { type FailureKind, StreamError } from '../failure.js';
import type { PathRules } from '../path.js';
import { type HsCircuit, type HsCircuitBuilder, HsCircuitError } from './circuit-builder.js';
import type { DescriptorCache, KnownService } from './descriptors.js';
import { agreedSendmeInc, joinedFlow } from './flow.js';
import { namedTarget } from './paths.js';
import { Rendezvous, type Waiting } from './rendezvous.js';

/** Milliseconds an introduction point may take to acknowledge. */
const ACK_TIMEOUT = 15_000;
/** Milliseconds for which an introduction point that failed is not tried [HS_CACHE_CLIENT_INTRO_STATE_MAX_AGE]. */
const FAILED_FOR = 120_000;
/** Circuits to an introduction point that may fail on the way there [MAX_INTRO_POINT_REACHABILITY_FAILURES]. */
const MAX_UNREACHED = 5;
/** Introduction points of which so much is remembered. */
const MAX_REMEMBERED = 1000;
/** Rendezvous points that are tried. */
const MAX_MEETINGS = 4;

/** What a meeting needs. */
export interface MeetingParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly param: ConsensusParam;
  readonly builder: HsCircuitBuilder;
  readonly descriptors: DescriptorCache;
  readonly pathRules: PathRules;
  /** Whether introduction points at private addresses are reached. */
  readonly allowPrivate: boolean;
}

/** Introduction points that failed, of all services, until they are tried again. */
export class IntroFailures {
  private readonly until = new Map<string, number>();
  /** Circuits that failed, most often by a relay on the way. */
  private readonly unreached = new Map<string, number>();

  note({ authKey }: IntroPoint, now: number): void {
    for (const [key, until] of this.until) if (until <= now) this.until.delete(key);
    this.until.set(keyOf(authKey), now + FAILED_FOR);
    this.unreached.delete(keyOf(authKey));
  }

  /** A circuit to it failed: another may come about by another way. */
  noteUnreached(point: IntroPoint, now: number): void {
    const count = (this.unreached.get(keyOf(point.authKey)) ?? 0) + 1;
    if (count >= MAX_UNREACHED) this.note(point, now);
    else {
      if (this.unreached.size >= MAX_REMEMBERED) this.unreached.clear();
      this.unreached.set(keyOf(point.authKey), count);
    }
  }

  /** It was reached. */
  reached({ authKey }: IntroPoint): void {
    this.unreached.delete(keyOf(authKey));
  }

  has({ authKey }: IntroPoint, now: number): boolean {
    return (this.until.get(keyOf(authKey)) ?? 0) > now;
  }

  /** Lets those of a service be tried again: someone asks for it anew. */
  forget(points: readonly IntroPoint[]): void {
    for (const { authKey } of points) {
      this.until.delete(keyOf(authKey));
      this.unreached.delete(keyOf(authKey));
    }
  }
}

const keyOf = (authKey: Uint8Array) => Buffer.from(authKey).toString('base64');

/** What an introduction came to: acknowledged, or why not. */
type IntroResult = 'acknowledged' | 'refused' | 'timeout' | 'unreached';

/** Why there is no circuit to an introduction point. */
type NoWay = Exclude<IntroResult, 'acknowledged'>;

/** Meets services. */
export class Meetings {
  private readonly parts: MeetingParts;
  private readonly failures = new IntroFailures();

  constructor(parts: MeetingParts) {
    this.parts = parts;
  }

  /** A circuit to the service, end to end. Rejects with StreamError. */
  async meet(identity: Uint8Array, signal: AbortSignal): Promise<HsCircuit> {
    const { descriptors, log } = this.parts;
    // Where they are to meet does not depend on the descriptor: it need not wait for it.
    let place = new Rendezvous(this.parts, signal);
    try {
      let service = await descriptors.get(identity);
      let failure: StreamError | undefined;
      let refetched = false;
      let unanswered = false;
      for (let i = 0; i < MAX_MEETINGS; i++) {
        signal.throwIfAborted();
        const exhausted = !this.usable(service).length;
        if (exhausted && refetched) break;
        // The service may have moved: all introduction points failed, or one that nobody serves any more took the word.
        if (!refetched && (exhausted || unanswered)) {
          refetched = true;
          const before = service;
          service = await descriptors.fetch(identity);
          if (exhausted && service.revision === before.revision)
            this.failures.forget(service.content.introPoints);
        }
        try {
          return await this.once(service, place, signal, () => {
            unanswered = true;
          });
        } catch (error) {
          if (!(error instanceof CepaError) || signal.aborted) throw error;
          log.info('an onion service was not met', { reason: error.message });
          failure =
            error instanceof StreamError
              ? error
              : new StreamError('onion-rendezvous-failed', error.message, { cause: error });
        }
        place.drop();
        place = new Rendezvous(this.parts, signal);
      }
      this.failures.forget(service.content.introPoints);
      throw failure ?? new StreamError('onion-intro-failed', 'the onion service has no introduction point');
    } catch (error) {
      place.drop();
      throw error;
    }
  }

  private usable({ content }: KnownService): IntroPoint[] {
    const now = this.parts.clock.monotonic();
    return content.introPoints.filter((point) => !this.failures.has(point, now));
  }

  /** One rendezvous point, and as many introduction points as it takes. */
  private async once(
    service: KnownService,
    place: Rendezvous,
    signal: AbortSignal,
    onUnanswered: () => void,
  ): Promise<HsCircuit> {
    const { made, point, waiting } = await this.introduce(service, place, signal);
    const { circuit } = waiting;
    const reply = await place.arrival(waiting).catch((error: unknown) => {
      // It acknowledged, and nobody came: where the service is gone, another or a newer one must have its turn.
      if (!circuit.closed) {
        this.failures.note(point, this.parts.clock.monotonic());
        onUnanswered();
      }
      throw error;
    });
    return this.join(circuit, made, reply, service);
  }

  // Introduction

  private async introduce(
    service: KnownService,
    place: Rendezvous,
    signal: AbortSignal,
  ): Promise<{ readonly made: Introduction; readonly point: IntroPoint; readonly waiting: Waiting }> {
    const { random, clock } = this.parts;
    let kind: FailureKind = 'onion-intro-failed';
    for (let left = this.usable(service); left.length > 0; left = this.usable(service)) {
      signal.throwIfAborted();
      const point = left[random.below(left.length)]!;
      // Both circuits are built at once.
      const approach = this.approach(point, signal);
      const waiting = await place.ready.catch((error: unknown) => {
        void approach.then((circuit) => typeof circuit !== 'string' && circuit.close());
        throw error;
      });
      const circuit = await approach;
      // Called off: it says nothing of the introduction point that there is no circuit to it.
      if (signal.aborted && typeof circuit !== 'string') circuit.close();
      signal.throwIfAborted();
      const made = this.makeIntroduction(service, waiting, point);
      const result = await this.tryIntroduce(circuit, made, waiting);
      if (made && result === 'acknowledged') return { made, point, waiting };
      kind = result === 'timeout' ? 'onion-intro-timeout' : 'onion-intro-failed';
      if (result === 'unreached') this.failures.noteUnreached(point, clock.monotonic());
      else this.failures.note(point, clock.monotonic());
      if (waiting.circuit.closed) throw failed('onion-rendezvous-failed', 'the rendezvous circuit closed');
    }
    throw failed(kind, 'no introduction point of the onion service could be used');
  }

  private makeIntroduction(
    { names, content }: KnownService,
    { circuit, cookie }: Waiting,
    point: IntroPoint,
  ): Introduction | undefined {
    const { random, log, param } = this.parts;
    const { hop } = circuit.target;
    try {
      return introduce(
        {
          target: point,
          subcredential: names.subcredential,
          cookie,
          point: { specifiers: hopSpecifiers(hop), onionKey: hop.ntorKey! },
          congestionControl: agreedSendmeInc(content.flowControl, param) !== undefined,
        },
        random,
      );
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      log.info('an introduction point has a bad key', { error: error.message });
      return undefined;
    }
  }

  /** A circuit to an introduction point, or why there is none. */
  private async approach(point: IntroPoint, signal: AbortSignal): Promise<HsCircuit | NoWay> {
    const { builder, log, allowPrivate } = this.parts;
    try {
      const target = namedTarget(point.linkSpecifiers, point.onionKey, allowPrivate);
      if ('refused' in target) throw new CepaError('client/onion-intro', target.refused);
      const circuit = await builder.build('client-introduction', target, signal);
      this.failures.reached(point);
      return circuit;
    } catch (error) {
      if (!(error instanceof CepaError)) throw error;
      log.info('an introduction point cannot be reached', { reason: error.message });
      if (/too long/.test(error.message)) return 'timeout';
      return error instanceof HsCircuitError && !error.atEnd ? 'unreached' : 'refused';
    }
  }

  private async tryIntroduce(
    circuit: HsCircuit | NoWay,
    introduction: Introduction | undefined,
    { met }: Waiting,
  ): Promise<IntroResult> {
    const { log, clock } = this.parts;
    if (typeof circuit === 'string') return circuit;
    if (!introduction || circuit.closed) {
      circuit.close();
      return 'refused';
    }
    const answer = new Promise<IntroResult>((resolve) => {
      const timer = clock.setTimer(ACK_TIMEOUT, () => resolve('timeout'));
      const done = (result: IntroResult) => {
        timer.cancel();
        resolve(result);
      };
      circuit.onClosed = () => done('refused');
      // A service that has come was told of us, though the answer is late or lost [hs_client_receive_rendezvous2].
      met.then(
        () => done('acknowledged'),
        () => {},
      );
      circuit.onMessage = (command, data) => {
        if (command !== RelayCommand.INTRODUCE_ACK) return;
        const { status } = INTRODUCE_ACK.decode(data);
        log.debug('an introduction was answered', { status });
        done(status === IntroduceStatus.SUCCESS ? 'acknowledged' : 'refused');
      };
    });
    circuit.send(RelayCommand.INTRODUCE1, introduction.introduce1);
    const result = await answer;
    circuit.close();
    return result;
  }

  // Rendezvous

  private join(
    circuit: HsCircuit,
    introduction: Introduction,
    reply: Uint8Array,
    { content }: KnownService,
  ): HsCircuit {
    const { clock, param } = this.parts;
    const keys = introduction.finish(reply);
    circuit.origin.addVirtualHop(
      tor1Hs(keys, 'client'),
      joinedFlow(agreedSendmeInc(content.flowControl, param), param, clock),
    );
    return circuit;
  }
}

const failed = (kind: FailureKind, message: string) => new StreamError(kind, message);
