/**
 * One process of a measured path, for whoever forks it: a whole relay with no network around it, a client that was
 * told its path, or one that builds circuits along a path as often as it is asked.
 *
 * ```
 * node hop.js relay HOST PORT [LINE...]   LINEs of torrc; tells { host, port, rsaId, ed25519Id, ntorKey }, keys as hex
 * node hop.js client PATH      PATH is JSON, three of the above; tells { host, port } of a SOCKS port
 * node hop.js builder PATH     tells 0; answers each number with that number when a circuit stands for it
 * ```
 *
 * @module
 */
import { StreamError } from '../client/failure.js';
import { type Requester, SocksServer } from '../client/socks-server.js';
import { startRelay } from '../relay/node.js';
import { toHex } from '../shared/bytes/text.js';
import { DestroyReason, EndReason, RelayCommand } from '../shared/cell/commands.js';
import { BEGIN, BeginFlag } from '../shared/cell/relay-cells.js';
import { buildCircuit } from '../shared/circuit/build.js';
import { keepX25519Ahead } from '../shared/crypto/key-pool.js';
import { createChannelManager } from '../shared/link/manager.js';
import { memoryLog } from '../shared/log/memory.js';
import type { Env } from '../shared/runtime/env.js';
import { osRandom, realClock, realTransport } from '../shared/runtime/real.js';
import { systemResolver } from '../shared/runtime/resolver.js';
import { compileSooner, tuneProcess } from '../shared/runtime/tune.js';
import type { Transport } from '../shared/runtime/types.js';
import { memoryStore } from '../shared/store/memory.js';
import { loadOptions } from '../shared/torrc/parse.js';
import type { Role } from '../shared/torrc/table-types.js';
import { startThreads } from '../testnet/process/world.js';
import { type HopAddress, targetOf } from './hop-address.js';

const NOBODY = `DirAuthority nobody orport=7001 v3ident=${'A'.repeat(40)} 127.250.0.1:7000 ${'B'.repeat(40)}`;

const optionsOf = (role: Role, lines: readonly string[]) => {
  const text = ['DataDirectory /nonexistent', 'TestingTorNetwork 1', NOBODY, ...lines].join('\n');
  return loadOptions({ files: [{ name: 'torrc', text }], args: [], role }).options;
};

const log = memoryLog();

async function world(report: Env['report'] = () => {}, transport: Transport = realTransport()): Promise<Env> {
  return {
    clock: realClock,
    random: osRandom,
    transport,
    resolver: await systemResolver(realClock),
    log,
    store: memoryStore(),
    report,
  };
}

async function relay(host: string): Promise<void> {
  let port = 0;
  const options = optionsOf('relay', [
    'Nickname hop',
    `Address ${host}`,
    `ORPort ${host}:${process.argv[4]}`,
    'SocksPort 0',
    'AssumeReachable 1',
    'ExitRelay 1',
    'RefuseUnknownExits 0',
    'ExitPolicy accept *:*',
    ...process.argv.slice(5),
  ]);
  const failed = (error: Error) => {
    throw error;
  };
  const report: Env['report'] = (event) => {
    if (event.type === 'listening' && event.what === 'or') port = event.port;
  };
  const { transport, crew } = startThreads(options, failed);
  const env: Env = { ...(await world(report, transport)), ...(crew && { crew }) };
  const { keys } = await startRelay(options, env);
  const told: HopAddress = {
    host,
    port,
    rsaId: toHex(keys.rsaId),
    ed25519Id: toHex(keys.ed25519Id),
    ntorKey: toHex(keys.ntor.current.publicKey),
  };
  process.send?.(told);
}

type PathTold = readonly [HopAddress, ...HopAddress[]];

/** Builds circuits along the path. */
async function builderOf([first, ...more]: PathTold) {
  const env = await world();
  const channels = createChannelManager(env, {
    handler: { create: (leg) => leg.destroy(DestroyReason.PROTOCOL), closed() {} },
  });
  const path = [targetOf(first), ...more.map(targetOf)] as const;
  return { env, build: () => buildCircuit(env, channels, path, { carries: true }) };
}

async function client(path: PathTold): Promise<void> {
  const { env, build } = await builderOf(path);
  const circuit = await build();
  const options = optionsOf('client', ['SocksPort 127.0.0.1:auto']);
  const requester: Requester = {
    request(target, _isolation, asker) {
      if (target.kind !== 'connect') throw new StreamError('general', 'only connections are measured');
      const body = BEGIN.encode({ host: target.host.text, port: target.port, flags: BeginFlag.IPV6_OK });
      const stream = circuit.openStream(RelayCommand.BEGIN, body, {
        connected: () => asker.connected(stream),
        data() {},
        drain() {},
        end: (reason) => asker.failed(new StreamError('general', `END ${reason}`)),
      });
      return { cancel: () => stream.abort(EndReason.DONE) };
    },
  };
  const server = new SocksServer({ ...env, options, requester }, options.SocksPort[0]!);
  const listener = await server.listen('127.0.0.1', 0);
  process.send?.(listener.local);
}

async function builder(path: PathTold): Promise<void> {
  const { build } = await builderOf(path);
  // The channel is there before the first circuit that counts, as it is in C tor.
  (await build()).close();
  process.on('message', (number) => {
    void build().then((circuit) => {
      process.send?.(number);
      circuit.close();
    });
  });
  process.send?.(0);
}

const roles = {
  relay: (host: string) => relay(host),
  client: (path: string) => client(JSON.parse(path)),
  builder: (path: string) => builder(JSON.parse(path)),
};
const [role, told = ''] = process.argv.slice(2);
tuneProcess();
keepX25519Ahead(realClock, osRandom);
compileSooner();
setInterval(() => {}, 1 << 30);
process.on('disconnect', () => process.exit(0));
await roles[role as keyof typeof roles](told);
