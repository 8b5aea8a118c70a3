import test from 'ava';
import { parseExtraInfos } from '../shared/netdoc/extra-info.js';
import { parsePolicyLines } from '../shared/netdoc/policy.js';
import { parseServerDescriptors } from '../shared/netdoc/server-descriptor.js';
import type { ServerDescriptor } from '../shared/netdoc/types.js';
import { vectorText } from '../shared/testing/vectors.js';
import { type AdmissionRules, admit, admitExtraInfo, isCosmetic, isPrivateAddress } from './accept.js';
import { KeyPins } from './key-pinning.js';
import { RelayRules } from './relay-rules.js';
import { descriptorOf, HOUR, NOW } from './testing.js';

const NO_RULES = { AuthDirReject: [], AuthDirInvalid: [], AuthDirBadExit: [], AuthDirMiddleOnly: [] };

const rulesOf = (over: Partial<AdmissionRules> = {}): AdmissionRules => ({
  rules: new RelayRules(NO_RULES),
  pins: new KeyPins(),
  enforcePins: true,
  allowPrivate: false,
  ...over,
});

const PUBLIC = { address: '198.51.100.7' };

/** `accepted`, or the reason. */
const verdict = (
  over: Partial<ServerDescriptor>,
  rules: Partial<AdmissionRules> = {},
  old?: ServerDescriptor,
): string => {
  const outcome = admit(descriptorOf({ ...PUBLIC, ...over }), old, rulesOf(rules), NOW);
  return outcome.verdict === 'accepted' ? 'accepted' : `${outcome.verdict}: ${outcome.reason}`;
};

test('a sound descriptor is accepted', (t) => {
  t.is(verdict({}), 'accepted');
});

test('what is refused, and in which words', (t) => {
  t.regex(verdict({ text: 'x'.repeat(20_001) }), /^rejected: .*too large/);
  t.is(verdict({ tapOnionKey: undefined }), 'rejected: Missing TAP key in descriptor.');
  t.regex(verdict({ platform: 'Tor 0.4.7.16 on Linux' }), /^rejected: .*Please upgrade/);
  t.regex(verdict({ platform: 'Tor what on Linux' }), /^rejected: Malformed platform/);
  t.regex(verdict({ published: NOW + 12 * HOUR + 1 }), /^rejected: .*future/);
  t.regex(verdict({ published: NOW - 24 * HOUR - 1 }), /^rejected: .*expired/);
  t.regex(verdict({ certsExpire: NOW - 1 }), /^rejected: Some certs .* expired/);
  for (const address of ['10.0.0.1', '127.0.0.1', '192.168.1.1', '172.31.0.1', '169.254.0.1', '0.0.0.0'])
    t.regex(verdict({ address }), /^rejected: .*private/);
  t.regex(verdict({ orAddresses: [{ host: 'fe80::1', port: 9001 }] }), /^rejected: .*private/);
});

test('what is let through', (t) => {
  t.is(verdict({ platform: 'Tor 0.4.8.0-alpha-dev on Linux' }), 'accepted');
  t.is(verdict({ platform: 'Cepa 0.1.0 on Node.js' }), 'accepted');
  t.is(verdict({ platform: undefined }), 'accepted');
  t.is(verdict({ published: NOW + 12 * HOUR }), 'accepted');
  t.is(verdict({ published: NOW - 24 * HOUR }), 'accepted');
  t.is(verdict({ address: '127.0.0.1' }, { allowPrivate: true }), 'accepted');
  t.is(verdict({ orAddresses: [{ host: '2001:db8::1', port: 9001 }] }), 'accepted');
});

test('keys that were seen apart', (t) => {
  const pins = new KeyPins();
  const known = descriptorOf();
  pins.pin(known.rsaId, known.ed25519Id);
  t.regex(verdict({ rsaId: known.rsaId }, { pins }), /^rejected: Looks like your keypair/);
  t.regex(verdict({ ed25519Id: known.ed25519Id }, { pins }), /^rejected: Looks like your keypair/);
  t.is(verdict({ rsaId: known.rsaId, ed25519Id: known.ed25519Id }, { pins }), 'accepted');
  t.is(verdict({ rsaId: known.rsaId }, { pins, enforcePins: false }), 'accepted');
});

test('rules by address and by key', (t) => {
  const rules = new RelayRules({
    AuthDirReject: ['198.51.100.0/24'],
    AuthDirInvalid: ['203.0.113.1, 203.0.113.2'],
    AuthDirBadExit: ['203.0.113.0/24:9001'],
    AuthDirMiddleOnly: ['*:9009'],
  });
  t.regex(verdict({}, { rules }), /^rejected: Suspicious relay address/);
  t.is(verdict({ address: '203.0.113.2' }, { rules }), 'accepted');
  const status = (over: Partial<ServerDescriptor>) => rules.statusOf(descriptorOf(over));
  t.like(status({ address: '203.0.113.2' }), { invalid: true, badExit: true, middleOnly: false });
  t.like(status({ address: '203.0.113.3', orPort: 9009 }), {
    invalid: false,
    badExit: false,
    middleOnly: true,
  });

  const [a, b, c] = [descriptorOf(), descriptorOf(), descriptorOf()];
  const ed = Buffer.from(b!.ed25519Id).toString('base64').replace('=', '');
  const spaced = c!.id.replace(/(.{4})/g, '$1 ');
  const bad = rules.loadApprovedRouters(
    `# notes\n!reject ${a!.id.toLowerCase()}\n!badexit ${ed}\n!stripguard ${ed}\n\nsomebody ${spaced}\n!reject nonsense\n`,
  );
  t.deepEqual(bad, ['!reject nonsense']);
  t.truthy(rules.statusOf(a!).reject);
  t.like(rules.statusOf(b!), { reject: undefined, badExit: true, stripGuard: true, stripHsDir: false });
  t.like(rules.statusOf(c!), { reject: undefined, badExit: false });
});

test('what is not new', (t) => {
  const old = descriptorOf(PUBLIC);
  t.regex(verdict({ ...old }, {}, old), /^known: .*not new/);
  t.regex(verdict({ ...old, published: old.published - 1 }, {}, old), /^known: .*not new/);
  const later = { published: old.published + HOUR, uptime: old.uptime + 3600 };
  t.regex(verdict({ ...old, ...later }, {}, old), /^known: .*no information has changed/);
  t.is(verdict({ ...old, ...later, nickname: 'other' }, {}, old), 'accepted');
});

test('which changes matter', (t) => {
  const a = descriptorOf(PUBLIC);
  const cosmetic = (over: Partial<ServerDescriptor>) =>
    isCosmetic(a, { ...a, published: a.published + HOUR, uptime: a.uptime + 3600, ...over });
  t.true(cosmetic({}));
  t.true(cosmetic({ bandwidth: { ...a.bandwidth, observed: a.bandwidth.observed * 1.9 } }));
  t.false(cosmetic({ bandwidth: { ...a.bandwidth, observed: a.bandwidth.observed * 2.1 } }));
  t.false(cosmetic({ bandwidth: { ...a.bandwidth, rate: 1 } }));
  t.false(cosmetic({ published: a.published + 2 * HOUR + 1, uptime: a.uptime + 7200 }));
  t.false(cosmetic({ orPort: 1 }));
  t.false(cosmetic({ hibernating: true }));
  t.false(cosmetic({ contact: 'me' }));
  t.false(cosmetic({ family: ['$A'] }));
  t.false(cosmetic({ exitPolicy: parsePolicyLines(['accept *:80', 'reject *:*']) }));
  t.false(cosmetic({ ntorOnionKey: new Uint8Array(32) }));
  // A restart: the uptime is days off what it should be.
  t.false(isCosmetic({ ...a, uptime: 500_000 }, { ...a, published: a.published + HOUR, uptime: 10 }));
});

test('an extra-info goes with the descriptor that names it', (t) => {
  const descriptors = parseServerDescriptors(vectorText('real-tor/server-descriptors.txt')).documents;
  const [extra] = parseExtraInfos(vectorText('real-tor/extra-info.txt')).documents;
  const own = descriptors.find(({ id }) => id === extra!.id)!;
  const other = descriptors.find(({ id }) => id !== extra!.id)!;
  t.is(admitExtraInfo(extra!, own).verdict, 'accepted');
  t.is(admitExtraInfo(extra!, undefined).verdict, 'rejected');
  t.is(admitExtraInfo({ ...extra!, published: other.published }, other).verdict, 'rejected');
  const newer = { ...own, extraInfoDigest: undefined, published: own.published + 1 };
  t.is(admitExtraInfo(extra!, newer).verdict, 'known');
  // A relay that restarted: its new descriptor said nothing new and was not taken, the older one is the one held.
  const older = { ...own, extraInfoDigest: undefined, published: own.published - 1 };
  t.is(admitExtraInfo(extra!, older).verdict, 'known');
});

test('private addresses', (t) => {
  t.true(isPrivateAddress('fc00::1'));
  t.true(isPrivateAddress('::1'));
  // Carrier-grade NAT: not in what `private` means in policies, but no address to be reached at.
  t.true(isPrivateAddress('100.64.0.1'));
  t.true(isPrivateAddress('::ffff:10.0.0.1'));
  t.false(isPrivateAddress('100.128.0.1'));
  t.false(isPrivateAddress('::8.8.8.8'));
  t.false(isPrivateAddress('::ffff:8.8.8.8'));
  t.true(isPrivateAddress('not an address'));
  t.false(isPrivateAddress('8.8.8.8'));
  t.false(isPrivateAddress('2001:db8::1'));
});
