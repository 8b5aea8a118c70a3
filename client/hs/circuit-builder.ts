/**
 * Builds the circuits of onion services: guard, vanguard, where it must be a middle relay, the end. Each is for one
 * use; some are begun before it is known which (`prepared.ts`).
 *
 * @module
 */
import { CepaError } from '../../shared/bytes/errors.js';
import { DestroyReason } from '../../shared/cell/commands.js';
import { buildCircuit } from '../../shared/circuit/build.js';
import { isFirstHopRefusal } from '../../shared/circuit/build-error.js';
import type { HopTarget } from '../../shared/circuit/hop.js';
import type { OriginCircuit } from '../../shared/circuit/origin.js';
import type { ChannelManager } from '../../shared/link/types.js';
import type { Log } from '../../shared/log/types.js';
import type { ConsensusParam } from '../../shared/onion/flow.js';
import type { Clock, Random } from '../../shared/runtime/types.js';
import type { Options } from '../../shared/torrc/options.js';
import { type BuildTimes, forHops } from '../build-timeout.js';
import type { GuardManager, GuardTicket } from '../guards.js';
import { hopOf, type Network, type Relay } from '../network.js';
import { chooseUnguardedFirst, type PathRules } from '../path.js';
import { chooseEnd, type HsPurpose, type HsTarget, middleHops, targetOf } from './paths.js';
import { type CircuitHooks, PreparedCircuits, type Spare } from './prepared.js';
import { Vanguards } from './vanguards.js';

/** How often a circuit whose guard must wait for better ones is looked at, and how often in all. */
const GUARD_WAIT = 1000;
const GUARD_LOOKS = 15;

/** No circuit: too little is known, a hop did not answer, or time ran out. */
export class HsCircuitError extends CepaError {
  /** Whether the last hop was all that was missing: the relay at the end is to blame. */
  readonly atEnd: boolean;
  constructor(message: string, options: { cause?: unknown; atEnd?: boolean } = {}) {
    super('client/onion-circuit', message, options);
    this.atEnd = options.atEnd ?? false;
  }
}

/** What the builder works with. */
export interface HsBuilderParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly options: Options;
  readonly rules: PathRules;
  readonly guards: GuardManager;
  readonly buildTimes: BuildTimes;
  readonly channels: Pick<ChannelManager, 'get'>;
  /** Circuits are put in while they stand. */
  readonly circuits: Set<OriginCircuit>;
  readonly param: ConsensusParam;
  /** Undefined while too little is known of it. */
  network(): Network | undefined;
}

/** A circuit that stands, and what its owner is told of it. */
export class HsCircuit {
  readonly origin: OriginCircuit;
  readonly purpose: HsPurpose;
  readonly target: HsTarget;
  private readonly hooks: CircuitHooks;

  constructor(origin: OriginCircuit, purpose: HsPurpose, target: HsTarget, hooks: CircuitHooks) {
    this.origin = origin;
    this.purpose = purpose;
    this.target = target;
    this.hooks = hooks;
  }

  /** Messages about the circuit from its last hop. */
  set onMessage(take: (command: number, data: Uint8Array) => void) {
    this.hooks.message = take;
  }

  /** The circuit died, not by `close`. */
  set onClosed(tell: (reason: number) => void) {
    this.hooks.closed = tell;
  }

  get closed(): boolean {
    return this.origin.closed;
  }

  /** Sends a message to the relay at the end. */
  send(command: number, data: Uint8Array, hop?: number): void {
    this.origin.sendMessage(command, data, hop);
  }

  close(): void {
    this.origin.close(DestroyReason.FINISHED);
  }
}

/** What a circuit's cells are given to. */
interface Hooks extends CircuitHooks {
  /** The hop that is heard, from 0. */
  last: number;
}

/** The end of a path: given, or chosen when the guard is known. */
export type EndChoice = HsTarget | ((network: Network, guard: Relay) => HsTarget | undefined);

interface SpareCircuit extends Spare {
  readonly hooks: Hooks;
}

interface ChosenPath {
  readonly hops: [HopTarget, ...HopTarget[]];
  readonly target: HsTarget;
  /** All of them, by identity. */
  readonly relays: readonly string[];
  /** The second hop. */
  readonly vanguard: string;
  readonly ticket: GuardTicket | undefined;
}

/** Builds circuits. */
export class HsCircuitBuilder {
  private readonly parts: HsBuilderParts;
  private readonly vanguards: Vanguards;
  private readonly tickets = new Set<GuardTicket>();
  private readonly prepared: PreparedCircuits<SpareCircuit>;

  constructor(parts: HsBuilderParts) {
    this.parts = parts;
    this.vanguards = new Vanguards(parts.random, parts.rules);
    const make = async () => (await this.make('client-rendezvous', this.rendezvousPoint)).spare;
    this.prepared = new PreparedCircuits({ ...parts, make });
  }

  /** Chooses a rendezvous point, when the guard is known. */
  readonly rendezvousPoint = (network: Network, guard: Relay): HsTarget | undefined => {
    const { rules, random } = this.parts;
    const chosen = chooseEnd(
      network,
      rules,
      random,
      'rendezvous',
      (relay) => relay.id !== guard.id && relay.status.protocols.has('HSRend', 2),
    );
    return chosen && targetOf(chosen);
  };

  /** Builds one, or takes one that stands. Rejects with HsCircuitError; nothing is left of the circuit then. */
  async build(purpose: HsPurpose, end: EndChoice, signal?: AbortSignal): Promise<HsCircuit> {
    const spare = this.prepared.take(({ relays }) => typeof end === 'function' || !relays.includes(end.id));
    if (!spare) {
      const { circuit } = await this.make(purpose, end, signal);
      return circuit;
    }
    if (typeof end !== 'function') await this.lengthen(spare, end, signal);
    return new HsCircuit(spare.origin, purpose, typeof end === 'function' ? spare.target : end, spare.hooks);
  }

  private async make(
    purpose: HsPurpose,
    end: EndChoice,
    signal?: AbortSignal,
  ): Promise<{ circuit: HsCircuit; spare: SpareCircuit }> {
    const path = this.choose(purpose, end);
    const { guards, clock, log } = this.parts;
    let hops = 0;
    const hooks: Hooks = { last: path.hops.length - 1, message() {}, closed() {} };
    try {
      log.debug('building an onion-service circuit', { purpose, hops: path.hops.length });
      const origin = await this.timed(path.hops, hooks, signal, (n) => {
        hops = n;
      });
      if (path.ticket) await this.guardIsGood(path.ticket, origin, signal);
      const { target, relays } = path;
      return {
        circuit: new HsCircuit(origin, purpose, target, hooks),
        spare: { origin, hooks, target, relays },
      };
    } catch (cause) {
      if (hops === 1 && !signal?.aborted) this.vanguards.failed(path.vanguard, clock.now());
      if (path.ticket && hops === 0 && !signal?.aborted && !isFirstHopRefusal(cause))
        guards.failed(path.ticket, clock.now());
      else if (path.ticket) guards.release(path.ticket);
      if (cause instanceof HsCircuitError) throw cause;
      throw new HsCircuitError(`no ${purpose} circuit: ${(cause as Error).message}`, {
        cause,
        atEnd: hops === path.hops.length - 1,
      });
    } finally {
      if (path.ticket) this.tickets.delete(path.ticket);
    }
  }

  /** Adds the end to a circuit that was built ahead. */
  private async lengthen(spare: SpareCircuit, end: HsTarget, signal: AbortSignal | undefined): Promise<void> {
    const { origin, hooks } = spare;
    try {
      await this.inTime(spare.relays.length + 1, signal, async (stop) => {
        const abort = () => origin.close();
        stop.addEventListener('abort', abort);
        if (stop.aborted) abort();
        await origin.extend(end.hop).finally(() => stop.removeEventListener('abort', abort));
      });
      hooks.last++;
    } catch (cause) {
      origin.close();
      if (cause instanceof HsCircuitError) throw cause;
      throw new HsCircuitError(`no circuit: ${(cause as Error).message}`, { cause, atEnd: true });
    }
  }

  /** What is due: call it about once a second. */
  tick(): void {
    if (this.parts.network()) this.prepared.tick();
  }

  stop(): void {
    this.prepared.stop();
  }

  private choose(purpose: HsPurpose, end: EndChoice): ChosenPath {
    const { clock, random, rules, options, guards } = this.parts;
    const network = this.parts.network();
    if (!network) throw new HsCircuitError('not enough is known of the network yet');
    const first = this.first(network);
    if (!first) throw new HsCircuitError('no guard can be reached');
    const { relay: guard, ticket } = first;
    const target = typeof end === 'function' ? end(network, guard) : end;
    const middle =
      target &&
      middleHops(network, rules, random, this.vanguards, clock.now(), purpose, {
        guard: guard.id,
        target: target.id,
      });
    if (!middle) {
      if (ticket) guards.release(ticket);
      throw new HsCircuitError('too few relays for a path');
    }
    return {
      hops: [hopOf(guard, options.ClientUseIPv6), ...middle.map((relay) => hopOf(relay)), target.hop],
      target,
      relays: [guard.id, ...middle.map(({ id }) => id), target.id],
      vanguard: middle[0]!.id,
      ticket,
    };
  }

  /** The guard is chosen whatever the end is: to avoid one would tell the other end which one it is. */
  private first(network: Network): { relay: Relay; ticket: GuardTicket | undefined } | undefined {
    const { options, guards, rules, random, clock } = this.parts;
    const anyone = () => true;
    if (options.UseEntryGuards && guards.any) return guards.choose('traffic', anyone, clock.now());
    const relay = chooseUnguardedFirst(network, rules, random, anyone);
    return relay && { relay, ticket: undefined };
  }

  private timed(
    hops: ChosenPath['hops'],
    hooks: Hooks,
    signal: AbortSignal | undefined,
    onHop: (n: number) => void,
  ): Promise<OriginCircuit> {
    const { clock, random, log, channels, circuits, param } = this.parts;
    return this.inTime(hops.length, signal, (stop) =>
      buildCircuit({ clock, random, log, circuits }, channels, hops, {
        param,
        path: 'onion',
        signal: stop,
        onHop,
        onClosed: (reason) => hooks.closed(reason),
        onMessage: ({ hop, command, data }) => {
          if (hop === hooks.last) hooks.message(command, data);
        },
      }),
    );
  }

  /** Gives the work as long as a circuit of so many hops may take, or until it is called off. */
  private async inTime<T>(
    hops: number,
    signal: AbortSignal | undefined,
    work: (stop: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const stop = new AbortController();
    const abort = () => stop.abort();
    signal?.addEventListener('abort', abort);
    if (signal?.aborted) abort();
    let late = false;
    const timer = this.parts.clock.setTimer(forHops(this.parts.buildTimes.timeouts(), hops).close, () => {
      late = true;
      abort();
    });
    try {
      return await work(stop.signal);
    } catch (cause) {
      if (late) throw new HsCircuitError('the circuit took too long to build', { cause });
      throw cause;
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Waits until the guard's circuit may be used, or is called off: a better guard may yet answer (guard-spec 4.9). */
  private async guardIsGood(
    ticket: GuardTicket,
    origin: OriginCircuit,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { guards, clock } = this.parts;
    this.tickets.add(ticket);
    if (guards.succeeded(ticket, clock.now()) === 'now') return;
    for (let look = 0; look < GUARD_LOOKS && !origin.closed && !signal?.aborted; look++) {
      guards.upgrade(this.tickets, clock.now());
      if (ticket.state === 'complete') return;
      await new Promise<void>((resolve) => clock.setTimer(GUARD_WAIT, resolve));
    }
    origin.close(DestroyReason.FINISHED);
    throw new HsCircuitError('the guard was not needed in the end');
  }
}
