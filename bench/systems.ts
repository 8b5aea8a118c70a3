/**
 * The networks that are measured: the same shape, other software or other settings.
 *
 * Three authorities, five relays, three exits, a client of the network's own software and one of the other's. Clients
 * choose their paths: a guard and a middle among the relays, an exit among the exits.
 *
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { NetAddress } from '../shared/runtime/types.js';
import { type Kind, type Member, MixedNetwork } from '../testnet/interop/mixed-network.js';

/** The client of the network's own software. */
export const CLIENT = 'client';
/** The client of the other software. */
export const GUEST = 'guest';

/** What a network is made of. */
export interface Setting {
  readonly name: string;
  readonly kind: Kind;
  /** torrc lines of every C tor node. */
  readonly torLines?: readonly string[];
  readonly authorityLines?: readonly string[];
}

/** The settings by the names that `--systems` takes. */
export const SETTINGS: readonly Setting[] = [
  { name: 'cepa', kind: 'cepa' },
  { name: 'tor-vanilla', kind: 'tor', torLines: ['Schedulers Vanilla'] },
  {
    name: 'tor-vanilla-nocc',
    kind: 'tor',
    torLines: ['Schedulers Vanilla'],
    authorityLines: ['ConsensusParams cc_alg=0'],
  },
  { name: 'tor-kist', kind: 'tor' },
];

const AUTHORITIES = 3;
const RELAYS = 5;
const EXITS = 3;

function membersOf({ kind, torLines = [] }: Setting): Member[] {
  const numbered = (name: string, count: number, rest: Omit<Member, 'name' | 'kind'>) =>
    Array.from({ length: count }, (_, i): Member => ({ name: `${name}${i + 1}`, kind, ...rest }));
  const nodes = [
    ...numbered('auth', AUTHORITIES, { role: 'authority' }),
    ...numbered('relay', RELAYS, { role: 'relay', guard: true }),
    ...numbered('exit', EXITS, { role: 'relay', exit: true }),
  ];
  // Circuits stay the same for as long as the measurements take.
  const lines = ['MaxCircuitDirtiness 2 hours', 'NumEntryGuards 1'];
  const client = (name: string, of: Kind): Member => ({ name, kind: of, role: 'client', lines });
  const all = [...nodes, client(CLIENT, kind), client(GUEST, kind === 'cepa' ? 'tor' : 'cepa')];
  return all.map((member) =>
    member.kind === 'tor' ? { ...member, lines: [...(member.lines ?? []), ...torLines] } : member,
  );
}

/** Guard and middle together are `relays`: which is which, only the client knows. */
export type Part = 'client' | 'relays' | 'exit';

/** A network that runs, with a site behind its exits. */
export class System {
  readonly name: string;
  readonly kind: Kind;
  readonly network: MixedNetwork;
  readonly site: NetAddress;
  /** Seconds from nothing to the first byte fetched by its own client. */
  readonly firstFetch: number;
  private readonly server: ChildProcess;

  private constructor(
    setting: Setting,
    network: MixedNetwork,
    site: NetAddress,
    server: ChildProcess,
    seconds: number,
  ) {
    this.name = setting.name;
    this.kind = setting.kind;
    this.network = network;
    this.site = site;
    this.server = server;
    this.firstFetch = seconds;
  }

  /** Starts it; `fetch` is tried until it works. */
  static async start(
    setting: Setting,
    fetch: (proxy: NetAddress, site: NetAddress) => Promise<unknown>,
  ): Promise<System> {
    const start = performance.now();
    const network = await MixedNetwork.start({
      members: membersOf(setting),
      ...(setting.authorityLines && { authorityLines: setting.authorityLines }),
    });
    const host = network.plan.demo.address;
    const server = fork(fileURLToPath(new URL('./site.js', import.meta.url)), [host]);
    const port = await new Promise<number>((resolve) =>
      server.once('message', (told) => resolve(told as number)),
    );
    const site = { host, port };
    await until(() => fetch(network.proxy(CLIENT), site));
    const seconds = (performance.now() - start) / 1000;
    return new System(setting, network, site, server, seconds);
  }

  /** Process ids by what they do for the traffic of one of the clients. */
  pids(client: string): Readonly<Record<Part, readonly number[]>> {
    const pids = (pick: (name: string) => boolean) =>
      this.network.plan.nodes.filter(({ name }) => pick(name)).map(({ name }) => this.network.pid(name));
    return {
      client: pids((name) => name === client),
      relays: pids((name) => name.startsWith('relay') || name.startsWith('auth')),
      exit: pids((name) => name.startsWith('exit')),
    };
  }

  /** Process ids of the relays, exits among them. */
  get relayPids(): readonly number[] {
    const relays = this.network.plan.nodes.filter(({ role }) => role === 'relay');
    return relays.map(({ name }) => this.network.pid(name));
  }

  async stop(): Promise<void> {
    this.server.disconnect();
    await this.network.stop();
  }
}

/** Tries until it works, five minutes at most. */
export async function until(attempt: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + 300_000;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
