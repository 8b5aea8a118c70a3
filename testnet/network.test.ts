/**
 * A whole network of real processes on real sockets: what it carries, what it refuses, and how it heals.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { demoBytes, demoDigest } from './demo-site.js';
import { launchTestnet, type Testnet } from './launch.js';
import { connectBySocks, FetchError, requestBySocks, type SocksTarget } from './socks-fetch.js';
import { nodeDirectory } from './torrc-of.js';

const test = anyTest as TestFn<{ testnet: Testnet }>;
const MB = 1_000_000;

test.before(async (t) => {
  t.timeout(120_000);
  t.context.testnet = await launchTestnet({
    size: { authorities: 3, relays: 9, exits: 3 },
    socks: '127.0.0.1:auto',
  });
});

test.after.always(async (t) => {
  await t.context.testnet?.stop();
});

/** The demo site, by name, through the network. */
const demo = ({ network, socks }: Testnet): SocksTarget => {
  const { host, port } = network.context.plan.demo;
  return { proxy: socks, host, port, timeout: 20_000 };
};

async function download(testnet: Testnet, size: number): Promise<string> {
  const answer = await requestBySocks(demo(testnet), { path: `/bytes/${size}` });
  const hash = createHash('sha256');
  for await (const chunk of answer) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function* pattern(size: number): Generator<Uint8Array> {
  for (let sent = 0; sent < size; ) {
    const part = demoBytes(sent, size - sent);
    sent += part.length;
    yield part;
  }
}

test.serial('100 MB come through three hops whole', async (t) => {
  t.timeout(120_000);
  t.is(await download(t.context.testnet, 100 * MB), demoDigest(100 * MB));
});

test.serial('10 streams of 10 MB side by side', async (t) => {
  t.timeout(120_000);
  const digests = await Promise.all(Array.from({ length: 10 }, () => download(t.context.testnet, 10 * MB)));
  t.deepEqual(new Set(digests), new Set([demoDigest(10 * MB)]));
});

test.serial('50 MB go up whole', async (t) => {
  t.timeout(120_000);
  const answer = await requestBySocks(
    demo(t.context.testnet),
    { path: '/upload', method: 'POST', headers: { 'content-length': 50 * MB } },
    pattern(50 * MB),
  );
  let text = '';
  for await (const chunk of answer) text += chunk;
  t.deepEqual(JSON.parse(text), { size: 50 * MB, sha256: demoDigest(50 * MB) });
});

test.serial('what an exit refuses comes back as SOCKS says it', async (t) => {
  t.timeout(60_000);
  const target = demo(t.context.testnet);
  const refused = await t.throwsAsync(connectBySocks({ ...target, port: 25 }), { instanceOf: FetchError });
  t.is(refused.reply, 2, 'not allowed by the ruleset');
  const unknown = await t.throwsAsync(connectBySocks({ ...target, host: 'nowhere.cepa.test' }), {
    instanceOf: FetchError,
  });
  t.is(unknown.reply, 4, 'host unreachable');
  const closed = await t.throwsAsync(connectBySocks({ ...target, port: 1 }), { instanceOf: FetchError });
  t.is(closed.reply, 5, 'connection refused');
});

/** Downloads until it breaks or ends; whether it came whole. */
async function cutOff(testnet: Testnet, started: () => void): Promise<boolean> {
  const answer = await requestBySocks(demo(testnet), { path: '/bytes/9000000000' });
  try {
    for await (const chunk of answer) if ((chunk as Buffer).length > 0) started();
  } catch {
    return false;
  }
  return answer.complete;
}

test.serial(
  'kill -9 of the exit in a transfer: its streams end, new ones work, and it comes back as itself',
  async (t) => {
    t.timeout(120_000);
    const { testnet } = t.context;
    const { network } = testnet;
    let cameFrom = '';
    const stopListening = network.listen((event) => {
      if (event.type === 'visit') cameFrom = event.address;
    });
    let started: () => void = () => {};
    const first = new Promise<void>((resolve) => {
      started = resolve;
    });
    const transfer = cutOff(testnet, () => started());
    await first;
    const victim = [...network.nodes.values()].find(({ plan }) => plan.address === cameFrom);
    t.true(victim?.plan.exit);
    const identity = victim?.fingerprint;
    victim?.child?.kill();
    t.false(await transfer, 'the stream of the dead exit ends');

    const killed = performance.now();
    let works = false;
    while (!works && performance.now() - killed < 10_000)
      works = await download(testnet, 1000).then(
        (digest) => digest === demoDigest(1000),
        () => false,
      );
    t.true(works, 'a new stream works within 10 s');

    network.startNode(victim?.plan.name ?? '');
    await heard(testnet, victim?.plan.name ?? '', 'consensus');
    t.is(victim?.fingerprint, identity, 'with its identity');
    stopListening();
  },
);

test.serial(
  'kill -9 of an authority and its return: it has its identity, and the network votes on',
  async (t) => {
    t.timeout(120_000);
    const { testnet } = t.context;
    const authority = testnet.network.state('auth2');
    const { v3ident, fingerprint } = authority;
    authority.child?.kill();
    // Two of three still make a consensus.
    await heard(testnet, 'auth1', 'consensus');
    testnet.network.startNode('auth2');
    await heard(testnet, 'auth2', 'identity');
    t.is(authority.v3ident, v3ident);
    t.is(authority.fingerprint, fingerprint);
    await heard(testnet, 'auth2', 'consensus');
    const log = readFileSync(join(nodeDirectory(testnet.directory, authority.plan), 'notice.log'), 'utf8');
    t.notRegex(log, /\[err\]/);
  },
);

/** Waits for the next event of a kind from a node. */
const heard = ({ network }: Testnet, name: string, type: string): Promise<void> =>
  new Promise((resolve) => {
    const stop = network.listen((event) => {
      if (event.type !== 'node' || event.name !== name || event.event.type !== type) return;
      stop();
      resolve();
    });
  });
