/**
 * What a relay knows of its own place: its addresses, configured, named by its ORPort, or as authorities see it.
 *
 * @module
 */
import type { Log } from '../shared/log/types.js';
import type { NetAddress, Resolver } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';
import { familyOf, isPrivate } from './addresses.js';
import { advertisedPort, namedAddresses, type OpenPort } from './ports.js';

/** Authorities of which the same must be heard before a suggested address replaces another. */
const SAME_ANSWERS = 2;

/** The relay's own addresses. */
export class SelfAddress {
  private readonly options: Options;
  private readonly log: Log;
  private readonly changed: () => void;
  private known: Partial<Record<4 | 6, string>> = {};
  private suggested: Partial<Record<4 | 6, { host: string; times: number }>> = {};
  /** What names in `Address` resolved to when they last did; nothing where they never have. */
  private readonly resolved = new Map<string, readonly string[]>();
  private turn = 0;
  private ports: readonly OpenPort[] = [];
  private dir = 0;

  /** `changed` is called when an address is found that is new. */
  constructor(options: Options, log: Log, changed: () => void) {
    this.options = options;
    this.log = log;
    this.changed = changed;
  }

  /**
   * Takes `Address` and the ORPort's own, in place of what was known before; whether they are others now. Names are
   * resolved, each time anew; one that does not resolve is what it was, or warned about.
   */
  async configure(resolver: Resolver): Promise<boolean> {
    const turn = ++this.turn;
    const found: Partial<Record<4 | 6, string>> = {};
    const know = (host: string) => {
      const family = familyOf(host);
      if (family) found[family] ??= host;
    };
    for (const address of this.options.Address) {
      if (familyOf(address)) know(address);
      else for (const host of await this.resolve(address, resolver)) know(host);
    }
    for (const host of namedAddresses(this.options)) know(host);
    // A slow name of a configuration that is gone must not undo the one that came after it.
    if (turn !== this.turn) return false;
    const before = this.known;
    this.known = found;
    return before[4] !== found[4] || before[6] !== found[6];
  }

  private async resolve(name: string, resolver: Resolver): Promise<readonly string[]> {
    const before = this.resolved.get(name);
    try {
      const hosts = (await resolver.resolve(name)).map(({ address }) => address);
      this.resolved.set(name, hosts);
      return hosts;
    } catch (error) {
      if (before) return before;
      this.resolved.set(name, []);
      this.log.warn(
        `Address ${name} does not resolve (${(error as Error).message}); asking the authorities.`,
      );
      return [];
    }
  }

  /** The ports are open. */
  opened(orPorts: readonly OpenPort[], dirPorts: readonly OpenPort[]): void {
    this.ports = orPorts;
    this.dir = advertisedPort(dirPorts, 4);
  }

  /** An authority says that it sees us at `host`. Only heeded for a family whose address is not configured. */
  suggest(host: string): void {
    const family = familyOf(host);
    if (!family || this.known[family] !== undefined) return;
    if (isPrivate(host) && !this.options.ExtendAllowPrivateAddresses) return;
    const before = this.suggested[family];
    if (before?.host === host) {
      before.times = Math.min(before.times + 1, SAME_ANSWERS);
      return;
    }
    // One authority behind another path must not move the relay about.
    if (before && before.times >= SAME_ANSWERS) {
      before.times--;
      return;
    }
    this.suggested[family] = { host, times: 1 };
    this.log.notice('Learned our address from a directory authority', { family });
    this.changed();
  }

  private address(family: 4 | 6): string | undefined {
    return this.known[family] ?? this.suggested[family]?.host;
  }

  /** The OR address to advertise in a family, when there is one. */
  orAddress(family: 4 | 6): NetAddress | undefined {
    const host = this.address(family);
    const port = advertisedPort(this.ports, family);
    return host === undefined || port === 0 ? undefined : { host, port };
  }

  /** DirPort to advertise; 0 when there is none. */
  get dirPort(): number {
    return this.dir;
  }

  /** All addresses, as NETINFO and the exit policy want them. */
  get all(): NetAddress[] {
    return [this.orAddress(4), this.orAddress(6)].filter((address) => address !== undefined);
  }
}
