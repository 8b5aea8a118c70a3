/**
 * What tests of onion services against C tor share: services and clients of both programs in one network.
 *
 * Every client hosts three services and may have a key for each of everybody's:
 * - `open`: whoever runs it makes its directory; everyone may come;
 * - `closed`: asks for authorization, which every client has;
 * - `secret`: asks for one that nobody has: C tor's clients come without a key, Cepa's service is met with a wrong one.
 *
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesOf } from '../../shared/bytes/text.js';
import {
  encodeAuthorizedClient,
  encodeClientAuthorization,
  loadOrCreateHsIdentity,
} from '../../shared/crypto/hs-keyfiles.js';
import { parseOnionAddress } from '../../shared/crypto/onion-address.js';
import { generateX25519 } from '../../shared/crypto/x25519.js';
import { osRandom } from '../../shared/runtime/real.js';
import type { NetAddress } from '../../shared/runtime/types.js';
import { diskStore } from '../../shared/store/disk.js';
import { NODE_ENTRY, NodeChild } from '../child.js';
import { nodeDirectory } from '../torrc-of.js';
import { type Kind, type Member, MixedNetwork } from './mixed-network.js';
import { type Ask, socksConnect, startOnionSite, transfer } from './onion-traffic.js';
import { unusualWarnings } from './warnings.js';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The services of each client. */
export const SERVICES = ['open', 'closed', 'secret'] as const;
export type ServiceName = (typeof SERVICES)[number];

/** C tor runs out of relays that its path or its vanguards have not yet, where there are six, and gives up a try over it. */
const TOO_SMALL: readonly RegExp[] = [
  /^No available nodes when trying to choose node/,
  /^Could not find a node that matches the configured _HSLayer2Nodes set$/,
  /^Giving up on launching a rendezvous circuit/,
];

/** How a member is started in a test of onion services. */
export interface OnionSpec {
  readonly members: readonly Member[];
  /** Lines of every service. */
  readonly serviceLines?: readonly string[];
}

/** A network with services. */
export class OnionTest {
  readonly network: MixedNetwork;
  private readonly root: string;
  private readonly site: Server;
  private readonly proxies: ReadonlyMap<string, NetAddress>;
  private readonly guests = new Set<NodeChild>();

  private constructor(
    network: MixedNetwork,
    root: string,
    site: Server,
    proxies: ReadonlyMap<string, NetAddress>,
  ) {
    this.network = network;
    this.root = root;
    this.site = site;
    this.proxies = proxies;
  }

  /** Starts it; waits for a consensus that lists everybody. */
  static async start({ members, serviceLines = [] }: OnionSpec): Promise<OnionTest> {
    const root = mkdtempSync(join(tmpdir(), 'cepa-onion-'));
    const site = await startOnionSite();
    const { port } = site.address() as AddressInfo;
    const proxies = new Map<string, NetAddress>();
    const own = async (member: Member, i: number): Promise<Member> => {
      if (member.role !== 'client') return member;
      const proxy = await freePort(`127.${i + 1}.0.1`);
      proxies.set(member.name, proxy);
      const folder = (name: string) => join(root, `${member.name}-${name}`);
      for (const name of [...SERVICES, 'keys']) mkdirSync(folder(name), { mode: 0o700 });
      return {
        ...member,
        lines: [
          ...(member.lines ?? []),
          `SocksPort ${proxy.host}:${proxy.port} ExtendedErrors`,
          `ClientOnionAuthDir ${folder('keys')}`,
          ...(member.kind === 'cepa' ? [`Log debug file ${folder('debug.log')}`] : []),
          ...SERVICES.flatMap((name) => [
            `HiddenServiceDir ${folder(name)}`,
            `HiddenServicePort 80 127.0.0.1:${port}`,
            ...serviceLines,
          ]),
        ],
      };
    };
    const all = await Promise.all(members.map(own));
    await authorize(
      root,
      all.filter(({ role }) => role === 'client'),
    );
    // A first vote that not everybody is in leaves C tor with vanguards that are too few.
    const network = await MixedNetwork.start({ members: all, regular: true, carried: true });
    const test = new OnionTest(network, root, site, proxies);
    try {
      await network.complete();
      for (const tor of network.tors.values()) if (tor.plan.role === 'client') await tor.bootstrapped();
    } catch (error) {
      await test.stop();
      throw error;
    }
    return test;
  }

  /** The directory of a service. */
  folder(client: string, service: ServiceName): string {
    return join(this.root, `${client}-${service}`);
  }

  /** The address of a service, once it has one. */
  async address(client: string, service: ServiceName): Promise<string> {
    const file = join(this.folder(client, service), 'hostname');
    for (let i = 0; i < 300 && !existsSync(file); i++) await pause(100);
    return readFileSync(file, 'latin1').trim();
  }

  /** The SOCKS port of a client that has ExtendedErrors on. */
  ask(client: string, host: string, user?: string): Ask {
    return { proxy: this.proxies.get(client)!, host, ...(user !== undefined && { user }) };
  }

  /** The SOCKS5 reply to a request for port 80 of a host. */
  async reply(client: string, host: string, user?: string): Promise<number> {
    const { socket, code } = await socksConnect(this.ask(client, host, user));
    socket.destroy();
    return code;
  }

  /**
   * Waits until a service takes and gives `size` bytes, up to `patience` ms: its descriptor may not have been left
   * anywhere yet.
   */
  async reachable(client: string, host: string, patience = 240_000, size = 100): Promise<void> {
    const until = performance.now() + patience;
    for (let i = 0; ; i++)
      try {
        return await transfer(this.ask(client, host, `wait${i}`), size);
      } catch (error) {
        if (performance.now() > until) throw error;
        await pause(500);
      }
  }

  /** Downloads from a service and uploads to it, `size` bytes each; the digests are checked. Seconds. */
  async exchange(client: string, host: string, size: number): Promise<number> {
    const began = performance.now();
    await transfer(this.ask(client, host), size);
    return (performance.now() - began) / 1000;
  }

  /** What a C tor warned of that C tor alone does not, once it was bootstrapped. */
  warnings(name: string): string[] {
    const { warnings, log } = this.network.tor(name);
    const started = log.indexOf('Bootstrapped 100%');
    return unusualWarnings(warnings).filter(
      (warning) => !TOO_SMALL.some((each) => each.test(warning)) && log.lastIndexOf(warning) > started,
    );
  }

  /** A Cepa process that hosts a service of another client; what it hosted before, it does not. */
  host(client: string, service: ServiceName): NodeChild {
    const plan = this.network.node('cepa');
    const home = join(this.root, 'host');
    mkdirSync(home, { recursive: true, mode: 0o700 });
    const own = readFileSync(join(nodeDirectory(this.network.directory, plan), 'torrc'), 'utf8');
    const torrc = join(home, 'torrc');
    const lines = own
      .split('\n')
      .filter((line) => !/^(DataDirectory|Log|SocksPort|HiddenService|Client)/.test(line));
    const { port } = this.site.address() as AddressInfo;
    const hosting = [
      `DataDirectory ${home}`,
      'SocksPort 0',
      `Log info file ${join(home, 'info.log')}`,
      `HiddenServiceDir ${this.folder(client, service)}`,
      `HiddenServicePort 80 127.0.0.1:${port}`,
    ];
    writeFileSync(torrc, [...lines, ...hosting, ''].join('\n'));
    const output = join(home, 'output.log');
    const child = new NodeChild({ plan, entry: NODE_ENTRY, torrc, output, heard() {}, ended() {} });
    this.guests.add(child);
    return child;
  }

  /** Starts a C tor that was stopped once more. */
  restart(name: string): void {
    const tor = this.network.tor(name);
    tor.start(readFileSync(join(tor.folder, 'torrc'), 'utf8').split('\nRunAsDaemon ', 1)[0]!);
  }

  async stop(): Promise<void> {
    this.site.closeAllConnections();
    this.site.close();
    await Promise.all([...this.guests].map((child) => child.stop()));
    await this.network.stop();
    if (process.env.CEPA_KEEP !== '1') rmSync(this.root, { recursive: true, force: true });
  }
}

/** A port that nobody has at an address. */
function freePort(host: string): Promise<NetAddress> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port: 0 }, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve({ host, port }));
    });
  });
}

/**
 * Makes the directories of the services that ask for authorization, whichever program will run them, and gives the
 * clients their keys.
 */
async function authorize(root: string, clients: readonly Member[]): Promise<void> {
  const service = async (host: string, name: ServiceName) => {
    const store = diskStore(join(root, `${host}-${name}`));
    const { address } = await loadOrCreateHsIdentity(store, '', osRandom);
    const admit = async (client: string) => {
      const key = generateX25519(osRandom);
      await store.write(`authorized_clients/${client}.auth`, bytesOf(encodeAuthorizedClient(key.publicKey)));
      return key;
    };
    const give = (client: string, key = generateX25519(osRandom)) =>
      diskStore(join(root, `${client}-keys`)).write(
        `${host}-${name}.auth_private`,
        bytesOf(encodeClientAuthorization({ identity: parseOnionAddress(address), key })),
      );
    return { admit, give };
  };
  for (const { name: host, kind } of clients) {
    const closed = await service(host, 'closed');
    for (const { name } of clients) await closed.give(name, await closed.admit(name));
    const secret = await service(host, 'secret');
    await secret.admit('nobody');
    if (kind === 'cepa') for (const { name } of clients) await secret.give(name);
  }
}

/** An authority and relays of one program, with a client of each. */
export const membersOf = (kind: Kind, relays: number): Member[] => [
  { name: 'auth', kind, role: 'authority' },
  ...Array.from(
    { length: relays },
    (_, i): Member => ({ name: `relay${i + 1}`, kind, role: 'relay', guard: i < 3 }),
  ),
  { name: 'cepa', kind: 'cepa', role: 'client' },
  { name: 'tor', kind: 'tor', role: 'client' },
];
