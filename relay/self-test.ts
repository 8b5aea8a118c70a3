/**
 * Whether this relay's ORPort can be reached from outside: it is, once somebody else made a link to its address and
 * asked for a circuit on it. Until then circuits are built that end at the relay itself, through two others, the second
 * of which has to connect (dir-spec 2.1; C tor: selftest.c).
 *
 * @module
 */
import { canonicalHost } from '../shared/cell/addresses.js';
import { buildCircuit } from '../shared/circuit/build.js';
import type { Channel } from '../shared/link/types.js';
import type { ConsensusParam } from '../shared/onion/flow.js';
import type { Timer } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';
import { type Family, familyOf, isPrivate } from './addresses.js';
import { BandwidthTest, type BandwidthTestEnv } from './bandwidth-test.js';
import { pathToSelf } from './own-path.js';

const FAMILIES: readonly Family[] = [4, 6];

/** Milliseconds between tests, and after which a relay that nobody reached is complained about, again and again. */
const EVERY = 60_000;
const COMPLAIN_EVERY = 20 * 60_000;
/** Milliseconds a test's circuit may take. */
const TIMEOUT = 60_000;

/** Whether an address is taken to be reachable without a test (C tor: router_orport_seems_reachable). */
export function assumedReachable(family: Family, options: Options, param: ConsensusParam): boolean {
  if (options.AssumeReachable) return true;
  if (family === 4) return param('assume-reachable', 0, 0, 1) === 1;
  const wanted = options.AssumeReachableIPv6;
  return wanted === 'auto' ? param('assume-reachable-ipv6', 0, 0, 1) === 1 : wanted;
}

/** What testing needs. */
export interface SelfTestEnv extends Omit<BandwidthTestEnv, 'ready'> {
  /** Whether it is believed without a test (`AssumeReachable`). */
  assumed(family: Family): boolean;
  /** Whether links from private addresses prove anything. */
  allowPrivate(): boolean;
  /** An address was found reachable. */
  found(): void;
  /** Whether the relay is there for others as far as it depends on itself: it does not hibernate. */
  awake(): boolean;
}

/** Tests until every address that there is was reached; then the bandwidth. */
export class SelfTest {
  private readonly env: SelfTestEnv;
  private readonly bandwidth: BandwidthTest;
  /** The address that was reached, by family: another one has to be tested anew. */
  private readonly reached = new Map<Family, string>();
  /** At which address the other end of a link sees us. */
  private readonly seenAt = new WeakMap<Channel, string>();
  private timer: Timer | undefined;
  private started = 0;
  private complained = 0;
  private stopped = false;

  constructor(env: SelfTestEnv) {
    this.env = env;
    this.bandwidth = new BandwidthTest({ ...env, ready: () => this.done && env.awake() });
  }

  /** Whether the address of a family was reached. */
  isReached(family: Family): boolean {
    const address = this.env.address(family);
    return address !== undefined && this.reached.get(family) === address.host;
  }

  /** Whether the relay may be published: each address it has was reached, or is believed to be. */
  get done(): boolean {
    return this.wanted().length === 0;
  }

  private wanted(): Family[] {
    const { address, assumed } = this.env;
    return FAMILIES.filter(
      (family) => address(family) !== undefined && !assumed(family) && !this.isReached(family),
    );
  }

  /** A link opened; its other end said in NETINFO that it sees us at `host`. */
  opened(channel: Channel, host: string | undefined): void {
    if (host !== undefined) this.seenAt.set(channel, canonicalHost(host));
  }

  /** Somebody asked for a circuit on the channel (C tor: `onionskin_answer`). */
  asked(channel: Channel): void {
    const { initiator, remote } = channel;
    const family = familyOf(remote.host);
    if (initiator || !family || this.isReached(family)) return;
    const own = this.env.address(family);
    if (!own || own.host === remote.host) return;
    // A link to another address, such as the one before this, proves nothing of this one.
    if (this.seenAt.get(channel) !== canonicalHost(own.host)) return;
    if (isPrivate(remote.host) && !this.env.allowPrivate()) return;
    this.reached.set(family, own.host);
    this.env.log.notice(`The IPv${family} ORPort was reached from outside. Excellent.`);
    this.env.found();
  }

  /** Tests now and from now on. */
  start(): void {
    this.started = this.env.clock.monotonic();
    this.complained = this.started;
    this.bandwidth.start();
    this.look();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.bandwidth.stop();
  }

  /** A consensus came, or an address, or the relay woke: what could not be tested may be now. */
  retry(): void {
    if (this.timer && !this.stopped) this.look();
  }

  private look(): void {
    this.timer?.cancel();
    this.timer = this.env.clock.setTimer(EVERY, () => this.look());
    if (!this.env.awake()) {
      // Its ports are closed (C tor: `router_reachability_checks_disabled`).
      this.started = this.env.clock.monotonic();
      this.complained = this.started;
      return;
    }
    for (const family of this.wanted()) {
      this.complain(family);
      this.test(family);
    }
  }

  private complain(family: Family): void {
    const now = this.env.clock.monotonic();
    if (now - this.complained < COMPLAIN_EVERY) return;
    this.complained = now;
    const minutes = Math.round((now - this.started) / 60_000);
    this.env.log.warn(
      `After ${minutes} minutes nobody has reached the IPv${family} ORPort ${this.env.address(family)?.port}. \
The relay is not published until somebody has: check Address, ORPort and the firewall.`,
    );
  }

  private test(family: Family): void {
    const path = pathToSelf(this.env, family);
    if (!path) return;
    const { clock, log, channels } = this.env;
    const abort = new AbortController();
    const timer = clock.setTimer(TIMEOUT, () => abort.abort());
    buildCircuit(this.env, channels, path, { signal: abort.signal })
      .then(
        (circuit) => circuit.close(),
        (error: Error) => log.info('a test of our own ORPort failed', { family, error: error.message }),
      )
      .finally(() => timer.cancel());
  }
}
