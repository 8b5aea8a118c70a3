import test from 'ava';
import { bytesOf, toHex } from '../shared/bytes/text.js';
import type { DirCache } from '../shared/dir/cache.js';
import { fetchOverConn } from '../shared/dir/fetch.js';
import { memoryLog } from '../shared/log/memory.js';
import { parseProtocols } from '../shared/netdoc/protover.js';
import { parseServerDescriptor } from '../shared/netdoc/server-descriptor.js';
import { memoryStore } from '../shared/store/memory.js';
import { testRandom } from '../shared/testing/random.js';
import { BandwidthTest } from './bandwidth-test.js';
import { makeFamilyKey } from './family-keys.js';
import { heartbeatText, sizeText, uptimeText } from './heartbeat.js';
import { pathToSelf } from './own-path.js';
import { SelfTest } from './self-test.js';
import { begin, echo, listen, network, type Running, SITE } from './testing/network.js';
import { optionsOf } from './testing.js';

test('sizes and times of the heartbeat', (t) => {
  t.is(sizeText(0), '0 bytes');
  t.is(sizeText(1023), '1023 bytes');
  t.is(sizeText(1.5 * 1024 ** 3), '1.50 GB');
  t.is(sizeText(5000 * 1024 ** 4), '5000.00 TB');
  t.is(uptimeText(59), '0:00 hours');
  t.is(uptimeText(2 * 86_400 + 3 * 3600 + 300), '2 days 3:05 hours');
});

test('every six hours a line sums up what the relay did', async (t) => {
  const { world, build, relays } = await network();
  const circuit = await build(true);
  await world.advance(6 * 3_600_000 + 1000);
  const text = relays[2]!.log.text();
  t.regex(
    text,
    /Heartbeat: uptime is 6:00 hours, with [01] circuits open on \d links\. Sent .* kB and received/,
  );
  t.regex(text, /The consensus does not list us/);
  t.regex(text, /1 ntor-v3/);
  t.regex(heartbeatText(relays[2]!.node.status(), 1, ['Running', 'Fast'])[0]!, /Flags: Fast Running\./);
  circuit.close();
});

test('a new configuration is taken over without losing a circuit', async (t) => {
  const { world, build, relays } = await network();
  await listen(world, echo);
  const circuit = await build(true);
  const { node, host } = relays[2]!;
  const next = (...lines: string[]) =>
    optionsOf(
      'Nickname renamed',
      'ExtendAllowPrivateAddresses 1',
      'RefuseUnknownExits 0',
      'ExitPolicyRejectPrivate 0',
      'ExitPolicy accept *:81,reject *:*',
      'ContactInfo somebody else',
      ...lines,
    );
  const before = node.descriptor()!.descriptor;
  const taken = node.reload(next('ORPort 127.3.0.1:9001', 'ORPort 127.3.0.1:9003', 'BandwidthRate 2 MBytes'));
  await world.advance(1_000);
  t.true(taken.includes('ExitPolicy') && taken.includes('ContactInfo') && !taken.includes('DataDirectory'));
  const after = parseServerDescriptor(node.descriptor()!.descriptor);
  t.not(node.descriptor()!.descriptor, before);
  t.is(after.nickname, 'renamed');
  t.is(after.contact, 'somebody else');
  t.is(after.bandwidth.rate, 2 * 1024 ** 2);
  t.is(circuit.failure, undefined);
  const refused = begin(circuit, SITE);
  await world.advance(1_000);
  t.is(refused.reading.ended?.reason, 4);
  // The new port listens, the old one goes on.
  const dial = (port: number) => host.transport.dialTls({ host: '127.3.0.1', port });
  await t.notThrowsAsync(world.until(dial(9003)));
  await t.notThrowsAsync(world.until(dial(9001)));
  node.reload(next('ORPort 127.3.0.1:9003'));
  await world.advance(1_000);
  await t.throwsAsync(world.until(dial(9001)));
  t.is(parseServerDescriptor(node.descriptor()!.descriptor).orPort, 9003);
  t.is(circuit.failure, undefined);
});

test('family keys are read again at SIGHUP, though FamilyId says the same', async (t) => {
  const store = memoryStore();
  const random = testRandom('families');
  const lines = ['FamilyId *', 'FamilyKeyDirectory /families'];
  const { world, relays } = await network(
    () => lines,
    () => ({ storeAt: () => store }),
  );
  const { node, log } = relays[0]!;
  const families = () => parseServerDescriptor(node.descriptor()!.descriptor).familyIds;
  const hangUp = async () => {
    node.reload(
      optionsOf('Nickname relay1', 'ORPort 127.1.0.1:9001', 'ExtendAllowPrivateAddresses 1', ...lines),
    );
    await world.advance(1000);
  };
  t.deepEqual(families(), []);
  const id = await makeFamilyKey(store, 'us', random);
  await hangUp();
  t.deepEqual(families(), [`ed25519:${id}`]);
  // One that is damaged costs nothing of what was read before.
  await store.write('them.secret_family_key', new Uint8Array(3));
  await hangUp();
  t.deepEqual(families(), [`ed25519:${id}`]);
  t.regex(log.text(), /family keys stay as they are: them\.secret_family_key/);
  await store.remove('them.secret_family_key');
  await store.remove('us.secret_family_key');
  await hangUp();
  t.deepEqual(families(), []);
});

test('the directory port shows a page to people, read again at SIGHUP', async (t) => {
  const store = memoryStore();
  store.files.set('exit-notice.html', bytesOf('<h1>This is an exit</h1>'));
  const lines = ['DirPort 127.1.0.1:9030', 'DirPortFrontPage /etc/exit-notice.html'];
  const { world, relays } = await network(
    (n) => (n === 1 ? lines : []),
    () => ({ storeAt: (directory) => (directory === '/etc' ? store : memoryStore()) }),
  );
  const { node, log } = relays[0]!;
  const client = world.host('127.8.0.1');
  const page = async () => {
    const { status, headers, body } = await world.until(
      fetchOverConn(
        client.transport,
        { host: '127.1.0.1', port: 9030 },
        { method: 'GET', path: '/', headers: {} },
        { clock: client.clock, timeout: 10_000 },
      ),
    );
    return [status, headers['content-type'], Buffer.from(body).toString()];
  };
  t.deepEqual(await page(), [200, 'text/html', '<h1>This is an exit</h1>']);
  store.files.set('exit-notice.html', bytesOf('<h1>Still one</h1>'));
  const hangUp = async (...more: string[]) => {
    node.reload(optionsOf('Nickname relay1', 'ORPort 127.1.0.1:9001', ...more));
    await world.advance(1000);
  };
  await hangUp(...lines);
  t.is((await page())[2], '<h1>Still one</h1>');
  await hangUp(lines[0]!, 'DirPortFrontPage /etc/gone.html');
  t.is((await page())[0], 404);
  t.regex(log.text(), /there is no file \/etc\/gone\.html/);
});

test('what goes over a DirPort is counted, and limited', async (t) => {
  const { world, relays } = await network((n) =>
    n === 1
      ? ['DirPort 127.1.0.1:9030', 'RelayBandwidthRate 100 KBytes', 'RelayBandwidthBurst 100 KBytes']
      : [],
  );
  const { node } = relays[0]!;
  const client = world.host('127.8.0.1');
  const fetchOnce = () =>
    fetchOverConn(
      client.transport,
      { host: '127.1.0.1', port: 9030 },
      { method: 'GET', path: '/tor/server/authority', headers: {} },
      { clock: client.clock, timeout: 600_000 },
    );
  const before = node.status().bandwidth.written;
  const { status, body } = await world.until(fetchOnce());
  t.is(status, 200);
  t.true(node.status().bandwidth.written - before >= body.length);
  const start = client.clock.monotonic();
  const rounds = Math.ceil((1000 * 1024) / body.length);
  for (let i = 0; i < rounds; i += 20) await world.until(Promise.all(Array.from({ length: 20 }, fetchOnce)));
  const seconds = (client.clock.monotonic() - start) / 1000;
  // A megabyte at a tenth of that a second.
  t.true(seconds > 7 && seconds < 15, `${seconds}`);
});

test('a port that cannot be opened leaves the old ones as they were', async (t) => {
  const { world, relays } = await network();
  const { node, host, log } = relays[0]!;
  await host.transport.listenTcp({ host: '127.1.0.1', port: 9009 }, () => {});
  node.reload(optionsOf('ORPort 127.1.0.1:9009'));
  await world.advance(1_000);
  t.regex(log.text(), /ports of the new configuration cannot be used: .*9009/);
  await t.notThrowsAsync(world.until(host.transport.dialTls({ host: '127.1.0.1', port: 9001 })));
});

test('what else changed is taken over although a port cannot be opened, and a closed port is not told', async (t) => {
  const { world, relays } = await network((n) => (n === 1 ? ['DirPort 127.1.0.1:9030'] : []));
  const { node, host, log } = relays[0]!;
  await host.transport.listenTcp({ host: '127.1.0.1', port: 9009 }, () => {});
  const next = (...lines: string[]) => optionsOf(...lines, 'ExtendAllowPrivateAddresses 1');
  const told = () => parseServerDescriptor(node.descriptor()!.descriptor);
  node.reload(next('ORPort 127.1.0.1:9009', 'Address 127.1.0.7', 'ContactInfo somebody else'));
  await world.advance(1_000);
  t.regex(log.text(), /ports of the new configuration cannot be used: .*9009/);
  t.deepEqual([told().contact, told().address, told().orPort], ['somebody else', '127.1.0.7', 9001]);
  node.reload(next('ORPort 127.1.0.1:9010', 'DirPort 127.1.0.1:9009'));
  await world.advance(1_000);
  t.is(told().orPort, 9010);
  await t.notThrowsAsync(world.until(host.transport.dialTls({ host: '127.1.0.1', port: 9010 })));
});

test('an Address that is a name is looked up again, and a change of it published', async (t) => {
  const { world, relays } = await network();
  const { node } = relays[0]!;
  const told = () => parseServerDescriptor(node.descriptor()!.descriptor).address;
  world.names.set('home.example', ['127.1.0.7']);
  node.reload(optionsOf('ORPort 127.1.0.1:9001', 'ExtendAllowPrivateAddresses 1', 'Address home.example'));
  await world.advance(1_000);
  t.is(told(), '127.1.0.7');
  world.names.set('home.example', ['127.1.0.8']);
  await world.advance(11 * 60_000);
  t.is(told(), '127.1.0.8');
});

test('two changes of ports at once leave the ports of the second, and no others', async (t) => {
  const { world, relays } = await network();
  const { node, host, log } = relays[0]!;
  node.reload(optionsOf('ORPort 127.1.0.1:9009'));
  node.reload(optionsOf('ORPort 127.1.0.1:9010'));
  await world.advance(1_000);
  const dial = (port: number) =>
    world.until(
      host.transport.dialTls({ host: '127.1.0.1', port }).then(
        () => 'open',
        () => 'refused',
      ),
    );
  t.deepEqual([await dial(9001), await dial(9009), await dial(9010)], ['refused', 'refused', 'open']);
  t.notRegex(log.text(), /cannot be used/);
});

/** A cache that knows the other relays. */
function cacheOf(others: readonly Running[]): DirCache {
  const routers = others.map(({ node }) => {
    const { address, orPort, protocols } = parseServerDescriptor(node.descriptor()!.descriptor);
    const flags = new Set(['Running', 'Valid']);
    return { id: node.fingerprint, address, orPort, protocols, flags, microdescDigest: node.keys.rsaId };
  });
  return {
    consensus: () => ({ routers }),
    microdesc(digest: Uint8Array) {
      const found = others.find(({ node }) => toHex(node.keys.rsaId) === toHex(digest))!;
      const { ed25519Id, ntorOnionKey } = parseServerDescriptor(found.node.descriptor()!.descriptor);
      return { ed25519Id, ntorOnionKey };
    },
  } as unknown as DirCache;
}

/** A relay that has no need to test its bandwidth. */
const carriedEnough = { observed: () => 60_000, rate: () => 1024 ** 3, tested() {}, awake: () => true };

test('the ORPort is tested from outside, through two other relays, before anything is published', async (t) => {
  const { world, relays } = await network();
  const [one, two, self] = relays as [Running, Running, Running];
  t.notRegex(self.log.text(), /was reached from outside/);
  let found = 0;
  const selfTest = new SelfTest({
    ...{ ...self.host, ...carriedEnough, log: self.log },
    cache: cacheOf([one, two]),
    channels: self.node.channels,
    keys: self.node.keys,
    address: (family) => (family === 4 ? { host: '127.3.0.1', port: 9001 } : undefined),
    assumed: () => false,
    allowPrivate: () => true,
    found: () => void found++,
  });
  t.false(selfTest.done);
  selfTest.start();
  await world.advance(5_000);
  // The relay's own test saw the link that the second relay made.
  t.regex(self.log.text(), /The IPv4 ORPort was reached from outside/);
  const link = [...self.node.channels.channels].find(({ initiator }) => !initiator)!;
  selfTest.opened(link, '127.3.0.1');
  selfTest.asked(link);
  t.is(found, 1);
  t.true(selfTest.done);
  selfTest.stop();
});

test('a relay that nobody reaches says so, and links of its own prove nothing', async (t) => {
  const { world, relays } = await network();
  const { host, node, log } = relays[0]!;
  const selfTest = new SelfTest({
    ...{ ...host, ...carriedEnough, log },
    cache: { consensus: () => undefined } as unknown as DirCache,
    channels: node.channels,
    keys: node.keys,
    address: (family) => (family === 4 ? { host: '198.51.100.1', port: 9001 } : undefined),
    assumed: () => false,
    allowPrivate: () => false,
    found: () => t.fail(),
  });
  selfTest.start();
  const channel = { initiator: false, remote: { host: '198.51.100.7', port: 1 } };
  type Asking = Parameters<SelfTest['asked']>[0];
  selfTest.asked({ ...channel, initiator: true } as Asking);
  selfTest.asked({ ...channel, remote: { host: '198.51.100.1', port: 1 } } as Asking);
  selfTest.asked({ ...channel, remote: { host: '10.0.0.1', port: 1 } } as Asking);
  t.false(selfTest.done);
  await world.advance(21 * 60_000);
  t.regex(log.text(), /After 2[01] minutes nobody has reached the IPv4 ORPort 9001/);
  selfTest.stop();
});

test('a relay that sleeps tests no port, and does not say that nobody reaches it', async (t) => {
  const { world, relays } = await network();
  const [one, two, self] = relays as [Running, Running, Running];
  const log = memoryLog();
  let [awake, asked] = [false, 0];
  const selfTest = new SelfTest({
    ...{ ...self.host, ...carriedEnough, log },
    cache: cacheOf([one, two]),
    channels: {
      get: () => {
        asked++;
        return Promise.reject(new Error('no matter'));
      },
    },
    keys: self.node.keys,
    address: (family) => (family === 4 ? { host: '127.3.0.1', port: 9001 } : undefined),
    assumed: () => false,
    allowPrivate: () => true,
    found() {},
    awake: () => awake,
  });
  selfTest.start();
  await world.advance(21 * 60_000);
  t.is(asked, 0);
  awake = true;
  selfTest.retry();
  await world.advance(1_000);
  t.true(asked > 0);
  t.notRegex(log.text(), /nobody has reached/);
  selfTest.stop();
});

test('each IP version is reached by itself, and both are before anything is published', async (t) => {
  const { relays } = await network();
  const { host, node, log } = relays[0]!;
  let [found, six] = [0, '2001:db8::1'];
  const selfTest = new SelfTest({
    ...{ ...host, ...carriedEnough, log },
    cache: { consensus: () => undefined } as unknown as DirCache,
    channels: node.channels,
    keys: node.keys,
    address: (family) => ({ host: family === 4 ? '198.51.100.1' : six, port: 9001 }),
    assumed: () => false,
    allowPrivate: () => false,
    found: () => void found++,
  });
  type Asking = Parameters<SelfTest['asked']>[0];
  const asked = (from: string, seen: string | undefined) => {
    const channel = { initiator: false, remote: { host: from, port: 1 } } as Asking;
    selfTest.opened(channel, seen);
    selfTest.asked(channel);
    return channel;
  };
  // Not from itself, nor from where only neighbours come from.
  for (const from of ['2001:db8::1', 'fe80::7', 'fd00::7', '::1']) asked(from, six);
  // Nor where somebody came to another address, or does not say to which.
  for (const seen of ['2001:db8::9', '198.51.100.1', undefined]) asked('2001:db8::7', seen);
  t.is(found, 0);
  const link = asked('2001:db8::7', '2001:DB8:0::1');
  t.deepEqual([selfTest.isReached(4), selfTest.isReached(6), selfTest.done], [false, true, false]);
  t.regex(log.text(), /The IPv6 ORPort was reached from outside/);
  asked('203.0.113.7', '198.51.100.1');
  t.true(selfTest.done);
  t.is(found, 2);
  // Another address has to be tested anew.
  six = '2001:db8::2';
  t.false(selfTest.done);
  // A circuit over a link to the one before says nothing of it.
  selfTest.asked(link);
  t.false(selfTest.done);
});

test('an IPv6 port is tested through a relay that has one and extends over IPv6', async (t) => {
  const { relays } = await network();
  const { host, node } = relays[2]!;
  const known = cacheOf(relays.slice(0, 2));
  const ipv6 = { host: '2001:db8::2', port: 9001 };
  const pathWith = (protocols: string, has = true) => {
    const routers = known.consensus('microdesc')!.routers.map((router, i) => ({
      ...router,
      ...(i === 1 && has && { ipv6 }),
      protocols: parseProtocols(protocols),
    }));
    const cache = { ...known, consensus: () => ({ routers }) } as unknown as DirCache;
    const address = () => ({ host: '2001:db8::3', port: 9001 });
    return pathToSelf({ ...host, cache, keys: node.keys, address }, 6);
  };
  t.is(pathWith('Relay=2-4', false), undefined);
  t.is(pathWith('Relay=2'), undefined);
  const path = pathWith('Relay=2-4')!;
  t.is(toHex(path[1].rsaId), relays[1]!.node.fingerprint);
  t.deepEqual(path[2].addresses, [{ host: '2001:db8::3', port: 9001 }]);
});

/** A test of the third relay's bandwidth, of which it has carried `observed` bytes a second by its own word. */
async function bandwidthTest(
  set: { observed?: number; rate?: number; ready?: boolean; known?: number } = {},
) {
  const { world, relays } = await network();
  const { host, node, log } = relays[2]!;
  const { observed = 0, rate = 1024 ** 3, ready = true, known = 2 } = set;
  const done: number[] = [];
  const env = {
    ...{ ...host, log, cache: cacheOf(relays.slice(0, known)), channels: node.channels, keys: node.keys },
    address: (family: 4 | 6) => (family === 4 ? { host: '127.3.0.1', port: 9001 } : undefined),
    ready: () => ready,
    observed: () => observed,
    rate: () => rate,
    tested: () => void done.push(node.status().bandwidth.observed),
  };
  const tested = new BandwidthTest(env);
  tested.start();
  return { world, node, log, env, tested, done };
}

const tests = (log: Running['log']): number => log.text().split('bandwidth self-test').length - 1;

test('a relay that carried nothing tests its bandwidth a minute or two after the start', async (t) => {
  const { world, node, log, env, tested, done } = await bandwidthTest();
  await world.advance(59_000);
  t.is(tests(log), 0);
  await world.advance(63_000);
  t.is(tests(log), 1);
  await world.advance(15_000);
  // A thousand cells to itself, in ten seconds.
  t.true(done.length === 1 && done[0]! >= 51_200, `${done}`);
  t.is(node.status().circuits.circuits, 0);
  // Half a day later it looks again: now enough was carried.
  env.observed = () => 51_200;
  await world.advance(13 * 3_600_000);
  t.is(tests(log), 1);
  env.observed = () => 51_199;
  await world.advance(12 * 3_600_000);
  t.is(tests(log), 2);
  tested.stop();
  await world.advance(13 * 3_600_000);
  t.is(tests(log), 2);
});

test('a test of the bandwidth keeps to the limit, and is not made where it says nothing', async (t) => {
  const limited = await bandwidthTest({ rate: 5140 });
  await limited.world.advance(130_000);
  t.is(tests(limited.log), 1);
  // A hundred cells, and some that make and close circuits.
  const { observed } = limited.node.status().bandwidth;
  t.true(observed >= 5140 && observed < 10_000, `${observed}`);
  for (const set of [{ observed: 60_000 }, { observed: 5140, rate: 5140 }, { ready: false }, { known: 1 }]) {
    const { world, log, tested } = await bandwidthTest(set);
    await world.advance(10 * 60_000);
    t.is(tests(log), 0, JSON.stringify(set));
    tested.stop();
  }
});
