import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { startRelay } from '../../relay/node.js';
import { fromBase64, fromHex, toHex } from '../../shared/bytes/text.js';
import { Command, DestroyReason } from '../../shared/cell/commands.js';
import { buildCircuit } from '../../shared/circuit/build.js';
import type { HopTarget } from '../../shared/circuit/hop.js';
import { createChannelManager } from '../../shared/link/manager.js';
import { DEFAULT_PADDING_TIMES } from '../../shared/link/padding.js';
import type { ChannelHandler } from '../../shared/link/types.js';
import { memoryLog } from '../../shared/log/memory.js';
import { parseProtocols } from '../../shared/netdoc/protover.js';
import { parseServerDescriptor } from '../../shared/netdoc/server-descriptor.js';
import { osRandom, realClock, realTransport } from '../../shared/runtime/real.js';
import { systemResolver } from '../../shared/runtime/resolver.js';
import { memoryStore } from '../../shared/store/memory.js';
import { testLinkCredentials } from '../../shared/testing/link-credentials.js';
import { loadOptions } from '../../shared/torrc/parse.js';
import type { NodePlan } from '../plan.js';
import { onlyVersions } from './old-link.js';
import { interopTest } from './programs.js';
import { TorNode } from './tor-node.js';

const NOBODY = `DirAuthority nobody orport=7001 v3ident=${'A'.repeat(40)} 127.250.0.1:7000 ${'B'.repeat(40)}`;
const TIMEOUT = 180_000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until<T>(t: ExecutionContext, what: string, look: () => T | undefined | false): Promise<T> {
  const end = performance.now() + TIMEOUT;
  for (;;) {
    const found = look();
    if (found) return found;
    if (performance.now() > end) t.fail(`waited for: ${what}`);
    await pause(50);
  }
}

/** Ports of this process's own, so that tests side by side do not meet. */
const PORT = 10_000 + (process.pid % 1_900);

const client: ChannelHandler = { create: (leg) => leg.destroy(DestroyReason.PROTOCOL), closed() {} };
const env = () => ({ clock: realClock, random: osRandom, transport: realTransport(), log: memoryLog() });

async function place() {
  const root = await mkdtemp(join(tmpdir(), 'cepa-interop-'));
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) };
}

function torAt(root: string, address: string, role: NodePlan['role'], lines: readonly string[]): TorNode {
  const folder = join(root, role);
  const tor = new TorNode(
    { name: 'tor', role, exit: false, guard: false, address, orPort: PORT, dirPort: 0 },
    folder,
  );
  tor.start(
    [
      `DataDirectory ${folder}`,
      `Log notice file ${join(folder, 'notice.log')}`,
      `Log [handshake]debug file ${join(folder, 'handshake.log')}`,
      'TestingTorNetwork 1',
      NOBODY,
      ...lines,
    ].join('\n'),
  );
  return tor;
}

/** A C tor relay that belongs to no network, once its port is open. */
async function torRelay(t: ExecutionContext, root: string, address: string) {
  const tor = torAt(root, address, 'relay', [
    'Nickname tor',
    `Address ${address}`,
    `ORPort ${address}:${PORT}`,
    'SocksPort 0',
    'ExitRelay 0',
    'AssumeReachable 1',
  ]);
  await until(t, 'the port of tor', () => tor.infoLog.includes('Opened OR listener'));
  const word = (file: string) => readFileSync(join(tor.folder, file), 'latin1').trim().split(' ')[1]!;
  // Before it has a descriptor it tells no address of its own, and its links are not canonical [connection_or_send_netinfo].
  await until(t, 'the descriptor of tor', () => tor.infoLog.includes('Uploading relay descriptor'));
  const target: HopTarget = {
    addresses: [{ host: address, port: PORT }],
    rsaId: fromHex(word('fingerprint'), 'fingerprint'),
    ed25519Id: fromBase64(word('fingerprint-ed25519'), 'fingerprint-ed25519'),
    protocols: parseProtocols('Link=4-5 LinkAuth=3 Relay=2'),
  };
  return { tor, target };
}

const CREATED_FAST = Command.CREATED_FAST;

interopTest(['tor'], 'link protocols 4 and 5 and padding negotiation, Cepa dials C tor', async (t) => {
  t.timeout(TIMEOUT * 3);
  const { root, remove } = await place();
  const { tor, target } = await torRelay(t, root, '127.31.0.1');
  try {
    for (const [versions, expected] of [
      [[4], 4],
      [[4, 5], 5],
    ] as const) {
      const transport = onlyVersions(realTransport(), versions);
      const links = createChannelManager(
        { ...env(), transport },
        {
          handler: client,
          padding: { mode: 'reduced', times: () => ({ ...DEFAULT_PADDING_TIMES, padRelays: false }) },
        },
      );
      const channel = await links.get(target);
      t.is(channel.linkProtocol, expected);
      t.true(channel.authenticated && channel.canonical);
      const answer = await new Promise<number>((resolve) => {
        const handler = {
          relayCells() {},
          writable() {},
          control: (_: unknown, command: number) => resolve(command),
          destroyed: (_: unknown, reason: number) => resolve(-reason),
        };
        channel.openLeg(handler).control(Command.CREATE_FAST, Buffer.alloc(20, 7));
      });
      t.is(answer, CREATED_FAST);
      // Padding is negotiated from link protocol 5 on.
      t.is(links.stats.cellsOut[Command.PADDING_NEGOTIATE], expected === 5 ? 1 : 0);
      await until(t, `version ${expected}`, () => tor.infoLog.includes(`Negotiated version ${expected} `));
      if (expected === 5) await until(t, 'padding', () => /Negotiated padding=0/.test(tor.infoLog));
      t.true(channel.open);
      await links.close();
    }
    // A relay proves who it is.
    const own = await testLinkCredentials('interop', Date.now());
    const links = createChannelManager(env(), {
      handler: client,
      credentials: () => own,
      ownAddresses: () => [{ host: '127.32.0.1', port: PORT }],
      localHost: '127.32.0.1',
    });
    const channel = await links.get(target);
    t.is(channel.linkProtocol, 5);
    const handshakes = () => readFileSync(join(tor.folder, 'handshake.log'), 'latin1');
    await until(t, 'AUTHENTICATE', () => /AUTHENTICATE cell.*: Looks good/.test(handshakes()));
    t.true(channel.open);
    await links.close();
  } finally {
    await tor.stop();
    remove();
  }
});

interopTest(['tor'], 'link protocols 4 and 5 and padding negotiation, C tor dials Cepa', async (t) => {
  t.timeout(TIMEOUT * 3);
  const own = await testLinkCredentials('interop bridge', Date.now());
  for (const [versions, expected, host] of [
    [[4], 4, '127.33.0.1'],
    [[4, 5], 5, '127.34.0.1'],
  ] as const) {
    const { root, remove } = await place();
    const created: number[] = [];
    const links = createChannelManager(
      { ...env(), transport: onlyVersions(realTransport(), versions) },
      {
        handler: { create: (_leg, command) => void created.push(command), closed() {} },
        credentials: () => own,
        ownAddresses: () => [{ host, port: PORT }],
        padding: { mode: 'on', times: () => DEFAULT_PADDING_TIMES },
      },
    );
    await links.listen({ host, port: PORT });
    // A client dials its bridge without knowing anything of a network.
    const tor = torAt(root, host, 'client', [
      'SocksPort 0',
      'UseBridges 1',
      `Bridge ${host}:${PORT} ${toHex(own.rsaId)}`,
      'ReducedConnectionPadding 1',
    ]);
    try {
      await until(t, 'CREATE_FAST', () => created.includes(Command.CREATE_FAST));
      const [channel] = [...links.channels];
      t.is(channel!.linkProtocol, expected);
      t.false(channel!.authenticated);
      if (expected === 5)
        await until(t, 'PADDING_NEGOTIATE', () => links.stats.cellsIn[Command.PADDING_NEGOTIATE]! > 0);
      else t.is(links.stats.cellsIn[Command.PADDING_NEGOTIATE], 0);
      t.true(channel!.open);
    } finally {
      await tor.stop();
      await links.close();
      remove();
    }
  }
});

interopTest(['tor'], 'C tor and Cepa extend to each other over one canonical link', async (t) => {
  t.timeout(TIMEOUT * 3);
  const { root, remove } = await place();
  const { tor, target } = await torRelay(t, root, '127.35.0.1');
  const address = '127.36.0.1';
  const text = [
    'DataDirectory /nonexistent',
    'TestingTorNetwork 1',
    NOBODY,
    'Nickname cepa',
    `Address ${address}`,
    `ORPort ${address}:${PORT}`,
  ].join('\n');
  const { options } = loadOptions({ files: [{ name: 'torrc', text }], args: [], role: 'relay' });
  const resolver = await systemResolver(realClock);
  const relay = await startRelay(options, { ...env(), resolver, store: memoryStore() });
  const links = createChannelManager(env(), { handler: client });
  try {
    const descriptor = parseServerDescriptor(relay.descriptor()!.descriptor);
    const cepa: HopTarget = {
      addresses: [{ host: address, port: PORT }],
      rsaId: relay.keys.rsaId,
      ed25519Id: relay.keys.ed25519Id,
      ntorKey: descriptor.ntorOnionKey,
      protocols: descriptor.protocols,
    };
    // C tor dials Cepa, to extend.
    const circuit = await buildCircuit(env(), links, [target, cepa]);
    const [link] = [...relay.channels.channels];
    t.is(relay.channels.count, 1);
    t.false(link!.initiator);
    // Not canonical here: to loopback C tor dials from 127.0.0.1, whatever it is told to bind [connection_connect].
    t.true(link!.authenticated);
    t.is(link!.linkProtocol, 5);
    // C tor finds it again.
    const again = await buildCircuit(env(), links, [target, cepa]);
    t.is(relay.channels.count, 1);
    circuit.close();
    again.close();
    link!.close('to be dialled anew');
    await until(t, 'the end of the link', () => relay.channels.count === 0);
    // Now the other way: what Cepa dialled is what C tor extends over.
    // Not before C tor, too, holds it for open.
    const opened = new RegExp(`Got good NETINFO cell .*Its ID digest is ${toHex(relay.keys.rsaId)}`, 'g');
    const openLinks = () => tor.infoLog.match(opened)?.length ?? 0;
    const before = openLinks();
    const dialled = await relay.channels.get(target);
    t.true(dialled.initiator && dialled.canonical);
    await until(t, 'the link, open at tor', () => openLinks() > before);
    const third = await buildCircuit(env(), links, [target, cepa]);
    t.is(relay.channels.count, 1);
    t.true(dialled.open);
    third.close();
  } finally {
    await links.close();
    await relay.stop(false);
    await tor.stop();
    remove();
  }
});
