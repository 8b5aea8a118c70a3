/**
 * A simulated world: hosts with clocks, connections and names, all on one virtual time in one process. The same seed
 * and the same calls give the same run.
 *
 * Promises and `setImmediate` are waited for before time moves, and so is what was marked with `Clock.hold`.
 *
 * @module
 */
import { ResolveError } from '../resolve-error.js';
import type { Clock, Random, ResolvedAddress, Resolver, Transport } from '../types.js';
import { type SimConn, type SimListener, simTransport } from './net.js';
import { EventQueue } from './queue.js';
import { seededRandom } from './random.js';

/** Turns of the real event loop without new activity after which the world counts as still. */
const STILL_TURNS = 3;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A machine in the world. */
export interface SimHost {
  readonly address: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly resolver: Resolver;
  /** Added to the wall clock of this host, milliseconds. */
  skew: number;
  /** kill -9 and the machine with it: no timer fires, every connection resets, nothing listens. A new `host()` starts it again. */
  crash(): void;
}

/** What the connections of the world share. */
export interface SimNet {
  readonly listeners: Map<string, SimListener>;
  readonly conns: Set<SimConn>;
  /** Runs something after so many milliseconds of virtual time. */
  after(delay: number, run: () => void): { cancel(): void };
  /** One-way delay between two hosts, milliseconds. */
  delay(from: string, to: string): number;
  /** Whether packets pass between two hosts. */
  connected(a: string, b: string): boolean;
  readonly random: Random;
}

/** The world. */
export class SimWorld implements SimNet {
  readonly listeners = new Map<string, SimListener>();
  readonly conns = new Set<SimConn>();
  readonly random: Random;
  /** Names every resolver of the world knows, lower case, to addresses. */
  readonly names = new Map<string, string[]>();
  private readonly queue = new EventQueue();
  private readonly cuts = new Set<string>();
  private readonly seed: number | string;
  private readonly start: number;
  private elapsed = 0;
  private activity = 0;
  private incarnations = 0;
  private held = 0;

  /** `start` is the wall clock at the beginning, milliseconds since 1970. */
  constructor(seed: number | string, start: number) {
    this.seed = seed;
    this.start = start;
    this.random = seededRandom(seed, 'world');
  }

  /** True wall-clock time, milliseconds. */
  get now(): number {
    return this.start + this.elapsed;
  }

  after(delay: number, run: () => void): { cancel(): void } {
    this.activity++;
    const event = this.queue.add(this.elapsed + Math.max(delay, 0), run);
    return {
      cancel() {
        event.run = undefined;
      },
    };
  }

  delay(from: string, to: string): number {
    // The same for both directions and for the whole run: 5 to 44 ms, and nothing within a host.
    if (from === to) return 0.05;
    let hash = 0;
    for (const char of [from, to].sort().join()) hash = (hash * 31 + char.charCodeAt(0)) >>> 0;
    return 5 + (hash % 40);
  }

  connected(a: string, b: string): boolean {
    return !this.cuts.has([a, b].sort().join());
  }

  /** Cuts the line between two hosts: what is open resets, dials time out. */
  cut(a: string, b: string): void {
    this.cuts.add([a, b].sort().join());
    for (const conn of [...this.conns]) {
      if ([conn.local.host, conn.remote.host].sort().join() === [a, b].sort().join()) conn.reset('ETIMEDOUT');
    }
  }

  /** Mends a cut line. */
  mend(a: string, b: string): void {
    this.cuts.delete([a, b].sort().join());
  }

  /** Starts (or restarts) a machine under an address. */
  host(address: string, skew = 0): SimHost {
    const world = this;
    let alive = true;
    const incarnation = this.incarnations++;
    const guarded = (run: () => void) => () => {
      if (alive) run();
    };
    const host: SimHost = {
      address,
      skew,
      clock: {
        now: () => world.now + host.skew,
        monotonic: () => world.elapsed,
        setTimer: (delay, wake) => world.after(delay, guarded(wake)),
        keepAlive: () => ({ cancel() {} }),
        defer: (run) => {
          world.after(0, guarded(run));
        },
        hold: (work) => world.hold(work),
      },
      random: seededRandom(this.seed, `${address} ${incarnation}`),
      transport: simTransport(this, address, () => alive),
      resolver: this.resolver(),
      crash() {
        alive = false;
        for (const conn of [...world.conns]) if (conn.local.host === address) conn.vanish();
        for (const [key, listener] of world.listeners)
          if (listener.host === address) world.listeners.delete(key);
      },
    };
    return host;
  }

  private resolver(): Resolver {
    return {
      resolve: async (name) => {
        const addresses = this.names.get(name.toLowerCase());
        if (!addresses) throw new ResolveError('notfound', `${name} does not exist`);
        return addresses.map(
          (address): ResolvedAddress => ({ address, family: address.includes(':') ? 6 : 4, ttl: 300 }),
        );
      },
      reverse: async (address) => {
        for (const [name, addresses] of this.names)
          if (addresses.includes(address)) return [{ name, ttl: 300 }];
        throw new ResolveError('notfound', `${address} has no name`);
      },
    };
  }

  private hold<T>(work: Promise<T>): Promise<T> {
    this.held++;
    return work.finally(() => {
      this.activity++;
      this.held--;
    });
  }

  /** Lets promises and immediates run until nothing new comes of them. */
  private async settle(): Promise<void> {
    for (let still = 0; still < STILL_TURNS; ) {
      const before = this.activity;
      await turn();
      still = this.activity === before && this.held === 0 ? still + 1 : 0;
    }
  }

  /** Lets virtual time pass up to `ms` from now. */
  async advance(ms: number): Promise<void> {
    const until = this.elapsed + ms;
    await this.settle();
    for (let next = this.queue.next(); next !== undefined && next <= until; next = this.queue.next()) {
      await this.step(next);
    }
    this.elapsed = until;
  }

  private async step(instant: number): Promise<void> {
    this.elapsed = Math.max(this.elapsed, instant);
    const before = this.activity;
    while (this.queue.next() === instant) this.queue.shift()!.run!();
    // One turn for promises is enough where nobody asked the world for anything.
    if (this.activity === before) await turn();
    if (this.activity !== before || this.held > 0) await this.settle();
  }

  /** Lets time pass until a promise settles, at most `limit` milliseconds of virtual time. */
  async until<T>(promise: Promise<T>, limit = 3_600_000): Promise<T> {
    const end = this.elapsed + limit;
    let settled = false;
    const watch = promise.finally(() => {
      settled = true;
    });
    watch.catch(() => {});
    await this.settle();
    while (!settled) {
      const next = this.queue.next();
      if (next === undefined) {
        // Nothing is planned: only real work can settle it.
        await Promise.race([watch.catch(() => {}), new Promise((resolve) => setTimeout(resolve, 5))]);
        continue;
      }
      if (next > end) throw new Error(`not settled within ${limit} ms of virtual time`);
      await this.step(next);
    }
    return watch;
  }
}
