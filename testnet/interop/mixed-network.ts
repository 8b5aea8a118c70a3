/**
 * A network of Cepa and C tor nodes as processes on loopback, a /16 each: what the interop tests run in.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientNode, startClient } from '../../client/node.js';
import { CepaError } from '../../shared/bytes/errors.js';
import { fetchOverConn } from '../../shared/dir/fetch.js';
import { type MemoryLog, memoryLog } from '../../shared/log/memory.js';
import { parseConsensus } from '../../shared/netdoc/consensus.js';
import type { Consensus } from '../../shared/netdoc/types.js';
import type { NodeEvent } from '../../shared/runtime/env.js';
import { osRandom, realClock, realTransport } from '../../shared/runtime/real.js';
import { systemResolver } from '../../shared/runtime/resolver.js';
import type { NetAddress } from '../../shared/runtime/types.js';
import { memoryStore } from '../../shared/store/memory.js';
import { loadOptions } from '../../shared/torrc/parse.js';
import type { Role } from '../../shared/torrc/table-types.js';
import { NODE_ENTRY, NodeChild } from '../child.js';
import { startDemoDns } from '../demo-dns.js';
import { type Closable, startDemoSite } from '../demo-site.js';
import { identifyAuthority } from '../identities.js';
import { DEMO_HOST, type NetworkPlan, type NodePlan } from '../plan.js';
import { findPorts, type HeldPorts, isOpen } from '../ports.js';
import {
  type AuthorityIdentity,
  nodeDirectory,
  nodeTorrc,
  resolvConf,
  sharedLines,
  type TorrcContext,
  type VotingTimes,
} from '../torrc-of.js';
import { hasCarried } from './carried.js';
import { votesAfterStart } from './first-votes.js';
import { identifyTorAuthority, TorNode } from './tor-node.js';

/** Which software a node runs. */
export type Kind = 'cepa' | 'tor';

/** A node as a test asks for it. */
export interface Member {
  readonly name: string;
  readonly kind: Kind;
  readonly role: Role;
  readonly exit?: boolean;
  /** The authorities vote Guard for it, whatever it earned. */
  readonly guard?: boolean;
  /** Whether it counts what it does, for `metric`. */
  readonly metrics?: boolean;
  /** torrc lines of its own. */
  readonly lines?: readonly string[];
}

/** A network as a test asks for it. */
export interface NetworkSpec {
  readonly members: readonly Member[];
  /** torrc lines of every authority. */
  readonly authorityLines?: readonly string[];
  /** torrc lines of every member, clients included. */
  readonly everywhere?: readonly string[];
  /** Authorities vote for flags only what is earned. */
  readonly earned?: boolean;
  /** Chosen by the number of nodes when absent. */
  readonly voting?: VotingTimes;
  /** Whether the first consensus is of the later ones' schedule (`votesAfter`). */
  readonly regular?: boolean;
  /** Whether relays and authorities begin with a past, the same for all (`hasCarried`). */
  readonly carried?: boolean;
  /** Hears that the authorities have keys, before any process starts. */
  readonly keysMade?: () => void;
}

/** Below the testnets' ports, so that both can run side by side. */
const PORTS = { from: 12_000, to: 19_996, step: 4 };

/** About what a node of either kind costs this machine to start, in seconds. */
const START_SECONDS = 0.5;

/** How long anything may take on a busy machine, milliseconds. */
const START_TIMEOUT = 300_000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function planOf(members: readonly Member[], basePort: number): NetworkPlan {
  const nodes = members.map((member, i): NodePlan => {
    const { name, role, exit = false, guard = false } = member;
    const dirPort = role === 'authority' ? basePort + 1 : 0;
    return { name, role, exit, guard, address: `127.${i + 1}.0.1`, orPort: basePort, dirPort };
  });
  const count = (role: Role) => members.filter((member) => member.role === role).length;
  return {
    size: {
      authorities: count('authority'),
      relays: count('relay'),
      exits: members.filter(({ exit }) => exit).length,
    },
    basePort,
    nodes,
    demo: {
      host: DEMO_HOST,
      address: `127.${members.length + 1}.0.1`,
      port: basePort + 2,
      dnsPort: basePort + 3,
    },
  };
}

async function freePorts(members: readonly Member[]): Promise<HeldPorts> {
  const held = await findPorts(PORTS, (basePort) => planOf(members, basePort));
  if (held) return held;
  throw new CepaError('interop', `found no free ports between ${PORTS.from} and ${PORTS.to}`);
}

/** A client inside the test's own process, so that its circuits can be looked at. */
export interface CepaClient {
  readonly node: ClientNode;
  readonly proxy: NetAddress;
  readonly log: MemoryLog;
  readonly events: readonly NodeEvent[];
  stop(): Promise<void>;
}

/** A network that runs. */
export class MixedNetwork {
  readonly plan: NetworkPlan;
  readonly directory: string;
  readonly tors = new Map<string, TorNode>();
  /** Addresses the site was visited from, in order. */
  readonly visitors: string[] = [];
  private readonly spec: NetworkSpec;
  private readonly context: TorrcContext;
  private readonly cepas = new Map<string, NodeChild>();
  private readonly clients = new Set<CepaClient>();
  private readonly closables: Closable[] = [];
  private readonly transport = realTransport();
  private ended: string | undefined;

  private constructor(spec: NetworkSpec, context: TorrcContext) {
    this.spec = spec;
    this.context = context;
    this.plan = context.plan;
    this.directory = context.directory;
  }

  /** Makes keys, starts the site and every process. */
  static async start(spec: NetworkSpec): Promise<MixedNetwork> {
    const directory = mkdtempSync(join(tmpdir(), 'cepa-interop-'));
    const ports = await freePorts(spec.members);
    const { plan } = ports;
    const authorities = new Map<string, AuthorityIdentity>();
    await Promise.all(
      plan.nodes.map(async (node, i) => {
        if (node.role !== 'authority') return;
        const identify = spec.members[i]!.kind === 'cepa' ? identifyAuthority : identifyTorAuthority;
        const folder = nodeDirectory(directory, node);
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        authorities.set(node.name, await identify(node, folder));
      }),
    );
    if (spec.carried)
      for (const [i, node] of plan.nodes.entries()) {
        if (node.role === 'client') continue;
        const folder = nodeDirectory(directory, node);
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        await hasCarried(spec.members[i]!.kind, folder);
      }
    spec.keysMade?.();
    const voting = spec.voting ?? votesAfterStart(Date.now(), START_SECONDS, plan.nodes.length, spec.regular);
    const network = new MixedNetwork(spec, { plan, directory, authorities, voting, socks: '' });
    network.closables.push(ports);
    try {
      await network.open();
    } catch (error) {
      await network.stop();
      throw error;
    }
    return network;
  }

  private async open(): Promise<void> {
    const { host, address, port, dnsPort } = this.plan.demo;
    writeFileSync(join(this.directory, 'resolv.conf'), resolvConf(this.plan));
    this.closables.push(await startDemoDns(address, dnsPort, { host, address }));
    this.closables.push(await startDemoSite(address, port, (visitor) => this.visitors.push(visitor)));
    const all = this.spec.members.map((member, i) => [member, this.plan.nodes[i]!] as const);
    const first = all.filter(([member]) => member.guard || member.role === 'authority');
    for (const [member, node] of first) this.startMember(member, node);
    await Promise.all(first.map(([, node]) => this.listening(node)));
    // A guard has to be Stable: up for as long as the median of all. C tor counts from when it is done with its start,
    // which on a busy machine is long after its port is open, and uptimes are told in seconds.
    await Promise.all([...this.tors.values()].map((tor) => tor.isUp()));
    await pause(1500);
    for (const [member, node] of all)
      if (!first.some(([early]) => early === member)) this.startMember(member, node);
  }

  private async listening({ name, address, orPort }: NodePlan): Promise<void> {
    const until = performance.now() + START_TIMEOUT;
    while (!(await isOpen({ host: address, port: orPort }))) {
      if (this.ended) throw new CepaError('interop', this.ended);
      if (performance.now() > until) throw new CepaError('interop', `${name} did not open its port`);
      await pause(100);
    }
  }

  private startMember(member: Member, node: NodePlan): void {
    const home = nodeDirectory(this.directory, node);
    mkdirSync(home, { recursive: true, mode: 0o700 });
    const usual = nodeTorrc(node, { ...this.context, socks: `${node.address}:${node.orPort}` });
    const torrc = [
      this.spec.earned ? usual.replace(/^TestingDirAuthVote.*\n/gm, '') : usual,
      ...(this.spec.everywhere ?? []),
      ...(member.role === 'authority' ? (this.spec.authorityLines ?? []) : []),
      ...(member.metrics
        ? [`MetricsPort ${this.metricsAt(node)}`, 'MetricsPortPolicy accept 127.0.0.0/8']
        : []),
      ...(member.lines ?? []),
    ].join('\n');
    if (member.kind === 'tor') {
      const tor = new TorNode(node, home);
      this.tors.set(node.name, tor);
      tor.start(torrc);
      return;
    }
    const file = join(home, 'torrc');
    writeFileSync(file, `${torrc}\n`);
    const child = new NodeChild({
      plan: node,
      entry: NODE_ENTRY,
      torrc: file,
      output: join(home, 'output.log'),
      heard: () => {},
      ended: (end) => {
        if (this.cepas.get(node.name) !== child) return;
        this.ended ??= `${node.name} ended (${end.signal ?? end.code}): ${child.lastWords()}`;
      },
    });
    this.cepas.set(node.name, child);
  }

  /** Ends a node and starts it again as the other software, with its data directory. */
  async swap(name: string, kind: Kind): Promise<void> {
    const node = this.node(name);
    const at = this.plan.nodes.indexOf(node);
    const cepa = this.cepas.get(name);
    this.cepas.delete(name);
    await cepa?.stop();
    await this.tors.get(name)?.stop();
    this.tors.delete(name);
    this.startMember({ ...this.spec.members[at]!, kind }, node);
  }

  /** A file in a node's data directory. */
  file(name: string, path: string): string {
    return readFileSync(join(nodeDirectory(this.directory, this.node(name)), path), 'latin1');
  }

  /** The process id of a node. */
  pid(name: string): number {
    return this.cepas.get(name)?.pid ?? this.tor(name).pid;
  }

  /** The plan of a node. */
  node(name: string): NodePlan {
    const found = this.plan.nodes.find((node) => node.name === name);
    if (!found) throw new CepaError('interop', `no node is called ${name}`);
    return found;
  }

  /** A C tor of this network. */
  tor(name: string): TorNode {
    const found = this.tors.get(name);
    if (!found) throw new CepaError('interop', `no tor is called ${name}`);
    return found;
  }

  /** The SOCKS port of a client process. */
  proxy(name: string): NetAddress {
    const { address, orPort } = this.node(name);
    return { host: address, port: orPort };
  }

  /** The site's port, which nobody else has at an address of its own. */
  private metricsAt = ({ address }: NodePlan): string => `${address}:${this.plan.demo.port}`;

  /** The sum of a node's counters whose name and labels match. Needs `metrics`. */
  async metric(name: string, pattern: RegExp): Promise<number> {
    const answer = await fetch(`http://${this.metricsAt(this.node(name))}/metrics`);
    const lines = (await answer.text())
      .split('\n')
      .filter((line) => !line.startsWith('#') && pattern.test(line));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  /** What a directory answers on its DirPort; undefined unless the status is 200. */
  async fetch(name: string, path: string): Promise<string | undefined> {
    const { address, dirPort } = this.node(name);
    const at = { host: address, port: dirPort };
    const answer = await fetchOverConn(
      this.transport,
      at,
      { method: 'GET', path },
      { clock: realClock, timeout: 30_000 },
    ).catch(() => undefined);
    return answer?.status === 200 ? Buffer.from(answer.body).toString('utf8') : undefined;
  }

  /** The consensus an authority has now. */
  async consensus(name: string, flavor: 'ns' | 'microdesc' = 'ns'): Promise<Consensus | undefined> {
    const path = `/tor/status-vote/current/consensus${flavor === 'ns' ? '' : '-microdesc'}`;
    const text = await this.fetch(name, path);
    return text === undefined ? undefined : parseConsensus(text);
  }

  /** Waits for a consensus of which the test says that it will do. */
  async consensusWith(
    name: string,
    enough: (consensus: Consensus) => boolean,
    timeout = START_TIMEOUT,
  ): Promise<Consensus> {
    const until = performance.now() + timeout;
    let last: Consensus | undefined;
    for (;;) {
      last = (await this.consensus(name)) ?? last;
      if (last && enough(last)) return last;
      if (this.ended) throw new CepaError('interop', this.ended);
      if (performance.now() > until)
        throw new CepaError(
          'interop',
          `${name} has no such consensus after ${timeout / 1000} s. Its last one:\n${last?.text.slice(0, 6000)}`,
        );
      await pause(200);
    }
  }

  /** Waits until an authority's consensus calls every relay and authority Running, and relays can know it. */
  async complete(name?: string): Promise<Consensus> {
    const from = name ?? this.plan.nodes.find((node) => node.role === 'authority')!.name;
    const expected = this.plan.nodes.filter((node) => node.role !== 'client').map((node) => node.name);
    let missed = false;
    const first = await this.consensusWith(from, ({ routers }) => {
      const running = new Set(
        routers.filter(({ flags }) => flags.has('Running')).map(({ nickname }) => nickname),
      );
      const all = expected.every((nickname) => running.has(nickname));
      missed ||= !all;
      return all;
    });
    // Somebody missed a vote on a busy machine: exits have a consensus without it still, and refuse what comes from it
    // (refuseunknownexits).
    const consensus = missed
      ? await this.consensusWith(from, ({ validAfter }) => validAfter > first.validAfter)
      : first;
    // C tor's fetch it when they like.
    const exits = this.spec.members.filter(({ kind, exit }) => kind === 'tor' && exit);
    const relays = consensus.routers.map(({ id }) => id);
    await Promise.all(exits.map((exit) => this.tor(exit.name).knows(relays)));
    return consensus;
  }

  /** Starts a client in this process. `lines` may choose its path. */
  async client(
    lines: readonly string[] = [],
    isReady = (node: ClientNode) => node.status().bootstrap.percent === 100,
  ): Promise<CepaClient> {
    const text = [
      'SocksPort 127.0.0.1:auto',
      'DataDirectory /nonexistent',
      ...sharedLines(this.context),
      ...(this.spec.everywhere ?? []),
      ...lines,
    ].join('\n');
    const { options } = loadOptions({ files: [{ name: 'torrc', text }], args: [], role: 'client' });
    const log = memoryLog();
    const events: NodeEvent[] = [];
    const node = await startClient(options, {
      clock: realClock,
      random: osRandom,
      transport: this.transport,
      resolver: await systemResolver(realClock),
      log,
      store: memoryStore(),
      report: (event) => events.push(event),
    });
    const stop = async () => {
      this.clients.delete(client);
      await node.stop();
    };
    const { host, port } = node.ports.find(({ kind }) => kind === 'socks')!;
    const client: CepaClient = { node, proxy: { host, port }, log, events, stop };
    this.clients.add(client);
    const until = performance.now() + START_TIMEOUT;
    while (!isReady(node)) {
      if (performance.now() > until)
        throw new CepaError('interop', `the client did not bootstrap:\n${log.text()}`);
      await pause(20);
    }
    return client;
  }

  /** Ends everything by its pid; the directory stays with CEPA_KEEP=1. */
  async stop(): Promise<void> {
    await Promise.all([...this.clients].map((client) => client.stop()));
    await Promise.all([...this.cepas.values()].map((child) => child.stop()));
    await Promise.all([...this.tors.values()].map((tor) => tor.stop()));
    await Promise.all(this.closables.splice(0).map((closable) => closable.close()));
    if (process.env.CEPA_KEEP === '1') console.log(`Kept: ${this.directory}`);
    else rmSync(this.directory, { recursive: true, force: true });
  }
}
