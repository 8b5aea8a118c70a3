import type { ExecutionContext } from 'ava';
import { parseConsensus } from '../../shared/netdoc/consensus.js';
import type { Consensus } from '../../shared/netdoc/types.js';
import { judgeDocuments } from './documents.js';
import { type Kind, type Member, MixedNetwork } from './mixed-network.js';
import { interopTest } from './programs.js';
import { complaints } from './warnings.js';

/** Seconds; the shortest C tor takes in a testing network (MIN_VOTE_INTERVAL_TESTING). */
const INTERVAL = 10;
/** Milliseconds after which nobody publishes a consensus any more that it has not yet. */
const LATE = 0.8 * INTERVAL * 1000;
/** Rounds of a run of the shared random protocol, commit and reveal (srv-spec 3.1). */
const RUN = 24;
/** The rest of the run that is under way, and one whole; and one more where the machine was too busy for it. */
const MOST_ROUNDS = 2 * RUN + RUN / 2;

const FLAVORS = ['ns', 'microdesc'] as const;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const signedPart = ({ text }: Consensus): string => text.slice(0, text.indexOf('\ndirectory-signature'));
const votesOf = ({ authorities }: Consensus): string =>
  authorities.map(({ voteDigest }) => voteDigest).join();

/** A round's consensuses, once all authorities have published theirs signed by all, or what there is when the next one is near. */
async function published(
  network: MixedNetwork,
  names: readonly string[],
  flavor: (typeof FLAVORS)[number],
  validAfter: number,
): Promise<Consensus[]> {
  for (;;) {
    const all = await Promise.all(names.map((name) => network.consensus(name, flavor)));
    const same = all.filter((each): each is Consensus => each?.validAfter === validAfter);
    const whole = same.filter(({ signatures }) => signatures.length === names.length);
    if (whole.length === names.length || Date.now() > validAfter + LATE) return same;
    await pause(300);
  }
}

/** Runs a network whose three authorities are of these kinds until they have a shared random value of three reveals. */
async function agree(t: ExecutionContext, kinds: readonly Kind[]): Promise<void> {
  const authorities = kinds.map(
    (kind, i): Member => ({
      name: `auth${i + 1}`,
      kind,
      role: 'authority',
      // What they think differs: of the guards, and of which relay is a bad exit.
      lines: [`TestingDirAuthVoteExit 127.${4 + i}.0.1`],
    }),
  );
  const network = await MixedNetwork.start({
    members: [
      ...authorities,
      { name: 'torrelay', kind: 'tor', role: 'relay', guard: true },
      { name: 'ceparelay', kind: 'cepa', role: 'relay', exit: true },
    ],
    authorityLines: [
      'VersioningAuthoritativeDirectory 1',
      'RecommendedVersions 0.4.9.11,0.4.9.12',
      'ConsensusParams cc_alg=2 circwindow=1000',
    ],
    voting: { first: INTERVAL, firstDelay: 2, offset: 0, interval: INTERVAL, delay: 2 },
  });
  const names = authorities.map(({ name }) => name);
  try {
    await network.complete();
    let [whole, after, reveals] = [0, 0, 0];
    let last: Consensus | undefined;
    for (let round = 0; round < MOST_ROUNDS && reveals < names.length; round++) {
      let now = await network.consensus('auth1');
      while (!now || now.validAfter <= after) {
        await pause(300);
        now = await network.consensus('auth1');
      }
      after = now.validAfter;
      for (const flavor of FLAVORS) {
        const same = await published(network, names, flavor, after);
        // On a busy machine a vote may come too late for somebody; the same votes must give the same text.
        for (const each of same)
          if (votesOf(each) === votesOf(same[0]!)) t.is(signedPart(each), signedPart(same[0]!));
        if (
          same.length === names.length &&
          same.every(({ signatures }) => signatures.length === names.length)
        )
          whole++;
      }
      last = now;
      reveals = Number(/^shared-rand-current-value (\d+) /m.exec(now.text)?.[1] ?? 0);
    }
    t.is(reveals, names.length, last?.text);
    t.true(whole >= RUN, `only ${whole / 2} rounds were signed by all`);
    t.log(
      `${kinds.join(', ')}: ${whole / 2} rounds signed by all; ${/^shared-rand-current-value.*$/m.exec(last!.text)?.[0]}`,
    );
    for (const tor of network.tors.values())
      if (tor.plan.role === 'authority') t.deepEqual(complaints(tor.warnings), []);
    const certificates = await network.fetch('auth1', '/tor/keys/all');
    const vote = await network.fetch(names[kinds.indexOf('cepa')]!, '/tor/status-vote/current/authority');
    t.deepEqual(
      await judgeDocuments([
        { type: 'certificate', text: certificates! },
        { type: 'vote', text: vote! },
        { type: 'consensus', text: parseConsensus(last!.text).text },
      ]),
      [
        { type: 'certificate', documents: 3 },
        { type: 'vote', documents: 1 },
        { type: 'consensus', documents: 1 },
      ],
    );
  } finally {
    await network.stop();
  }
}

interopTest(
  ['tor', 'tor-gencert', 'stem'],
  'mixed authorities, 2 + 1 and 1 + 2, agree through a run of the shared random protocol',
  async (t) => {
    t.timeout(2 * MOST_ROUNDS * INTERVAL * 1000);
    await Promise.all([agree(t, ['tor', 'tor', 'cepa']), agree(t, ['tor', 'cepa', 'cepa'])]);
  },
);
