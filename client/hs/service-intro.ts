/**
 * One introduction point of a service, from the service's side: a circuit that waits for INTRODUCE2 (rend-spec-v3 3.1).
 *
 * @module
 */
import { RelayCommand } from '../../shared/cell/commands.js';
import { INTRO_ESTABLISHED, type IntroDosParams } from '../../shared/cell/hs-cells.js';
import { hopSpecifiers } from '../../shared/circuit/hop.js';
import { type Ed25519KeyPair, generateEd25519 } from '../../shared/crypto/ed25519.js';
import type { HsIntroKeys } from '../../shared/crypto/hs-ntor.js';
import { generateX25519, type X25519KeyPair } from '../../shared/crypto/x25519.js';
import { makeEstablishIntro } from '../../shared/hs/establish.js';
import { introduceIdentity } from '../../shared/hs/introduce.js';
import { ReplayCache } from '../../shared/hs/replay.js';
import type { Log } from '../../shared/log/types.js';
import type { IntroPoint } from '../../shared/netdoc/hs-descriptor.js';
import type { ConsensusParam } from '../../shared/onion/flow.js';
import type { Clock, Random, Timer } from '../../shared/runtime/types.js';
import type { Relay } from '../network.js';
import { type HsCircuit, type HsCircuitBuilder, HsCircuitError } from './circuit-builder.js';
import { targetOf } from './paths.js';

/**
 * Circuits that are built to one relay, those that were established and lost with them: one that ends each would have
 * us build them without end, past ever other relays. The first, and MAX_INTRO_POINT_CIRCUIT_RETRIES more.
 */
const MAX_TRIES = 4;
/** Milliseconds the relay may take to answer ESTABLISH_INTRO. */
const ESTABLISH_TIMEOUT = 30_000;
/** Milliseconds until a lost circuit is built anew. */
const RETRY_DELAY = 2000;
const DAY = 86_400;

/** What an introduction point needs. */
export interface IntroPointParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly param: ConsensusParam;
  readonly builder: HsCircuitBuilder;
  /** What the service wants to be spared; undefined: what the consensus says. */
  readonly dos: IntroDosParams | undefined;
  /** Something changed. */
  changed(): void;
  /** It is established, so many milliseconds after its circuit was begun. */
  built(milliseconds: number): void;
  /** An INTRODUCE2 that was seen before, and is dropped. */
  replayed(): void;
  /** One that was not, and may be for somebody else: `count` tells that it is genuine. */
  introduce2(point: ServiceIntroPoint, body: Uint8Array): void;
}

/** Where it is in its life. */
export type IntroState = 'connecting' | 'established' | 'gone';

/** One introduction point. */
export class ServiceIntroPoint {
  readonly relay: Relay;
  private readonly parts: IntroPointParts;
  private readonly authKey: Ed25519KeyPair;
  private readonly encKey: X25519KeyPair;
  private readonly seen: ReplayCache;
  private readonly maxIntroductions: number;
  /** Monotonic milliseconds. */
  private readonly expires: number;
  private readonly stop = new AbortController();
  private phase: IntroState = 'connecting';
  private tries = 0;
  private introductions = 0;
  private circuit: HsCircuit | undefined;
  private timer: Timer | undefined;

  constructor(relay: Relay, parts: IntroPointParts) {
    const { random, param, clock } = parts;
    this.relay = relay;
    this.parts = parts;
    this.authKey = generateEd25519(random);
    this.encKey = generateX25519(random);
    const between = (min: number, max: number) => min + random.below(Math.max(max - min, 0) + 1);
    const least = param('hs_intro_min_introduce2', 16_384, 0, 2 ** 31 - 1);
    this.maxIntroductions = between(least, param('hs_intro_max_introduce2', 32_768, 0, 2 ** 31 - 1));
    const shortest = param('hs_intro_min_lifetime', (3 * DAY) / 4, 0, 2 ** 31 - 1);
    const longest = param('hs_intro_max_lifetime', DAY, 0, 2 ** 31 - 1);
    this.expires = clock.monotonic() + 1000 * between(shortest, longest);
    // The life of an introduction point bounds how many it takes, and the cache with it.
    this.seen = new ReplayCache({ max: this.maxIntroductions + 1 });
  }

  get state(): IntroState {
    return this.phase;
  }

  /** The keys for what comes in. */
  get keys(): HsIntroKeys {
    return { authKey: this.authKey.publicKey, encKey: this.encKey };
  }

  /** What the descriptor says of it. */
  get entry(): IntroPoint {
    const { hop } = targetOf(this.relay);
    return {
      linkSpecifiers: hopSpecifiers(hop),
      onionKey: hop.ntorKey!,
      authKey: this.authKey.publicKey,
      encKey: this.encKey.publicKey,
    };
  }

  /** Whether its time is over, by introductions or by age. */
  isSpent(now: number): boolean {
    return this.introductions >= this.maxIntroductions || now >= this.expires;
  }

  /** Begins to build its circuit. */
  start(): void {
    this.tries++;
    this.phase = 'connecting';
    this.establish().then(
      () => this.parts.changed(),
      (error: unknown) => this.failed(error),
    );
  }

  private async establish(): Promise<void> {
    const { builder, clock, dos, log } = this.parts;
    const began = clock.monotonic();
    const circuit = await builder.build('service-introduction', targetOf(this.relay), this.stop.signal);
    this.circuit = circuit;
    try {
      const kh = circuit.origin.hops.at(-1)!.kh!;
      const asks = dos && this.relay.status.protocols.has('HSIntro', 5) ? dos : undefined;
      circuit.send(RelayCommand.ESTABLISH_INTRO, makeEstablishIntro(this.authKey, kh, asks));
      await this.established(circuit);
    } catch (error) {
      circuit.close();
      throw error;
    }
    this.parts.built(clock.monotonic() - began);
    log.debug('an introduction point is established', { relay: this.relay.status.nickname });
  }

  private established(circuit: HsCircuit): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        timer.cancel();
        reject(new HsCircuitError(why, { atEnd: true }));
      };
      const timer = this.parts.clock.setTimer(ESTABLISH_TIMEOUT, () =>
        fail('the introduction point does not answer'),
      );
      circuit.onClosed = () => {
        fail('the introduction circuit closed');
        this.lost(circuit);
      };
      circuit.onMessage = (command, data) => {
        if (command === RelayCommand.INTRODUCE2) this.introduced(data);
        if (command !== RelayCommand.INTRO_ESTABLISHED || this.phase !== 'connecting') return;
        timer.cancel();
        INTRO_ESTABLISHED.decode(data);
        // Now: what comes in the same turn, an introduction or the end, finds it so.
        this.phase = 'established';
        resolve();
      };
      if (circuit.closed) fail('the introduction circuit closed');
    });
  }

  private introduced(data: Uint8Array): void {
    const { clock, log } = this.parts;
    if (this.phase !== 'established') return;
    try {
      if (this.seen.has(introduceIdentity(data), clock.monotonic())) {
        log.warn('An introduction point repeats an introduction; dropped.');
        this.parts.replayed();
        return;
      }
    } catch (error) {
      log.info('dropping an introduction', { error: (error as Error).message });
      return;
    }
    this.parts.introduce2(this, data);
  }

  /** An introduction was genuine: it counts, and is not taken again. Others would only push such out of memory. */
  count(body: Uint8Array): void {
    this.introductions++;
    this.seen.isNew(introduceIdentity(body), this.parts.clock.monotonic());
  }

  private lost(circuit: HsCircuit): void {
    if (this.phase !== 'established' || this.circuit !== circuit) return;
    this.parts.log.info('an introduction circuit was lost');
    this.again();
  }

  private failed(error: unknown): void {
    if (this.phase === 'gone') return;
    this.parts.log.info('an introduction point failed', { error: (error as Error).message });
    this.again();
  }

  private again(): void {
    this.circuit = undefined;
    if (this.tries >= MAX_TRIES) this.close();
    else {
      this.phase = 'connecting';
      this.timer = this.parts.clock.setTimer(RETRY_DELAY, () => this.start());
    }
    this.parts.changed();
  }

  close(): void {
    if (this.phase === 'gone') return;
    this.phase = 'gone';
    this.timer?.cancel();
    this.stop.abort();
    this.circuit?.close();
  }
}
