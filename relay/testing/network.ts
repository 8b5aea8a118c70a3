/**
 * Three relays and a client of circuits on virtual time.
 *
 * @module
 */
import { DestroyReason, RelayCommand } from '../../shared/cell/commands.js';
import { BEGIN, BeginFlag } from '../../shared/cell/relay-cells.js';
import { buildCircuit } from '../../shared/circuit/build.js';
import type { HopTarget } from '../../shared/circuit/hop.js';
import type { OriginCircuit } from '../../shared/circuit/origin.js';
import { loadOrCreateRelayKeys } from '../../shared/crypto/relay-keys.js';
import { generateRsa, type RsaKey } from '../../shared/crypto/rsa.js';
import { createChannelManager } from '../../shared/link/manager.js';
import { memoryLog } from '../../shared/log/memory.js';
import { parseServerDescriptor } from '../../shared/netdoc/server-descriptor.js';
import type { Stream, StreamHandlers } from '../../shared/onion/types.js';
import type { Env } from '../../shared/runtime/env.js';
import { type SimHost, SimWorld } from '../../shared/runtime/sim/world.js';
import type { Clock, Conn } from '../../shared/runtime/types.js';
import { memoryStore } from '../../shared/store/memory.js';
import type { Store } from '../../shared/store/types.js';
import { type RelayNode, startRelay } from '../node.js';
import { optionsOf } from '../testing.js';

export const SITE = '127.9.0.1';
/** When these worlds begin. */
export const START = Date.UTC(2026, 0, 1);

/** What came of a stream. */
export class Reading implements StreamHandlers {
  readonly chunks: Buffer[] = [];
  address: string | undefined;
  answers: Uint8Array | undefined;
  ended: { reason: number; local: boolean } | undefined;

  connected(address: string | undefined): void {
    this.address = address;
  }
  data(bytes: Buffer): void {
    this.chunks.push(Buffer.from(bytes));
  }
  drain(): void {}
  end(reason: number, local: boolean): void {
    // An exit that gives up a client which is silent after DONE says so in a second END.
    this.ended ??= { reason, local };
  }
  resolved(data: Uint8Array): void {
    this.answers = data;
  }
  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }
}

/** A relay of the network. */
export interface Running {
  readonly host: SimHost;
  readonly node: RelayNode;
  readonly log: ReturnType<typeof memoryLog>;
}

/** Making RSA keys is most of the work of such a test, so that those of relay `n` are made once. */
const madeKeys = new Map<number, Promise<Store>>();

async function storeWithKeys(n: number, env: Env): Promise<Store> {
  const make = async () => {
    const store = memoryStore();
    await loadOrCreateRelayKeys(store, env);
    return store;
  };
  const made = madeKeys.get(n) ?? make();
  madeKeys.set(n, made);
  const from = await made;
  const store = memoryStore();
  for (const name of await from.list('keys'))
    await store.write(`keys/${name}`, (await from.read(`keys/${name}`))!);
  return store;
}

/** RSA keys for what is renewed, the same over and over: a simulated day wants dozens. */
const spareKeys = new Map<number, Promise<RsaKey>>();

function spareRsa(bits: number): Promise<RsaKey> {
  const key = spareKeys.get(bits) ?? generateRsa(bits);
  spareKeys.set(bits, key);
  return key;
}

/** Three relays, the last an exit, and a client that knows them. `more` are lines for the torrc of relay 1, 2 or 3. */
export async function network(
  more: (n: number) => readonly string[] = () => [],
  extraEnv: (n: number) => Partial<Env> = () => ({}),
) {
  const world = new SimWorld('relay node', START);
  world.names.set('site.example', [SITE]);
  const relays: Running[] = [];
  for (const n of [1, 2, 3]) {
    const host = world.host(`127.${n}.0.1`);
    const log = memoryLog();
    const options = optionsOf(
      `Nickname relay${n}`,
      `ORPort 127.${n}.0.1:9001`,
      'ExtendAllowPrivateAddresses 1',
      'RefuseUnknownExits 0',
      'ExitPolicyRejectPrivate 0',
      ...more(n),
      ...(n === 3 ? ['ExitPolicy accept *:80,reject *:*'] : []),
    );
    const env: Env = { ...host, log, store: memoryStore(), ...extraEnv(n) };
    const store = await storeWithKeys(n, env);
    const keys = await loadOrCreateRelayKeys(store, env, { makeRsa: spareRsa });
    relays.push({ host, log, node: await startRelay(options, { ...env, store }, { keys }) });
  }
  const clientHost = world.host('127.8.0.1');
  const env = { ...clientHost, log: memoryLog() };
  const channels = createChannelManager(env, {
    handler: { create: (leg) => leg.destroy(DestroyReason.PROTOCOL), closed() {} },
  });
  const hops = relays.map(({ node }): HopTarget => {
    const descriptor = parseServerDescriptor(node.descriptor()!.descriptor);
    return {
      addresses: [{ host: descriptor.address, port: descriptor.orPort }],
      rsaId: descriptor.rsaId,
      ed25519Id: descriptor.ed25519Id,
      ntorKey: descriptor.ntorOnionKey,
      protocols: descriptor.protocols,
    };
  });
  const [first, second, third] = hops as [HopTarget, HopTarget, HopTarget];
  const build = (carries: boolean, onClosed?: (reason: number) => void): Promise<OriginCircuit> =>
    world.until(
      buildCircuit(env, channels, [first, second, third], { carries, ...(onClosed && { onClosed }) }),
    );
  return { world, relays, build, hops, env, channels };
}

/** Asks the exit for a connection. */
export function begin(circuit: OriginCircuit, host: string, port = 80): { stream: Stream; reading: Reading } {
  const reading = new Reading();
  const body = BEGIN.encode({ host, port, flags: BeginFlag.IPV6_OK });
  return { reading, stream: circuit.openStream(RelayCommand.BEGIN, body, reading) };
}

/** Listens at the site. */
export const listen = (world: SimWorld, accept: (conn: Conn) => void) =>
  world.host(SITE).transport.listenTcp({ host: SITE, port: 80 }, accept);

/** Echoes what it gets, in capitals, and ends when the other side ends. */
export const echo = (conn: Conn) =>
  conn.start({
    data: (bytes) => void conn.write(Buffer.from(bytes.toString('latin1').toUpperCase(), 'latin1')),
    end: () => conn.end(),
    drain() {},
    close() {},
  });

/** A site that sends 20 KB each tenth of a second on each connection, for ever. */
export const fountain = (clock: Clock) => (conn: Conn) => {
  let [gone, room] = [false, true];
  conn.start({
    data() {},
    end() {},
    drain() {
      room = true;
    },
    close() {
      gone = true;
    },
  });
  const pour = () => {
    if (gone) return;
    if (room) room = conn.write(Buffer.alloc(20_000, 'x'));
    clock.setTimer(100, pour);
  };
  pour();
};
