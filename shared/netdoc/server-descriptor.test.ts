import test from 'ava';
import { toHex } from '../bytes/text.js';
import { ed25519FromSeed } from '../crypto/ed25519.js';
import { vectorText } from '../testing/vectors.js';
import { DESCRIPTOR_TABLE } from './descriptor-table.js';
import { effectiveExitPolicy } from './exit-policy.js';
import { buildExtraInfo, checkExtraInfo, parseExtraInfo, parseExtraInfos } from './extra-info.js';
import { makeMicrodescriptor, parseMicrodescriptor, parseMicrodescriptors } from './microdesc.js';
import { parseProtocols } from './protover.js';
import { signRouterDocument, withoutSignatures } from './router-signatures.js';
import {
  buildServerDescriptor,
  type DescriptorInput,
  parseServerDescriptor,
  parseServerDescriptors,
} from './server-descriptor.js';
import { makeTestKeys, refuses, survives } from './testing.js';
import { Tokenizer } from './tokenizer.js';

const REAL = parseServerDescriptors(vectorText('real-tor/server-descriptors.txt'));
const FOREIGN = vectorText('real-tor/foreign-relay-descriptor.txt');
const EXTRA = parseExtraInfos(vectorText('real-tor/extra-info.txt'));
const MICRO = parseMicrodescriptors(vectorText('real-tor/microdescriptors.txt'));

test('those of a real network verify, and are written as they came', (t) => {
  t.deepEqual([...REAL.errors, ...EXTRA.errors, ...MICRO.errors], []);
  t.true(REAL.documents.length >= 11);
  for (const { text, digest } of [...REAL.documents, parseServerDescriptor(FOREIGN)]) {
    t.is(DESCRIPTOR_TABLE.write(DESCRIPTOR_TABLE.read(new Tokenizer('descriptor', text))), text);
    t.is(digest.length, 20);
  }
  t.is(
    REAL.documents.map((d) => d.text).join(''),
    `${vectorText('real-tor/server-descriptors.txt').trimEnd()}\n`,
  );
});

test('extra-infos belong to their descriptors', (t) => {
  const byId = new Map(REAL.documents.map((descriptor) => [descriptor.id, descriptor]));
  t.true(EXTRA.documents.length >= 11);
  for (const extra of EXTRA.documents) {
    const descriptor = byId.get(extra.id);
    t.truthy(descriptor);
    if (descriptor !== undefined) t.notThrows(() => checkExtraInfo(extra, descriptor));
    const other = REAL.documents.find(({ id }) => id !== extra.id);
    if (other !== undefined) refuses(t, () => checkExtraInfo(extra, other), 'extra-info.extra-info');
  }
});

test('microdescriptors come out byte for byte', (t) => {
  const made = REAL.documents.map((descriptor) => makeMicrodescriptor(descriptor, 35));
  for (const { text } of MICRO.documents) t.true(made.includes(text), text);
  for (const text of made)
    t.true(MICRO.documents.some((known) => known.text === text) || text.includes('onion-key'));
});

test('microdescriptors by method', (t) => {
  const member = REAL.documents.find(({ familyIds }) => familyIds.length > 0);
  t.truthy(member);
  if (member === undefined) return;
  t.regex(makeMicrodescriptor(member, 35), /\nfamily-ids ed25519:[A-Za-z0-9+/]{43}\n/);
  t.notRegex(makeMicrodescriptor(member, 34), /family-ids/);
  const declared = { ...member, family: ['Zed', '$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa~x', 'Zed'] };
  t.regex(
    makeMicrodescriptor(declared, 35),
    new RegExp(`\nfamily \\$(${'A'.repeat(40)} \\$${member.id}|${member.id} \\$${'A'.repeat(40)}) zed\n`),
  );
  t.regex(makeMicrodescriptor({ ...member, tapOnionKey: undefined }, 35), /^onion-key\nntor-onion-key /);
});

test('values of a real one', (t) => {
  const exit = REAL.documents.find(({ nickname }) => nickname === 'exit0');
  t.is(exit?.id, '6415CD0CBF010CC5A48E01472E73CB810C5F7A73');
  t.is(exit?.published, Date.UTC(2026, 10, 21, 10, 46, 41));
  t.deepEqual(exit?.bandwidth, { rate: 11534336, burst: 12582912, observed: 54778 });
  t.true(exit?.exitPolicy.allows('127.0.0.1', 25));
  t.false(exit?.exitPolicy.allows('8.8.8.8', 25));
  t.is(exit?.ipv6Policy?.toString(), 'accept 80,443');
  t.deepEqual(exit?.familyIds, ['ed25519:Sd7QPCamFsntcvSW1X+mGRf95+VyqNFx6yr9HyTmRFY']);
  t.true(exit?.wantsHsDir && exit.tunnelledDirServer && !exit.hibernating);
  t.true((exit?.certsExpire ?? 0) > (exit?.published ?? 0));
});

const PUBLISHED = Date.UTC(2026, 10, 21, 12, 0, 0);
const KEYS = makeTestKeys(1, PUBLISHED);
const extra = buildExtraInfo({ nickname: 'cepa1', published: PUBLISHED, lines: ['dirreq-v3-reqs '] }, KEYS);
const INPUT: DescriptorInput = {
  nickname: 'cepa1',
  address: '127.0.0.1',
  orPort: 9001,
  dirPort: 9030,
  orAddresses: [{ host: '2001:db8::1', port: 9001 }],
  platform: 'Cepa 0.1.0 on Node.js',
  protocols: parseProtocols('Cons=2 Desc=2 Link=4-5 LinkAuth=3 Microdesc=2 Relay=2'),
  published: PUBLISHED + 999,
  uptime: 12.5,
  bandwidth: { rate: 1_000_000, burst: 2_000_000, observed: 3 },
  extraInfoDigest: extra,
  cachesExtraInfo: true,
  family: ['$0123456789ABCDEF0123456789ABCDEF01234567', 'friend'],
  familyKeys: [ed25519FromSeed(new Uint8Array(32).fill(9))],
  hibernating: true,
  hiddenServiceDir: true,
  contact: 'Zoë <zoe@example.com>',
  exitPolicy: effectiveExitPolicy({
    lines: ['accept *:80', 'reject *:*'],
    exit: true,
    ipv6: true,
    rejectPrivate: true,
  }),
  tunnelledDirServer: true,
  overloadGeneral: '1 2026-11-21 12:00:00',
};
const OWN = buildServerDescriptor(INPUT, KEYS);

test('one of our own says what it was told', (t) => {
  const descriptor = parseServerDescriptor(OWN);
  t.like(descriptor, {
    nickname: 'cepa1',
    orPort: 9001,
    dirPort: 9030,
    orAddresses: [{ host: '2001:db8::1', port: 9001 }],
    published: PUBLISHED,
    uptime: 12,
    contact: INPUT.contact,
    cachesExtraInfo: true,
    hibernating: true,
    wantsHsDir: true,
    overloadGeneral: INPUT.overloadGeneral,
  });
  t.deepEqual(descriptor.family, INPUT.family);
  t.is(descriptor.familyIds.length, 1);
  t.is(descriptor.id, toHex(KEYS.rsa.id));
  t.is(descriptor.ipv6Policy?.toString(), 'accept 80');
  t.is(descriptor.exitPolicy.summary().toString(), 'accept 80');
  t.true(descriptor.exitPolicy.isGeneralExit() === false);
  t.is(descriptor.certsExpire, PUBLISHED + 28 * 86_400_000 + 3_600_000);
  const parsed = parseExtraInfo(extra.text);
  t.deepEqual(new Uint8Array(parsed.sha1), new Uint8Array(extra.sha1));
  t.notThrows(() => checkExtraInfo(parsed, descriptor));
});

test('a relay that is no exit', (t) => {
  const policy = effectiveExitPolicy({ lines: [], exit: false, ipv6: false, rejectPrivate: true });
  const text = buildServerDescriptor({ ...INPUT, exitPolicy: policy }, KEYS);
  t.regex(text, /\nreject \*:\*\n/);
  t.notRegex(text, /ipv6-policy|accept/);
  const microdesc = parseMicrodescriptor(makeMicrodescriptor(parseServerDescriptor(text), 35));
  t.false(microdesc.policy.allows(80));
});

test('descriptor and extra-info in one upload, with annotations', (t) => {
  const upload = `@source x\n${OWN}${extra.text}\n\n@source y\n${FOREIGN}`;
  t.deepEqual(
    parseServerDescriptors(upload).documents.map((d) => d.nickname),
    ['cepa1', 'fakeA'],
  );
  t.deepEqual(
    parseExtraInfos(upload).documents.map((d) => d.text),
    [extra.text],
  );
});

/** Signed anew, so that only the change itself can be what is refused. */
const resigned = (from: string | RegExp, to: string) =>
  signRouterDocument(withoutSignatures(OWN.replace(from, to)), KEYS);
const otherKey = FOREIGN.slice(FOREIGN.indexOf('signing-key\n'), FOREIGN.indexOf('onion-key-crosscert'));
const INVALID: readonly [name: string, text: string, field: string][] = [
  ['no descriptor', '', 'router'],
  ['no newline at the end', OWN.trimEnd(), 'router-signature'],
  ['a changed byte', OWN.replace('uptime 12', 'uptime 13'), 'router-sig-ed25519'],
  ['a broken RSA signature', OWN.replace(/(SIGNATURE-----\n)..../, '$1AAAA'), 'router-signature'],
  [
    'a foreign ed25519 signature',
    OWN.replace(/router-sig-ed25519 .*/, /router-sig-ed25519 .*/.exec(FOREIGN)?.[0] ?? ''),
    'router-sig-ed25519',
  ],
  ['a line after the signatures', `${OWN}more\n`, 'router-sig-ed25519'],
  ['too large', resigned('contact', `more ${'x'.repeat(20_000)}\ncontact`), ''],
  ['a bad nickname', resigned('router cepa1', 'router cepa_1'), 'router'],
  ['a long nickname', resigned('router cepa1', 'router abcdefghijklmnopqrst'), 'router'],
  ['a host name', resigned('127.0.0.1 9001', 'localhost 9001'), 'router'],
  ['ORPort 0', resigned('127.0.0.1 9001', '127.0.0.1 0'), 'router'],
  ['a large port', resigned('127.0.0.1 9001', '127.0.0.1 65536'), 'router'],
  ['router twice', resigned('\nplatform', '\nrouter a 1.2.3.4 1 0 0\nplatform'), 'router'],
  ['no proto', resigned(/\nproto .*/, ''), 'proto'],
  ['a bad proto', resigned(/\nproto .*/, '\nproto Link=5-4'), 'proto'],
  ['a date that is none', resigned(/published .*/, 'published 2026-02-30 00:00:00'), 'published'],
  ['another fingerprint', resigned(/fingerprint .{4}/, 'fingerprint 0000'), 'fingerprint'],
  ['rate 0', resigned(/bandwidth 1000000/, 'bandwidth 0'), 'bandwidth'],
  ['two rates', resigned(/(bandwidth 1000000 2000000) 3/, '$1'), 'bandwidth'],
  ['a negative rate', resigned(/bandwidth 1000000/, 'bandwidth -1'), 'bandwidth'],
  ['a bad uptime', resigned('uptime 12', 'uptime 1e3'), 'uptime'],
  ['a bad extra-info digest', resigned(/extra-info-digest .{10}/, 'extra-info-digest '), 'extra-info-digest'],
  [
    'another master key',
    resigned(/master-key-ed25519 ..../, 'master-key-ed25519 AAAA'),
    'master-key-ed25519',
  ],
  ['no master key', resigned(/\nmaster-key-ed25519 .*/, ''), 'master-key-ed25519'],
  ['a short ntor key', resigned(/\nntor-onion-key ..../, '\nntor-onion-key '), 'ntor-onion-key'],
  [
    'another ntor key',
    resigned(/\nntor-onion-key ..../, '\nntor-onion-key AAAA'),
    'ntor-onion-key-crosscert',
  ],
  [
    'the other sign bit',
    resigned(/crosscert ([01])\n/, OWN.includes('crosscert 1\n') ? 'crosscert 0\n' : 'crosscert 1\n'),
    'ntor-onion-key-crosscert',
  ],
  ['a sign bit of 2', resigned(/crosscert [01]\n/, 'crosscert 2\n'), 'ntor-onion-key-crosscert'],
  [
    'a TAP key without crosscert',
    resigned(/onion-key-crosscert\n[^\n]*\n([A-Za-z0-9+/=]+\n)+[^\n]*\n/, ''),
    'onion-key-crosscert',
  ],
  [
    'another identity key',
    resigned(/signing-key\n[^\n]*\n([A-Za-z0-9+/=]+\n)+[^\n]*\n/, otherKey),
    'fingerprint',
  ],
  [
    'no identity certificate',
    resigned(/identity-ed25519\n[^\n]*\n([A-Za-z0-9+/=]+\n)+[^\n]*\n/, ''),
    'identity-ed25519',
  ],
  [
    'an identity certificate of another type',
    resigned(/(identity-ed25519\n[^\n]*\n)AQQ/, '$1AQU'),
    'identity-ed25519',
  ],
  [
    'an identity certificate that was changed',
    resigned(/(identity-ed25519\n[^\n]*\n)AQQA...../, '$1AQQAAAAAA'),
    'identity-ed25519',
  ],
  ['a bad family member', resigned('family $0', 'family $x'), 'family'],
  [
    'a changed family certificate',
    resigned(/(family-cert\n[^\n]*\n)AQwA...../, '$1AQwAAAAAA'),
    'family-cert',
  ],
  ['no policy', resigned(/\n(accept|reject) .*/g, ''), 'accept'],
  ['a bad policy', resigned(/\nreject \*:\*/, '\nreject *:0'), 'reject'],
  ['reject6 with a star', resigned(/\nreject \*:\*/, '\nreject6 *:*'), 'reject6'],
  [
    'any reject6, as C tor does',
    resigned(/\nreject \*:\*/, '\nreject6 [2001:db8::]/32:80\nreject *:*'),
    'reject6',
  ],
  ['two patterns', resigned(/\nreject \*:\*/, '\nreject *:80 *:81'), 'reject'],
  ['a bad ipv6-policy', resigned(/ipv6-policy .*/, 'ipv6-policy maybe 80'), 'ipv6-policy'],
  ['an or-address without port', resigned(/or-address .*/, 'or-address [::1]'), 'or-address'],
];
for (const [name, text, field] of INVALID)
  test(`refuses ${name}`, (t) => {
    refuses(t, () => parseServerDescriptor(text), field === '' ? 'descriptor' : `descriptor.${field}`);
  });

const BAD_EXTRA: readonly [name: string, text: string, field: string][] = [
  ['a changed byte', extra.text.replace('reqs', 'resp'), 'router-sig-ed25519'],
  ['a bad fingerprint', extra.text.replace(/cepa1 ..../, 'cepa1 '), 'extra-info'],
  ['no date', extra.text.replace(/\npublished .*/, ''), 'published'],
  ['too large', `${extra.text}${'x\n'.repeat(30_000)}`, ''],
];
for (const [name, text, field] of BAD_EXTRA)
  test(`extra-info: refuses ${name}`, (t) => {
    refuses(t, () => parseExtraInfo(text), field === '' ? 'extra-info' : `extra-info.${field}`);
  });

const MD = MICRO.documents.find(({ text }) => text.includes('\np '))?.text ?? '';
const BAD_MICRO: readonly [name: string, text: string, field: string][] = [
  ['nothing', '', 'onion-key'],
  ['no ntor key', MD.replace(/\nntor-onion-key .*/, ''), 'ntor-onion-key'],
  ['a short ntor key', MD.replace(/\nntor-onion-key ..../, '\nntor-onion-key '), 'ntor-onion-key'],
  ['no identity', MD.replace(/\nid .*/, ''), 'id'],
  ['two identities', MD.replace(/\nid (.*)/, '\nid $1\nid $1'), 'id'],
  ['a bad identity', MD.replace(/\nid ed25519 ..../, '\nid ed25519 '), 'id'],
  ['a bad policy', MD.replace(/\np .*/, '\np accept 0'), 'p'],
];
for (const [name, text, field] of BAD_MICRO)
  test(`microdescriptor: refuses ${name}`, (t) => {
    refuses(t, () => parseMicrodescriptor(text), `microdescriptor.${field}`);
  });

test('a microdescriptor without TAP key is read', (t) => {
  const text = MD.replace(/onion-key\n[^\n]*\n([A-Za-z0-9+/=]+\n)+[^\n]*\n/, 'onion-key\n');
  t.deepEqual(parseMicrodescriptor(text).ntorOnionKey, parseMicrodescriptor(MD).ntorOnionKey);
});

test('mutated documents are read or refused', (t) => {
  survives(t, OWN, parseServerDescriptor);
  survives(t, extra.text, parseExtraInfo);
  survives(t, MD, parseMicrodescriptor);
  survives(t, OWN + extra.text, parseServerDescriptors, 50);
});
