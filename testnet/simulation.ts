/**
 * A whole network in one process on virtual time: authorities, relays, a client, and a site it fetches from. The same
 * seed and the same calls give the same run.
 *
 * @module
 */
import type { ClientNode } from '../client/client-node.js';
import { startClient } from '../client/node.js';
import { Network } from '../directory/simulation.js';
import { bytesOf } from '../shared/bytes/text.js';
import { EndReason } from '../shared/cell/commands.js';
import { sha256 } from '../shared/crypto/digest.js';
import { type MemoryLog, memoryLog } from '../shared/log/memory.js';
import type { Stream } from '../shared/onion/types.js';
import type { NodeEvent } from '../shared/runtime/env.js';
import type { SimWorld } from '../shared/runtime/sim/world.js';
import { memoryStore } from '../shared/store/memory.js';
import { loadOptions } from '../shared/torrc/parse.js';

/** Public intervals in a network of private addresses. */
const TORRC = [
  'DirAllowPrivateAddresses 1',
  'ExtendAllowPrivateAddresses 1',
  'ExitPolicyRejectPrivate 0',
  // Before the first consensus there is nobody to test a port through.
  'AssumeReachable 1',
  // Nobody carries much here: whoever tested what it can carry is fast enough for a guard.
  'AuthDirGuardBWGuarantee 50 KBytes',
];

export const SITE_ADDRESS = '127.250.0.1';
const SITE_PORT = 80;
/** Known to the resolver of the simulated world. */
const SITE_NAME = 'site.example';

/** Something a node told, and when. */
export interface Told {
  /** Milliseconds since the start. */
  readonly at: number;
  readonly name: string;
  readonly event: NodeEvent;
}

/** `size` bytes that follow from a seed. */
function pageOf(seed: string, size: number): Buffer {
  const page = Buffer.alloc(size);
  for (let at = 0, block = sha256(bytesOf(seed)); at < size; at += block.length, block = sha256(block))
    page.set(block.subarray(0, Math.min(block.length, size - at)), at);
  return page;
}

/** The network. */
export class Simulation {
  readonly network: Network;
  readonly told: Told[] = [];
  readonly clientLog: MemoryLog = memoryLog();
  private readonly start: number;
  private node: ClientNode | undefined;
  private fetches = 0;

  /** `torrc` has lines for every node. */
  constructor(seed: string, start: number, torrc: readonly string[] = TORRC) {
    this.start = start;
    this.network = new Network(seed, start, ...torrc);
    this.network.heard = (name, event) => this.hear(name, event);
  }

  private hear(name: string, event: NodeEvent): void {
    this.told.push({ at: this.world.now - this.start, name, event });
  }

  get world(): SimWorld {
    return this.network.world;
  }

  get client(): ClientNode {
    return this.node!;
  }

  /** What happened, a line an event: equal for equal runs. */
  get trace(): string[] {
    return this.told.map(({ at, name, event }) => `${at} ${name} ${JSON.stringify(event)}`);
  }

  /** Opens the site: it answers `N` and FIN with N bytes. */
  async openSite(): Promise<void> {
    const host = this.world.host(SITE_ADDRESS);
    this.world.names.set(SITE_NAME, [SITE_ADDRESS]);
    await host.transport.listenTcp({ host: SITE_ADDRESS, port: SITE_PORT }, (conn) => {
      let request = '';
      conn.start({
        data(bytes) {
          request += bytes.toString('latin1');
        },
        end() {
          const [seed = '', size = '0'] = request.split(' ');
          conn.write(pageOf(seed, Number(size)));
          conn.end();
        },
        drain() {},
        close() {},
      });
    });
  }

  /** Starts the client. */
  async startClient(...lines: string[]): Promise<void> {
    const text = [...this.network.common, 'SocksPort 0', 'ClientRejectInternalAddresses 0', ...lines].join(
      '\n',
    );
    const { options } = loadOptions({ files: [{ name: 'torrc', text }], args: [], role: 'client' });
    const env = {
      ...this.world.host('127.240.0.1'),
      log: this.clientLog,
      store: memoryStore(),
      storeAt: () => memoryStore(),
      report: (event: NodeEvent) => this.hear('client', event),
    };
    this.node = await this.world.until(startClient(options, env));
  }

  /** Fetches a page through three hops, or from the site by another name, for a user of its own; whether it came as it is. */
  async fetch(size: number, name = SITE_NAME): Promise<boolean> {
    const seed = `page${this.fetches++}`;
    const stream = await this.world.until(this.client.connect(name, SITE_PORT, seed));
    const page = await this.world.until(answerOf(stream, bytesOf(`${seed} ${size}`)));
    return page.equals(pageOf(seed, size));
  }

  async stop(): Promise<void> {
    if (this.node) await this.world.until(this.node.stop());
    await this.world.until(this.network.stop());
  }
}

/** Sends a request and FIN; everything up to the other side's. */
function answerOf(stream: Stream, request: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.handlers = {
      data: (bytes) => chunks.push(Buffer.from(bytes)),
      drain() {},
      end(reason, local) {
        if (reason === EndReason.DONE && !local) resolve(Buffer.concat(chunks));
        else reject(new Error(`the stream ended with reason ${reason}${local ? ', its circuit died' : ''}`));
      },
    };
    stream.write(request);
    stream.end(EndReason.DONE);
  });
}
