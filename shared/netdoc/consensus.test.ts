import test from 'ava';
import { fromHex, toBase64Bare, toHex } from '../bytes/text.js';
import { sha1, sha256 } from '../crypto/digest.js';
import { fc } from '../testing/properties.js';
import { vectorText } from '../testing/vectors.js';
import { parseAuthorityCertificates } from './authority-cert.js';
import { appendSignatures, encodeConsensusBody, parseConsensus, signConsensus } from './consensus.js';
import { parseMicrodescriptors } from './microdesc.js';
import { verifyDirectorySignature } from './network-status.js';
import { parseProtocols } from './protover.js';
import { encodeRouter } from './router-status.js';
import { parseServerDescriptors } from './server-descriptor.js';
import { makeTestRsa, refuses, survives } from './testing.js';
import type { RouterStatus } from './types.js';

const NS = vectorText('real-tor/consensus-ns.txt');
const MD = vectorText('real-tor/consensus-microdesc.txt');
const CERTS = new Map(
  parseAuthorityCertificates(vectorText('real-tor/authority-certs.txt')).documents.map((cert) => [
    cert.identity,
    cert,
  ]),
);

for (const [flavor, text] of [
  ['ns', NS],
  ['microdesc', MD],
] as const)
  test(`the ${flavor} consensus of a real network`, (t) => {
    const consensus = parseConsensus(text);
    t.is(consensus.flavor, flavor);
    t.is(appendSignatures(encodeConsensusBody(consensus), consensus.signatures), text);
    t.is(consensus.signatures.length, 4);
    for (const signature of consensus.signatures) {
      const cert = CERTS.get(signature.identity);
      t.true(
        cert !== undefined && verifyDirectorySignature(signature, consensus.signedDigests, cert.signingKey),
      );
      const other = [...CERTS.values()].find((c) => c.identity !== signature.identity);
      t.false(
        other !== undefined && verifyDirectorySignature(signature, consensus.signedDigests, other.signingKey),
      );
    }
    t.is(consensus.consensusMethod, 35);
    t.is(consensus.freshUntil - consensus.validAfter, 20_000);
    t.deepEqual(consensus.votingDelay, { vote: 4, dist: 4 });
    t.is(consensus.params.get('cc_alg'), 2);
    t.is(consensus.bandwidthWeights.get('Wgg'), 6805);
    t.is(consensus.sharedRandCurrent?.reveals, 4);
    t.true(consensus.requiredClientProtocols?.has('Cons', 2));
    t.is(consensus.routers.length, 11);
  });

test('entries name the documents they stand for', (t) => {
  const { documents } = parseServerDescriptors(vectorText('real-tor/server-descriptors.txt'));
  const digests = new Map(documents.map(({ id, digest }) => [id, toHex(digest)]));
  for (const { id, digest } of parseConsensus(NS).routers)
    if (digests.has(id)) t.is(digests.get(id), toHex(digest ?? new Uint8Array(0)));
  const micro = new Set(
    parseMicrodescriptors(vectorText('real-tor/microdescriptors.txt')).documents.map((m) => m.digest),
  );
  const routers = parseConsensus(MD).routers;
  t.true(routers.every(({ microdescDigest }) => micro.has(microdescDigest ?? '')));
  t.true(routers.every(({ published }) => published === Date.UTC(2038, 0, 1)));
  const exit = routers.find(({ nickname }) => nickname === 'exit0');
  t.deepEqual([...(exit?.flags ?? [])], ['Exit', 'Fast', 'Running', 'V2Dir', 'Valid']);
  t.is(exit?.id, '6415CD0CBF010CC5A48E01472E73CB810C5F7A73');
});

test('lines that are alike are read once', (t) => {
  const [a, b] = parseConsensus(NS).routers;
  t.is(a?.protocols, b?.protocols);
  t.is(a?.flags, b?.flags);
});

test('a signature of our own', (t) => {
  const key = makeTestRsa();
  for (const [flavor, text] of [
    ['ns', NS],
    ['microdesc', MD],
  ] as const) {
    const body = encodeConsensusBody(parseConsensus(text));
    const identity = parseConsensus(text).authorities[1]?.identity ?? '';
    const consensus = parseConsensus(appendSignatures(body, [signConsensus(body, flavor, identity, key)]));
    const [signature] = consensus.signatures;
    t.true(
      signature !== undefined && verifyDirectorySignature(signature, consensus.signedDigests, key.publicDer),
    );
  }
});

test('what is empty is written as C tor writes it', (t) => {
  const consensus = parseConsensus(MD);
  const body = encodeConsensusBody({
    ...consensus,
    params: new Map(),
    bandwidthWeights: new Map(),
    clientVersions: [],
    serverVersions: [],
    sharedRandCurrent: undefined,
    sharedRandPrevious: undefined,
  });
  t.regex(body, /\nclient-versions \nserver-versions \n/);
  t.notRegex(body, /\nparams|\nbandwidth-weights|shared-rand/);
  const again = parseConsensus(appendSignatures(body, consensus.signatures));
  t.deepEqual([again.clientVersions, [...again.params], [...again.bandwidthWeights]], [[], [], []]);
});

test('the entry of a legacy key has neither contact nor vote', (t) => {
  const consensus = parseConsensus(NS);
  const [first] = consensus.authorities;
  if (first === undefined) return t.fail();
  const legacy = {
    ...first,
    nickname: 'auth0-legacy',
    identity: 'A'.repeat(40),
    contact: '',
    voteDigest: undefined,
  };
  const body = encodeConsensusBody({ ...consensus, authorities: [legacy, ...consensus.authorities] });
  t.regex(body, /dir-source auth0-legacy A{40} .*\ndir-source auth0 /);
  t.deepEqual(parseConsensus(appendSignatures(body, consensus.signatures)).authorities[0], legacy);
});

test('an authority may call itself what it likes, as with C tor: it is known by its identity', (t) => {
  const [first] = parseConsensus(NS.replace('dir-source auth0 ', 'dir-source not_a-nickname ')).authorities;
  t.is(first?.nickname, 'not_a-nickname');
});

const HEX = 'ABCDEF0123456789ABCDEF0123456789ABCDEF01';
const INVALID: readonly [name: string, text: string, field: string][] = [
  ['nothing', '', 'network-status-version'],
  ['another version', MD.replace('version 3', 'version 2'), 'network-status-version'],
  ['another flavour', MD.replace('3 microdesc', '3 macrodesc'), 'network-status-version'],
  ['a vote', MD.replace('vote-status consensus', 'vote-status vote'), 'vote-status'],
  ['a method of 0x', MD.replace('consensus-method 35', 'consensus-method 0x23'), 'consensus-method'],
  ['no valid-after', MD.replace(/\nvalid-after .*/, ''), 'valid-after'],
  ['a bad valid-until', MD.replace(/\nvalid-until .*/, '\nvalid-until tomorrow'), 'valid-until'],
  ['times out of order', MD.replace(/\nvalid-until .*/, '\nvalid-until 2026-11-21 11:09:10'), 'valid-until'],
  ['fresh before valid', MD.replace(/\nfresh-until .*/, '\nfresh-until 2026-11-21 11:09:00'), 'fresh-until'],
  ['one voting delay', MD.replace('voting-delay 4 4', 'voting-delay 4'), 'voting-delay'],
  ['flags out of order', MD.replace('Exit Fast', 'Fast Exit'), 'known-flags'],
  ['params out of order', MD.replace('cc_alg=2 hs_intro_min=3', 'hs_intro_min=3 cc_alg=2'), 'params'],
  ['a param twice', MD.replace('cc_alg=2 ', 'cc_alg=2 cc_alg=3 '), 'params'],
  ['a param without value', MD.replace('cc_alg=2', 'cc_alg'), 'params'],
  ['a param too large', MD.replace('cc_alg=2', 'cc_alg=2147483648'), 'params'],
  [
    'bad protocols',
    MD.replace(/\nrequired-client-protocols .*/, '\nrequired-client-protocols Link'),
    'required-client-protocols',
  ],
  ['no authority', MD.replace(/\n(dir-source|contact|vote-digest) .*/g, ''), 'dir-source'],
  ['a short authority identity', MD.replace(/dir-source auth0 ../, 'dir-source auth0 '), 'dir-source'],
  [
    'an authority without address',
    MD.replace('127.0.0.1 127.0.0.1 17000', '127.0.0.1 here 17000'),
    'dir-source',
  ],
  ['a contact without vote', MD.replace(/\nvote-digest .*/, ''), 'vote-digest'],
  ['a bad vote digest', MD.replace(/\nvote-digest ../, '\nvote-digest xx'), 'vote-digest'],
  ['a bad nickname', MD.replace('r auth0 ', 'r auth-0 '), 'r'],
  ['a short identity', MD.replace(/r auth0 ./, 'r auth0 '), 'r'],
  ['an identity that is not base64', MD.replace(/r auth0 ./, 'r auth0 *'), 'r'],
  ['a time that is none', MD.replace('2038-01-01 00:00:00', '2038-01-32 00:00:00'), 'r'],
  ['a bad address', MD.replace('00:00:00 127.0.0.1', '00:00:00 127.0.0.256'), 'r'],
  ['a port too large', MD.replace('127.0.0.1 15000', '127.0.0.1 66000'), 'r'],
  ['too few arguments', MD.replace(/(r auth0 .*) 17000\n/, '$1\n'), 'r'],
  ['entries out of order', MD.replace(/(r auth0 (?:.|\n)*?)(r auth2 (?:.|\n)*?)(?=r mid1)/, '$2$1'), 'r'],
  ['an entry twice', MD.replace(/(r auth0 (?:.|\n)*?)(?=r auth2)/, '$1$1'), 'r'],
  ['a short microdescriptor digest', MD.replace(/\nm ./, '\nm '), 'm'],
  ['no flags line', MD.replace(/\ns .*/, ''), 's'],
  ['no protocols', MD.replace(/\npr .*/, ''), 'pr'],
  ['a bandwidth too large', MD.replace('Bandwidth=20', 'Bandwidth=4294967296'), 'w'],
  ['a bad summary', NS.replace(/\np .*/, '\np accept'), 'p'],
  ['no descriptor digest', NS.replace(/(r auth0 \S+) \S+/, '$1'), 'r'],
  ['no footer', MD.replace('directory-footer\n', ''), 'directory-footer'],
  ['a bad weight', MD.replace('Wbd=0', 'Wbd=zero'), 'bandwidth-weights'],
  ['no signature', MD.slice(0, MD.indexOf('directory-signature')), 'directory-signature'],
  [
    'a signature of nobody',
    MD.replace(/(directory-signature sha256) \w+/g, `$1 ${HEX}`),
    'directory-signature',
  ],
  [
    'no known algorithm',
    MD.replaceAll('directory-signature sha256', 'directory-signature md5'),
    'directory-signature',
  ],
  [
    'a signature without object',
    MD.replace(/(directory-signature .*\n)-----BEGIN(?:.|\n)*?END SIGNATURE-----\n/, '$1'),
    'directory-signature',
  ],
];
for (const [name, text, field] of INVALID)
  test(`consensus: refuses ${name}`, (t) => refuses(t, () => parseConsensus(text), `consensus.${field}`));

test('a relay that writes its protocols oddly, as C tor lets it, does not spoil the consensus', (t) => {
  const text = MD.replace(/\npr .*/, '\npr Link=04-005 Relay=2');
  t.true(parseConsensus(text).routers[0]!.protocols.has('Link', 5));
});

test('mutated documents are read or refused', (t) => {
  survives(t, MD, parseConsensus);
  survives(t, NS, parseConsensus, 100);
});

const ids = fc.uint8Array({ minLength: 20, maxLength: 20 });
const port = fc.integer({ min: 0, max: 65535 });
const status: fc.Arbitrary<RouterStatus> = fc
  .record({
    nickname: fc.stringMatching(/^[A-Za-z0-9]{1,19}$/),
    rsaId: ids,
    published: fc.integer({ min: 0, max: 4e9 }).map((s) => s * 1000),
    address: fc.ipV4(),
    orPort: port,
    dirPort: port,
    ipv6: fc.option(
      fc.record({
        host: fc.constantFrom('2001:db8::1', '::', 'fe80::1:0:0:5'),
        port: fc.integer({ min: 1, max: 65535 }),
      }),
      { nil: undefined },
    ),
    flags: fc.subarray(['BadExit', 'Exit', 'Fast', 'Guard', 'Running', 'Valid']).map((list) => new Set(list)),
    version: fc.option(fc.constantFrom('Tor 0.4.9.11', 'Tor 0.4.8.1-alpha'), { nil: undefined }),
    bandwidth: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    unmeasured: fc.boolean(),
    microdescDigest: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toBase64Bare),
  })
  .map((r) => ({
    ...r,
    id: toHex(r.rsaId),
    digest: undefined,
    protocols: parseProtocols('Link=4-5 Relay=2'),
    measured: undefined,
    measuredButAuthority: undefined,
    policy: undefined,
    ed25519Id: undefined,
    microdescDigests: undefined,
    stats: undefined,
  }));

test('router entries round-trip', (t) => {
  const real = parseConsensus(MD);
  fc.assert(
    fc.property(fc.uniqueArray(status, { selector: ({ id }) => id, maxLength: 20 }), (list) => {
      const routers = list.sort((a, b) => (a.id < b.id ? -1 : 1));
      const text = appendSignatures(encodeConsensusBody({ ...real, routers }), real.signatures);
      const parsed = parseConsensus(text).routers;
      t.deepEqual(
        parsed.map((router) => encodeRouter(router, 'microdesc')),
        routers.map((router) => encodeRouter(router, 'microdesc')),
      );
      t.deepEqual(
        parsed.map(({ id, flags, ipv6, bandwidth, unmeasured, version }) => ({
          id,
          flags,
          ipv6,
          bandwidth,
          unmeasured,
          version,
        })),
        routers.map(({ id, flags, ipv6, bandwidth, unmeasured, version }) => ({
          id,
          flags,
          ipv6,
          bandwidth,
          unmeasured,
          version,
        })),
      );
    }),
    { numRuns: 50 },
  );
});

test('digests are of the text through the blank after directory-signature', (t) => {
  const consensus = parseConsensus(MD);
  const part = Buffer.from(
    MD.slice(0, MD.indexOf('\ndirectory-signature ') + '\ndirectory-signature '.length),
  );
  t.is(toHex(consensus.signedDigests.sha1), toHex(sha1(part)));
  t.is(toHex(consensus.signedDigests.sha256), toHex(sha256(part)));
  t.is(fromHex(consensus.sha3AsSigned, 'sha3').length, 32);
});

test('a shared random value or an address that cannot be read is none, and the consensus is good all the same', (t) => {
  const text = MD.replace(/value 4 ..../g, 'value 4 ').replace(/\nm /, '\na [::1]\nm ');
  const { sharedRandPrevious, sharedRandCurrent, routers } = parseConsensus(text);
  t.deepEqual([sharedRandPrevious, sharedRandCurrent, routers[0]!.ipv6], [undefined, undefined, undefined]);
});
