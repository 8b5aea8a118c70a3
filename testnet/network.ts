/**
 * A running private network: its processes, its demo site, and what is known of each node.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CepaError } from '../shared/bytes/errors.js';
import type { NodeEvent } from '../shared/runtime/env.js';
import { systemError } from '../shared/store/errors.js';
import { makeDirectory } from '../shared/store/make-directory.js';
import { type ChildEnd, NODE_ENTRY, NodeChild } from './child.js';
import { startDemoDns } from './demo-dns.js';
import { type Closable, startDemoSite } from './demo-site.js';
import type { NodePlan } from './plan.js';
import {
  joinTorrc,
  nodeDirectory,
  nodeTorrc,
  resolvConf,
  type TorrcContext,
  type VotingTimes,
} from './torrc-of.js';

/** What a node has told of itself, and its process. */
export interface NodeState {
  readonly plan: NodePlan;
  child: NodeChild | undefined;
  fingerprint: string | undefined;
  ed25519: string | undefined;
  v3ident: string | undefined;
  /** Authorities that took its descriptor. */
  published: number;
  /** Authorities: relays that are up as far as this one knows, itself among them. */
  running: number;
  bootstrap: number;
  /** HSDirs that hold the newest descriptors of its onion service. */
  onionDirectories: number;
  /** The address of its SOCKS port, once open. */
  socks: { host: string; port: number } | undefined;
}

/** What happens in a network. */
export type NetworkEvent =
  | { type: 'node'; name: string; event: NodeEvent }
  | { type: 'exit'; name: string; end: ChildEnd; expected: boolean }
  | { type: 'visit'; address: string };

/** A node that would not live. */
export class NodeDiedError extends CepaError {
  /** `kept`: the network's directory, unless it goes with the network. */
  constructor(state: NodeState, end: ChildEnd, kept: string | undefined) {
    const how = end.signal ? `was killed by ${end.signal}` : `ended with status ${end.code}`;
    const words = state.child?.lastWords() ?? '';
    const log =
      kept === undefined
        ? 'Keep its log with --dir.'
        : `Its log: ${join(nodeDirectory(kept, state.plan), 'notice.log')}`;
    super('node-died', `${state.plan.name} ${how}. ${log}\n${words}`);
  }
}

/** Writes a file; throws a StoreError. What the system says of a full disk has no name in it. */
function writeText(file: string, text: string): void {
  try {
    writeFileSync(file, text, { mode: 0o600 });
  } catch (error) {
    throw systemError(file, 'written', error);
  }
}

/** The processes of a network. */
export class Network {
  context: TorrcContext;
  readonly nodes = new Map<string, NodeState>();
  private readonly entry: string;
  private readonly closables: Closable[] = [];
  private readonly listeners = new Set<(event: NetworkEvent) => void>();
  private stopping = false;

  constructor(context: TorrcContext, entry: string = NODE_ENTRY) {
    this.context = context;
    this.entry = entry;
    for (const plan of context.plan.nodes)
      this.nodes.set(plan.name, {
        plan,
        child: undefined,
        fingerprint: context.authorities.get(plan.name)?.fingerprint,
        ed25519: undefined,
        v3ident: context.authorities.get(plan.name)?.v3ident,
        published: 0,
        running: 0,
        bootstrap: 0,
        onionDirectories: 0,
        socks: undefined,
      });
  }

  /** Hears everything that happens from now on; the result takes it away. */
  listen(listener: (event: NetworkEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The torrc fragment for other programs. */
  get joinFile(): string {
    return join(this.context.directory, 'torrc');
  }

  private tell(event: NetworkEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  /** Writes every torrc, opens the demo site, and starts every process. */
  async start(): Promise<void> {
    const { plan, directory } = this.context;
    this.writeJoinFile();
    writeText(join(directory, 'resolv.conf'), resolvConf(plan));
    const { host, address, port, dnsPort } = plan.demo;
    this.closables.push(await startDemoDns(address, dnsPort, { host, address }));
    this.closables.push(
      await startDemoSite(address, port, (visitor) => this.tell({ type: 'visit', address: visitor })),
    );
    for (const name of this.nodes.keys()) this.startNode(name);
  }

  /** Starts one node, also again after it ended. */
  startNode(name: string): void {
    const state = this.state(name);
    if (state.child && !state.child.end) throw new CepaError('testnet', `${name} runs already`);
    const home = nodeDirectory(this.context.directory, state.plan);
    makeDirectory(home);
    const torrc = this.writeTorrc(state.plan);
    state.published = 0;
    state.running = 0;
    state.bootstrap = 0;
    state.onionDirectories = 0;
    state.socks = undefined;
    state.child = new NodeChild({
      plan: state.plan,
      entry: this.entry,
      torrc,
      output: join(home, 'output.log'),
      heard: (event) => this.heard(state, event),
      ended: (end) => this.tell({ type: 'exit', name, end, expected: this.stopping }),
    });
  }

  private writeJoinFile(): void {
    writeText(this.joinFile, joinTorrc(this.context));
  }

  private writeTorrc(plan: NodePlan): string {
    const torrc = join(nodeDirectory(this.context.directory, plan), 'torrc');
    writeText(torrc, nodeTorrc(plan, this.context));
    return torrc;
  }

  /** Has the authorities vote at other times: writes their configuration anew and has them read it, by SIGHUP. */
  schedule(voting: VotingTimes): void {
    this.context = { ...this.context, voting };
    this.writeJoinFile();
    const authorities = [...this.nodes.values()].filter(({ plan }) => plan.role === 'authority');
    for (const { plan } of authorities) this.writeTorrc(plan);
    for (const { child } of authorities) child?.signal('SIGHUP');
  }

  /** A node by its name; throws when there is none. */
  state(name: string): NodeState {
    const state = this.nodes.get(name);
    if (!state) throw new CepaError('testnet', `no node is called ${name}`);
    return state;
  }

  private heard(state: NodeState, event: NodeEvent): void {
    switch (event.type) {
      case 'identity':
        state.fingerprint = event.fingerprint;
        state.ed25519 = event.ed25519;
        state.v3ident = event.v3ident ?? state.v3ident;
        break;
      case 'published':
        state.published = event.authorities;
        break;
      case 'relays':
        state.running = event.running;
        break;
      case 'bootstrap':
        state.bootstrap = event.percent;
        break;
      case 'onion-service':
        if (event.index === 0) state.onionDirectories = event.directories;
        break;
      case 'listening':
        if (event.what === 'socks') state.socks = { host: event.host, port: event.port };
        break;
    }
    this.tell({ type: 'node', name: state.plan.name, event });
  }

  /** The proxy of the client, once its port is open. */
  get socks(): { host: string; port: number } | undefined {
    for (const state of this.nodes.values()) if (state.socks) return state.socks;
    return undefined;
  }

  /** Whether it was told to stop. */
  get isStopping(): boolean {
    return this.stopping;
  }

  /** Stops every process, by its id, and the demo site. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all([...this.nodes.values()].map((state) => state.child?.stop()));
    await Promise.all(this.closables.splice(0).map((closable) => closable.close()));
  }

  /** Kills every process at once. */
  kill(): void {
    this.stopping = true;
    for (const state of this.nodes.values()) void state.child?.kill();
  }
}
