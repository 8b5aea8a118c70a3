import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type RelayNode, startRelay } from '../relay/node.js';
import { toHex } from '../shared/bytes/text.js';
import { loadOrCreateRelayKeys } from '../shared/crypto/relay-keys.js';
import { fetchOverConn } from '../shared/dir/fetch.js';
import { memoryLog } from '../shared/log/memory.js';
import { parseConsensus } from '../shared/netdoc/consensus.js';
import type { Consensus } from '../shared/netdoc/types.js';
import { osRandom, realClock, realTransport } from '../shared/runtime/real.js';
import { systemResolver } from '../shared/runtime/resolver.js';
import { diskStore } from '../shared/store/disk.js';
import { loadOptions } from '../shared/torrc/parse.js';
import { loopbackPlace, missingTor, TorProcess } from './ctor.js';
import { keygenAuthority } from './keys.js';
import { type AuthorityNode, startAuthority } from './node.js';

const missing = missingTor();
const required = process.env.CEPA_REQUIRE_INTEROP === '1';
if (missing && !required) console.log(`Skipping the interop tests of authorities: ${missing}.`);
const interop: (title: string, body: (t: ExecutionContext) => Promise<void>) => void = !missing
  ? test
  : required
    ? (title) => test(title, (t) => t.fail(missing))
    : test.skip;

/** Rounds with everybody's signatures before the bandwidth file is there, and as many after. */
const ROUNDS = Number(process.env.CEPA_INTEROP_ROUNDS ?? 1);
/** Rounds that may miss somebody: not everybody is up yet, or the machine is busy. */
const PATIENCE = 20;
const INTERVAL = 10_000;
/** Two of C tor, one of ours. */
const RELAYS = 3;
/** From the votes to the consensus. */
const DELAYS = 4_000;

const PACE = [
  'TestingTorNetwork 1',
  'V3AuthVotingInterval 10 seconds',
  'V3AuthVoteDelay 2 seconds',
  'V3AuthDistDelay 2 seconds',
  'TestingV3AuthInitialVotingInterval 10 seconds',
  'TestingV3AuthInitialVoteDelay 2 seconds',
  'TestingV3AuthInitialDistDelay 2 seconds',
];

const DIR_FLAVORS = [
  ['ns', 'consensus'],
  ['microdesc', 'consensus-microdesc'],
] as const;

/** The part of a consensus that is signed. */
const body = (text: string): string => text.slice(0, text.indexOf('\ndirectory-signature'));

/** Which votes a consensus was made of. */
const votesOf = ({ authorities }: Consensus): string =>
  authorities.map(({ voteDigest }) => voteDigest).join();

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const transport = realTransport();

/** What an authority serves on its DirPort. */
async function served(address: string, name: string): Promise<Consensus | undefined> {
  const request = { method: 'GET', path: `/tor/status-vote/current/${name}.z` } as const;
  const at = { host: address, port: 9030 };
  try {
    const answer = await fetchOverConn(transport, at, request, { clock: realClock, timeout: 30_000 });
    return answer.status === 200 ? parseConsensus(Buffer.from(answer.body).toString('utf8')) : undefined;
  } catch {
    return undefined;
  }
}

interface OwnSite {
  readonly nickname: string;
  readonly address: string;
  readonly folder: string;
  readonly log: ReturnType<typeof memoryLog>;
}

/** A network of `tors` C tor authorities and `ours` of ours, with two C tor relays and one of ours. */
async function agree(t: ExecutionContext, tors: number, ours: number): Promise<void> {
  t.timeout(2 * (ROUNDS + PATIENCE + 2) * INTERVAL);
  const place = loopbackPlace();
  const base = {
    clock: realClock,
    random: osRandom,
    transport,
    resolver: await systemResolver(realClock),
  };
  const ctor = (n: number, name: string, authority: boolean) =>
    new TorProcess(place.root, name, place.address(n), authority);
  const torAuthorities = Array.from({ length: tors }, (_, i) => ctor(1 + i, `tor${i}`, true));
  const torRelays = [0, 1].map((i) => ctor(20 + i, `torrelay${i}`, false));
  const siteOf = (n: number, nickname: string): OwnSite => ({
    nickname,
    address: place.address(n),
    folder: join(place.root, nickname),
    log: memoryLog(),
  });
  const sites = Array.from({ length: ours }, (_, i) => siteOf(10 + i, `cepa${i}`));
  const relaySite = siteOf(30, 'ceparelay');

  const lines = torAuthorities.map((tor) => tor.line);
  for (const { nickname, address, folder, log } of sites) {
    const store = diskStore(folder);
    const { certificate } = await keygenAuthority(store, { now: realClock.now() });
    const { rsaId } = await loadOrCreateRelayKeys(store, { ...base, log });
    lines.push(
      `DirAuthority ${nickname} orport=9001 v3ident=${certificate.identity} ${address}:9030 ${toHex(rsaId)}`,
    );
  }
  const common = [...PACE, ...lines];
  const bandwidthFile = (nickname: string) => join(place.root, `bandwidth-${nickname}`);
  const asAuthority = (nickname: string) => [
    'ConsensusParams cc_alg=2 bwweightscale=10000',
    `V3BandwidthsFile ${bandwidthFile(nickname)}`,
  ];
  const envOf = ({ folder, log }: OwnSite) => ({ ...base, store: diskStore(folder), log });
  const optionsOf = (role: 'authority' | 'relay', site: OwnSite, more: string[]) => {
    const own = [
      `DataDirectory ${site.folder}`,
      `Nickname ${site.nickname}`,
      `Address ${site.address}`,
      `ORPort ${site.address}:9001`,
    ];
    const text = [...common, ...own, ...more].join('\n');
    return loadOptions({ files: [{ name: 'torrc', text }], args: [], role }).options;
  };

  const authorities: AuthorityNode[] = [];
  let relay: RelayNode | undefined;
  const explain = () =>
    [...sites.map(({ log }) => log.text()), ...torAuthorities.map((tor) => tor.log().slice(-20_000))].join(
      '\n=====\n',
    );

  const latest = () => authorities[0]!.cache.consensus('ns')?.validAfter ?? 0;
  const addresses = [...torAuthorities, ...sites].map(({ address }) => address);

  const whole = (each: Consensus) => each.signatures.length === 3 && each.authorities.length === 3;

  /** What everybody serves of a round, as soon as it is whole, or when the next one comes. */
  const published = async (validAfter: number, name: string): Promise<Consensus[]> => {
    let all: Consensus[] = [];
    while (latest() === validAfter && !(all.length === addresses.length && all.every(whole))) {
      const now = await Promise.all(addresses.map((address) => served(address, name)));
      all = now.filter((each): each is Consensus => each?.validAfter === validAfter);
      await pause(200);
    }
    return all;
  };

  /** Waits for a round that all have published, and checks that it is one. Undefined if somebody was missing. */
  const round = async (after: number): Promise<Consensus | undefined> => {
    while (latest() <= after) await pause(200);
    const validAfter = latest();
    let found: Consensus | undefined;
    for (const [flavor, name] of DIR_FLAVORS) {
      const all = await published(validAfter, name);
      // On a busy machine a vote may come too late for somebody; the same votes must give the same text.
      for (const each of all)
        if (votesOf(each) === votesOf(all[0]!)) t.is(body(each.text), body(all[0]!.text));
      // Somebody starts more slowly than the others.
      const missing = ({ routers }: Consensus) => routers.length < addresses.length + RELAYS;
      if (all.length < addresses.length || !all.every(whole) || all.some(missing)) return undefined;
      if (flavor === 'ns') found = all[0];
    }
    return found;
  };

  /** Waits for rounds that all signed, from a time on. */
  const rounds = async (count: number, from: number): Promise<Consensus> => {
    let last: Consensus | undefined;
    let after = from;
    for (let tries = 0, done = 0; done < count; tries++) {
      t.true(tries <= PATIENCE + count, explain());
      const found = await round(after);
      after = found?.validAfter ?? latest();
      if (found) done++;
      last = found ?? last;
    }
    return last!;
  };

  try {
    for (const tor of torAuthorities) tor.start(...common, ...asAuthority(tor.nickname));
    for (const tor of torRelays)
      tor.start(...common, 'ExitRelay 1', 'ExitPolicy accept *:*', 'AssumeReachable 1');
    for (const site of sites) {
      const dir = [`DirPort ${site.address}:9030`, 'AuthoritativeDirectory 1', 'V3AuthoritativeDirectory 1'];
      const more = [...dir, 'ContactInfo cepa@example.com', ...asAuthority(site.nickname)];
      authorities.push(await startAuthority(optionsOf('authority', site, more), envOf(site)));
    }
    relay = await startRelay(optionsOf('relay', relaySite, []), envOf(relaySite));

    const unmeasured = await rounds(ROUNDS, 0);
    t.true(unmeasured.routers.every((router) => router.unmeasured));

    // Each authority measures something else, and the second relay is measured by two only.
    const names = [...torAuthorities, ...sites].map(({ nickname }) => nickname);
    const [one, two] = torRelays.map(({ fingerprint }) => fingerprint);
    for (const [i, nickname] of names.entries()) {
      const measured = [`bw=${1000 * (i + 1)} node_id=$${one}`, ...(i < 2 ? [`bw=77 node_id=$${two}`] : [])];
      const time = Math.floor(realClock.now() / 1000);
      writeFileSync(bandwidthFile(nickname), `${time}\nversion=1.4.0\n=====\n${measured.join('\n')}\n`);
    }
    // Votes before now knew nothing of it.
    const measured = await rounds(ROUNDS, realClock.now() + DELAYS);
    const entry = (name: string) => measured.routers.find(({ nickname }) => nickname === name);
    t.like(entry('torrelay0'), { bandwidth: 2000, unmeasured: false });
    t.true(entry('torrelay1')!.unmeasured);
    t.true(entry('torrelay1')!.bandwidth <= 20);
    t.deepEqual(
      measured.routers.map((router) => router.nickname).sort(),
      [...names, 'torrelay0', 'torrelay1', 'ceparelay'].sort(),
      explain(),
    );
    t.log(
      body(measured.text)
        .split('\n')
        .filter((line) => /^(consensus-method|shared-rand)/.test(line)),
    );
    for (const tor of torAuthorities) {
      const complaints = tor.log().match(/^.*\[(?:warn|err)\].*(?:descriptor|Bug:|consensus digest).*$/gim);
      t.deepEqual(complaints ?? [], []);
    }
  } finally {
    await relay?.stop(false);
    await Promise.all(authorities.map((authority) => authority.stop(false)));
    for (const tor of [...torAuthorities, ...torRelays]) await tor.stop();
    if (process.env.CEPA_INTEROP_KEEP) t.log(place.root);
    else place.remove();
  }
}

interop('two C tor authorities and one of ours sign the same consensuses', (t) => agree(t, 2, 1));
interop('one C tor authority and two of ours sign the same consensuses', (t) => agree(t, 1, 2));
