import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { startRelay } from '../relay/node.js';
import { toHex } from '../shared/bytes/text.js';
import { loadOrCreateRelayKeys } from '../shared/crypto/relay-keys.js';
import { fetchOverConn } from '../shared/dir/fetch.js';
import { memoryLog } from '../shared/log/memory.js';
import { parseConsensus } from '../shared/netdoc/consensus.js';
import type { NodeEvent } from '../shared/runtime/env.js';
import { osRandom, realClock, realTransport } from '../shared/runtime/real.js';
import { systemResolver } from '../shared/runtime/resolver.js';
import { diskStore } from '../shared/store/disk.js';
import { loadOptions } from '../shared/torrc/parse.js';
import { loopbackPlace, missingTor, TorProcess } from './ctor.js';
import { keygenAuthority } from './keys.js';
import { startAuthority } from './node.js';

const missing = missingTor();
if (missing) console.log(`Skipping the interop test of authorities: ${missing}.`);
const interop = missing ? test.skip : test;

const ROUNDS = Number(process.env.CEPA_INTEROP_ROUNDS ?? 3);

const PACE = [
  'TestingTorNetwork 1',
  'V3AuthVotingInterval 10 seconds',
  'V3AuthVoteDelay 2 seconds',
  'V3AuthDistDelay 2 seconds',
  'TestingV3AuthInitialVotingInterval 10 seconds',
  'TestingV3AuthInitialVoteDelay 2 seconds',
  'TestingV3AuthInitialDistDelay 2 seconds',
];

/** The part of a consensus that is signed. */
const body = (text: string): string => text.slice(0, text.indexOf('\ndirectory-signature'));

interop('two C tor authorities and one of ours sign the same consensuses', async (t) => {
  t.timeout((ROUNDS + 8) * 10_000);
  const place = loopbackPlace();
  const transport = realTransport();
  const log = memoryLog();
  const tors = [1, 2].map((n) => new TorProcess(place.root, `tor${n}`, place.address(n), true));
  const relays = [4, 5].map((n) => new TorProcess(place.root, `torrelay${n}`, place.address(n), false));
  const base = { clock: realClock, random: osRandom, transport, resolver: await systemResolver(realClock) };

  const ours = place.address(3);
  const folder = join(place.root, 'ours');
  mkdirSync(folder, { mode: 0o700 });
  const store = diskStore(folder);
  const { certificate } = await keygenAuthority(store, { now: realClock.now() });
  const { rsaId } = await loadOrCreateRelayKeys(store, { ...base, log });
  const ourLine = `DirAuthority ours orport=9001 v3ident=${certificate.identity} ${ours}:9030 ${toHex(rsaId)}`;
  const common = [...PACE, ...tors.map((tor) => tor.line), ourLine];
  const params = ['ConsensusParams cc_alg=2 bwweightscale=10000', 'AuthDirMaxServersPerAddr 0'];

  const optionsFor = (role: 'authority' | 'relay', nickname: string, address: string, more: string[]) => {
    const text = [
      ...common,
      `DataDirectory ${folder}`,
      `Nickname ${nickname}`,
      `Address ${address}`,
      `ORPort ${address}:9001`,
      ...more,
    ].join('\n');
    return loadOptions({ files: [{ name: 'torrc', text }], args: [], role }).options;
  };
  const published: number[] = [];
  let wake: (() => void) | undefined;
  const report = (event: NodeEvent): void => {
    if (event.type !== 'voting' || event.step !== 'published') return;
    published.push(event.validAfter);
    wake?.();
  };

  for (const tor of tors) tor.start(...common, ...params);
  for (const tor of relays) tor.start(...common, 'ExitRelay 1', 'ExitPolicy accept *:*', 'AssumeReachable 1');
  const authority = await startAuthority(
    optionsFor('authority', 'ours', ours, [
      `DirPort ${ours}:9030`,
      'AuthoritativeDirectory 1',
      'V3AuthoritativeDirectory 1',
      'ContactInfo cepa@example.com',
      ...params,
    ]),
    { ...base, store, log, report },
  );
  const relayStore = diskStore(join(place.root, 'relay'));
  const relayLog = memoryLog();
  const relay = await startRelay(optionsFor('relay', 'cepa', place.address(6), ['DirPort 0']), {
    ...base,
    store: relayStore,
    log: relayLog,
  });

  const explain = () => [log.text(), ...tors.map((tor) => tor.log().slice(-20_000))].join('\n=====\n');

  /** What a tor serves, once it has published the round; undefined if it does not within some seconds. */
  const servedBy = async (tor: TorProcess, name: string, validAfter: number): Promise<string | undefined> => {
    for (let tries = 0; tries < 8; tries++) {
      const request = { method: 'GET', path: `/tor/status-vote/current/${name}` } as const;
      const at = { host: tor.address, port: 9030 };
      const answer = await fetchOverConn(transport, at, request, { clock: realClock, timeout: 5000 });
      const text = Buffer.from(answer.body).toString('utf8');
      if (answer.status === 200 && parseConsensus(text).validAfter === validAfter) return text;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    return undefined;
  };

  try {
    for (let round = 0, together = 0; together < ROUNDS; round++) {
      t.true(round < ROUNDS + 6, explain());
      while (published.length <= round) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const own = (['ns', 'microdesc'] as const).map((flavor) => authority.cache.consensus(flavor)!);
      const complete = own.every(({ signatures }) => signatures.length === 3);
      // The first rounds may lack somebody who was not up yet.
      if (!complete && together === 0) continue;
      together++;
      for (const consensus of own) {
        t.is(consensus.signatures.length, 3, explain());
        const name = consensus.flavor === 'ns' ? 'consensus' : 'consensus-microdesc';
        for (const tor of tors) {
          const theirs = await servedBy(tor, name, consensus.validAfter);
          t.truthy(theirs, explain());
          t.is(body(theirs!), body(consensus.text));
          t.is(parseConsensus(theirs!).signatures.length, 3);
        }
      }
    }
    const { routers } = authority.cache.consensus('ns')!;
    t.log(body(authority.cache.consensus('ns')!.text));
    t.deepEqual(
      routers.map((router) => router.nickname).sort(),
      ['cepa', 'ours', 'tor1', 'tor2', 'torrelay4', 'torrelay5'],
      explain(),
    );
    for (const tor of tors) {
      const complaints = tor
        .log()
        .split('\n')
        .filter((line) => /\[(warn|err)\]/.test(line));
      t.log(tor.nickname, complaints);
    }
    t.log(log.lines.filter((line) => line.level === 'warn').map((line) => line.message));
  } finally {
    await relay.stop(false);
    await authority.stop(false);
    for (const tor of [...tors, ...relays]) await tor.stop();
    if (process.env.CEPA_KEEP) console.log(place.root);
    else place.remove();
  }
});
