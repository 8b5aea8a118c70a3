/**
 * Brings a private network up: ports, keys, processes, and the proof that it works.
 *
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CepaError, DecodeError } from '../shared/bytes/errors.js';
import { loadOrCreateHsIdentity } from '../shared/crypto/hs-keyfiles.js';
import { memoryLog } from '../shared/log/memory.js';
import { osRandom } from '../shared/runtime/real.js';
import { diskStore } from '../shared/store/disk.js';
import { systemError } from '../shared/store/errors.js';
import { makeDirectory } from '../shared/store/make-directory.js';
import { loadState, type StateKind, saveState } from '../shared/store/state.js';
import { type Closable, DEMO_GREETING } from './demo-site.js';
import { Network, type NetworkEvent, NodeDiedError } from './network.js';
import { type NetworkPlan, type NetworkSize, type NodePlan, planNetwork } from './plan.js';
import { findPorts, type HeldPorts, holdPorts, isFree, markPort } from './ports.js';
import { type DirectoryLock, lockDirectory } from './process/lock.js';
import { FIRST_WAIT, firstVotes, noVotes } from './schedule.js';
import { fetchBySocks } from './socks-fetch.js';
import { type AuthorityIdentity, nodeDirectory, pathLine } from './torrc-of.js';

/** What a testnet is asked to be. */
export interface TestnetOptions {
  readonly size: NetworkSize;
  /** `host:port`; undefined: 127.0.0.1:9050 when it is free, else any port. */
  readonly socks?: string | undefined;
  /** Kept across restarts; undefined: a temporary one. */
  readonly directory?: string | undefined;
  /** Gives up after so many milliseconds. */
  readonly timeout?: number;
  /** Gives up when this settles. */
  readonly aborted?: Promise<unknown>;
  /** Hears progress. */
  readonly progress?: (event: LaunchEvent) => void;
  /** For tests: more torrc lines for a node, another program for the nodes, other keys. */
  readonly more?: (node: NodePlan) => readonly string[];
  readonly entry?: string;
  readonly identify?: (node: NodePlan, directory: string) => Promise<AuthorityIdentity>;
}

/** What a launch tells on its way. */
export type LaunchEvent =
  | { type: 'planned'; directory: string; plan: NetworkPlan }
  | { type: 'keys' }
  | { type: 'started' }
  | NetworkEvent
  | { type: 'fetching' }
  /** The page came through three hops. */
  | { type: 'fetched' }
  /** `onion`: whether the onion service is up, too. */
  | { type: 'ready'; onion: boolean };

/** A network that works. */
export interface Testnet {
  readonly network: Network;
  readonly directory: string;
  readonly socks: { readonly host: string; readonly port: number };
  /** URL of the demo page. */
  readonly demo: string;
  /** URL of the same page as an onion service, which the client's process hosts. */
  readonly onion: string;
  /** Whether it could be reached when the network was ready: a network of very few relays may have no path for it. */
  readonly onionReady: boolean;
  /** The torrc fragment. */
  readonly torrc: string;
  /** Stops everything and removes what is temporary. */
  stop(): Promise<void>;
  /** The same without waiting for anything to end in order. */
  kill(): void;
}

/** A network that did not come up; the message says how far it got. */
export class LaunchError extends CepaError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('testnet', message, options);
  }
}

const DEFAULT_SOCKS_PORT = 9050;
const DEFAULT_TIMEOUT = 120_000;

/** Below Linux's ephemeral ports, above what services use; four at each address. */
const PORTS = { from: 20_000, to: 32_000, step: 4 };

/** One fetch may take so long. */
const FETCH_TIMEOUT = 5_000;
const FETCH_PAUSE = 100;
/** How long the network waits for its onion service once the page came, milliseconds. */
const ONION_PATIENCE = 30_000;

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

/** What a kept directory remembers: the ports and the size. */
interface Kept {
  readonly basePort: number;
  readonly size: NetworkSize;
}

const KEPT: StateKind<Kept> = {
  version: 1,
  check(value) {
    const { basePort, size } = value as Kept;
    if (!Number.isInteger(basePort)) throw new DecodeError('testnet.basePort', 'missing');
    if (!Number.isInteger(size?.authorities)) throw new DecodeError('testnet.size', 'missing');
    return { basePort, size };
  },
};

/** The ports of a network, those of before where the directory was kept. */
async function choosePorts(size: NetworkSize, directory: string): Promise<HeldPorts> {
  const store = diskStore(directory);
  const kept = await loadState(store, 'testnet.state', KEPT, memoryLog());
  if (kept) return keptPorts(kept, size, directory);
  const held = await findPorts(PORTS, (basePort) => planNetwork(size, basePort));
  if (!held)
    throw new LaunchError(`found no free ports between ${PORTS.from} and ${PORTS.to} on 127.0.0.0/8`);
  try {
    await saveState(store, 'testnet.state', KEPT.version, { basePort: held.plan.basePort, size });
  } catch (error) {
    await held.close();
    throw error;
  }
  return held;
}

async function keptPorts(kept: Kept, size: NetworkSize, directory: string): Promise<HeldPorts> {
  const { authorities, relays, exits } = kept.size;
  if (authorities !== size.authorities || relays !== size.relays || exits !== size.exits)
    throw new LaunchError(
      `${directory} holds a network of ${authorities} authorities and ${relays} relays (${exits} exits). ` +
        'Ask for the same, or give another --dir.',
    );
  const held = await holdPorts(planNetwork(size, kept.basePort));
  if (held) return held;
  throw new LaunchError(
    `the ports of the network in ${directory} (${kept.basePort} to ${kept.basePort + PORTS.step - 1} on 127.x.0.1) ` +
      'are in use. Does it run already?',
  );
}

/** Throws for a `--socks` that cannot be. */
function checkSocks(asked: string): void {
  const port = /^(?:\[[0-9a-f:.]+\]|[^\s:]+):(\d{1,5}|auto)$/i.exec(asked)?.[1];
  if (port === undefined) throw new LaunchError(`--socks "${asked}" is not host:port`);
  if (Number(port) < 1 || Number(port) > 65_535)
    throw new LaunchError(`--socks "${asked}": a port is 1 to 65535, or auto`);
}

/** The usual port is free until the client opens it, some time on: the mark says that it is meant for this network. */
async function chooseSocks(asked: string | undefined): Promise<{ socks: string; mark?: Closable }> {
  if (asked !== undefined) return { socks: asked };
  const mark = await markPort(DEFAULT_SOCKS_PORT);
  if (mark && (await isFree({ host: '127.0.0.1', port: DEFAULT_SOCKS_PORT })))
    return { socks: `127.0.0.1:${DEFAULT_SOCKS_PORT}`, mark };
  await mark?.close();
  return { socks: '127.0.0.1:auto' };
}

/** Starts a network and waits until a page was fetched through it. Leaves nothing behind when it fails. */
export async function launchTestnet(options: TestnetOptions): Promise<Testnet> {
  if (options.socks !== undefined) checkSocks(options.socks);
  const temporary = options.directory === undefined;
  const directory = resolve(options.directory ?? temporaryDirectory());
  let lock: DirectoryLock | undefined;
  let network: Network | undefined;
  let ports: HeldPorts | undefined;
  let socks: { socks: string; mark?: Closable } | undefined;
  const clean = () => {
    void ports?.close();
    void socks?.mark?.close();
    lock?.release();
    // Who was killed a moment ago may still have made a file.
    if (temporary) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  const killAll = () => {
    network?.kill();
    clean();
  };
  // Until somebody has the network to stop it, an end of this process is the end of it.
  process.once('exit', killAll);
  try {
    makeDirectory(directory);
    lock = lockDirectory(directory);
    ports = await choosePorts(options.size, directory);
    socks = await chooseSocks(options.socks);
    const up = await bringUp({ ...options, socks: socks.socks }, directory, ports.plan, (made) => {
      network = made;
    });
    const stop = async () => {
      await up.network.stop();
      clean();
    };
    return { ...up, stop, kill: killAll };
  } catch (error) {
    await network?.stop();
    clean();
    throw asKnown(error);
  } finally {
    process.off('exit', killAll);
  }
}

function temporaryDirectory(): string {
  const prefix = join(tmpdir(), 'cepa-testnet-');
  try {
    return mkdtempSync(prefix);
  } catch (error) {
    throw systemError(prefix, 'made', error);
  }
}

/** A refusal of the system, as an error that says what to do about it; any other error as it is. */
function asKnown(error: unknown): unknown {
  const { path, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  return path !== undefined && syscall !== undefined ? systemError(path, 'written', error) : error;
}

async function bringUp(
  options: TestnetOptions & { readonly socks: string },
  directory: string,
  plan: NetworkPlan,
  made: (network: Network) => void,
): Promise<Omit<Testnet, 'stop' | 'kill'>> {
  const tell = options.progress ?? (() => {});
  tell({ type: 'planned', directory, plan });

  const identify = options.identify ?? (await import('./identities.js')).identifyAuthority;
  const named = plan.nodes
    .filter((node) => node.role === 'authority')
    .map(async (node) => [node.name, await identify(node, nodeDirectory(directory, node))] as const);
  const authorities = new Map(await Promise.all(named));
  tell({ type: 'keys' });

  const service = await demoService(plan, directory);
  const network = new Network(
    {
      plan,
      directory,
      authorities,
      voting: noVotes(Date.now()),
      socks: options.socks,
      more: (node) => [...service.lines(node), ...(options.more?.(node) ?? [])],
    },
    options.entry,
  );
  made(network);
  network.listen(tell);
  const failed = firstDeath(network, options.directory === undefined ? undefined : directory);
  await network.start();
  tell({ type: 'started' });

  const timeout = options.timeout ?? DEFAULT_TIMEOUT;
  const voting = allSeen(network).then(() => network.schedule(firstVotes(Date.now())));
  const [working] = await Promise.race([
    Promise.all([firstFetch(network, tell, timeout), voting]),
    failed,
    abortion(options.aborted),
  ]);
  tell({ type: 'fetched' });
  const onionReady = await Promise.race([
    serviceIsUp(network, ONION_PATIENCE),
    failed,
    abortion(options.aborted),
  ]);
  tell({ type: 'ready', onion: onionReady });
  const { host, port } = plan.demo;
  return {
    network,
    directory,
    socks: working,
    demo: `http://${host}:${port}/`,
    onion: `http://${service.address}/`,
    onionReady,
    torrc: network.joinFile,
  };
}

/** The demo site as an onion service: its keys, and the lines by which the client hosts it. */
async function demoService(plan: NetworkPlan, directory: string) {
  const client = plan.nodes.find((node) => node.role === 'client');
  const folder = join(nodeDirectory(directory, client ?? { name: 'client' }), 'onion-service');
  const { address } = await loadOrCreateHsIdentity(diskStore(folder), '', osRandom);
  const site = `${plan.demo.address}:${plan.demo.port}`;
  const lines = [pathLine('HiddenServiceDir', folder), `HiddenServicePort 80 ${site}`];
  return { address, lines: (node: NodePlan) => (node === client ? lines : []) };
}

/** Waits until HSDirs hold the descriptors of the demo service; false when that takes too long. */
async function serviceIsUp(network: Network, patience: number): Promise<boolean> {
  const until = Date.now() + patience;
  while (Date.now() < until && !network.isStopping) {
    for (const { onionDirectories } of network.nodes.values()) if (onionDirectories > 0) return true;
    await pause(20);
  }
  return false;
}

function abortion(aborted: Promise<unknown> | undefined): Promise<never> {
  return new Promise((_, reject) => {
    void aborted?.then(() => reject(new LaunchError('stopped before it was ready')));
  });
}

/** Rejects when a process ends before the network works. */
function firstDeath(network: Network, kept: string | undefined): Promise<never> {
  const death = new Promise<never>((_, reject) => {
    network.listen((event) => {
      if (event.type === 'exit' && !event.expected)
        reject(new NodeDiedError(network.state(event.name), event.end, kept));
    });
  });
  // After the race nobody looks at it any more.
  death.catch(() => {});
  return death;
}

/**
 * Waits until every authority has reached every relay; or until nothing happens any more, although each has reached
 * some.
 */
function allSeen(network: Network): Promise<void> {
  const states = [...network.nodes.values()];
  const relays = states.filter(({ plan }) => plan.role !== 'client').length;
  const authorities = states.filter(({ plan }) => plan.role === 'authority');
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const done = () => {
      clearTimeout(timer);
      deaf();
      resolve();
    };
    const deaf = network.listen(() => {
      clearTimeout(timer);
      if (authorities.every(({ running }) => running > 0)) timer = setTimeout(done, FIRST_WAIT).unref();
      if (authorities.every(({ running }) => running >= relays)) done();
    });
  });
}

/** Fetches the demo page until it comes, by way of an exit. */
async function firstFetch(
  network: Network,
  tell: (event: LaunchEvent) => void,
  timeout: number,
): Promise<{ host: string; port: number }> {
  const { plan } = network.context;
  const exits = new Set(plan.nodes.filter((node) => node.exit).map((node) => node.address));
  let cameFrom = '';
  network.listen((event) => {
    if (event.type === 'visit') cameFrom = event.address;
  });
  const client = [...network.nodes.values()].find((state) => state.plan.role === 'client');
  const until = Date.now() + timeout;
  let last: unknown;
  let told = false;
  for (;;) {
    if (Date.now() > until) throw new LaunchError(tooSlow(network, timeout, last), { cause: last });
    // Somebody else said why.
    if (network.isStopping) throw new LaunchError('stopped before it was ready');
    const proxy = network.socks;
    if (!proxy || !client || client.bootstrap < 100) {
      await pause(20);
      continue;
    }
    if (!told) tell({ type: 'fetching' });
    told = true;
    try {
      const { host, port } = plan.demo;
      const page = await fetchBySocks({ proxy, host, port, path: '/', timeout: FETCH_TIMEOUT });
      if (page.includes(DEMO_GREETING) && exits.has(cameFrom)) return proxy;
      last = new LaunchError(`the page came from ${cameFrom}, which is no exit`);
    } catch (error) {
      last = error;
    }
    await pause(FETCH_PAUSE);
  }
}

function tooSlow(network: Network, timeout: number, last: unknown): string {
  const states = [...network.nodes.values()];
  const relays = states.filter((state) => state.plan.role !== 'client');
  const published = relays.filter((state) => state.published > 0).length;
  const client = states.find((state) => state.plan.role === 'client');
  const fetch = last instanceof Error ? `; the last fetch: ${last.message}` : '';
  return (
    `the network does not work after ${timeout / 1000} s: ${published} of ${relays.length} relays published, ` +
    `client at ${client?.bootstrap ?? 0} %${fetch}. Keep the logs with --dir, and look at nodes/*/notice.log there.`
  );
}
