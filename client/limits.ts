/**
 * What a client and its onion services may use of the machine: BandwidthRate for its links, MaxMemInQueues for all that
 * waits.
 *
 * @module
 */
import type { OriginCircuit } from '../shared/circuit/origin.js';
import { BandwidthLimiter, limitsOf } from '../shared/limits/bandwidth-limit.js';
import { LimitedTransport } from '../shared/limits/limited-transport.js';
import { ceilingOf, type Holder, MemoryCeiling } from '../shared/limits/memory-ceiling.js';
import { MeteredTransport } from '../shared/limits/metered-transport.js';
import type { LinkManager } from '../shared/link/manager.js';
import { holdersOf } from '../shared/onion/joined-stream.js';
import type { Backlog } from '../shared/onion/types.js';
import type { Env } from '../shared/runtime/env.js';
import type { Transport } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';

/** Options that can change while it runs. */
export const LIMIT_OPTIONS = ['BandwidthRate', 'BandwidthBurst', 'MaxMemInQueues'] as const;

/** Who holds memory, besides circuits. */
interface Users {
  links(): LinkManager;
  /** Connections of applications. */
  applications(): Iterable<Holder>;
}

/** Both limits. */
export class ClientLimits {
  /** For links: what applications and servers behind onion services send is bounded by these. */
  readonly transport: Transport;
  /** All circuits from here. */
  readonly circuits = new Set<OriginCircuit>();
  /** Streams of onion services that are over, with servers that have not taken all. */
  readonly leaving = new Set<Backlog>();
  private readonly options: Options;
  private readonly users: Users;
  private readonly limiter: BandwidthLimiter;
  private readonly memory: MemoryCeiling;

  constructor(options: Options, { clock, log, transport, memory }: Env, users: Users) {
    this.options = options;
    this.users = users;
    this.limiter = new BandwidthLimiter(clock, limitsOf(options));
    this.memory = new MemoryCeiling({
      clock,
      log,
      ceiling: () => ceilingOf(options, memory),
      used: () => this.used,
      circuits: () => this.circuits,
      links: () => users.links().channels,
      streams: () => this.sockets,
    });
    this.transport = new MeteredTransport(new LimitedTransport(transport, this.limiter), this.memory);
  }

  private get sockets(): Holder[] {
    return [...this.users.applications(), ...holdersOf(this.leaving)];
  }

  /** Bytes that wait anywhere. */
  private get used(): number {
    let bytes = this.users.links().memory;
    for (const { streamMemory } of this.circuits) bytes += streamMemory;
    for (const { memory } of this.sockets) bytes += memory;
    return bytes;
  }

  /** Keeps to other limits from now on. */
  reload(next: Options): void {
    for (const name of LIMIT_OPTIONS) this.options[name] = next[name];
    this.limiter.adjust(limitsOf(this.options));
    this.memory.check();
  }

  stop(): void {
    this.limiter.stop();
  }
}
