import test from 'ava';
import { loadOrCreateRelayKeys } from '../shared/crypto/relay-keys.js';
import { memoryLog } from '../shared/log/memory.js';
import { checkExtraInfo, parseExtraInfo } from '../shared/netdoc/extra-info.js';
import { parseServerDescriptor } from '../shared/netdoc/server-descriptor.js';
import { HandClock } from '../shared/onion/testing.js';
import type { Resolver } from '../shared/runtime/types.js';
import { memoryStore } from '../shared/store/memory.js';
import { testRandom } from '../shared/testing/random.js';
import type { Options } from '../shared/torrc/options.js';
import { BandwidthHistory, PERIOD } from './bandwidth.js';
import { buildOwnDocuments, type SelfDescription } from './descriptor.js';
import { exitRulesOf, isExitWanted } from './exit-rules.js';
import { Network } from './network.js';
import { linkSource, openPort, planPorts } from './ports.js';
import { SelfAddress } from './self.js';
import { optionsOf } from './testing.js';

const resolver: Resolver = {
  resolve: async (name) => {
    if (name !== 'relay.example') throw new Error(`${name} is unknown`);
    return [{ address: '203.0.113.9', family: 4, ttl: 60 }];
  },
  reverse: () => Promise.reject(new Error('not asked')),
};
const nothing = new Network({
  consensus: () => undefined,
  descriptorOf: () => undefined,
  microdesc: () => undefined,
});

/** The addresses of a relay whose ports are open; `auto` becomes 12345. */
async function placed(options: Options) {
  const log = memoryLog();
  let changes = 0;
  const self = new SelfAddress(options, log, () => void changes++);
  await self.configure(resolver);
  const listened: string[] = [];
  const open = (ports: Options['ORPort']) =>
    Promise.all(
      planPorts(ports).map((plan) =>
        openPort(plan, async (at) => {
          listened.push(`${at.host} ${at.port}`);
          return { local: { host: at.host, port: at.port || 12345 }, close: async () => {} };
        }),
      ),
    );
  self.opened(await open(options.ORPort), await open(options.DirPort));
  return { self, log, listened, changes: () => changes };
}

test('several ORPorts, IPv6 among them, advertised by their flags', async (t) => {
  const { self, listened } = await placed(
    optionsOf(
      'ORPort 9001 NoAdvertise',
      'ORPort 443 NoListen',
      'ORPort [2001:db8::9]:9002',
      'ORPort 0.0.0.0:9003 NoAdvertise',
      'DirPort 9030',
      'Address 203.0.113.1',
    ),
  );
  t.deepEqual(self.orAddress(4), { host: '203.0.113.1', port: 443 });
  t.deepEqual(self.orAddress(6), { host: '2001:db8::9', port: 9002 });
  t.is(self.dirPort, 9030);
  t.deepEqual(listened, ['0.0.0.0 9001', '2001:db8::9 9002', '0.0.0.0 9003', '0.0.0.0 9030']);
});

test('the address is the configured one, or the ORPort’s own, or what a name resolves to', async (t) => {
  const of = async (...lines: string[]) => (await placed(optionsOf(...lines))).self.orAddress(4);
  t.deepEqual(await of('ORPort auto', 'Address 203.0.113.1'), { host: '203.0.113.1', port: 12345 });
  t.deepEqual(await of('ORPort 203.0.113.2:9001'), { host: '203.0.113.2', port: 9001 });
  t.deepEqual(await of('ORPort 203.0.113.2:9001', 'Address 203.0.113.1'), {
    host: '203.0.113.1',
    port: 9001,
  });
  t.deepEqual(await of('ORPort 9001', 'Address relay.example'), { host: '203.0.113.9', port: 9001 });
  t.is(await of('ORPort 9001', 'Address nobody.example'), undefined);
});

test('of two readings at once the later counts, and a name that no longer resolves keeps its address', async (t) => {
  const options = optionsOf('ORPort 9001', 'Address slow.example');
  const log = memoryLog();
  const self = new SelfAddress(options, log, () => {});
  const answers: ((host: string) => void)[] = [];
  const asked: Resolver = {
    ...resolver,
    resolve: () =>
      new Promise((resolve, reject) => {
        answers.push((address) =>
          address === '' ? reject(new Error('gone')) : resolve([{ address, family: 4, ttl: 60 }]),
        );
      }),
  };
  self.opened([{ listener: undefined, plan: planPorts(options.ORPort)[0]!, port: 9001 }], []);
  const slow = self.configure(asked);
  Object.assign(options, { Address: ['203.0.113.1'] });
  t.true(await self.configure(asked));
  answers[0]!('203.0.113.2');
  t.false(await slow);
  t.is(self.orAddress(4)?.host, '203.0.113.1');
  Object.assign(options, { Address: ['slow.example'] });
  for (const [answer, changed, host] of [
    ['203.0.113.3', true, '203.0.113.3'],
    ['203.0.113.3', false, '203.0.113.3'],
    ['', false, '203.0.113.3'],
    ['203.0.113.4', true, '203.0.113.4'],
  ] as const) {
    const reading = self.configure(asked);
    answers.at(-1)!(answer);
    t.is(await reading, changed);
    t.is(self.orAddress(4)?.host, host);
  }
});

test('authorities’ suggestions are heeded where nothing is configured', async (t) => {
  const { self, changes } = await placed(optionsOf('ORPort 9001'));
  self.suggest('10.0.0.1');
  t.is(self.orAddress(4), undefined);
  self.suggest('203.0.113.4');
  t.deepEqual(self.orAddress(4), { host: '203.0.113.4', port: 9001 });
  t.is(changes(), 1);
  self.suggest('203.0.113.4');
  self.suggest('203.0.113.5');
  t.is(self.orAddress(4)?.host, '203.0.113.4');
  self.suggest('203.0.113.5');
  self.suggest('203.0.113.5');
  t.is(self.orAddress(4)?.host, '203.0.113.5');
  const fixed = await placed(optionsOf('ORPort 9001', 'Address 203.0.113.1'));
  fixed.self.suggest('203.0.113.4');
  t.is(fixed.self.orAddress(4)?.host, '203.0.113.1');
});

test('a relay on loopback dials from its own address there', (t) => {
  t.is(linkSource(optionsOf('ORPort 127.5.0.1:9001')), '127.5.0.1');
  t.is(linkSource(optionsOf('ORPort 203.0.113.1:9001')), undefined);
  t.is(linkSource(optionsOf('ORPort 127.5.0.1:9001', 'OutboundBindAddress 127.6.0.1')), '127.6.0.1');
  const lines = [
    'ORPort 127.5.0.1:9001',
    'OutboundBindAddress 127.6.0.1',
    'OutboundBindAddress [2001:db8::6]',
  ];
  t.is(linkSource(optionsOf(...lines, 'OutboundBindAddressOR 127.7.0.1')), '127.7.0.1');
  const own = optionsOf(...lines, 'OutboundBindAddressExit 127.8.0.1');
  t.is(linkSource(own), '127.6.0.1');
});

test('a relay is no exit unless told', (t) => {
  const wanted = (...lines: string[]) => isExitWanted(optionsOf('ORPort 9001', ...lines));
  t.false(wanted());
  t.true(wanted('ExitRelay 1'));
  t.true(wanted('ExitPolicy accept *:80'));
  t.true(wanted('ReducedExitPolicy 1'));
  t.false(wanted('ExitPolicy accept *:80', 'ExitRelay 0'));
});

test('a relay whose policy refuses everything looks no names up', async (t) => {
  const isExit = async (...lines: string[]) => {
    const options = optionsOf('ORPort 203.0.113.1:9001', ...lines);
    return exitRulesOf(options, (await placed(options)).self, nothing).isExit;
  };
  t.false(await isExit('ExitPolicy reject *:*'));
  t.false(await isExit('ExitRelay 1', 'IPv6Exit 1', 'ExitPolicy reject *:*,accept *:80'));
  t.true(await isExit('ExitPolicy accept *:80,reject *:*'));
  t.true(await isExit('IPv6Exit 1', 'ExitPolicy accept6 *:80,reject *:*'));
  t.true(await isExit('ExitRelay 1'));
});

test('an exit refuses its own addresses, private ones, and IPv6 where it has none', async (t) => {
  const options = optionsOf('ORPort 203.0.113.1:9001', 'ExitPolicy accept *:*');
  const { self } = await placed(options);
  const { policy } = exitRulesOf(options, self, nothing);
  t.false(policy.allows('203.0.113.1', 80));
  t.false(policy.allows('127.0.0.1', 80));
  t.false(policy.allows('2001:db8::1', 80));
  t.true(policy.allows('203.0.113.2', 80));
});

test('streams leave from an address of their own, which the exit refuses too, as that of its links', async (t) => {
  const lines = ['ORPort 203.0.113.1:9001', 'ReducedExitPolicy 1', 'OutboundBindAddress 203.0.113.5'];
  const options = optionsOf(
    ...lines,
    'OutboundBindAddressExit 203.0.113.6',
    'OutboundBindAddressOR 203.0.113.7',
  );
  const { self } = await placed(options);
  const { bind, policy } = exitRulesOf(options, self, nothing);
  t.deepEqual(bind, { 4: '203.0.113.6' });
  t.deepEqual(
    [5, 6, 7].map((last) => policy.allows(`203.0.113.${last}`, 443)),
    [true, false, false],
  );
  t.false(policy.allows('203.0.113.5', 25));
});

test('the policy is made once, and anew when the configuration was read again', async (t) => {
  const lines = ['ORPort 203.0.113.1:9001', 'ExitRelay 1'];
  const options = optionsOf(...lines, 'ExitPolicy accept *:*');
  const { self } = await placed(options);
  const rules = exitRulesOf(options, self, nothing);
  const { policy } = rules;
  t.is(rules.policy, policy);
  t.true(policy.allows('203.0.113.2', 25));
  Object.assign(options, { ExitPolicy: optionsOf(...lines, 'ExitPolicy reject *:25').ExitPolicy });
  t.false(rules.policy.allows('203.0.113.2', 25));
});

async function describe(options: Options, more: Partial<SelfDescription> = {}) {
  const clock = new HandClock();
  clock.pass(Date.UTC(2026, 0, 1));
  const env = { clock, random: testRandom('self'), log: memoryLog() };
  const keys = await loadOrCreateRelayKeys(memoryStore(), env);
  const { self } = await placed(options);
  const history = new BandwidthHistory(clock);
  const description = {
    options,
    keys,
    address: self,
    policy: exitRulesOf(options, self, nothing).policy,
    history,
    now: clock.now(),
    uptime: 7,
    hibernating: false,
    isDirectory: true,
    isAuthority: false,
    isHsDir: false,
    familyKeys: [],
    ...more,
  };
  return { clock, keys, history, build: () => buildOwnDocuments({ ...description, now: clock.now() }) };
}

test('the descriptor says what this relay is and does', async (t) => {
  const other = 'C'.repeat(40);
  const options = optionsOf(
    'Nickname tester',
    'ORPort 203.0.113.1:9001',
    'ORPort [2001:db8::9]:9002',
    'ContactInfo somebody <a@example.test>',
    `MyFamily ${other}`,
    'ExitPolicy accept *:80,reject *:*',
    'BandwidthRate 2 MB',
    'MaxAdvertisedBandwidth 1 MB',
  );
  const { build, keys } = await describe(options);
  const documents = build()!;
  const descriptor = parseServerDescriptor(documents.descriptor);
  t.is(descriptor.nickname, 'tester');
  t.is(descriptor.address, '203.0.113.1');
  t.is(descriptor.orPort, 9001);
  t.deepEqual(descriptor.orAddresses, [{ host: '2001:db8::9', port: 9002 }]);
  t.deepEqual(Buffer.from(descriptor.rsaId), Buffer.from(keys.rsaId));
  t.is(descriptor.contact, 'somebody <a@example.test>');
  t.deepEqual(descriptor.family, [`$${other}`]);
  t.deepEqual(descriptor.bandwidth, { rate: 1024 * 1024, burst: 1024 ** 3, observed: 0 });
  t.is(descriptor.uptime, 7);
  t.true(descriptor.tunnelledDirServer);
  t.false(descriptor.wantsHsDir);
  t.true(descriptor.exitPolicy.allows('198.51.100.1', 80));
  t.false(descriptor.exitPolicy.allows('198.51.100.1', 25));
  // A promise beyond what is built would break every client that takes it up.
  const { protocols } = descriptor;
  t.true(protocols.has('Relay', 4) && protocols.has('FlowCtrl', 2) && protocols.has('DirCache', 2));
  t.false(protocols.has('Relay', 5) || protocols.has('Padding', 2) || protocols.has('Conflux', 1));
  checkExtraInfo(parseExtraInfo(documents.extraInfo), descriptor);
});

test('the descriptor tells of the bandwidth what is in force, in numbers that C tor reads', async (t) => {
  const told = async (...lines: string[]) => {
    const { build } = await describe(optionsOf('ORPort 203.0.113.1:9001', ...lines));
    const { rate, burst } = parseServerDescriptor(build()!.descriptor).bandwidth;
    return [rate, burst];
  };
  const MB = 1024 ** 2;
  t.deepEqual(await told('RelayBandwidthRate 2 MB', 'RelayBandwidthBurst 3 MB'), [2 * MB, 3 * MB]);
  t.deepEqual(await told('RelayBandwidthRate 2 MB'), [2 * MB, 2 * MB]);
  t.deepEqual(await told('RelayBandwidthBurst 3 MB'), [3 * MB, 3 * MB]);
  const larger = ['BandwidthRate 1 MB', 'BandwidthBurst 4 MB', 'RelayBandwidthRate 2 MB'];
  t.deepEqual(
    await told(...larger, 'RelayBandwidthBurst 3 MB'),
    [2 * MB, 3 * MB],
    'the limit of all is raised',
  );
  // Above an int C tor's authorities refuse the descriptor as unreadable.
  const large = ['BandwidthRate 20 GBits', 'BandwidthBurst 40 GBits', 'MaxAdvertisedBandwidth 20 GBits'];
  t.deepEqual(await told(...large), [2 ** 31 - 1, 2 ** 31 - 1]);
});

test('a middle relay refuses everything, and one that is no directory does not say it is', async (t) => {
  const { build } = await describe(optionsOf('ORPort 203.0.113.1:9001'), { isDirectory: false });
  const descriptor = parseServerDescriptor(build()!.descriptor);
  t.regex(descriptor.text, /\nreject \*:\*\n/);
  t.false(descriptor.tunnelledDirServer);
  t.false(descriptor.protocols.has('DirCache', 2));
});

test('the bandwidth of finished days is in the extra-info', async (t) => {
  const { build, history, clock } = await describe(optionsOf('ORPort 203.0.113.1:9001'));
  history.read(500_000);
  history.written(700_000);
  clock.pass(PERIOD);
  const { descriptor, extraInfo } = build()!;
  t.regex(extraInfo, /\nwrite-history 2026-01-02 00:00:00 \(86400 s\) 699392\n/);
  t.regex(extraInfo, /\nread-history 2026-01-02 00:00:00 \(86400 s\) 499712\n/);
  t.is(parseServerDescriptor(descriptor).bandwidth.observed, 50_000);
});

test('a relay that could run out of bytes does not offer a directory', async (t) => {
  const offers = async (more: Partial<SelfDescription>, ...lines: string[]) => {
    const { build } = await describe(optionsOf('ORPort 203.0.113.1:9001', ...lines), more);
    return parseServerDescriptor(build()!.descriptor).tunnelledDirServer;
  };
  t.true(await offers({}));
  // A megabyte a second is 86,400 in a day, and twice as many in both directions.
  const day = ['RelayBandwidthRate 1 MByte', 'AccountingStart day 00:00'];
  t.false(await offers({}, ...day, 'AccountingMax 86000 MBytes'));
  t.true(await offers({}, ...day, 'AccountingMax 87000 MBytes'));
  t.false(await offers({}, ...day, 'AccountingMax 87000 MBytes', 'AccountingRule sum'));
  t.true(await offers({}, ...day, 'AccountingMax 1 GByte', 'AccountingRule in'));
  t.true(await offers({ isAuthority: true }, ...day, 'AccountingMax 1 GByte'));
});

test('there is no descriptor without an IPv4 address', async (t) => {
  const { build } = await describe(optionsOf('ORPort 9001'));
  t.is(build(), undefined);
});
