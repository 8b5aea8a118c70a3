/**
 * A network of real processes for tests, with what each of them has told so far.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeEvent } from '../../shared/runtime/env.js';
import type { NetAddress } from '../../shared/runtime/types.js';
import { launchTestnet, type Testnet, type TestnetOptions } from '../launch.js';
import type { NetworkEvent } from '../network.js';
import { nodeDirectory } from '../torrc-of.js';
import type { Destination, Language } from './applications.js';

type Circuit = Extract<NodeEvent, { type: 'circuit' }>;

/** Asks until the world is in a state: what runs in other processes has no clock of ours. */
export async function until(state: () => boolean): Promise<void> {
  while (!state()) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Whether a process is there and no zombie. */
export function runs(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    // It may go while it is looked at.
    return false;
  }
}

/** A launched network. */
export class Live {
  readonly testnet: Testnet;
  /** All that was heard, oldest first. */
  readonly events: NetworkEvent[];
  private users = 0;

  private constructor(testnet: Testnet, events: NetworkEvent[]) {
    this.testnet = testnet;
    this.events = events;
  }

  static async launch(options: Partial<TestnetOptions> = {}): Promise<Live> {
    const events: NetworkEvent[] = [];
    const testnet = await launchTestnet({
      size: { authorities: 3, relays: 9, exits: 3 },
      socks: '127.0.0.1:auto',
      timeout: 600_000,
      ...options,
      progress: (event) => {
        if (event.type === 'node' || event.type === 'exit') events.push(event);
      },
    });
    return new Live(testnet, events);
  }

  get demo() {
    return this.testnet.network.context.plan.demo;
  }

  /** The client's proxy; it has another port after a restart. */
  get proxy(): NetAddress {
    return this.testnet.network.socks ?? this.testnet.socks;
  }

  /** Where the demo site is, for a user of its own unless named, so that the circuit is its own as well. */
  site(user = `user${this.users++}`): Destination {
    return { proxy: this.proxy, host: this.demo.host, port: this.demo.port, user };
  }

  /** Any port at the demo site's address. */
  at(port: number, language: Language = 'socks5'): Destination {
    return { ...this.site(), port, language };
  }

  /** What a node told, from event number `since` on. */
  told(name: string, since = 0): NodeEvent[] {
    return this.events
      .slice(since)
      .flatMap((event) => (event.type === 'node' && event.name === name ? [event.event] : []));
  }

  /** What the client told of its circuits. */
  circuits(state: Circuit['state'], since = 0): Circuit[] {
    return this.told('client', since).filter(
      (event): event is Circuit => event.type === 'circuit' && event.state === state,
    );
  }

  /** The nodes of a path by their names. */
  names(circuit: Circuit): string[] {
    const byFingerprint = new Map(
      [...this.testnet.network.nodes.values()].map((node) => [node.fingerprint, node.plan.name]),
    );
    return circuit.path.map((fingerprint) => byFingerprint.get(fingerprint) ?? fingerprint);
  }

  pid(name: string): number {
    return this.testnet.network.state(name).child?.pid ?? 0;
  }

  /** kill -9; resolves when the process is gone. */
  async kill(name: string): Promise<void> {
    const { child } = this.testnet.network.state(name);
    child?.kill();
    await until(() => child?.end !== undefined);
  }

  /** Starts it (again) and waits for an event of it. */
  async start(name: string, awaited: (event: NodeEvent) => boolean): Promise<void> {
    const since = this.events.length;
    this.testnet.network.startNode(name);
    await until(() => this.told(name, since).some(awaited));
  }

  /** kill -9, and starts it again. */
  async restart(name: string, awaited: (event: NodeEvent) => boolean): Promise<void> {
    await this.kill(name);
    await this.start(name, awaited);
  }

  /** A path in a node's directory. */
  path(name: string, ...more: string[]): string {
    return join(nodeDirectory(this.testnet.directory, this.testnet.network.state(name).plan), ...more);
  }

  log(name: string): string {
    return readFileSync(this.path(name, 'notice.log'), 'utf8');
  }

  stop(): Promise<void> {
    return this.testnet.stop();
  }
}
