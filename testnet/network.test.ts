/** A whole network of real processes: what `npm start` brings up, with a few rules of path choice on top. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { toHex } from '../shared/bytes/text.js';
import { loadOrCreateRelayKeys } from '../shared/crypto/relay-keys.js';
import { memoryLog } from '../shared/log/memory.js';
import { parseConsensus } from '../shared/netdoc/consensus.js';
import type { NodeEvent } from '../shared/runtime/env.js';
import { osRandom, realClock } from '../shared/runtime/real.js';
import { diskStore } from '../shared/store/disk.js';
import { NAMED_ADDRESS } from './demo-dns.js';
import { demoBytes, demoDigest } from './demo-site.js';
import type { NodePlan } from './plan.js';
import {
  type Destination,
  download,
  open,
  RefusedError,
  readAll,
  resolveAddress,
  resolveName,
  upload,
} from './testing/applications.js';
import { Live, until } from './testing/live.js';
import { complaints, fallen, scrape } from './testing/metrics.js';

const MB = 1_000_000;

/** Relays that name each other, one as a guard could be, one an exit. */
const FAMILY = ['relay1', 'relay2', 'exit1'];
/** Names all of the family, which does not name it: no family. */
const STRANGER = 'relay3';
const EXCLUDED = 'relay6';
const EXCLUDED_EXIT = 'exit3';
/** One of each kind, asked for its numbers. */
const MEASURED = ['auth1', 'relay1', 'exit2', 'client'];

let live: Live;
let directory: string;
const servers: Server[] = [];

/** The identity of a relay, made before it runs. */
async function fingerprintOf(name: string): Promise<string> {
  const store = diskStore(join(directory, 'nodes', name));
  const keys = await loadOrCreateRelayKeys(store, { random: osRandom, clock: realClock, log: memoryLog() });
  return `$${toHex(keys.rsaId)}`;
}

test.before(async (t) => {
  t.timeout(900_000);
  directory = mkdtempSync(join(tmpdir(), 'cepa-network-'));
  const named = [...FAMILY, EXCLUDED, EXCLUDED_EXIT];
  const ids = new Map(
    await Promise.all(named.map(async (name) => [name, await fingerprintOf(name)] as const)),
  );
  const family = FAMILY.map((name) => ids.get(name)).join(',');
  const metrics = (name: string) => (MEASURED.includes(name) ? ['MetricsPort 127.0.0.1:auto'] : []);
  const paths = (name: string): string[] => {
    if (FAMILY.includes(name) || name === STRANGER) return [`MyFamily ${family}`];
    if (name !== 'client') return [];
    return [
      'HTTPTunnelPort 127.0.0.1:auto',
      `ExcludeNodes ${ids.get(EXCLUDED)}`,
      `ExcludeExitNodes ${ids.get(EXCLUDED_EXIT)}`,
    ];
  };
  const more = ({ name }: NodePlan) => [...metrics(name), ...paths(name)];
  live = await Live.launch({ directory, more });
});

test.after.always(async () => {
  await live?.stop();
  for (const server of servers) server.close();
  if (directory) rmSync(directory, { recursive: true, force: true });
});

/** A server at the demo site's address, half-open as the test wants; its port. */
async function serve(accept: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    accept(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, live.demo.address, resolve));
  return (server.address() as AddressInfo).port;
}

/** Circuits that were taken for streams, from event number `since` on. */
const usedSince = (since: number) => live.circuits('used', since).filter(({ kind }) => kind === 'exit');

const refusal = async (opening: Promise<Socket>): Promise<number | undefined> =>
  opening.then(
    (socket) => {
      socket.destroy();
      return undefined;
    },
    (error: unknown) => (error instanceof RefusedError ? error.reply : -1),
  );

function* blocks(size: number): Generator<Buffer> {
  for (let sent = 0; sent < size; ) {
    const part = demoBytes(sent, size - sent);
    sent += part.length;
    yield part;
  }
}

test.serial('100 MB come through three hops as they are', async (t) => {
  t.timeout(600_000);
  t.deepEqual(await download(live.site(), `/bytes/${100 * MB}`), {
    size: 100 * MB,
    sha256: demoDigest(100 * MB),
  });
});

test.serial('ten streams of 10 MB side by side', async (t) => {
  t.timeout(600_000);
  const size = 10 * MB;
  // Half of them share a circuit.
  const all = Array.from({ length: 10 }, (_, i) =>
    download(live.site(i % 2 ? undefined : 'together'), `/bytes/${size}`),
  );
  const sha256 = demoDigest(size);
  t.deepEqual(await Promise.all(all), new Array(10).fill({ size, sha256 }));
});

test.serial('50 MB go up', async (t) => {
  t.timeout(600_000);
  const size = 50 * MB;
  const answer = await upload(live.site(), '/upload', blocks(size), size);
  t.deepEqual(JSON.parse(answer), { size, sha256: demoDigest(size) });
});

test.serial('names are resolved by exits only, in both directions', async (t) => {
  const { host, address } = live.demo;
  t.is(await resolveName(live.proxy, host), address);
  t.is(await resolveAddress(live.proxy, NAMED_ADDRESS), host);
  const unknown = await t.throwsAsync(resolveName(live.proxy, 'nowhere.cepa.test'), {
    instanceOf: RefusedError,
  });
  t.is(unknown.reply, 4, 'host unreachable');
  t.is(await refusal(open({ ...live.site(), host: 'nowhere.cepa.test' })), 4);
});

test.serial('every language of the proxy ports reaches the site', async (t) => {
  const port = await serve((socket) => socket.end('hello'));
  const fetch = async (to: Destination) => (await readAll(await open(to))).toString();
  const { address: host } = live.demo;
  t.is(await fetch(live.at(port)), 'hello');
  t.is(await fetch(live.at(port, 'socks4a')), 'hello');
  t.is(await fetch({ ...live.at(port, 'socks5-ipv4'), host }), 'hello');
  t.is(await fetch({ ...live.at(port, 'socks4'), host }), 'hello');
  const tunnel = live.told('client').find((event) => event.type === 'listening' && event.what === 'http');
  if (tunnel?.type !== 'listening') return t.fail('no HTTP port');
  const proxy = { host: tunnel.host, port: tunnel.port };
  t.is(await fetch({ ...live.at(port, 'http'), proxy }), 'hello');
  // Addresses an application resolved itself are told, once.
  return t.regex(live.log('client'), /\[warn\].*resolve/i);
});

test.serial(
  'what the exits refuse, and what nobody listens for, is told in the words of the protocol',
  async (t) => {
    t.is(await refusal(open(live.at(25))), 2, 'not allowed by the ruleset');
    t.is(await refusal(open(live.at(25, 'socks4a'))), 91);
    t.is(await refusal(open(live.at(1))), 5, 'connection refused');
  },
);

test.serial('a client that ends first gets the whole answer', async (t) => {
  const size = 3 * MB;
  const port = await serve((socket) => {
    const hash = createHash('sha256');
    socket.on('data', (chunk) => hash.update(chunk));
    // Nothing is answered before the client's FIN is here.
    socket.on('end', () => {
      socket.write(hash.digest());
      for (const block of blocks(size)) socket.write(block);
      socket.end();
    });
  });
  const socket = await open(live.at(port));
  const answer = readAll(socket);
  for (const block of blocks(size)) socket.write(block);
  socket.end();
  const bytes = await answer;
  t.is(bytes.length, 32 + size);
  t.is(toHex(bytes.subarray(0, 32)).toLowerCase(), demoDigest(size));
  t.is(createHash('sha256').update(bytes.subarray(32)).digest('hex'), demoDigest(size));
});

test.serial('a server that ends first gets all that follows', async (t) => {
  const size = 3 * MB;
  let got: (digest: string) => void;
  const digest = new Promise<string>((resolve) => {
    got = resolve;
  });
  const port = await serve((socket) => {
    socket.end('over to you');
    const hash = createHash('sha256');
    socket.on('data', (chunk) => hash.update(chunk));
    socket.on('end', () => got(hash.digest('hex')));
  });
  const socket = await open(live.at(port));
  t.is((await readAll(socket)).toString(), 'over to you');
  for (const block of blocks(size)) socket.write(block);
  socket.end();
  t.is(await digest, demoDigest(size));
});

test.serial('users do not share circuits, and one user does', async (t) => {
  const port = await serve((socket) => socket.end('hello'));
  const fetch = async (user: string) => readAll(await open({ ...live.at(port), user }));
  const since = live.events.length;
  for (const user of ['alice', 'bob', 'alice', 'bob']) await fetch(user);
  // What the client tells comes by another way than the bytes, but in order: after this one nothing of theirs does.
  await fetch('carol');
  const used = () => usedSince(since).length;
  await until(() => used() >= 3);
  t.is(used(), 3);
});

/** Names of the relays with a flag in the consensus. */
async function flagged(flag: string): Promise<string[]> {
  const { address, dirPort } = live.testnet.network.state('auth1').plan;
  const answer = await fetch(`http://${address}:${dirPort}/tor/status-vote/current/consensus`);
  const { routers } = parseConsensus(await answer.text());
  return routers.filter(({ flags }) => flags.has(flag)).map(({ nickname }) => nickname);
}

test.serial('the paths of all circuits keep every rule', async (t) => {
  const plans = new Map(live.testnet.network.context.plan.nodes.map((plan) => [plan.name, plan]));
  // The flags of a guard may have gone since it was chosen, not those of all relays that were made for it.
  const guardable = new Set([
    ...(await flagged('Guard')),
    ...[...plans.values()].filter(({ guard }) => guard).map(({ name }) => name),
  ]);
  const circuits = live.circuits('built');
  t.true(circuits.length >= 20, `only ${circuits.length} circuits`);
  for (const circuit of circuits) {
    const names = live.names(circuit);
    const path = names.map((name) => plans.get(name)!);
    const text = names.join(' ');
    t.is(path.length, 3, text);
    t.is(new Set(names).size, 3, `${text}: a relay twice`);
    t.is(new Set(path.map(({ address }) => address.split('.').slice(0, 2).join('.'))).size, 3, text);
    t.true(guardable.has(names[0]!), `${text}: the first is no guard`);
    if (circuit.kind === 'exit') t.true(path[2]!.exit, `${text}: the last is no exit`);
    t.true(names.filter((name) => FAMILY.includes(name)).length < 2, `${text}: two of one family`);
    t.false(names.includes(EXCLUDED), `${text}: an excluded relay`);
    if (circuit.kind === 'exit') t.not(names[2], EXCLUDED_EXIT, `${text}: an excluded exit`);
  }
  const guards = new Set(circuits.map((circuit) => live.names(circuit)[0]));
  t.true(guards.size <= 2, `more than a primary guard or two: ${[...guards]}`);
  // What is allowed does happen.
  const all = circuits.map((circuit) => live.names(circuit));
  t.true(all.some((names) => FAMILY.some((name) => names.includes(name))));
});

test.serial(
  'after load, what every role shows is by Prometheus’s rules, and its counters only grow',
  async (t) => {
    const ports = MEASURED.map((name) => {
      const told = live
        .told(name)
        .findLast((event) => event.type === 'listening' && event.what === 'metrics');
      return told?.type === 'listening' ? told.port : 0;
    });
    const first = await Promise.all(ports.map(scrape));
    await download(live.site(), '/bytes/1000000');
    const second = await Promise.all(ports.map(scrape));
    for (const [i, name] of MEASURED.entries()) {
      t.deepEqual(complaints(first[i]!.text), [], name);
      t.deepEqual(fallen(first[i]!.families, second[i]!.families), [], name);
    }
    const total = (name: string, metric: string) =>
      second[MEASURED.indexOf(name)]!.families.get(metric)!.samples.reduce(
        (sum, { value }) => sum + value,
        0,
      );
    t.true(total('relay1', 'tor_relay_traffic_bytes_total') > 0);
    t.true(total('auth1', 'cepa_authority_voting_steps_total') > 0);
    t.is(total('client', 'cepa_bootstrap_ratio'), 1);
    for (const name of MEASURED) t.is(total(name, 'cepa_ready'), 1, name);
  },
);

const hasConsensus = (event: NodeEvent) => event.type === 'consensus';
/** A relay is back when all authorities know: a consensus it may have from its disk, before its ports are open. */
const isPublished = (event: NodeEvent) => event.type === 'published' && event.authorities === 3;

/** The fingerprint a node told last, from event number `since` on. */
const identityOf = (name: string, since: number) =>
  live
    .told(name, since)
    .flatMap((event) => (event.type === 'identity' ? [event.fingerprint] : []))
    .at(-1);

for (const position of [1, 2, 0])
  test.serial(
    `kill -9 of ${['the guard', 'the middle', 'the exit'][position]} amid a transfer`,
    async (t) => {
      t.timeout(600_000);
      const since = live.events.length;
      let victim: string | undefined;
      let killed = 0;
      const transfer = download(live.site(), `/bytes/${1000 * MB}`, (size) => {
        if (size < MB || victim !== undefined) return;
        const used = usedSince(since).at(-1);
        // What the client tells may come after the bytes.
        if (!used) return;
        victim = live.names(used)[position];
        killed = performance.now();
        process.kill(live.pid(victim!), 'SIGKILL');
      });
      await t.throwsAsync(transfer);
      // The very next stream works, whatever the client has to find out for it.
      await download(live.site(), '/');
      const took = performance.now() - killed;
      await download(live.site(), '/');
      const usual = performance.now() - killed - took;
      t.log(`a new stream worked after ${Math.round(took)} ms; the next took ${Math.round(usual)} ms`);
      // Longer where everything takes longer.
      t.true(took < Math.max(10_000, 50 * usual), 'new streams work within 10 s');
      const log = live.log('client');
      t.notRegex(log, /\[err|bug/i);

      const { fingerprint } = live.testnet.network.state(victim!);
      const restarted = live.events.length;
      await live.start(victim!, isPublished);
      t.is(identityOf(victim!, restarted), fingerprint);
    },
  );

test.serial('an authority that was killed is back as who it was, with its documents', async (t) => {
  const before = live.testnet.network.state('auth2');
  const { fingerprint, v3ident, ed25519 } = before;
  const since = live.events.length;
  await live.restart('auth2', hasConsensus);
  t.like(live.testnet.network.state('auth2'), { fingerprint, v3ident, ed25519 });
  t.true(live.told('auth2', since).some((event) => event.type === 'consensus' && event.relays === 12));
  const { address, dirPort } = before.plan;
  const all = await fetch(`http://${address}:${dirPort}/tor/server/all`);
  t.is((await all.text()).match(/^router /gm)?.length, 12);
});

/** Puts nonsense into state files of a node that does not run; the names of those that were there. */
function damage(name: string, files: readonly string[]): string[] {
  const there = files.filter((file) => existsSync(live.path(name, file)));
  for (const file of there) writeFileSync(live.path(name, file), 'nonsense');
  return there;
}

const STATE_FILES = [
  'onion-keys.state',
  'cepa-state/consensus',
  'cepa-state/documents',
  'cepa-state/router-history',
  'cepa-state/shared-random',
  'cepa-state/guards',
  'cepa-state/build-times',
];

for (const [what, name, least, works] of [
  ['a relay', 'relay5', 3, hasConsensus],
  ['an authority', 'auth3', 5, hasConsensus],
  ['a client', 'client', 3, (event: NodeEvent) => event.type === 'bootstrap' && event.percent === 100],
] as const)
  test.serial(`damaged state of ${what} is set aside with a warning`, async (t) => {
    t.timeout(600_000);
    const { fingerprint } = live.testnet.network.state(name);
    await live.kill(name);
    const files = damage(name, STATE_FILES);
    t.true(files.length >= least, files.join());
    const length = live.log(name).length;
    const since = live.events.length;
    await live.start(name, works);
    const log = live.log(name).slice(length);
    for (const file of files) {
      const line = log.split('\n').find((each) => each.includes(`State file ${file} cannot be used`));
      const kept = /It was kept as (\S+);/.exec(line ?? '')?.[1] ?? '';
      t.is(readFileSync(live.path(name, kept), 'utf8'), 'nonsense', `${file}: ${line}`);
    }
    t.is(identityOf(name, since), fingerprint);
    await download(live.site(), '/');
  });

test.serial('a damaged key is an error that names the file, and no new key is made', async (t) => {
  await live.kill('relay5');
  const path = live.path('relay5', 'keys', 'secret_id_key');
  const key = readFileSync(path);
  writeFileSync(path, 'nonsense');
  live.testnet.network.startNode('relay5');
  const { child } = live.testnet.network.state('relay5');
  await until(() => child?.end !== undefined);
  t.deepEqual(child?.end, { code: 1, signal: null });
  t.regex(child?.lastWords() ?? '', /keys\/secret_id_key/);
  t.is(readFileSync(path, 'utf8'), 'nonsense');
  writeFileSync(path, key);
  const { fingerprint } = live.testnet.network.state('relay5');
  const since = live.events.length;
  await live.start('relay5', isPublished);
  t.is(identityOf('relay5', since), fingerprint);
});
