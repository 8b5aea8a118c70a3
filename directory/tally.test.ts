import test from 'ava';
import { appendSignatures, encodeConsensusBody, parseConsensus } from '../shared/netdoc/consensus.js';
import { parseProtocols } from '../shared/netdoc/protover.js';
import type { RouterStatus, Vote } from '../shared/netdoc/types.js';
import { parseVote, verifyVote } from '../shared/netdoc/vote.js';
import { vectorText } from '../shared/testing/vectors.js';
import { consensusMethod, tally, tallyParams } from './tally.js';

const votes = [0, 1, 2, 3].map((i) => parseVote(vectorText(`real-tor/vote-auth${i}.txt`)));
const sharedRandomness = { participate: true, fresh: false };
const base = { votes, authorities: 4, sharedRandomness };

test('four real votes make the consensuses that C tor made of them, byte for byte', (t) => {
  for (const vote of votes) verifyVote(vote);
  const result = tally(base);
  t.is(result.method, 35);
  t.true(result.methodKnown);
  for (const flavor of ['ns', 'microdesc'] as const) {
    const text = vectorText(`real-tor/consensus-${flavor}.txt`);
    const { signatures } = parseConsensus(text);
    t.is(appendSignatures(encodeConsensusBody(result[flavor]), signatures), text);
  }
});

test('the order in which votes came does not matter', (t) => {
  const text = encodeConsensusBody(tally(base).ns);
  t.is(encodeConsensusBody(tally({ ...base, votes: [...votes].reverse() }).ns), text);
});

/** A change to one router's entry, or its removal. */
type Change = Partial<RouterStatus> | 'unlisted';

/** The real votes with changes to the relay mid0: one for each vote. */
const changed = (...changes: Change[]): Vote[] =>
  votes.map((vote, i) => {
    const change = changes[i] ?? {};
    const routers = vote.routers.flatMap((router) => {
      if (router.nickname !== 'mid0') return [router];
      return change === 'unlisted' ? [] : [{ ...router, ...change }];
    });
    return { ...vote, routers };
  });

const mid0 = (changedVotes: Vote[], flavor: 'ns' | 'microdesc' = 'ns', authorities = 4) =>
  tally({ ...base, votes: changedVotes, authorities })[flavor].routers.find((r) => r.nickname === 'mid0');

const real = votes[0]!.routers.find((r) => r.nickname === 'mid0')!;
const without = (...flags: string[]) => ({
  flags: new Set([...real.flags].filter((flag) => !flags.includes(flag))),
});
const withFlags = (...flags: string[]) => ({ flags: new Set([...real.flags, ...flags].sort()) });

test('a router needs more than half of all authorities, not of those that voted', (t) => {
  t.truthy(mid0(changed('unlisted')));
  t.falsy(mid0(changed('unlisted', 'unlisted')));
  t.truthy(mid0(changed().slice(0, 3)));
  t.falsy(mid0(changed().slice(0, 3), 'ns', 6));
});

test('it needs Running and Valid, each from more than half of those that vote on it', (t) => {
  t.truthy(mid0(changed(without('Running'))));
  t.falsy(mid0(changed(without('Running'), without('Running'))));
  t.falsy(mid0(changed(without('Valid'), without('Valid'))));
});

test('a flag counts among those that know it', (t) => {
  const all = changed(withFlags('Strange'), withFlags('Strange'));
  t.false(mid0(all)!.flags.has('Strange'));
  const known = all.map((vote, i) =>
    i < 3 ? { ...vote, knownFlags: [...vote.knownFlags, 'Strange'].sort() } : vote,
  );
  t.true(mid0(known)!.flags.has('Strange'));
  t.true(tally({ ...base, votes: known }).ns.knownFlags.includes('Strange'));
});

test('MiddleOnly takes the other positions and adds BadExit', (t) => {
  const middle = changed(...[0, 1, 2].map(() => withFlags('MiddleOnly')));
  const known = middle.map((vote) => ({ ...vote, knownFlags: [...vote.knownFlags, 'MiddleOnly'].sort() }));
  t.is([...mid0(known)!.flags].join(' '), 'BadExit Fast MiddleOnly Running Stable Valid');
});

const other = (n: number): Partial<RouterStatus> => ({
  digest: new Uint8Array(20).fill(n),
  published: real.published,
});

test('the descriptor most votes have; then the latest; then the smaller digest', (t) => {
  const digestOf = (...changes: Change[]) => mid0(changed(...changes))!.digest![0];
  const [a, b, c] = [other(1), other(2), other(3)];
  t.is(digestOf(a, b, b, c), 2);
  t.is(digestOf(b, b, a, a), 1);
  t.is(digestOf({ ...b, published: real.published + 1000 }, a, c, other(4)), 2);
  const later = { ...b, published: real.published + 1000 };
  t.is(digestOf(later, later, a, a), 2);
});

test('the microdescriptor goes with the descriptor; without one the relay is in the ns flavour only', (t) => {
  const digests = (text: string) => ({ microdescDigests: new Map([[35, text.padEnd(43, 'A')]]) });
  const chosen = changed(
    { ...other(1), ...digests('X') },
    other(2),
    { ...other(2), ...digests('Y') },
    other(3),
  );
  t.true(mid0(chosen, 'microdesc')!.microdescDigest!.startsWith('Y'));
  const none = changed(...[0, 1, 2, 3].map(() => ({ microdescDigests: new Map() })));
  t.falsy(mid0(none, 'microdesc'));
  t.truthy(mid0(none, 'ns'));
});

test('ed25519: a pair needs a majority, else NoEdConsensus and the RSA identity alone', (t) => {
  const ed = (n: number) => ({ ed25519Id: new Uint8Array(32).fill(n) });
  t.false(mid0(changed(ed(1)))!.flags.has('NoEdConsensus'));
  t.true(mid0(changed(ed(1), ed(2)))!.flags.has('NoEdConsensus'));
  // An entry under another ed25519 identity does not count for the pair that won.
  const outvoted = changed({ ...ed(1), ...other(9), published: real.published + 5000 });
  t.deepEqual(mid0(outvoted)!.digest, real.digest);
  // One that gives none is not against it.
  t.false(mid0(changed({ ed25519Id: undefined }))!.flags.has('NoEdConsensus'));
  t.false(
    mid0(changed(...[0, 1, 2, 3].map(() => ({ ed25519Id: 'none' as const }))))!.flags.has('NoEdConsensus'),
  );
});

test('bandwidth: the low median of three or more measurements, else of claims, capped if three measure', (t) => {
  const measured = (n: number | undefined) => ({ measured: n, bandwidth: 5000 });
  t.deepEqual(pick(mid0(changed(measured(10), measured(20), measured(30), measured(40)))), [20, false]);
  t.deepEqual(pick(mid0(changed(measured(10), measured(20), measured(30), measured(undefined)))), [
    20,
    false,
  ]);
  const two = [measured(10), measured(20), measured(undefined), measured(undefined)];
  t.deepEqual(pick(mid0(changed(...two))), [20, true]);
  const unmeasured = changed(...two).map((vote) => ({
    ...vote,
    routers: vote.routers.map((r) => (r.nickname === 'mid0' ? r : { ...r, measured: undefined })),
  }));
  t.deepEqual(pick(mid0(unmeasured)), [5000, true]);
  const params = new Map([['maxunmeasuredbw', 77]]);
  t.deepEqual(pick(mid0(changed(...two).map((vote) => ({ ...vote, params })))), [77, true]);
});

const pick = (router: RouterStatus | undefined) => [router!.bandwidth, router!.unmeasured];

test('version, protocols and IPv6 address: most votes, of equals the larger', (t) => {
  const version = (v: string) => ({ version: v });
  t.is(mid0(changed(version('Tor 0.4.9.9'), version('Tor 0.4.9.9')))!.version, 'Tor 0.4.9.11');
  t.is(
    mid0(changed(...['1.9', '1.9', '1.9', '1.10'].map((v) => version(`Tor 0.${v}`))))!.version,
    'Tor 0.1.9',
  );
  t.is(
    mid0(changed(...['1.9', '1.9', '1.10', '1.10'].map((v) => version(`Tor 0.${v}`))))!.version,
    'Tor 0.1.10',
  );
  const protocols = (list: string) => ({ protocols: parseProtocols(list) });
  const set = mid0(
    changed(protocols('A=1'), protocols('A=1'), protocols('B=1'), protocols('B=1')),
  )!.protocols;
  t.is(`${set}`, 'B=1');
  const ipv6 = (host: string, port: number) => ({ ipv6: { host, port } });
  t.deepEqual(mid0(changed(ipv6('2001::1', 9), ipv6('2001::2', 9)))!.ipv6, { host: '2001::2', port: 9 });
  t.deepEqual(mid0(changed(ipv6('2001::1', 9), ipv6('2001::1', 8)))!.ipv6, { host: '2001::1', port: 8 });
});

test('methods: the highest that more than two thirds support', (t) => {
  const supporting = (...lists: number[][]) =>
    lists.map((consensusMethods, i) => ({ ...votes[i % 4]!, consensusMethods }));
  t.is(consensusMethod(supporting([32, 33], [32, 33], [32, 34])), 32);
  t.is(consensusMethod(supporting([32, 33], [32, 33], [32, 33], [32])), 33);
  t.is(consensusMethod(supporting([32, 33], [32, 33], [32], [32])), 32);
  t.is(consensusMethod(supporting([32], [33], [34])), 1);
  t.is(consensusMethod(supporting([33, 33], [33, 33], [32], [32])), 1);
  const newer = tally({ ...base, votes: supporting([36], [36], [36], [36]) });
  t.false(newer.methodKnown);
  t.is(newer.method, 35);
});

test('before method 33 microdesc consensuses tell when descriptors were published', (t) => {
  const old = votes.map((vote) => ({ ...vote, consensusMethods: [32] }));
  t.is(mid0(old, 'microdesc')!.published, real.published);
  t.is(mid0(votes, 'microdesc')!.published, Date.UTC(2038, 0, 1));
  t.is(mid0(votes)!.published, real.published);
  // The method decides which microdescriptor is listed, too: family-ids came with 35.
  t.not(mid0(old, 'microdesc')!.microdescDigest, mid0(votes, 'microdesc')!.microdescDigest);
});

test('params: low median of a majority of authorities, or of three', (t) => {
  const voting = (...params: Record<string, number>[]) =>
    params.map((each, i) => ({ ...votes[i % 4]!, params: new Map(Object.entries(each)) }));
  const three = voting({ a: 1, b: 7 }, { a: 5, b: 7 }, { a: 9 });
  t.deepEqual(
    [...tallyParams(three, 3)],
    [
      ['a', 5],
      ['b', 7],
    ],
  );
  t.deepEqual([...tallyParams(three, 4)], [['a', 5]]);
  t.deepEqual([...tallyParams(three, 9)], [['a', 5]]);
  t.deepEqual([...tallyParams(voting({ a: -5 }, { a: 3 }), 3)], [['a', -5]]);
  // As C tor sorts them: by the text with its "=".
  t.deepEqual([...tallyParams(voting({ ab: 1, a: 1, a1: 1 }), 1).keys()], ['a1', 'a', 'ab']);
});

test('versions: more than half of the votes that have the line', (t) => {
  const recommending = (...lists: (string[] | undefined)[]) =>
    lists.map((list, i) => ({
      ...votes[i % 4]!,
      clientVersions: list ?? [],
      text: list ? 'x\nclient-versions y' : 'x',
    }));
  const result = (...lists: (string[] | undefined)[]) =>
    tally({ ...base, votes: recommending(...lists) }).ns.clientVersions.join();
  t.is(result(['0.4.9', '0.4.8'], ['0.4.8'], undefined, undefined), '0.4.8');
  t.is(result(['0.4.9', '0.4.10'], undefined, undefined, undefined), '0.4.9,0.4.10');
  t.is(result(['0.4.9'], [], undefined, undefined), '');
});

test('shared random values: a majority of all authorities, two thirds for a fresh one', (t) => {
  const [one, two] = [1, 2].map((n) => ({ reveals: 3, value: new Uint8Array(32).fill(n) }));
  const current = (
    count: number,
    authorities: number,
    fresh: boolean,
    params = new Map<string, number>(),
  ) => {
    const some = votes.map((vote, i) => ({ ...vote, params, sharedRandCurrent: i < count ? one : two }));
    return tally({ votes: some, authorities, sharedRandomness: { participate: true, fresh } }).ns
      .sharedRandCurrent;
  };
  t.deepEqual(current(3, 4, false), one);
  t.is(current(2, 4, false), undefined);
  t.is(current(3, 6, false), undefined);
  t.deepEqual(current(3, 5, false), one);
  t.deepEqual(current(3, 5, true), one);
  t.is(current(3, 5, true, new Map([['AuthDirNumSRVAgreements', 4]])), undefined);
  t.deepEqual(current(3, 5, false, new Map([['AuthDirNumSRVAgreements', 4]])), one);
  const silent = votes.map((vote) => ({ ...vote, sharedRandParticipate: false }));
  t.is(tally({ ...base, votes: silent }).ns.sharedRandCurrent, undefined);
  const apart = { participate: false, fresh: false };
  t.is(tally({ ...base, sharedRandomness: apart }).ns.sharedRandCurrent, undefined);
});

test('an authority that still has an older key is listed under both', (t) => {
  const legacy = votes.map((vote, i) => (i === 0 ? { ...vote, legacyDirKey: '0'.repeat(40) } : vote));
  const text = encodeConsensusBody(tally({ ...base, votes: legacy }).ns);
  t.true(text.includes('\ndir-source auth0-legacy 0000'));
  t.is(tally({ ...base, votes: legacy }).ns.authorities.length, 5);
});

test('Named and Unnamed go by nickname', (t) => {
  const named = (i: number) => (i < 1 ? withFlags('Named') : i < 2 ? withFlags('Unnamed') : {});
  const knowing = changed(...[0, 1, 2, 3].map(named)).map((vote, i) => ({
    ...vote,
    knownFlags: [...vote.knownFlags, ...(i === 0 ? ['Named'] : i === 1 ? ['Unnamed'] : [])].sort(),
  }));
  // Named by one and called Unnamed by another: disputed, so nobody's.
  t.true(mid0(knowing)!.flags.has('Unnamed'));
  t.false(mid0(knowing)!.flags.has('Named'));
  t.true(
    mid0(
      knowing.filter((_, i) => i !== 1),
      'ns',
      3,
    )!.flags.has('Named'),
  );
});
