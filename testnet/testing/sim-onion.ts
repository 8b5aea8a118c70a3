/**
 * A network on virtual time with clients in it, some of which host onion services.
 *
 * @module
 */
import type { ClientNode } from '../../client/client-node.js';
import { startClient } from '../../client/node.js';
import { Network, type Site } from '../../directory/simulation.js';
import type { RelayNode } from '../../relay/node.js';
import { EndReason } from '../../shared/cell/commands.js';
import { memoryLog } from '../../shared/log/memory.js';
import type { Stream } from '../../shared/onion/types.js';
import type { SimHost } from '../../shared/runtime/sim/world.js';
import type { Conn } from '../../shared/runtime/types.js';
import { type MemoryStore, memoryStore } from '../../shared/store/memory.js';
import type { Options } from '../../shared/torrc/options.js';
import { loadOptions } from '../../shared/torrc/parse.js';

const SECOND = 1000;

/** Votes every 20 seconds: periods of 8 minutes. */
export const QUICK = [
  'TestingTorNetwork 1',
  'AssumeReachable 1',
  'EnforceDistinctSubnets 1',
  'V3AuthVotingInterval 20 seconds',
  'V3AuthVoteDelay 4 seconds',
  'V3AuthDistDelay 4 seconds',
  'TestingV3AuthInitialVotingInterval 20 seconds',
  'TestingV3AuthInitialVoteDelay 4 seconds',
  'TestingV3AuthInitialDistDelay 4 seconds',
];

/** The public network's intervals: hourly votes, periods of a day. */
export const PUBLIC = [
  'DirAllowPrivateAddresses 1',
  'ExtendAllowPrivateAddresses 1',
  'EnforceDistinctSubnets 1',
  // Before the first consensus there is nobody to test a port through.
  'AssumeReachable 1',
  // Relays are HSDirs at once, not after four days.
  'MinUptimeHidServDirectoryV2 0',
];

/** Where the server behind a service listens. */
const SERVICE_PORT = 8000;

const VOTES = ['TestingDirAuthVoteGuard *', 'TestingDirAuthVoteHSDir *'];

/** How large a network is. */
export interface NetworkSize {
  readonly authorities: number;
  readonly relays: number;
  /** torrc lines of every authority. */
  readonly authorityLines?: readonly string[];
  /** Is shown each relay's place before it starts. */
  readonly watch?: (site: Site<RelayNode>) => void;
}

/** A client, its machine and its disk. */
export interface ClientSite {
  readonly name: string;
  readonly host: SimHost;
  readonly store: MemoryStore;
  /** Directories elsewhere, by name. */
  readonly directories: Map<string, MemoryStore>;
  readonly log: ReturnType<typeof memoryLog>;
  node: ClientNode;
}

/** The network. */
export class OnionNetwork {
  readonly network: Network;
  readonly clients: ClientSite[] = [];
  private nextAddress = 200;

  private constructor(network: Network) {
    this.network = network;
  }

  get world() {
    return this.network.world;
  }

  /** Starts authorities and relays, and waits for their consensus. */
  static async start(
    seed: string,
    start: number,
    size: NetworkSize,
    torrc: readonly string[] = QUICK,
    settle = 60 * SECOND,
  ): Promise<OnionNetwork> {
    const network = new Network(seed, start, ...torrc);
    await network.makeAuthorities(size.authorities);
    const votes = torrc.includes('TestingTorNetwork 1') ? VOTES : [];
    const lines = [...votes, ...(size.authorityLines ?? [])];
    for (const site of network.authorities) await network.startAuthority(site, ...lines);
    for (let i = 0; i < size.relays; i++) {
      const site = network.siteOfRelay(`relay${i}`);
      size.watch?.(site);
      await network.startRelayAt(site, 'ExitRelay 0');
    }
    await network.world.advance(settle);
    return new OnionNetwork(network);
  }

  private optionsOf(name: string, lines: readonly string[]): Options {
    const text = [...this.network.common, 'SocksPort 0', `Nickname ${name}`, ...lines].join('\n');
    return loadOptions({ files: [{ name: 'torrc', text }], args: [], role: 'client' }).options;
  }

  /** SIGHUP, with these lines in the torrc. */
  async reload(site: ClientSite, lines: readonly string[]): Promise<void> {
    site.node.reload(this.optionsOf(site.name, lines));
    await this.world.advance(SECOND);
  }

  /** Starts a client; `directories` are what it finds elsewhere on its disk. */
  async client(
    name: string,
    lines: readonly string[] = [],
    directories: Map<string, MemoryStore> = new Map(),
    skew = 0,
  ): Promise<ClientSite> {
    const address = `127.${this.nextAddress++}.0.1`;
    const host = this.world.host(address, skew);
    const store = memoryStore();
    const log = memoryLog();
    const options = this.optionsOf(name, lines);
    const storeAt = (directory: string) => {
      const known = directories.get(directory) ?? memoryStore();
      directories.set(directory, known);
      return known;
    };
    const node = await this.world.until(startClient(options, { ...host, log, store, storeAt }));
    const site: ClientSite = { name, host, store, directories, log, node };
    this.clients.push(site);
    return site;
  }

  /** A client with one onion service before an echo server on its machine; gives back the address, too. */
  async service(
    name: string,
    lines: readonly string[] = [],
    directory: MemoryStore = memoryStore(),
    skew = 0,
  ): Promise<{ site: ClientSite; address: string }> {
    const own = serviceLines(`127.${this.nextAddress}.0.1`);
    const site = await this.client(name, [...own, ...lines], new Map([['/service', directory]]), skew);
    await site.host.transport.listenTcp({ host: site.host.address, port: SERVICE_PORT }, echo);
    return { site, address: site.node.status().onionServices[0]!.address };
  }

  /** Whether a client can build circuits; lets time pass until then. */
  async ready(site: ClientSite, seconds = 120): Promise<boolean> {
    for (let i = 0; i < seconds && !site.node.status().ready; i++) await this.world.advance(SECOND);
    return site.node.status().ready;
  }

  /** Stops a client that is done. */
  async leave(site: ClientSite): Promise<void> {
    await this.world.until(site.node.stop());
    this.clients.splice(this.clients.indexOf(site), 1);
  }

  /** kill -9, and the machine with it. */
  crash(site: Site<RelayNode>): void {
    site.host.crash();
    site.node = undefined;
  }

  /** Whether a service has both its descriptors out, at `least` HSDirs each; lets time pass until then. */
  async published(site: ClientSite, least: number, seconds = 120, index = 0): Promise<boolean> {
    for (let i = 0; i < seconds; i++) {
      const descriptors = site.node.status().onionServices[index]?.descriptors ?? [];
      if (descriptors.length === 2 && descriptors.every(({ heldBy }) => heldBy >= least)) return true;
      await this.world.advance(SECOND);
    }
    return false;
  }

  /** Sends bytes to a service and reads as many back. Rejects with StreamError. */
  async echo(site: ClientSite, address: string, text: string, isolation = ''): Promise<string> {
    const stream = await this.world.until(site.node.connect(address, 80, isolation));
    return this.world.until(exchange(stream, Buffer.from(text))).then((bytes) => bytes.toString());
  }

  async stop(): Promise<void> {
    for (const { node } of this.clients) await this.world.until(node.stop());
    await this.world.until(this.network.stop());
  }
}

/** The torrc lines of the service at an address. */
export const serviceLines = (address: string): string[] => [
  'HiddenServiceDir /service',
  `HiddenServicePort 80 ${address}:${SERVICE_PORT}`,
];

/** Sends back what it gets. */
export function echo(conn: Conn): void {
  conn.start({
    data: (bytes) => {
      if (!conn.write(bytes)) conn.pause();
    },
    drain: () => conn.resume(),
    end: () => conn.end(),
    close() {},
  });
}

/** Writes bytes and reads as many; then ends the stream. */
export function exchange(stream: Stream, bytes: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let left = bytes.length;
    let at = 0;
    const push = () => {
      while (at < bytes.length) {
        const chunk = bytes.subarray(at, at + 65_536);
        at += chunk.length;
        if (!stream.write(chunk)) return;
      }
    };
    stream.handlers = {
      data: (chunk) => {
        chunks.push(Buffer.from(chunk));
        left -= chunk.length;
        if (left > 0) return;
        stream.end(EndReason.DONE);
        resolve(Buffer.concat(chunks));
      },
      drain: push,
      end: (reason, local) => reject(new Error(`ended ${reason} ${local}`)),
    };
    push();
  });
}
