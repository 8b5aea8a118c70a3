import test from 'ava';
import { fc } from '../testing/properties.js';
import { TorrcError } from './errors.js';
import type { TorrcFile } from './lines.js';
import { loadOptions, type Sources } from './parse.js';
import { OPTION_NAMES, optionHelp, rowOf } from './table.js';
import { ROLES, type Role } from './table-types.js';

const HEX_A = 'A'.repeat(40);
const HEX_B = 'b'.repeat(40);
const AUTHORITY = `DirAuthority auth1 orport=5001 no-v2 v3ident=${HEX_A} 127.1.0.1:7001 ${HEX_B}`;

const load = (text: string, more: Partial<Sources> = {}) =>
  loadOptions({ files: [{ name: 'torrc', text }], ...more });
const options = (text: string, more?: Partial<Sources>) => load(text, more).options;

function problems(text: string, more: Partial<Sources> = {}): string[] {
  try {
    load(text, more);
  } catch (error) {
    if (error instanceof TorrcError) return error.message.split('\n');
    throw error;
  }
  return [];
}

test('every default of the table reads, also the testing ones', (t) => {
  const plain = options('');
  const testing = options('TestingTorNetwork 1');
  t.is(plain.SocksPort[0]?.port, 9050);
  t.is(plain.V3AuthVotingInterval, 3_600_000);
  t.is(plain.BandwidthRate, 2 ** 30);
  t.true(plain.EnforceDistinctSubnets);
  t.deepEqual(plain.ORPort, []);
  t.is(plain.ContactInfo, undefined);
  t.false(testing.EnforceDistinctSubnets);
  t.is(testing.V3AuthVotingInterval, 300_000);
  t.is(testing.TestingV3AuthInitialVotingInterval, 150_000);
  t.true(testing.ExtendAllowPrivateAddresses);
});

test('a given value stands against the testing default', (t) => {
  const read = options('EnforceDistinctSubnets 1\nTestingTorNetwork 1\nV3AuthVotingInterval 20 seconds');
  t.true(read.EnforceDistinctSubnets);
  t.is(read.V3AuthVotingInterval, 20_000);
});

test('what cannot be voted as a parameter is refused: with a vote that nobody reads an authority has none', (t) => {
  const lines = 'ConsensusParams cc_alg=2 low=-2147483648\nConsensusParams big=2147483647';
  t.is(options(lines).ConsensusParams, 'cc_alg=2 low=-2147483648 big=2147483647');
  for (const word of ['cc_alg', '=1', 'a=1,b=2', 'big=2147483648', 'low=-2147483649', 'half=0.5'])
    t.deepEqual(problems(`ConsensusParams fine=1 ${word}`), [
      `torrc:1: ConsensusParams: ${word} is not a name, = and a whole number of 32 bits`,
    ]);
});

test('names without regard to case, comments, quotes, continuations', (t) => {
  const read = options(
    [
      '\ufeff# a comment',
      '  nickname\tAlice   # who',
      'CONTACTINFO "a \\"quoted\\" # text\\x21\\41"  # and a comment',
      'ExitPolicy accept *:80, \\',
      '# between the lines',
      '   accept *:443 # end',
      'ExitPolicy\\',
      '  reject *:*',
      'DirCache#no value: the default',
      'Log info stdout\r',
    ].join('\n'),
  );
  t.is(read.Nickname, 'Alice');
  t.is(read.ContactInfo, 'a "quoted" # text!!');
  t.deepEqual(read.ExitPolicy, ['accept *:80,    accept *:443', 'reject *:*']);
  t.true(read.DirCache);
  t.deepEqual(read.Log, ['info stdout']);
});

test('quoted values', (t) => {
  t.is(options('DataDirectory "/a dir/with # and \\"\\x41\\102"').DataDirectory, '/a dir/with # and "AB');
  const umlaut = 'ContactInfo "J\\xc3\\xBCrgen, J\\303\\274rgen, Jürgen, \\XE2\\x82\\xac, \u{1f9c5}"';
  t.is(options(umlaut).ContactInfo, 'Jürgen, Jürgen, Jürgen, €, \u{1f9c5}');
  t.deepEqual(problems('ContactInfo "J\\xfcrgen"'), ['torrc:1: a quoted value that is not UTF-8']);
  t.deepEqual(problems('DataDirectory "/a\\x00b"'), ['torrc:1: a zero byte in a quoted value']);
  t.deepEqual(problems('DataDirectory "/a'), ['torrc:1: a quoted value that never ends']);
  t.deepEqual(problems('DataDirectory "/a" b'), ['torrc:1: "b" after a quoted value']);
  t.deepEqual(problems('DataDirectory "/\\q"'), ['torrc:1: "\\q" in a quoted value means nothing']);
});

test('lists add up within a file; a later layer replaces, adds, or forgets', (t) => {
  const base: TorrcFile = {
    name: 'defaults',
    text: 'ExitPolicy accept *:80\nExitPolicy accept *:81\nNumCPUs 2',
  };
  const over = (text: string, args: string[] = []) =>
    loadOptions({ files: [base, { name: 'torrc', text }], args }).options;
  t.deepEqual(over('').ExitPolicy, ['accept *:80', 'accept *:81']);
  t.deepEqual(over('ExitPolicy reject *:*').ExitPolicy, ['reject *:*']);
  t.deepEqual(over('+ExitPolicy reject *:*').ExitPolicy, ['accept *:80', 'accept *:81', 'reject *:*']);
  t.deepEqual(over('/ExitPolicy').ExitPolicy, []);
  t.is(over('NumCPUs').NumCPUs, 0, 'an empty single value is the default again');
  t.deepEqual(
    over('ExitPolicy a', ['--ExitPolicy', 'b', '-exitpolicy', 'c', '--ContactInfo=x=y']).ExitPolicy,
    ['b', 'c'],
  );
  t.deepEqual(over('ExitPolicy a', ['--+ExitPolicy', 'b']).ExitPolicy, ['a', 'b']);
  t.deepEqual(over('ExitPolicy a', ['--/ExitPolicy', '--NumCPUs', '3']).ExitPolicy, []);
  t.is(over('ContactInfo a', ['--ContactInfo=x=y']).ContactInfo, 'x=y');
});

test('what was given, and what is worth a warning', (t) => {
  const loaded = load(
    'Nickname a\nNickname b\nExitPolicy\nAvoidDiskWrites 1\nOptimisticData 1\nMyFamily $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, b,c',
  );
  t.deepEqual([...loaded.given].sort(), ['MyFamily', 'Nickname']);
  t.is(loaded.options.Nickname, 'b');
  t.deepEqual(loaded.options.MyFamily, ['$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', 'b', 'c']);
  t.deepEqual(loaded.warnings, [
    'torrc:2: Nickname is given twice; this one counts',
    'torrc:3: ExitPolicy has no value; ignored',
    'torrc:4: AvoidDiskWrites tunes C tor and means nothing to Cepa; ignored',
    'torrc:5: OptimisticData is obsolete; ignored',
  ]);
});

test('all that is wrong is said at once, with file, line, and the nearest name', (t) => {
  const text = [
    'SockPort 9050',
    'ORPort 99999',
    '# fine',
    'BandwidthRate 5 furlongs',
    'ControlPort 9051',
    'Xyzzy 1',
    'ExitPolciy reject *:*',
    'Nickname not-a-name',
    'NumCPUs -3',
    'DirCache yes',
    'Log loud stdout',
  ].join('\n');
  const args = ['--MaxCircuitDirtines', '3', '--SocksPort', 'x', '--Nickname'];
  t.deepEqual(problems(text, { args }), [
    'torrc:1: unknown option "SockPort"; did you mean SocksPort?',
    'torrc:2: ORPort: "99999" is not a port',
    'torrc:4: BandwidthRate: "furlongs" is not a unit of size',
    'torrc:5: ControlPort is an option of C tor that Cepa does not serve; remove the line',
    'torrc:6: unknown option "Xyzzy"',
    'torrc:7: unknown option "ExitPolciy"; did you mean ExitPolicy?',
    'torrc:8: Nickname: "not-a-name" is not a nickname: 1 to 19 letters and digits',
    'torrc:9: NumCPUs: "-3" is not a whole number from 0 to 128',
    'torrc:10: DirCache: "yes" is neither 0 nor 1',
    'torrc:11: Log: "loud" is not a severity; they are debug, info, notice, warn, err',
    'command line: unknown option "MaxCircuitDirtines"; did you mean MaxCircuitDirtiness?',
    'command line: SocksPort: "x" is not [address:]port',
    'command line: "--Nickname" has no value',
  ]);
});

test("what an option of C tor's asks for that Cepa does anyway is no mistake", (t) => {
  const said = [
    'ControlPort 0',
    'UseBridges 0',
    'ConfluxEnabled auto',
    'VanguardsLiteEnabled 1',
    'RunAsDaemon 0',
  ];
  t.deepEqual(load(said.join('\n')).warnings, []);
  t.deepEqual(problems('ConfluxEnabled 1\nVanguardsLiteEnabled 0\nUseBridges 1'), [
    'torrc:1: ConfluxEnabled is an option of C tor that Cepa does not serve; remove the line',
    'torrc:2: VanguardsLiteEnabled is an option of C tor that Cepa does not serve; remove the line',
    'torrc:3: UseBridges is an option of C tor that Cepa does not serve; remove the line',
  ]);
});

test('%include', (t) => {
  const found: Record<string, TorrcFile[]> = {
    '/etc/cepa.d/*': [
      { name: '/etc/cepa.d/1', text: 'Nickname One' },
      { name: '/etc/cepa.d/2', text: 'ContactInfo two\nBogus 1' },
    ],
    circle: [{ name: 'circle', text: '%include circle' }],
    '/none/*': [],
  };
  const include = (pattern: string) => found[pattern];
  const files = [{ name: 'torrc', text: '%include /etc/cepa.d/*\nNumCPUs 3\n%include /none/*' }];
  const error = t.throws(() => loadOptions({ files, include }), { instanceOf: TorrcError });
  t.is(error.message, '/etc/cepa.d/2:2: unknown option "Bogus"');
  t.deepEqual(problems('%include missing', { include }), [
    'torrc:1: %include: no file or directory "missing"',
  ]);
  t.regex(problems('%include circle', { include })[0] ?? '', /^circle:1: more than 31 files/);
  t.deepEqual(problems('%include x'), ['torrc:1: %include cannot be used here']);
});

test('ports', (t) => {
  const [a, b, c, d] = options(
    'SocksPort 127.0.0.1:9050 IsolateDestAddr NoIsolateSOCKSAuth\nSocksPort auto\nSocksPort [::1]:9 IsolateDestPorts\nSocksPort localhost:auto SessionGroup=3',
  ).SocksPort;
  t.deepEqual(
    [a?.host, a?.port, [...(a?.flags ?? [])]],
    ['127.0.0.1', 9050, ['isolatedestaddr', 'noisolatesocksauth']],
  );
  t.deepEqual([b?.host, b?.port], [undefined, 'auto']);
  t.deepEqual([c?.host, c?.port, [...(c?.flags ?? [])]], ['::1', 9, ['isolatedestport']], 'no plurals');
  t.deepEqual([d?.host, d?.port], ['localhost', 'auto']);
  t.deepEqual(options('SocksPort 0').SocksPort, []);
  for (const bad of [
    '1.2.3.4',
    '1.2.3:80',
    '1.2.3.4:0',
    '80 Frobnicate',
    '80 NoAdvertise',
    ':80',
    '::1:80',
    'a..b:1',
  ])
    t.is(problems(`SocksPort ${bad}`).length, 1, bad);
  for (const name of ['SocksPort', 'HTTPTunnelPort', 'ORPort', 'DirPort', 'MetricsPort'])
    for (const path of ['unix:/run/a', 'unix:"/run/a b"'])
      t.deepEqual(problems(`${name} ${path}`), [`torrc:1: ${name}: unix sockets are not served: "${path}"`]);
  for (const bad of ['80 NoAdvertise NoListen', '80 IPv4Only IPv6Only'])
    t.is(problems(`ORPort ${bad}`).length, 1, bad);
});

test('directory authorities and fallbacks', (t) => {
  t.deepEqual(options(`${AUTHORITY}\nDirServer auth.example:80 ${'AAAA '.repeat(10)}`).DirAuthority, [
    {
      nickname: 'auth1',
      address: '127.1.0.1',
      dirPort: 7001,
      orPort: 5001,
      v3Ident: HEX_A,
      fingerprint: HEX_B.toUpperCase(),
      ipv6: undefined,
    },
    {
      nickname: '',
      address: 'auth.example',
      dirPort: 80,
      orPort: 0,
      v3Ident: undefined,
      fingerprint: HEX_A,
      ipv6: undefined,
    },
  ]);
  t.deepEqual(options(`DirAuthority a ipv6=[::1]:5 1.2.3.4:5 ${HEX_A}`).DirAuthority[0]?.ipv6, {
    host: '::1',
    port: 5,
  });
  t.deepEqual(options(`FallbackDir 1.2.3.4:80 orport=9001 id=${HEX_A} weight=3`).FallbackDir, [
    { address: '1.2.3.4', orPort: 9001, fingerprint: HEX_A },
  ]);
  for (const bad of [
    'a',
    'a 1.2.3.4:0 X',
    `a orport=x 1.2.3.4:1 ${HEX_A}`,
    `a foo=1 1.2.3.4:1 ${HEX_A}`,
    `a 1.2.3.4:1`,
    'a 1.2.3.4:1 AB',
    `a vote=http://x/ 1.2.3.4:1 ${HEX_A}`,
  ])
    t.is(problems(`DirAuthority ${bad}`).length, 1, bad);
  for (const bad of ['1.2.3.4:80', `orport=1 id=${HEX_A}`, `1.2.3.4:80 1.2.3.4:80 orport=1 id=${HEX_A}`])
    t.is(problems(`FallbackDir ${bad}`).length, 1, bad);
});

test('sizes and times as torrc takes them', (t) => {
  const sizes: [string, number][] = [
    ['0', 0],
    ['100', 100],
    ['75 KB', 75 * 1024],
    ['1.5 MBytes', 1.5 * 2 ** 20],
    ['1gb', 2 ** 30],
    ['8 Megabits', 2 ** 20],
    ['1 kbit', 128],
    ['3 m', 3 * 2 ** 20],
  ];
  for (const [text, value] of sizes)
    t.is(options(`MaxAdvertisedBandwidth ${text}`).MaxAdvertisedBandwidth, value, text);
  const times: [string, number][] = [
    ['0', 0],
    ['90', 90_000],
    ['10 Minutes', 600_000],
    ['1.5 hours', 5_400_000],
    ['1 month', 2_629_728_000],
  ];
  for (const [text, value] of times) t.is(options(`SocksTimeout ${text}`).SocksTimeout, value, text);
  for (const bad of ['-1', 'x', '1 KBB', '1e3', '99999999999 TB', '1 KB extra'])
    t.is(problems(`MaxAdvertisedBandwidth ${bad}`).length, 1, bad);
  for (const bad of ['5 fortnights', '10000 months']) t.is(problems(`SocksTimeout ${bad}`).length, 1, bad);
});

test('what is out of its range is pulled into it, and said so', (t) => {
  type Name =
    | 'CircuitsAvailableTimeout'
    | 'MaxCircuitDirtiness'
    | 'CircuitStreamTimeout'
    | 'GuardLifetime'
    | 'HeartbeatPeriod';
  const cases: [name: Name, string, number][] = [
    ['CircuitsAvailableTimeout', '2 days', 86_400_000],
    ['MaxCircuitDirtiness', '0', 10_000],
    ['MaxCircuitDirtiness', '31 days', 30 * 86_400_000],
    ['CircuitStreamTimeout', '1 second', 10_000],
    ['GuardLifetime', '1 hour', 2_629_728_000],
    ['GuardLifetime', '100 months', 5 * 365 * 86_400_000],
    ['HeartbeatPeriod', '1 second', 1_800_000],
  ];
  for (const [name, text, value] of cases) {
    const { options: read, warnings } = load(`${name} ${text}`);
    t.is(read[name], value, `${name} ${text}`);
    t.is(warnings.length, 1);
    t.regex(warnings[0]!, new RegExp(`^torrc:1: ${name} is too (short|long); taken as `));
  }
  for (const within of [
    'CircuitStreamTimeout 0',
    'GuardLifetime 0',
    'GuardLifetime 2 months',
    'HeartbeatPeriod 0',
  ])
    t.deepEqual(load(within).warnings, [], within);
  t.is(options('HeartbeatPeriod 1 second\nTestingTorNetwork 1').HeartbeatPeriod, 1000);
});

test('what a role needs', (t) => {
  t.deepEqual(problems('', { role: 'authority' }).length, 4);
  t.deepEqual(problems('', { role: 'relay' }), [
    'no DirAuthority line: a network has at least one directory authority, and Cepa has none built in',
    'a relay needs an ORPort',
  ]);
  t.deepEqual(problems(AUTHORITY, { role: 'client' }), []);
  const authority = `${AUTHORITY}\nORPort 1\nDirPort 2\nContactInfo x\n`;
  const read = options(authority, { role: 'authority' });
  t.true(read.AuthoritativeDirectory && read.V3AuthoritativeDirectory);
  t.deepEqual(problems(`${authority}V3AuthoritativeDirectory 0`, { role: 'authority' }), [
    'torrc:5: `cepa authority` cannot run with this at 0',
  ]);
  t.deepEqual(problems(`${authority}DisableNetwork 1`, { role: 'authority' }), [
    'torrc:5: an authority cannot do without the network',
  ]);
  t.deepEqual(problems(`${authority}AuthoritativeDirectory 1`, { role: 'relay' }), [
    'torrc:5: start an authority with `cepa authority`',
  ]);
  t.deepEqual(problems(`${authority}BandwidthRate 10 KB\nBandwidthBurst 5 KB`, { role: 'relay' }), [
    'torrc:5: BandwidthRate must be at least 75 KBytes on a relay',
    'torrc:6: BandwidthBurst must be at least BandwidthRate',
  ]);
  t.is(load(`${AUTHORITY}\nSocksPort 0.0.0.0:9050`, { role: 'client' }).warnings.length, 1);
});

test('help lists what a role reads, and all keep to BandwidthRate', (t) => {
  const helped = (role: Role) => new Set(optionHelp(role).map(({ name }) => name));
  for (const name of ['RelayBandwidthRate', 'HeartbeatPeriod'] as const) {
    t.true(helped('relay').has(name) && helped('authority').has(name), name);
    t.false(helped('client').has(name), name);
  }
  for (const name of ['FallbackDir', 'EnforceDistinctSubnets'] as const) {
    t.true(helped('client').has(name), name);
    t.false(helped('relay').has(name), name);
  }
  for (const name of ['NumCPUs', 'BandwidthRate', 'MaxMemInQueues'] as const)
    t.true(helped('client').has(name), name);
  const text = `${AUTHORITY}\nORPort 1\nBandwidthRate 1 MB\nBandwidthBurst 2 MB`;
  t.deepEqual(load(text, { role: 'client' }).warnings, []);
  t.deepEqual(load(`${text}\nContactInfo x`, { role: 'relay' }).warnings, []);
});

test('voting schedules that C tor would refuse are refused', (t) => {
  const authority = `${AUTHORITY}\nORPort 1\nDirPort 2\nContactInfo x\nTestingTorNetwork 1\n`;
  const refused = (lines: string) => problems(authority + lines.replaceAll(';', '\n'), { role: 'authority' });
  t.deepEqual(refused('V3AuthVotingInterval 10;V3AuthVoteDelay 2;V3AuthDistDelay 2'), []);
  t.is(refused('V3AuthVotingInterval 8;V3AuthVoteDelay 2;V3AuthDistDelay 2').length, 2);
  t.is(refused('V3AuthVotingInterval 10;V3AuthVoteDelay 3;V3AuthDistDelay 2').length, 1);
  t.is(refused('V3AuthVotingInterval 10;V3AuthVoteDelay 1;V3AuthDistDelay 2').length, 1);
  const first =
    'TestingV3AuthInitialVoteDelay 2;TestingV3AuthInitialDistDelay 2;TestingV3AuthInitialVotingInterval';
  t.deepEqual(refused(`${first} 5`), []);
  t.is(refused(`${first} 7`).length, 1, 'does not divide 30 minutes');
  t.is(refused(`${first} 4`).length, 2, 'below 5 s, and not longer than its delays');
  t.deepEqual(problems(`${AUTHORITY}\nTestingV3AuthInitialVotingInterval 5`), [
    'torrc:2: TestingV3AuthInitialVotingInterval works only with TestingTorNetwork 1',
  ]);
});

test('every older name of C tor for an option that is served', (t) => {
  const read = options('UseEntryNodes 0\nNumEntryNodes 2\nAllowUnverifiedNodes exit');
  t.false(read.UseEntryGuards);
  t.is(read.NumEntryGuards, 2);
  t.deepEqual(read.AllowInvalidNodes, ['exit']);
});

test('~ is the home directory', (t) => {
  const text = [
    'PidFile ~/run/pid',
    'Log notice file ~/a log',
    'Log [~link]info json FILE  ~/b',
    'Log warn file /c/~/d',
    'Log err stdout',
  ].join('\n');
  const read = options(text, { home: '/home/$&' });
  t.is(read.DataDirectory, '/home/$&/.cepa');
  t.is(read.PidFile, '/home/$&/run/pid');
  t.deepEqual(read.Log, [
    'notice file /home/$&/a log',
    '[~link]info json FILE  /home/$&/b',
    'warn file /c/~/d',
    'err stdout',
  ]);
});

test('every option has help, a syntax, and a role', (t) => {
  for (const name of OPTION_NAMES) {
    const row = rowOf(name);
    t.true(row.help.length > 5 && row.help.endsWith('.'), name);
    t.true(row.roles.length > 0, name);
    t.true(row.kind.syntax.length > 0, name);
  }
  for (const role of ROLES) t.true(optionHelp(role).length > 20);
});

test('any text is Options or a TorrcError', (t) => {
  const words = fc.constantFrom(
    ...OPTION_NAMES,
    '%include',
    '+',
    '/',
    '"',
    '\\\n',
    '\\',
    '#',
    ' ',
    '\n',
    '1',
    ':',
    ',',
    'auto',
    '=',
  );
  const anything = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc.array(words, { maxLength: 40 }).map((w) => w.join('')),
  );
  fc.assert(
    fc.property(anything, (text) => {
      try {
        load(text);
      } catch (error) {
        t.true(error instanceof TorrcError, String(error));
      }
      return true;
    }),
    { numRuns: 500 },
  );
});
