/**
 * The networks that are measured: the same shape, other software or other settings.
 *
 * Three authorities, five relays, three exits, a host of onion services and clients of the network's own software, and a
 * client of the other's. Clients choose their paths: a guard and a middle among the relays, an exit among the exits.
 *
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NetAddress } from '../shared/runtime/types.js';
import { type Kind, type Member, MixedNetwork } from '../testnet/interop/mixed-network.js';
import { LOCAL_FLOW } from '../testnet/torrc-of.js';
import { Builders } from './circuits.js';
import { download, firstByte } from './traffic.js';
import { until } from './waiting.js';

/** The client of the network's own software. */
export const CLIENT = 'client';
/** The client of the other software. */
export const GUEST = 'guest';
/** Hosts the onion services. */
export const HOST = 'host';
/** Clients like the first that have been to no onion service, one for each round. */
export const visitor = (n: number): string => `visitor${n}`;

/** What a network is made of. */
export interface Setting {
  readonly name: string;
  readonly kind: Kind;
  /** torrc lines of every C tor node. */
  readonly torLines?: readonly string[];
  readonly authorityLines?: readonly string[];
  /** torrc lines of every relay and authority. */
  readonly relayLines?: readonly string[];
}

const VANILLA = ['Schedulers Vanilla'];
const FIXED_WINDOWS = ['ConsensusParams cc_alg=0'];

/** Onion services, and clients that have been to none. */
export interface OnionShape {
  readonly services: number;
  readonly visitors: number;
}

/**
 * Measured only when they are named: Cepa's relays with threads; Cepa with C tor's parameters of congestion control; C
 * tor with those of Cepa's private networks.
 */
export const ASKED_FOR: readonly string[] = ['cepa-numcpus2', 'cepa-defaults', 'tor-vanilla-local'];

/** The settings by the names that `--systems` takes. */
export const SETTINGS: readonly Setting[] = [
  { name: 'cepa', kind: 'cepa', authorityLines: [LOCAL_FLOW] },
  { name: 'cepa-numcpus2', kind: 'cepa', authorityLines: [LOCAL_FLOW], relayLines: ['NumCPUs 2'] },
  { name: 'cepa-defaults', kind: 'cepa' },
  { name: 'tor-vanilla', kind: 'tor', torLines: VANILLA },
  { name: 'tor-vanilla-nocc', kind: 'tor', torLines: VANILLA, authorityLines: FIXED_WINDOWS },
  { name: 'tor-kist', kind: 'tor' },
  { name: 'tor-kist-nocc', kind: 'tor', authorityLines: FIXED_WINDOWS },
  { name: 'tor-vanilla-local', kind: 'tor', torLines: VANILLA, authorityLines: [LOCAL_FLOW] },
];

export const AUTHORITIES = 3;
export const RELAYS = 5;
export const EXITS = 3;

const numbered = (name: string, count: number, rest: Omit<Member, 'name'>): Member[] =>
  Array.from({ length: count }, (_, i): Member => ({ name: `${name}${i + 1}`, ...rest }));

/** Authorities, relays and exits. */
export const relaysOf = ({ kind, relayLines: lines = [] }: Setting): Member[] => [
  ...numbered('auth', AUTHORITIES, { kind, role: 'authority', lines }),
  ...numbered('relay', RELAYS, { kind, role: 'relay', guard: true, lines }),
  ...numbered('exit', EXITS, { kind, role: 'relay', exit: true, lines }),
];

/** The same with the setting's lines where they count. */
export const withLines = ({ torLines = [] }: Setting, members: readonly Member[]): Member[] =>
  members.map((member) =>
    member.kind === 'tor' ? { ...member, lines: [...(member.lines ?? []), ...torLines] } : member,
  );

// Circuits stay the same for as long as the measurements take.
// C tor gives circuits up that take longer than most, which is soon where most take 3 ms and the machine is busy.
const PATIENCE_LINES = ['LearnCircuitBuildTimeout 0', 'CircuitBuildTimeout 60'];
const CLIENT_LINES = ['MaxCircuitDirtiness 2 hours', 'NumEntryGuards 1', ...PATIENCE_LINES];

const serviceFolder = (root: string, n: number) => join(root, `service${n}`);

function membersOf(setting: Setting, root: string, onions: OnionShape, site: NetAddress): Member[] {
  const { kind } = setting;
  const client = (name: string, of: Kind, lines: readonly string[]): Member => ({
    ...{ name, kind: of, role: 'client', lines },
  });
  const hosted = Array.from({ length: onions.services }, (_, n) => [
    `HiddenServiceDir ${serviceFolder(root, n)}`,
    `HiddenServicePort 80 ${site.host}:${site.port}`,
  ]).flat();
  return withLines(setting, [
    ...relaysOf(setting),
    client(HOST, kind, hosted),
    client(CLIENT, kind, CLIENT_LINES),
    ...Array.from({ length: onions.visitors }, (_, n) => client(visitor(n), kind, CLIENT_LINES)),
    client(GUEST, kind === 'cepa' ? 'tor' : 'cepa', CLIENT_LINES),
  ]);
}

/** Guard and middle together are `relays`: which is which, only the client knows. */
export type Part = 'client' | 'relays' | 'exit' | 'host';

/** One try of a client that may not know enough relays yet, milliseconds: C tor holds a request for two minutes. */
const TRY = 10_000;
/** How long the services have to leave their descriptors, milliseconds. */
const SERVICE_PATIENCE = 90_000;

/** A network that runs, with a site behind its exits and its onion services. */
export class System {
  readonly name: string;
  readonly kind: Kind;
  readonly network: MixedNetwork;
  readonly site: NetAddress;
  readonly builders: Builders;
  /** Onion addresses that no client of its own has been to. */
  readonly fresh: string[] = [];
  private readonly root: string;
  private readonly onions: OnionShape;
  private readonly server: ChildProcess;
  private settled: Promise<void> | undefined;

  private constructor(
    setting: Setting,
    network: MixedNetwork,
    site: NetAddress,
    server: ChildProcess,
    root: string,
    onions: OnionShape,
  ) {
    this.name = setting.name;
    this.kind = setting.kind;
    this.network = network;
    this.site = site;
    this.server = server;
    this.root = root;
    this.onions = onions;
    this.builders = new Builders(network, setting.kind, CLIENT);
  }

  /** Starts its processes. */
  static async start(setting: Setting, onions: OnionShape): Promise<System> {
    const root = mkdtempSync(join(tmpdir(), 'cepa-bench-'));
    const server = fork(fileURLToPath(new URL('./site.js', import.meta.url)), ['127.0.0.1']);
    let network: MixedNetwork | undefined;
    try {
      const [port] = (await once(server, 'message')) as [number];
      const site = { host: '127.0.0.1', port };
      network = await MixedNetwork.start({
        members: membersOf(setting, root, onions, site),
        ...(setting.authorityLines && { authorityLines: setting.authorityLines }),
      });
      return new System(setting, network, site, server, root, onions);
    } catch (error) {
      server.kill();
      await network?.stop();
      rmSync(root, { recursive: true, force: true });
      throw error;
    }
  }

  /** Resolves when everybody is in the consensus and its clients work. */
  async ready(): Promise<void> {
    await this.network.complete();
    await Promise.all(
      this.network.plan.nodes
        .filter(({ role, name }) => role === 'client' && name !== HOST)
        .map(({ name }) =>
          until(() => firstByte({ proxy: this.network.proxy(name), site: this.site, limit: TRY })),
        ),
    );
  }

  /** Waits until the other client reached every service, so that the descriptors are there; once. */
  onionsReady(): Promise<void> {
    this.settled ??= this.reachServices();
    return this.settled;
  }

  private async reachServices(): Promise<void> {
    const proxy = this.network.proxy(GUEST);
    const reach = async (n: number) => {
      const file = join(serviceFolder(this.root, n), 'hostname');
      await until(async () => {
        if (!existsSync(file)) throw new Error(`${this.name} has made no ${file}`);
      });
      const host = readFileSync(file, 'latin1').trim();
      await until(() => download({ proxy, site: { host, port: 80 }, limit: 2 * TRY }, 1), SERVICE_PATIENCE);
      this.fresh.push(host);
    };
    const ends = await Promise.allSettled(Array.from({ length: this.onions.services }, (_, n) => reach(n)));
    if (this.fresh.length === 0) throw (ends[0] as PromiseRejectedResult).reason;
  }

  /** Process ids by what they do for the traffic of one of the clients; the host only where it takes part. */
  pids(client: string, onion = false): readonly (readonly [Part, readonly number[]])[] {
    const all = (pick: (name: string) => boolean) => this.pidsOf(pick);
    const relays = all((name) => name.startsWith('relay') || name.startsWith('auth'));
    const exits = all((name) => name.startsWith('exit'));
    const own = ['client', all((name) => name === client)] as const;
    // Exits are relays like others on the paths of onion services.
    if (onion)
      return [own, ['relays', [...relays, ...exits]], ['host', all((name) => name === HOST)]] as const;
    return [own, ['relays', relays], ['exit', exits]] as const;
  }

  /** Process ids of the nodes whose names are picked. */
  pidsOf(pick: (name: string) => boolean): readonly number[] {
    return this.network.plan.nodes.filter(({ name }) => pick(name)).map(({ name }) => this.network.pid(name));
  }

  async stop(): Promise<void> {
    this.builders.close();
    this.server.kill();
    await this.network.stop();
    rmSync(this.root, { recursive: true, force: true });
  }
}
