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
import type { MixedNetwork } from '../testnet/interop/mixed-network.js';
import type { HopAddress } from './hop.js';
import { until } from './systems.js';

/** Builds circuits along one path, and takes each down again. */
export interface Builder {
  /** Resolves when one more circuit stands. */
  build(): Promise<void>;
  close(): void;
}

/** The path circuits are timed on: all of them guards, so that no client minds. */
const PATH = ['relay1', 'relay2', 'exit1'];

/** Asks a C tor client. */
export async function torBuilder(network: MixedNetwork, client: string): Promise<Builder> {
  const control: TorControl = await network.tor(client).control();
  const routers = (await network.complete()).routers;
  const path = PATH.map((name) => `$${routers.find(({ nickname }) => nickname === name)!.id}`).join(',');
  const waiting = new Map<string, () => void>();
  const early = new Set<string>();
  await control.command('SETEVENTS CIRC');
  const stop = control.listen((event) => {
    const id = /^CIRC (\d+) BUILT/.exec(event)?.[1];
    if (id === undefined) return;
    const known = waiting.get(id);
    if (known) known();
    else early.add(id);
  });
  const builder: Builder = {
    async build() {
      const [answer = ''] = await control.command(`EXTENDCIRCUIT 0 ${path} purpose=controller`);
      const id = /^EXTENDED (\d+)/.exec(answer)![1]!;
      if (!early.delete(id)) await new Promise<void>((resolve) => waiting.set(id, resolve));
      waiting.delete(id);
      void control.command(`CLOSECIRCUIT ${id}`).catch(() => {});
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

/** Asks a Cepa client in a process of its own. */
export async function cepaBuilder(network: MixedNetwork): Promise<Builder> {
  const hop = fileURLToPath(new URL('./hop.js', import.meta.url));
  const child: ChildProcess = fork(hop, ['builder', JSON.stringify(await hopsOf(network))]);
  await once(child, 'message');
  const waiting = new Map<number, () => void>();
  child.on('message', (number: number) => waiting.get(number)?.());
  let last = 0;
  return {
    async build() {
      const number = ++last;
      const stands = new Promise<void>((resolve) => waiting.set(number, resolve));
      child.send(number);
      await stands;
      waiting.delete(number);
    },
    close: () => child.disconnect(),
  };
}
