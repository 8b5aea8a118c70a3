import test from 'ava';
import { vectorText } from '../testing/vectors.js';
import { parseAuthorityCertificates } from './authority-cert.js';
import { parseConsensus } from './consensus.js';
import { encodeSignatures, signDirectoryText } from './network-status.js';
import { makeTestRsa, refuses, survives } from './testing.js';
import { encodeVoteBody, parseVote, verifyVote } from './vote.js';

const NS = vectorText('real-tor/consensus-ns.txt');
const VOTES = [0, 1, 2, 3].map((i) => vectorText(`real-tor/vote-auth${i}.txt`));
const VOTE = VOTES[0] ?? '';
const CERTS = new Map(
  parseAuthorityCertificates(vectorText('real-tor/authority-certs.txt')).documents.map((cert) => [
    cert.identity,
    cert,
  ]),
);

test('votes of a real network', (t) => {
  const digests = new Map(parseConsensus(NS).authorities.map((a) => [a.identity, a.voteDigest]));
  for (const text of VOTES) {
    const vote = parseVote(text);
    t.notThrows(() => verifyVote(vote));
    t.is(`${encodeVoteBody(vote)}${encodeSignatures([vote.signature])}`, text);
    t.is(digests.get(vote.authority.identity), vote.digest);
    t.is(CERTS.get(vote.authority.identity)?.text, vote.certificate.text);
    t.deepEqual(vote.consensusMethods, [32, 33, 34, 35]);
  }
  const vote = parseVote(VOTE);
  t.is(vote.flagThresholds.get('guard-wfu'), '98.000%');
  t.is(vote.sharedRandCommits.length, 4);
  t.true(vote.sharedRandParticipate);
  const [auth0, , mid1] = vote.routers;
  t.is(auth0?.measured, undefined);
  t.is(auth0?.measuredButAuthority, 100);
  t.is(mid1?.measured, 2977);
  t.is(mid1?.stats?.get('wfu'), 1);
  t.is(mid1?.microdescDigests?.get(32), 'OoSFXxiWFYhNkKP8ey+4A7dR+gv23yleUGE1/LwYOUs');
  t.is(mid1?.microdescDigests?.get(35), 'hrL5e2qkYb+xydmR21ABCfXDblkwlSkdTnvk9BgQqO4');
});

test('a signature with another key', (t) => {
  const key = makeTestRsa();
  const vote = parseVote(VOTE);
  const body = encodeVoteBody(vote);
  const forged = signDirectoryText(body, 'sha1', vote.certificate.identity, key);
  refuses(t, () => verifyVote(parseVote(`${body}${encodeSignatures([forged])}`)), 'vote.directory-signature');
});

test('statistics that are no numbers are left out, not the vote: an authority whose clock was set back writes such', (t) => {
  // C tor's %lu of a negative time, and a negative mean.
  const odd = /stats wfu=0.000000 tk=\d+ mtbf=\d+/;
  const vote = parseVote(VOTE.replace(odd, 'stats wfu=1.000000 tk=18446744073709551316 mtbf=-300 what'));
  t.deepEqual([...vote.routers[0]!.stats!], [['wfu', 1]]);
});

test('a line that C tor reads loosely, or not at all, does not spoil the vote: consensuses would differ', (t) => {
  const before = parseVote(VOTE);
  const changed = (from: string | RegExp, to: string) => {
    const text = VOTE.replace(from, to);
    t.not(text, VOTE);
    return parseVote(text);
  };
  const method = changed('methods 32', 'methods next 0x20 32');
  t.deepEqual(method.consensusMethods, before.consensusMethods);

  // Commitments of another version, by another hash, cut, of nobody: each is for shared randomness to refuse.
  const commits = '1 sha3-512 00 AA BB\nshared-rand-commit 9 x y\nshared-rand-commit two sha3-256 z ====';
  const { sharedRandCommits } = changed(/shared-rand-commit 1/, `shared-rand-commit ${commits}\n$&`);
  t.deepEqual(sharedRandCommits.slice(3), before.sharedRandCommits);
  t.deepEqual(
    sharedRandCommits.slice(0, 3).map((commit) => Object.values(commit)),
    [
      [1, 'sha3-512', '00', 'AA', 'BB'],
      [9, 'x', 'Y', '', undefined],
      [0, 'sha3-256', 'Z', '====', undefined],
    ],
  );
  t.deepEqual(changed('\nshared-rand-participate', '').sharedRandCommits, []);
  for (const value of ['9 AAAA', 'many AAAA', `-1 ${'A'.repeat(43)}=`, `1 ${'A'.repeat(44)}`]) {
    const vote = changed(/(shared-rand-\w+-value) .*/g, `$1 ${value}`);
    t.deepEqual([vote.sharedRandPrevious, vote.sharedRandCurrent], [undefined, undefined]);
  }

  const { flagThresholds } = changed('flag-thresholds ', 'flag-thresholds new = stable-uptime=1 ');
  t.deepEqual(flagThresholds, before.flagThresholds);
  const { params } = changed('\nparams ', '\nparams AA=007 AB=+8 AC=-09 AD=-0 ');
  t.deepEqual(
    ['AA', 'AB', 'AC', 'AD'].map((name) => params.get(name)),
    [7, 8, -9, 0],
  );
  const { routers } = changed(/\ns /, '\na nonsense\na [::1]\na 10.0.0.1:9\na [::2]:9\na [::3]:9\ns ');
  t.deepEqual(routers[0]!.ipv6, { host: '::2', port: 9 });
});

test('what is empty is written as C tor writes it', (t) => {
  const vote = parseVote(VOTE);
  t.regex(encodeVoteBody({ ...vote, published: 0, params: new Map() }), /\nparams \n/);
});

const HEX = 'ABCDEF0123456789ABCDEF0123456789ABCDEF01';
const BAD_VOTES: readonly [name: string, text: string, field: string][] = [
  ['a consensus', VOTE.replace('vote-status vote', 'vote-status consensus'), 'vote.vote-status'],
  ['no methods', VOTE.replace(/\nconsensus-methods .*/, ''), 'vote.consensus-methods'],
  ['no published', VOTE.replace(/\npublished .*/, ''), 'vote.published'],
  ['two authorities', VOTE.replace(/\n(dir-source .*)/, '\n$1\n$1'), 'vote.dir-source'],
  ['another authority', VOTE.replace(/(dir-source auth0) \w+/, `$1 ${HEX}`), 'vote.dir-source'],
  ['no contact', VOTE.replace(/\ncontact .*/, ''), 'vote.contact'],
  [
    'too many commitments',
    VOTE.replace(/(\nshared-rand-commit .*)/, (line) => line.repeat(300)),
    'vote.shared-rand-commit',
  ],
  [
    'too many flags',
    VOTE.replace(
      'known-flags ',
      `known-flags ${Array.from({ length: 60 }, (_, i) => `A${String(i).padStart(2, '0')}`).join(' ')} `,
    ),
    'vote.known-flags',
  ],
  ['a flag that is not known', VOTE.replace('\ns Authority', '\ns Authority Best'), 'vote.s'],
  [
    'no certificate',
    VOTE.replace(/dir-key-certificate(?:.|\n)*?(?=r auth0)/, ''),
    'vote.dir-key-certificate-version',
  ],
  [
    'a changed certificate',
    VOTE.replace('dir-key-expires 2027', 'dir-key-expires 2028'),
    'key-certificate.dir-key-certification',
  ],
  [
    'an ed25519 identity twice',
    VOTE.replace(/\nid ed25519 (?!9973).*/, `\n${/id ed25519 9973.*/.exec(VOTE)?.[0]}`),
    'vote.id',
  ],
  ['a bad ed25519 identity', VOTE.replace(/\nid ed25519 ..../, '\nid ed25519 '), 'vote.id'],
  ['a bad method list', VOTE.replace('m 32,33', 'm 32,,33'), 'vote.m'],
  ['two signatures', VOTE + VOTE.slice(VOTE.indexOf('directory-signature')), 'vote.directory-signature'],
  [
    'the signature of another',
    VOTE.replace(/directory-signature \w+/, `directory-signature ${HEX}`),
    'vote.directory-signature',
  ],
];
for (const [name, text, field] of BAD_VOTES)
  test(`vote: refuses ${name}`, (t) => refuses(t, () => parseVote(text), field));

test('a vote that was changed is read but does not verify', (t) => {
  for (const text of [VOTE.replace('wfu=1', 'wfu=0'), VOTE.replace(/(directory-signature \w+) ../, '$1 00')])
    refuses(t, () => verifyVote(parseVote(text)), 'vote.directory-signature');
});

test('mutated votes are read or refused', (t) => {
  survives(t, VOTE, parseVote, 200);
});
