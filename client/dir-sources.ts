/**
 * Whom a client asks for directory documents, and how: BEGIN_DIR streams on one-hop circuits, to authorities and
 * fallbacks at first, to directory guards once there are any, or to any directory where guards are not used (dir-spec
 * 5.1; guard-spec 4.6).
 *
 * @module
 */
import { CepaError } from '../shared/bytes/errors.js';
import { fromHex } from '../shared/bytes/text.js';
import { DestroyReason, RelayCommand } from '../shared/cell/commands.js';
import { fetchOverStream } from '../shared/dir/fetch.js';
import type { DirRequest, DirResponse } from '../shared/dir/types.js';
import { parseProtocols } from '../shared/netdoc/protover.js';
import type { RelayId } from '../shared/netdoc/types.js';
import { locate } from '../shared/runtime/locate.js';
import type { Clock, NetAddress, Random, Resolver } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';
import type { CircuitFactory, ClientCircuit } from './circuit-factory.js';
import type { GuardManager, GuardTicket } from './guards.js';
import { type Hop, hopOf, type Network, type Relay } from './network.js';
import type { PathRules } from './path.js';

/** Nobody could be asked, or the one asked did not answer. */
export class DirSourceError extends CepaError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('client/directory', message, options);
  }
}

/** One to ask. */
export interface DirSource {
  readonly id: RelayId;
  readonly name: string;
  /** Where it is; looked up at each use, since authorities may be given by name. */
  hop(): Promise<Hop>;
  readonly ticket: GuardTicket | undefined;
}

/** What asking needs. */
export interface DirSourcesEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly resolver: Resolver;
  readonly options: Options;
  readonly rules: PathRules;
  readonly guards: GuardManager;
  readonly factory: CircuitFactory;
  /** A first hop for a request stands. */
  readonly onHop: () => void;
}

/** Milliseconds a one-hop circuit may take to stand, and to lie idle. */
const BUILD_TIMEOUT = 30_000;
const IDLE = 60_000;

/** Protocols are not known of those that only the configuration names; one hop needs none. */
const NO_PROTOCOLS = parseProtocols('');
const NO_BYTES = new Uint8Array(0);

interface DirCircuit {
  readonly circuit: Promise<ClientCircuit>;
  lastUsed: number;
  busy: number;
}

/** Finds and asks sources. */
export class DirSources {
  private readonly env: DirSourcesEnv;
  private readonly circuits = new Map<RelayId, DirCircuit>();
  private readonly configured: readonly DirSource[];
  private readonly authorities: ReadonlySet<RelayId>;
  private readonly fallbacks: ReadonlySet<RelayId>;
  private network: Network | undefined;

  constructor(env: DirSourcesEnv) {
    this.env = env;
    const { DirAuthority, FallbackDir } = env.options;
    this.authorities = new Set(DirAuthority.map(({ fingerprint }) => fingerprint));
    this.fallbacks = new Set(FallbackDir.map(({ fingerprint }) => fingerprint));
    const named = [
      ...DirAuthority.map((a) => ({ name: a.nickname, id: a.fingerprint, host: a.address, port: a.orPort })),
      ...FallbackDir.map((f) => ({ name: f.address, id: f.fingerprint, host: f.address, port: f.orPort })),
    ];
    this.configured = named
      .filter(({ port }) => port !== 0)
      .map(({ name, id, host, port }) => ({
        id,
        name,
        ticket: undefined,
        hop: async () => ({
          addresses: [await this.locate(host, port)],
          rsaId: fromHex(id, 'fingerprint', 20),
          protocols: NO_PROTOCOLS,
        }),
      }));
  }

  setNetwork(network: Network): void {
    this.network = network;
  }

  /** Configured sources there are. */
  get configuredCount(): number {
    return this.configured.length;
  }

  private locate(host: string, port: number): Promise<NetAddress> {
    return locate(this.env.resolver, host, port).catch((cause: unknown) => {
      throw new DirSourceError(`the address of directory ${host} does not resolve`, { cause });
    });
  }

  /** Somebody other than those avoided; `configured`: an authority or fallback even where there are guards. */
  pick(avoid: ReadonlySet<RelayId>, configured: boolean): DirSource | undefined {
    if (configured) return this.pickConfigured(avoid);
    return (
      this.pickGuard(avoid) ??
      this.pickAnyRelay(avoid) ??
      this.pickFallback(avoid) ??
      this.pickConfigured(avoid)
    );
  }

  private pickGuard(avoid: ReadonlySet<RelayId>): DirSource | undefined {
    const { guards, clock, options } = this.env;
    if (!this.network || !options.UseEntryGuards) return undefined;
    const chosen = guards.choose('dir', (relay) => !avoid.has(relay.id), clock.now());
    if (!chosen) return undefined;
    const { relay, ticket } = chosen;
    return this.relaySource(relay, ticket);
  }

  private relaySource(relay: Relay, ticket: GuardTicket | undefined): DirSource {
    // CREATE_FAST: one hop gains nothing from an onion key.
    const { ntorKey: _, ...hop } = hopOf(relay, this.env.options.ClientUseIPv6);
    return { id: relay.id, name: relay.status.nickname, ticket, hop: async () => hop };
  }

  /** Without guards: relays that are directories, but authorities only as a last resort (C tor: router_pick_directory_server). */
  private pickAnyRelay(avoid: ReadonlySet<RelayId>): DirSource | undefined {
    const { options, rules, random } = this.env;
    if (!this.network || options.UseEntryGuards) return undefined;
    const relay = this.network.weighted('dir').choose(random, ({ id, status }) => {
      const directory = ['Running', 'Valid', 'V2Dir'].every((flag) => status.flags.has(flag));
      return directory && !this.authorities.has(id) && !avoid.has(id) && !rules.exclude.has(status);
    });
    return relay && this.relaySource(relay, undefined);
  }

  /** Whom to ask first while nothing is known, so that not everybody who starts asks an authority. */
  private pickFallback(avoid: ReadonlySet<RelayId>): DirSource | undefined {
    if (this.network || avoid.size > 0 || this.fallbacks.size === 0) return undefined;
    const fallbacks = this.configured.filter((source) => this.fallbacks.has(source.id));
    return fallbacks[this.env.random.below(fallbacks.length)];
  }

  private pickConfigured(avoid: ReadonlySet<RelayId>): DirSource | undefined {
    const { rules, random } = this.env;
    const left = this.configured.filter((source) => !avoid.has(source.id));
    const excluded = (source: DirSource) => {
      const status = this.network?.get(source.id)?.status;
      return status !== undefined && rules.exclude.has(status);
    };
    // ExcludeNodes is kept where that leaves anybody; where it does not, StrictNodes decides.
    const allowed = left.filter((source) => !excluded(source));
    const choice = allowed.length > 0 || rules.strict ? allowed : left;
    return choice[random.below(choice.length)];
  }

  /** Asks one source one thing. Rejects with DirSourceError or DirFetchError. */
  async ask(source: DirSource, request: DirRequest, timeout: number, maxBody: number): Promise<DirResponse> {
    const { clock } = this.env;
    const held = this.circuit(source);
    held.busy++;
    try {
      const circuit = await held.circuit;
      const handlers = { data() {}, drain() {}, end() {} };
      const stream = circuit.openStream(RelayCommand.BEGIN_DIR, NO_BYTES, handlers);
      return await fetchOverStream(stream, request, { clock, timeout, maxBody });
    } catch (cause) {
      this.drop(source.id, held);
      if (cause instanceof CepaError) throw cause;
      throw new DirSourceError(`directory ${source.name}: ${(cause as Error).message}`, { cause });
    } finally {
      held.busy--;
      held.lastUsed = clock.monotonic();
    }
  }

  /** The circuit to a source; a guard learns from it whether it can be reached. */
  private circuit(source: DirSource): DirCircuit {
    const { guards, clock } = this.env;
    const known = this.circuits.get(source.id);
    if (known) {
      if (source.ticket) guards.release(source.ticket);
      return known;
    }
    const held: DirCircuit = { circuit: this.build(source), lastUsed: clock.monotonic(), busy: 0 };
    this.circuits.set(source.id, held);
    held.circuit.then(
      () => source.ticket && guards.succeeded(source.ticket, clock.now()),
      () => {
        if (source.ticket) guards.failed(source.ticket, clock.now());
        if (this.circuits.get(source.id) === held) this.circuits.delete(source.id);
      },
    );
    return held;
  }

  private async build(source: DirSource): Promise<ClientCircuit> {
    const { factory, clock, onHop } = this.env;
    const hop = await source.hop();
    const build = factory.build([hop], {
      hop: onHop,
      closed: () => this.circuits.delete(source.id),
    });
    const timer = clock.setTimer(BUILD_TIMEOUT, () => build.abort(DestroyReason.TIMEOUT));
    try {
      return await build.circuit;
    } finally {
      timer.cancel();
    }
  }

  private drop(id: RelayId, held: DirCircuit): void {
    if (this.circuits.get(id) === held) this.circuits.delete(id);
    held.circuit.then(
      (circuit) => circuit.close(DestroyReason.FINISHED),
      () => {},
    );
  }

  /** Closes circuits that lie idle; call it now and then. */
  tick(): void {
    const now = this.env.clock.monotonic();
    for (const [id, held] of this.circuits)
      if (held.busy === 0 && now - held.lastUsed > IDLE) this.drop(id, held);
  }

  stop(): void {
    for (const [id, held] of this.circuits) this.drop(id, held);
  }
}
