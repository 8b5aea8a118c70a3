/**
 * Networks made up for tests: consensuses and microdescriptors as values, without a document behind them.
 *
 * @module
 */
import { fromHex, toHex } from '../shared/bytes/text.js';
import { parsePortSummary } from '../shared/netdoc/policy.js';
import { parseProtocols } from '../shared/netdoc/protover.js';
import type { Consensus, Microdescriptor, RouterStatus } from '../shared/netdoc/types.js';
import type { Stream, StreamHandlers } from '../shared/onion/types.js';
import type { Random } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';
import { loadOptions } from '../shared/torrc/parse.js';
import type { BuildHooks, CircuitFactory, ClientCircuit } from './circuit-factory.js';
import { type Hop, Network } from './network.js';
import { type PathRules, pathRulesOf } from './path.js';

/** What a test says about a relay; the rest is usual. */
export interface RelaySketch {
  readonly nickname?: string;
  readonly address?: string;
  readonly ipv6?: string;
  readonly flags?: string;
  readonly bandwidth?: number;
  readonly policy?: string;
  readonly policy6?: string;
  readonly family?: readonly string[];
  readonly familyIds?: readonly string[];
  readonly protocols?: string;
  /** No microdescriptor was fetched. */
  readonly unknown?: boolean;
}

/** Fingerprint of the n-th relay. */
export const idOf = (n: number): string => (n + 1).toString(16).toUpperCase().padStart(40, '0');

const PROTOCOLS = parseProtocols('Cons=2 Desc=2 FlowCtrl=1-2 Link=4-5 LinkAuth=3 Microdesc=2 Relay=2-4');
export const GUARD = 'Fast Guard Running Stable V2Dir Valid';
export const MIDDLE = 'Fast Running Stable V2Dir Valid';
export const EXIT = 'Exit Fast Running Stable V2Dir Valid';

function statusOf(sketch: RelaySketch, n: number): RouterStatus {
  const id = idOf(n);
  return {
    nickname: sketch.nickname ?? `relay${n}`,
    id,
    rsaId: fromHex(id, 'id'),
    digest: undefined,
    published: 0,
    address: sketch.address ?? `${11 + (n >> 8)}.${n & 255}.0.1`,
    orPort: 9001,
    dirPort: 0,
    ipv6: sketch.ipv6 === undefined ? undefined : { host: sketch.ipv6, port: 9001 },
    flags: new Set((sketch.flags ?? MIDDLE).split(' ')),
    version: undefined,
    protocols: sketch.protocols === undefined ? PROTOCOLS : parseProtocols(sketch.protocols),
    bandwidth: sketch.bandwidth ?? 1000,
    unmeasured: false,
    measured: undefined,
    measuredButAuthority: undefined,
    policy: undefined,
    microdescDigest: `m${n}`,
    ed25519Id: undefined,
    microdescDigests: undefined,
    stats: undefined,
  };
}

const microOf = (sketch: RelaySketch, n: number): Microdescriptor => ({
  digest: `m${n}`,
  ntorOnionKey: new Uint8Array(32).fill(n),
  ed25519Id: new Uint8Array(32).fill(n),
  family: sketch.family ?? [],
  familyIds: sketch.familyIds ?? [],
  policy: parsePortSummary(
    sketch.policy ?? ((sketch.flags ?? '').includes('Exit') ? 'accept 1-65535' : 'reject 1-65535'),
  ),
  ipv6Policy: parsePortSummary(sketch.policy6 ?? 'reject 1-65535'),
  text: '',
});

/** What a test says about the consensus itself. */
export interface ConsensusSketch {
  readonly params?: Record<string, number>;
  readonly weights?: Record<string, number>;
  readonly validAfter?: number;
  readonly freshUntil?: number;
  readonly validUntil?: number;
}

/** A network of the relays sketched. */
export function sketchNetwork(relays: readonly RelaySketch[], head: ConsensusSketch = {}): Network {
  const micros = new Map(
    relays.filter((r) => !r.unknown).map((r) => [`m${relays.indexOf(r)}`, microOf(r, relays.indexOf(r))]),
  );
  const consensus = {
    flavor: 'microdesc',
    validAfter: head.validAfter ?? 0,
    freshUntil: head.freshUntil ?? 3_600_000,
    validUntil: head.validUntil ?? 3 * 3_600_000,
    params: new Map(Object.entries(head.params ?? {})),
    bandwidthWeights: new Map(Object.entries(head.weights ?? {})),
    routers: relays.map(statusOf),
  } as unknown as Consensus;
  return new Network(consensus, (digest) => micros.get(digest));
}

/** Path rules with options of a test over the usual ones. */
export const sketchRules = (options: Partial<Options> = {}): PathRules =>
  pathRulesOf({
    ExcludeNodes: [],
    ExcludeExitNodes: [],
    EntryNodes: [],
    MiddleNodes: [],
    ExitNodes: [],
    NodeFamily: [],
    StrictNodes: false,
    EnforceDistinctSubnets: true,
    AllowInvalidNodes: ['middle', 'rendezvous'],
    LongLivedPorts: [21, 22, 706, 1863, 5050, 5190, 5222, 5223, 6523, 6667, 6697, 8300],
    ...options,
  } as Options);

/** A small deterministic generator (mulberry32); for tests only. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    bytes: (n) => Uint8Array.from({ length: n }, () => Math.floor(next() * 256)),
    below: (bound) => Math.floor(next() * bound),
    fraction: next,
  };
}

/** Options of a torrc's lines, as a client reads them. */
export const clientOptions = (...lines: string[]): Options =>
  loadOptions({
    files: [
      {
        name: 'torrc',
        text: [
          'DataDirectory /nowhere',
          ...(lines.some((line) => line.startsWith('DirAuthority'))
            ? []
            : [
                `DirAuthority nobody orport=7001 v3ident=${'A'.repeat(40)} 127.250.0.1:7000 ${'B'.repeat(40)}`,
              ]),
          ...lines,
        ].join('\n'),
      },
    ],
    role: 'client',
  }).options;

/** A stream that records what its owner does to it. */
export class FakeStream implements Stream {
  readonly id: number;
  handlers: StreamHandlers;
  closed = false;
  writableLength = 0;
  /** What `write` answers. */
  room = true;
  paused = false;
  readonly written: Buffer[] = [];
  ended: number | undefined;
  aborted: number | undefined;

  constructor(id: number, handlers: StreamHandlers) {
    this.id = id;
    this.handlers = handlers;
  }

  get text(): string {
    return Buffer.concat(this.written).toString('latin1');
  }

  write(bytes: Uint8Array): boolean {
    this.written.push(Buffer.from(bytes));
    return this.room;
  }

  lend(bytes: Uint8Array): boolean {
    return this.write(bytes);
  }

  end(reason: number): void {
    this.ended ??= reason;
  }

  abort(reason: number): void {
    this.aborted ??= reason;
    this.closed = true;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  /** The other side ends it. */
  remoteEnd(reason: number, local = false): void {
    this.closed = true;
    this.handlers.end(reason, local);
  }
}

/** A stream that was opened on a fake circuit. */
export interface OpenedStream {
  readonly command: number;
  readonly body: Uint8Array;
  readonly stream: FakeStream;
}

/** A circuit being built by a fake factory: the test decides how it goes. */
export class FakeBuild {
  readonly path: readonly Hop[];
  readonly hooks: BuildHooks;
  readonly circuit: Promise<ClientCircuit>;
  readonly opened: OpenedStream[] = [];
  closedWith: number | undefined;
  private settle!: { resolve(circuit: ClientCircuit): void; reject(error: Error): void };

  constructor(path: readonly Hop[], hooks: BuildHooks) {
    this.path = path;
    this.hooks = hooks;
    this.circuit = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
  }

  /** Fingerprints of the path. */
  get ids(): string[] {
    return this.path.map((hop) => toHex(hop.rsaId));
  }

  /** The last stream opened. */
  get last(): OpenedStream {
    return this.opened.at(-1)!;
  }

  succeed(): void {
    for (let n = 1; n <= this.path.length; n++) this.hooks.hop(n);
    this.settle.resolve({
      openStream: (command, body, handlers) => {
        const stream = new FakeStream(this.opened.length + 1, handlers);
        this.opened.push({ command, body, stream });
        return stream;
      },
      close: (reason) => {
        this.closedWith = reason;
      },
    });
  }

  /** Fails at hop `n`. */
  fail(n: number, error = new Error(`hop ${n} failed`)): void {
    for (let hop = 1; hop < n; hop++) this.hooks.hop(hop);
    this.settle.reject(error);
  }

  abort(reason: number): void {
    this.closedWith = reason;
    this.settle.reject(new Error('aborted'));
  }
}

/** A factory whose builds wait for the test. */
export function fakeFactory(): CircuitFactory & { readonly builds: FakeBuild[] } {
  const builds: FakeBuild[] = [];
  return {
    builds,
    build(path, hooks) {
      const build = new FakeBuild(path, hooks);
      builds.push(build);
      return build;
    },
  };
}
