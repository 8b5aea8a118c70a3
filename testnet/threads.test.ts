/** Relays with `NumCPUs 2` over real sockets: the same relay, its links in another thread. */
import { createHash } from 'node:crypto';
import { type AddressInfo, createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { startRelay } from '../relay/node.js';
import { DestroyReason, RelayCommand } from '../shared/cell/commands.js';
import { BEGIN } from '../shared/cell/relay-cells.js';
import { buildCircuit } from '../shared/circuit/build.js';
import type { HopTarget } from '../shared/circuit/hop.js';
import { createChannelManager } from '../shared/link/manager.js';
import { memoryLog } from '../shared/log/memory.js';
import { parseProtocols } from '../shared/netdoc/protover.js';
import type { Stream } from '../shared/onion/types.js';
import type { Env } from '../shared/runtime/env.js';
import { osRandom, realClock, realTransport } from '../shared/runtime/real.js';
import { systemResolver } from '../shared/runtime/resolver.js';
import { memoryStore } from '../shared/store/memory.js';
import { loadOptions } from '../shared/torrc/parse.js';
import { startThreads } from './process/world.js';

const NOBODY = `DirAuthority nobody orport=7001 v3ident=${'A'.repeat(40)} 127.250.0.1:7000 ${'B'.repeat(40)}`;
const SIZE = 10_000_000;

interface Running {
  readonly target: HopTarget;
  readonly failures: Error[];
  readonly log: ReturnType<typeof memoryLog>;
}

async function relay(t: ExecutionContext, host: string): Promise<Running> {
  const lines = [
    'DataDirectory /nonexistent',
    'TestingTorNetwork 1',
    NOBODY,
    'Nickname threads',
    `Address ${host}`,
    `ORPort ${host}:auto`,
    'AssumeReachable 1',
    'ExitRelay 1',
    'RefuseUnknownExits 0',
    'ExitPolicyRejectPrivate 0',
    'ExitPolicy accept *:*',
    'NumCPUs 2',
  ];
  const files = [{ name: 'torrc', text: lines.join('\n') }];
  const { options } = loadOptions({ files, args: [], role: 'relay' });
  const failures: Error[] = [];
  const { transport, crew, close } = startThreads(options, (error) => failures.push(error));
  const log = memoryLog();
  let port = 0;
  const env: Env = {
    clock: realClock,
    random: osRandom,
    transport,
    ...(crew && { crew }),
    resolver: await systemResolver(realClock),
    log,
    store: memoryStore(),
    report: (event) => {
      if (event.type === 'listening' && event.what === 'or') port = event.port;
    },
  };
  const node = await startRelay(options, env);
  t.teardown(async () => {
    await node.stop(false);
    await close();
  });
  const { keys } = node;
  const target: HopTarget = {
    addresses: [{ host, port }],
    rsaId: keys.rsaId,
    ed25519Id: keys.ed25519Id,
    ntorKey: keys.ntor.current.publicKey,
    protocols: parseProtocols('FlowCtrl=1-2 Link=4-5 LinkAuth=3 Relay=1-4'),
  };
  return { target, failures, log };
}

/** Sends what it is sent back. */
function echo(t: ExecutionContext): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  t.teardown(() => server.close());
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

const digest = () => createHash('sha256');

test('10 MB there and back through three relays come as they were', async (t) => {
  const relays = await Promise.all(
    ['127.181.0.1', '127.182.0.1', '127.183.0.1'].map((host) => relay(t, host)),
  );
  const port = await echo(t);
  const env = { clock: realClock, random: osRandom, transport: realTransport(), log: memoryLog() };
  const channels = createChannelManager(env, {
    handler: { create: (leg) => leg.destroy(DestroyReason.PROTOCOL), closed() {} },
  });
  t.teardown(() => channels.close());
  const [first, ...more] = relays.map(({ target }) => target) as [HopTarget, ...HopTarget[]];
  const circuit = await buildCircuit(env, channels, [first, ...more], { carries: true });

  const [sent, got] = [digest(), digest()];
  let left = SIZE;
  let back = 0;
  await new Promise<void>((resolve, reject) => {
    const write = (stream: Stream) => {
      while (left > 0) {
        const bytes = osRandom.bytes(Math.min(50_000, left));
        sent.update(bytes);
        left -= bytes.length;
        if (!stream.write(bytes)) return;
      }
    };
    const body = BEGIN.encode({ host: '127.0.0.1', port, flags: 0 });
    const stream = circuit.openStream(RelayCommand.BEGIN, body, {
      connected: () => write(stream),
      drain: () => write(stream),
      data(bytes) {
        got.update(bytes);
        back += bytes.length;
        if (back === SIZE) resolve();
      },
      end: (reason) => reject(new Error(`END ${reason} after ${back} bytes`)),
    });
  });
  t.is(got.digest('hex'), sent.digest('hex'));
  circuit.close();
  for (const { failures } of relays) t.deepEqual(failures, []);
});

test('a burst of handshakes is answered by the threads, each circuit by its own keys', async (t) => {
  const relays = await Promise.all(['127.186.0.1', '127.187.0.1'].map((host) => relay(t, host)));
  const [first, second] = relays.map(({ target }) => target) as [HopTarget, HopTarget];
  const env = { clock: realClock, random: osRandom, transport: realTransport(), log: memoryLog() };
  const channels = createChannelManager(env, {
    handler: { create: (leg) => leg.destroy(DestroyReason.PROTOCOL), closed() {} },
  });
  t.teardown(() => channels.close());
  const port = await echo(t);
  // Once the threads have answered some they are up: on a busy machine their start takes longer than the five seconds
  // after which a handshake that waits is dropped.
  for (const target of [first, second])
    for (const circuit of await Promise.all([1, 2].map(() => buildCircuit(env, channels, [target]))))
      circuit.close();
  const circuits = await Promise.all(
    Array.from({ length: 60 }, () => buildCircuit(env, channels, [first, second], { carries: true })),
  );
  const echoed = circuits.map(
    (circuit, i) =>
      new Promise<string>((resolve, reject) => {
        const body = BEGIN.encode({ host: '127.0.0.1', port, flags: 0 });
        const stream = circuit.openStream(RelayCommand.BEGIN, body, {
          connected: () => stream.write(Buffer.from(`circuit ${i}`)),
          drain() {},
          data: (bytes) => resolve(bytes.toString()),
          end: (reason) => reject(new Error(`END ${reason}`)),
        });
      }),
  );
  t.deepEqual(
    await Promise.all(echoed),
    circuits.map((_, i) => `circuit ${i}`),
  );
  for (const circuit of circuits) circuit.close();
  for (const { failures } of relays) t.deepEqual(failures, []);
});

test('a relay whose links are in another thread proves who it is, and refuses who is somebody else', async (t) => {
  const [near, far] = await Promise.all([relay(t, '127.184.0.1'), relay(t, '127.185.0.1')]);
  const env = { clock: realClock, random: osRandom, transport: realTransport(), log: memoryLog() };
  const channels = createChannelManager(env, {
    handler: { create: (leg) => leg.destroy(DestroyReason.PROTOCOL), closed() {} },
  });
  t.teardown(() => channels.close());
  const wrong = { ...near.target, rsaId: far.target.rsaId, ed25519Id: far.target.ed25519Id };
  await t.throwsAsync(channels.get(wrong), { code: 'identity' });
  // The relay dials the next one in its thread, and finds somebody else, too.
  const lost: HopTarget = { ...far.target, rsaId: near.target.rsaId, ed25519Id: osRandom.bytes(32) };
  await t.throwsAsync(buildCircuit(env, channels, [near.target, lost]));
  // As it should be, with both ends of the link between them in threads.
  const circuit = await buildCircuit(env, channels, [near.target, far.target]);
  circuit.close();
  t.pass();
});
