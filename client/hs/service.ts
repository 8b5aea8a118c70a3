/**
 * An onion service: its two descriptors, its introduction points, the clients it meets (rend-spec-v3 1.3).
 *
 * @module
 */

import { ProtocolError } from '../../shared/bytes/errors.js';
import { toHex } from '../../shared/bytes/text.js';
import { RelayCommand } from '../../shared/cell/commands.js';
import type { Ed25519ExpandedKey } from '../../shared/crypto/ed25519.js';
import {
  answerIntroduction,
  type Introduced,
  openIntroduce2,
  type RendezvousAnswer,
} from '../../shared/hs/introduce.js';
import { ReplayCache } from '../../shared/hs/replay.js';
import { periodKeys } from '../../shared/hs/service-key.js';
import type { Log } from '../../shared/log/types.js';
import { Tally } from '../../shared/metrics/tally.js';
import type { ConsensusParam } from '../../shared/onion/flow.js';
import { tor1Hs } from '../../shared/onion/tor1-hs.js';
import type { Backlog } from '../../shared/onion/types.js';
import type { Clock, Random, Resolver, Transport } from '../../shared/runtime/types.js';
import type { Options } from '../../shared/torrc/options.js';
import type { Network } from '../network.js';
import type { PathRules } from '../path.js';
import { AppTraffic, type PortTraffic } from './app-traffic.js';
import type { HsCircuit, HsCircuitBuilder } from './circuit-builder.js';
import type { HsDirClient, HsDirectories } from './directory.js';
import { controlsCongestion, joinedFlow, offeredSendmeInc } from './flow.js';
import { type HsTarget, namedTarget } from './paths.js';
import type { ServiceIntroPoint } from './service-intro.js';
import { type PeriodConfig, ServicePeriod } from './service-period.js';
import { ServiceStreams, type StreamRules } from './service-streams.js';

/** Milliseconds for which a cookie is not met again [REND_REPLAY_TIME_INTERVAL]. */
const COOKIE_MEMORY = 5 * 60_000;
const MAX_COOKIES = 100_000;
/** Milliseconds to reach a rendezvous point, all tries together [MAX_REND_TIMEOUT]. */
const RENDEZVOUS_TIMEOUT = 30_000;
/** Rendezvous points being reached at once; past it introductions are dropped. */
const MAX_MEETING = 256;
/** Milliseconds that bound what is told of how long circuits take [hs_metrics_circ_build_time_buckets]. */
const BUILD_TIMES = [1000, 5000, 10_000, 30_000, 60_000];

/** How a service is set up. */
export interface ServiceConfig extends PeriodConfig {
  readonly identity: Ed25519ExpandedKey;
  /** With `.onion`. */
  readonly address: string;
  readonly rules: StreamRules;
}

/** What services share. */
export interface ServiceParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly transport: Transport;
  readonly resolver: Resolver;
  /** Streams that are over, with servers that have not taken all. */
  readonly leaving: Set<Backlog>;
  readonly options: Pick<Options, 'MaxCircuitDirtiness'>;
  readonly pathRules: PathRules;
  readonly param: ConsensusParam;
  readonly builder: HsCircuitBuilder;
  readonly directories: HsDirectories;
  readonly directory: HsDirClient;
  /** Whether rendezvous points at private addresses are reached: in a private network. */
  readonly allowPrivate: boolean;
  network(): Network | undefined;
}

/** How a service is. */
export interface ServiceStatus {
  readonly address: string;
  /** For each descriptor: its period, introduction points, HSDirs that took it. */
  readonly descriptors: readonly {
    readonly period: number;
    readonly introPoints: number;
    readonly heldBy: number;
  }[];
  /** Clients on joined circuits. */
  readonly clients: number;
  readonly counts: ServiceCounts;
}

/** What a service did since it started; reasons are C tor's (hs_metrics_entry.h). */
export interface ServiceCounts {
  /** Introductions that were for it. */
  readonly introductions: number;
  /** Those that were not taken. */
  readonly rejected: Readonly<Record<RejectReason, number>>;
  /** Circuits begun to rendezvous points, and why some came to nothing. */
  readonly rendezvous: number;
  readonly failed: Readonly<Record<RendezvousFailure, number>>;
  /** Milliseconds from the begin of a circuit to INTRO_ESTABLISHED on it; and to RENDEZVOUS1. */
  readonly introBuildTimes: Tally;
  readonly rendezvousBuildTimes: Tally;
  /** Bytes from and to the servers behind it, by port. */
  readonly traffic: ReadonlyMap<number, Readonly<PortTraffic>>;
}

/** Made for other keys; nonsense; seen before. */
type RejectReason = 'subcredential' | 'invalid_introduce2' | 'replay';
/** No circuit; one that could not be joined to the client's. */
type RendezvousFailure = 'rp_conn_failure' | 'e2e_circ';

/** A running service. */
export class OnionService {
  private settings: ServiceConfig;
  private readonly parts: ServiceParts;
  private readonly periods = new Map<number, ServicePeriod>();
  private readonly cookies = new ReplayCache({ horizon: COOKIE_MEMORY, max: MAX_COOKIES });
  private readonly joined = new Map<HsCircuit, ServiceStreams>();
  private readonly stopper = new AbortController();
  private readonly counts = {
    introductions: 0,
    rejected: { subcredential: 0, invalid_introduce2: 0, replay: 0 },
    rendezvous: 0,
    failed: { rp_conn_failure: 0, e2e_circ: 0 },
    introBuildTimes: new Tally(BUILD_TIMES),
    rendezvousBuildTimes: new Tally(BUILD_TIMES),
  };
  private readonly traffic = new AppTraffic();
  private meeting = 0;
  private dirty = false;

  constructor(config: ServiceConfig, parts: ServiceParts) {
    this.settings = config;
    this.parts = parts;
  }

  /** What is due: call it about once a second. */
  tick(): void {
    const network = this.parts.network();
    if (!network || this.stopper.signal.aborted) return;
    const directory = this.parts.directories.of(network);
    const current = new Set<number>();
    directory.keys.store.forEach(({ period }, slot) => {
      current.add(period.number);
      this.period(period).tick(directory, slot as 0 | 1);
    });
    for (const [number, period] of this.periods) {
      if (current.has(number)) continue;
      period.stop();
      this.periods.delete(number);
    }
    this.closeIdle();
  }

  /** Clients that left, and those that never came: a rendezvous point need not tell us [circuit_expire_old_circuits_clientside]. */
  private closeIdle(): void {
    const { clock, options } = this.parts;
    const oldest = clock.monotonic() - options.MaxCircuitDirtiness;
    for (const [circuit, { idleSince }] of [...this.joined]) {
      if (idleSince === undefined || idleSince > oldest) continue;
      this.joined.delete(circuit);
      circuit.close();
    }
  }

  private period(time: { readonly number: number; readonly length: number }): ServicePeriod {
    const known = this.periods.get(time.number);
    if (known) return known;
    const { settings: config, parts } = this;
    const period: ServicePeriod = new ServicePeriod(periodKeys(config.identity, time), {
      ...parts,
      rules: parts.pathRules,
      config: () => this.settings,
      changed: () => this.soon(),
      built: (milliseconds) => this.counts.introBuildTimes.observe(milliseconds),
      introduce2: (point, body) => this.introduced(period, point, body),
      replayed: () => {
        this.counts.rejected.replay++;
      },
    });
    this.periods.set(time.number, period);
    return period;
  }

  /** Looks again at the end of this turn. */
  private soon(): void {
    if (this.dirty) return;
    this.dirty = true;
    this.parts.clock.defer(() => {
      this.dirty = false;
      this.tick();
    });
  }

  // Clients

  private introduced(period: ServicePeriod, point: ServiceIntroPoint, body: Uint8Array): void {
    const { clock, log, random, param, allowPrivate } = this.parts;
    let said: Introduced;
    let target: HsTarget | { readonly refused: string };
    let answer: RendezvousAnswer;
    try {
      said = openIntroduce2(body, point.keys, [period.keys.subcredential]);
      target = namedTarget(said.point.specifiers, said.point.onionKey, allowPrivate);
      answer = answerIntroduction(said, point.keys, random);
    } catch (error) {
      log.info('dropping an introduction', { error: (error as Error).message });
      this.counts.rejected[error instanceof ProtocolError ? 'subcredential' : 'invalid_introduce2']++;
      return;
    }
    if (!this.cookies.isNew(said.cookie, clock.monotonic())) {
      log.info('dropping an introduction', { error: 'its cookie was used before' });
      this.counts.rejected.replay++;
      return;
    }
    point.count(body);
    this.counts.introductions++;
    if ('refused' in target) log.info('dropping an introduction', { error: target.refused });
    else if (said.congestionControl && !controlsCongestion(param))
      log.info('dropping an introduction', { error: 'congestion control is off' });
    else if (this.meeting >= MAX_MEETING)
      log.warn('Too many clients come at once: some introductions are dropped.');
    else void this.meet(target, answer, said.congestionControl);
  }

  private async meet(target: HsTarget, answer: RendezvousAnswer, control: boolean): Promise<void> {
    const { clock, log, param } = this.parts;
    const stop = new AbortController();
    const abort = () => stop.abort();
    this.stopper.signal.addEventListener('abort', abort);
    const timer = clock.setTimer(RENDEZVOUS_TIMEOUT, abort);
    this.meeting++;
    this.counts.rendezvous++;
    let failure: RendezvousFailure = 'rp_conn_failure';
    try {
      const { circuit, began } = await this.reach(target, stop.signal);
      failure = 'e2e_circ';
      const flow = joinedFlow(control ? offeredSendmeInc(param) : undefined, param, clock);
      circuit.send(RelayCommand.RENDEZVOUS1, answer.rendezvous1);
      this.join(circuit, answer.keys, flow);
      this.counts.rendezvousBuildTimes.observe(clock.monotonic() - began);
    } catch (error) {
      log.info('a rendezvous failed', { error: (error as Error).message });
      this.counts.failed[failure]++;
    } finally {
      this.meeting--;
      timer.cancel();
      this.stopper.signal.removeEventListener('abort', abort);
    }
  }

  private async reach(
    target: HsTarget,
    signal: AbortSignal,
  ): Promise<{ readonly circuit: HsCircuit; readonly began: number }> {
    const { builder, clock, param } = this.parts;
    // One try, and so many more [can_relaunch_service_rendezvous_point].
    const more = param('hs_service_max_rdv_failures', 2, 1, 10);
    for (let failures = 0; ; failures++) {
      const began = clock.monotonic();
      try {
        return { circuit: await builder.build('service-rendezvous', target, signal), began };
      } catch (error) {
        if (failures >= more || signal.aborted) throw error;
      }
    }
  }

  private join(circuit: HsCircuit, keys: Uint8Array, flow: ReturnType<typeof joinedFlow>): void {
    const { clock, random, log, transport, resolver, leaving } = this.parts;
    const streams = new ServiceStreams({
      clock,
      random,
      log,
      transport,
      resolver,
      leaving,
      traffic: this.traffic,
      rules: () => this.settings.rules,
      closeCircuit: () => {
        this.joined.delete(circuit);
        circuit.close();
      },
    });
    this.joined.set(circuit, streams);
    circuit.onClosed = () => this.joined.delete(circuit);
    circuit.origin.addVirtualHop(tor1Hs(keys, 'service'), flow, (stream) => streams.take(stream));
    log.debug('a client was met');
  }

  // Life

  get address(): string {
    return this.settings.address;
  }

  /**
   * Takes another configuration of the same service. Introduction points and clients stay; when other clients are let
   * in, the descriptors that say so are published at once [move_descriptors].
   */
  reconfigure(config: ServiceConfig): void {
    const before = this.settings.clients.map(toHex).sort().join();
    this.settings = config;
    if (config.clients.map(toHex).sort().join() !== before)
      for (const period of this.periods.values()) period.republish();
    this.soon();
  }

  status(): ServiceStatus {
    return {
      address: this.settings.address,
      descriptors: [...this.periods.values()].map((period) => ({
        period: period.keys.period.number,
        introPoints: period.established.length,
        heldBy: period.held,
      })),
      clients: this.joined.size,
      counts: {
        ...this.counts,
        traffic: this.traffic.all(this.settings.rules.ports.map(({ virtualPort }) => virtualPort)),
      },
    };
  }

  stop(): void {
    this.stopper.abort();
    for (const period of this.periods.values()) period.stop();
    this.periods.clear();
    for (const circuit of this.joined.keys()) circuit.close();
    this.joined.clear();
  }
}
