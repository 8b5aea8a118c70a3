/**
 * Circuits of three hops, built by C tor's client (asked over its control port) or by Cepa's (asked over a pipe), along
 * one path each; timed by whoever asks.
 *
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { toHex } from '../shared/bytes/text.js';
import { parseMicrodescriptors } from '../shared/netdoc/microdesc.js';
import type { TorControl } from '../testnet/interop/control.js';
import type { Kind, MixedNetwork } from '../testnet/interop/mixed-network.js';
import type { HopAddress } from './hop-address.js';
import { until } from './waiting.js';

/** Builds circuits along one path. */
interface Builder {
  /** Resolves when one more circuit stands. */
  build(): Promise<void>;
  /** Takes down what was built. */
  clear(): Promise<void>;
  /** Whether it still can. */
  readonly alive: boolean;
  close(): void;
}

/** The path circuits are timed on: all of them guards, so that no client minds. */
const PATH = ['relay1', 'relay2', 'exit1'];

/** A relay may not know the next one yet, milliseconds. */
const PATIENCE = 30_000;

interface Waiting {
  resolve(): void;
  reject(error: Error): void;
}

/**
 * Asks a C tor client. Circuits stay until they are cleared: C tor leaves Nagle's algorithm on, so a CREATE2 behind a
 * DESTROY waits for the acknowledgement of the latter, which Linux delays by 40 ms.
 */
async function torBuilder(network: MixedNetwork, client: string): Promise<Builder> {
  const control: TorControl = await network.tor(client).control();
  const { routers } = await network.complete();
  const path = PATH.map((name) => `$${routers.find(({ nickname }) => nickname === name)!.id}`).join(',');
  const waiting = new Map<string, Waiting>();
  const early = new Map<string, string>();
  const built: string[] = [];
  await control.command('SETEVENTS CIRC');
  const stop = control.listen((event) => {
    const [, id, state] = /^CIRC (\d+) (BUILT|FAILED|CLOSED)/.exec(event) ?? [];
    if (id === undefined || state === undefined) return;
    const known = waiting.get(id);
    if (!known) early.set(id, state);
    else if (state === 'BUILT') known.resolve();
    else known.reject(new Error(`a circuit of C tor ended: ${event}`));
  });
  const builder: Builder = {
    async build() {
      const [answer = ''] = await control.command(`EXTENDCIRCUIT 0 ${path} purpose=controller`);
      const id = /^EXTENDED (\d+)/.exec(answer)![1]!;
      built.push(id);
      const known = early.get(id);
      if (known === 'BUILT') return;
      if (known !== undefined) throw new Error(`a circuit of C tor ended at once: ${known}`);
      await new Promise<void>((resolve, reject) => waiting.set(id, { resolve, reject }));
      waiting.delete(id);
    },
    async clear() {
      early.clear();
      // Those that ended on their own are no longer known.
      for (const id of built.splice(0)) await control.command(`CLOSECIRCUIT ${id}`).catch(() => {});
    },
    get alive() {
      return network.tor(client).running;
    },
    close: stop,
  };
  // Its consensus may be older than the authority's, without one of the three.
  await until(() => builder.build());
  return builder;
}

async function hopsOf(network: MixedNetwork): Promise<HopAddress[]> {
  const authority = network.plan.nodes.find(({ role }) => role === 'authority')!.name;
  await network.complete();
  const consensus = (await network.consensus(authority, 'microdesc'))!;
  const routers = PATH.map((name) => consensus.routers.find(({ nickname }) => nickname === name)!);
  const digests = routers.map(({ microdescDigest }) => microdescDigest!);
  let text: string | undefined;
  await until(async () => {
    text = await network.fetch(authority, `/tor/micro/d/${digests.join('-')}`);
    if (text === undefined) throw new Error('no microdescriptors');
  });
  const { documents } = parseMicrodescriptors(text!);
  return routers.map(({ address, orPort, rsaId, microdescDigest }) => {
    const micro = documents.find(({ digest }) => digest === microdescDigest)!;
    const ids = {
      rsaId: toHex(rsaId),
      ed25519Id: toHex(micro.ed25519Id),
      ntorKey: toHex(micro.ntorOnionKey),
    };
    return { host: address, port: orPort, ...ids };
  });
}

/** Asks a Cepa client in a process of its own, which takes each circuit down when it stands. */
async function cepaBuilder(network: MixedNetwork): Promise<Builder> {
  const hop = fileURLToPath(new URL('./hop.js', import.meta.url));
  const child: ChildProcess = fork(hop, ['builder', JSON.stringify(await hopsOf(network))]);
  const waiting = new Map<number, Waiting>();
  const gone = once(child, 'exit').then(([code]) => {
    const error = new Error(`Cepa's builder of circuits ended with status ${code}`);
    for (const { reject } of waiting.values()) reject(error);
    throw error;
  });
  gone.catch(() => {});
  await Promise.race([once(child, 'message'), gone]);
  child.on('message', (number: number) => waiting.get(number)?.resolve());
  let last = 0;
  return {
    async build() {
      const number = ++last;
      const stands = new Promise<void>((resolve, reject) => waiting.set(number, { resolve, reject }));
      child.send(number);
      await stands;
      waiting.delete(number);
    },
    async clear() {},
    get alive() {
      return child.exitCode === null && child.signalCode === null;
    },
    close() {
      if (child.connected) child.disconnect();
    },
  };
}

/** The builder of a network, made when it is first needed, and anew when it ended. */
export class Builders {
  private readonly network: MixedNetwork;
  private readonly kind: Kind;
  private readonly client: string;
  private builder: Builder | undefined;

  constructor(network: MixedNetwork, kind: Kind, client: string) {
    this.network = network;
    this.kind = kind;
    this.client = client;
  }

  /** A builder that works. */
  async get(): Promise<Builder> {
    if (this.builder?.alive) return this.builder;
    const { network, kind, client } = this;
    await until(async () => {
      this.builder = await (kind === 'tor' ? torBuilder(network, client) : cepaBuilder(network));
    }, PATIENCE);
    return this.builder!;
  }

  close(): void {
    this.builder?.close();
  }
}
