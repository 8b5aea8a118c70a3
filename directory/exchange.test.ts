import test from 'ava';
import { toHex } from '../shared/bytes/text.js';
import { generateRsa, type RsaKey } from '../shared/crypto/rsa.js';
import { memoryLog } from '../shared/log/memory.js';
import { buildAuthorityCertificate, parseAuthorityCertificate } from '../shared/netdoc/authority-cert.js';
import { encodeDetachedSignatures, parseDetachedSignatures } from '../shared/netdoc/detached.js';
import type { AuthorityCertificate, Consensus } from '../shared/netdoc/types.js';
import { encodeVote, parseVote, type VoteBody } from '../shared/netdoc/vote.js';
import type { NodeEvent } from '../shared/runtime/env.js';
import { vectorText } from '../shared/testing/vectors.js';
import { Exchange, type ExchangeAction } from './exchange.js';
import type { VotingSchedule } from './schedule.js';

const MINUTE = 60_000;
const START = Date.UTC(2026, 2, 1, 10, 20);
const at = (minute: number): number => Date.UTC(2026, 2, 1, 10) + minute * MINUTE;

const options = {
  TestingV3AuthInitialVotingInterval: 30 * MINUTE,
  TestingV3AuthInitialVoteDelay: 5 * MINUTE,
  TestingV3AuthInitialDistDelay: 5 * MINUTE,
  TestingV3AuthVotingStartOffset: 0,
};

const template = parseVote(vectorText('real-tor/vote-auth0.txt'));

interface Voter {
  readonly exchange: Exchange;
  readonly log: ReturnType<typeof memoryLog>;
  readonly events: NodeEvent[];
  readonly id: string;
  vote(schedule: VotingSchedule, now: number, over?: Partial<VoteBody>): string;
}

const keys: { identity: RsaKey; signing: RsaKey }[] = [];

test.before(async () => {
  for (let i = 0; i < 3; i++)
    keys.push({ identity: await generateRsa(1024), signing: await generateRsa(1024) });
});

/** Three authorities that know each other; each votes what a real one did. */
function voters(over: Partial<VoteBody> = {}): Voter[] {
  const certificates = new Map<string, AuthorityCertificate>();
  const authorities = new Set(keys.map(({ identity }) => toHex(identity.id)));
  return keys.map(({ identity, signing }, i) => {
    const id = toHex(identity.id);
    const certificate = parseAuthorityCertificate(
      buildAuthorityCertificate({
        identityKey: identity,
        signingKey: signing,
        published: START,
        expires: START + 1000 * MINUTE,
      }),
    );
    const log = memoryLog();
    const events: NodeEvent[] = [];
    const vote: Voter['vote'] = ({ validAfter }, now, more = {}) =>
      encodeVote(
        {
          ...template,
          published: Math.floor(now / 1000) * 1000,
          validAfter,
          freshUntil: validAfter + 60 * MINUTE,
          validUntil: validAfter + 180 * MINUTE,
          votingDelay: { vote: 300, dist: 300 },
          authority: { ...template.authority, identity: id, nickname: `auth${i}` },
          certificate,
          ...over,
          ...more,
        },
        signing,
      );
    const exchange = new Exchange(
      {
        log,
        options,
        rules: { authorities, testing: false },
        identity: id,
        signingKey: signing,
        nameOf: (authority) => `auth${[...authorities].indexOf(authority)}`,
        makeVote: vote,
        tookVote: (taken) => void certificates.set(taken.authority.identity, taken.certificate),
        certificate: (authority) => certificates.get(authority),
        consensus: () => undefined,
        sharedRandomness: () => ({ participate: true, fresh: false }),
        isSigned: (consensus) => consensus.signatures.length * 2 > authorities.size,
        report: (event) => void events.push(event),
      },
      START,
    );
    return { exchange, log, events, id, vote };
  });
}

const only = <T extends ExchangeAction['type']>(actions: ExchangeAction[], type: T) =>
  actions.find((action): action is Extract<ExchangeAction, { type: T }> => action.type === type);

const published = (actions: ExchangeAction[]): readonly Consensus[] =>
  only(actions, 'publish')?.consensuses ?? [];

test('a round: votes, signatures, two flavours with three signatures', (t) => {
  const all = voters();
  t.is(all[0]!.exchange.nextAt, at(20));
  const bodies = all.map(({ exchange }) => only(exchange.act(at(20)), 'post-vote')!.body);
  for (const { exchange } of all)
    for (const body of bodies) t.is(exchange.addVotes(body, 'posted', 'x', at(21)).status, 200);
  for (const { exchange } of all) t.deepEqual(exchange.act(at(22.5)), []);
  const signatures = all.map(({ exchange }) => only(exchange.act(at(25)), 'post-signatures')!.body);
  for (const { exchange } of all)
    for (const body of signatures) t.is(exchange.addSignatures(body, 'x').status, 200);
  for (const { exchange } of all) t.deepEqual(exchange.act(at(27.5)), []);
  const results = all.map(({ exchange }) => published(exchange.act(at(30))));
  for (const consensuses of results) {
    t.deepEqual(
      consensuses.map(({ flavor, signatures: list }) => [flavor, list.length]),
      [
        ['ns', 3],
        ['microdesc', 3],
      ],
    );
    t.deepEqual(
      consensuses.map(({ text }) => text),
      results[0]!.map(({ text }) => text),
    );
  }
  t.true(all[0]!.exchange.roundOver);
  t.is(all[0]!.exchange.nextAt, Number.POSITIVE_INFINITY);
  // The votes of the round are served as the previous ones.
  t.is(all[0]!.exchange.voteOf(all[1]!.id, 'current')!.text, bodies[1]);
  t.is(all[0]!.exchange.voteOf(all[1]!.id, 'next'), undefined);
});

test('an authority that calls itself what no relay may cannot keep the others from a consensus', (t) => {
  for (const nickname of ['auth2-legacy', 'not_a_nickname']) {
    const [a, b, c] = voters();
    a!.exchange.act(at(20));
    const { schedule } = a!.exchange;
    const authority = { ...template.authority, identity: c!.id, nickname };
    const odd = c!.vote(schedule, at(20), { authority, legacyDirKey: '0'.repeat(40) });
    for (const body of [b!.vote(schedule, at(20)), odd])
      t.is(a!.exchange.addVotes(body, 'posted', 'x', at(21)).status, 200);
    a!.exchange.act(at(25));
    t.true(a!.exchange.pendingConsensus('ns')!.includes(`\ndir-source ${nickname}-legacy 000`));
    t.notThrows(() => a!.exchange.act(at(30)));
  }
});

test('missing votes and signatures are asked for', (t) => {
  const [a, b, c] = voters();
  const now = at(20);
  a!.exchange.act(now);
  t.deepEqual(only(a!.exchange.act(at(22.5)), 'fetch-votes')!.authorities, [b!.id, c!.id]);
  const both = b!.vote(a!.exchange.schedule, now) + c!.vote(a!.exchange.schedule, now);
  t.is(a!.exchange.addVotes(both, 'fetched', 'b', at(23)).status, 200);
  t.truthy(only(a!.exchange.act(at(25)), 'post-signatures'));
  t.truthy(only(a!.exchange.act(at(27.5)), 'fetch-signatures'));
});

test('which votes are refused', (t) => {
  const [a, b] = voters();
  const { exchange } = a!;
  const { schedule } = exchange;
  const offer = (text: string, now = at(21), delivery: 'posted' | 'fetched' = 'posted') =>
    exchange.addVotes(text, delivery, 'x', now);
  t.like(offer(''), { status: 400, reason: 'Unable to parse vote' });
  t.like(offer(vectorText('real-tor/vote-auth0.txt')), {
    status: 400,
    reason: 'Vote not from a recognized v3 authority',
  });
  t.regex(
    offer(b!.vote({ ...schedule, validAfter: at(31) }, at(20))).reason,
    /^Bad valid-after time .* expected 2026-03-01 10:30:00/,
  );
  t.regex(
    offer(b!.vote(schedule, at(20), { freshUntil: schedule.validAfter + 4 * MINUTE })).reason,
    /interval is too short/,
  );
  t.regex(
    offer(b!.vote(schedule, at(20), { votingDelay: { vote: 1, dist: 300 } })).reason,
    /delay is too short/,
  );
  const good = b!.vote(schedule, at(20));
  t.regex(offer(good.replace('cc_alg=2', 'cc_alg=1')).reason, /bad signature/);
  t.regex(offer(good, at(22.6)).reason, /too late/);
  t.is(offer(good, at(22.6), 'fetched').status, 200);
  // The same again is no fault; an older one is; a newer one takes its place.
  t.is(offer(good).status, 200);
  t.regex(offer(b!.vote(schedule, at(19))).reason, /newer pending vote/);
  const newer = b!.vote(schedule, at(20) + 1000);
  t.is(offer(newer).status, 200);
  t.is(exchange.voteOf(b!.id, 'next')!.text, newer);
  t.is(exchange.voteByDigest(parseVote(newer).digest)!.text, newer);
});

test('a vote of one out of three makes no consensus', (t) => {
  const [a] = voters();
  a!.exchange.act(at(20));
  t.is(only(a!.exchange.act(at(25)), 'post-signatures'), undefined);
  t.true(a!.log.has('warn', 'Not enough votes for a consensus: 1 of 3 authorities, 2 are needed.'));
  t.is(a!.exchange.pendingSignatures(), undefined);
  t.deepEqual(published(a!.exchange.act(at(30))), []);
  t.true(a!.log.has('warn', 'There is no consensus that is still valid.'));
});

test('nor do votes none of which knows Running', (t) => {
  const all = voters({
    knownFlags: ['Valid'],
    routers: template.routers.map((router) => ({ ...router, flags: new Set(['Valid']) })),
  });
  const [a, b] = all;
  a!.exchange.act(at(20));
  a!.exchange.addVotes(b!.vote(a!.exchange.schedule, at(20)), 'posted', 'b', at(21));
  a!.exchange.act(at(25));
  t.true(a!.log.has('warn', 'Nobody has voted on the Running flag'));
});

/** Two that have computed, and the signatures of the second. */
function computed() {
  const [a, b, c] = voters();
  for (const one of [a, b]) {
    one!.exchange.act(at(20));
    for (const other of [a, b])
      one!.exchange.addVotes(other!.vote(one!.exchange.schedule, at(20)), 'posted', 'x', at(21));
  }
  const signatures = only(b!.exchange.act(at(25)), 'post-signatures')!.body;
  return { a: a!, b: b!, c: c!, signatures };
}

test('signatures that come before our own consensus wait for it', (t) => {
  const { a, signatures } = computed();
  t.like(a.exchange.addSignatures(signatures, 'b'), { status: 200, reason: 'Signature queued' });
  a.exchange.act(at(25));
  const consensuses = published(a.exchange.act(at(30)));
  t.deepEqual(
    consensuses.map(({ signatures: list }) => list.length),
    [2, 2],
  );
});

test('one signature of three is not enough to publish', (t) => {
  const { a } = computed();
  a.exchange.act(at(25));
  t.deepEqual(published(a.exchange.act(at(30))), []);
  t.true(a.log.has('warn', 'The ns consensus is signed by 1 of 3 authorities only'));
});

test('which signatures are refused', (t) => {
  const { a, b, signatures } = computed();
  a.exchange.act(at(25));
  const parsed = parseDetachedSignatures(signatures);
  const offer = (over: Partial<typeof parsed>) =>
    a.exchange.addSignatures(encodeDetachedSignatures({ ...parsed, ...over }), 'b');
  t.regex(a.exchange.addSignatures('nonsense', 'b').reason, /Couldn't parse/);
  t.like(offer({ validAfter: parsed.validAfter - 1000 }), {
    status: 400,
    reason: 'Valid-after times do not match',
  });
  const digests = new Map(parsed.digests).set('ns', new Uint8Array(20)).set('microdesc', new Uint8Array(32));
  t.like(offer({ digests }), { status: 400, reason: 'Mismatched digest of the ns consensus' });
  const forged = new Map(
    [...parsed.signatures].map(([flavor, list]) => [
      flavor,
      list.map((each) => ({ ...each, signature: new Uint8Array(128).fill(1) })),
    ]),
  );
  t.like(offer({ signatures: forged }), { status: 200, reason: 'Signatures ignored' });
  t.true(a.log.has('warn', 'Bad signature of auth1 on the ns consensus'));
  t.like(offer({}), { status: 200, reason: 'Signatures added' });
  t.like(offer({}), { status: 200, reason: 'Signatures ignored' });
  t.true(a.exchange.pendingSignatures()!.includes(b.id));
  t.true(a.exchange.pendingConsensus('microdesc')!.startsWith('network-status-version 3 microdesc\n'));
});

test('waiting signatures are bounded', (t) => {
  const { a, signatures } = computed();
  // By size too: whoever can reach the DirPort may send 16 MB at a time, long before there is a consensus.
  for (const text of ['x', `${signatures}${'opt x\n'.repeat(100_000)}`])
    t.regex(a.exchange.addSignatures(text, 'b').reason, /^Couldn't parse/);
  for (let i = 0; i < 64; i++) t.is(a.exchange.addSignatures(signatures, 'b').status, 200);
  t.is(a.exchange.addSignatures(signatures, 'b').status, 503);
});

test('an authority that wakes up late does all that is due', (t) => {
  const [a] = voters();
  const actions = a!.exchange.act(at(29));
  t.deepEqual(
    actions.map(({ type }) => type),
    ['post-vote', 'fetch-votes'],
  );
});
