import test from 'ava';
import { bytesOf, toHex } from '../shared/bytes/text.js';
import { fetchOverConn } from '../shared/dir/fetch.js';
import type { Consensus, SharedRandomValue } from '../shared/netdoc/types.js';
import { parseVote } from '../shared/netdoc/vote.js';
import type { Clock } from '../shared/runtime/types.js';
import { AuthorityKeyError } from './keys.js';
import type { AuthorityNode } from './node.js';
import { Network, type Site } from './simulation.js';
import { loadSharedRandom } from './state.js';

const START = Date.UTC(2026, 2, 1, 0, 0, 3);
const SECOND = 1000;
const INTERVAL = 20 * SECOND;

const PACE = [
  'TestingTorNetwork 1',
  'V3AuthVotingInterval 20 seconds',
  'V3AuthVoteDelay 4 seconds',
  'V3AuthDistDelay 4 seconds',
  'TestingV3AuthInitialVotingInterval 20 seconds',
  'TestingV3AuthInitialVoteDelay 4 seconds',
  'TestingV3AuthInitialDistDelay 4 seconds',
];

/** Three authorities and two relays, with their first consensus. */
async function started(seed: string, ...torrc: string[]): Promise<Network> {
  const network = new Network(seed, START, ...PACE, ...torrc);
  await network.makeAuthorities(3);
  for (const site of network.authorities) await network.startAuthority(site);
  await network.startRelay('exit', 'ExitRelay 1', 'ExitPolicy accept *:*');
  await network.startRelay('middle');
  await network.world.advance(INTERVAL);
  return network;
}

const consensusOf = (site: Site<AuthorityNode>, flavor: 'ns' | 'microdesc' = 'ns'): Consensus =>
  site.node!.cache.consensus(flavor)!;

test('three authorities agree on both flavours and all sign', async (t) => {
  const network = await started('three');
  const [first, ...others] = network.authorities;
  for (const flavor of ['ns', 'microdesc'] as const) {
    const consensus = consensusOf(first!, flavor);
    t.is(consensus.signatures.length, 3);
    t.is(consensus.routers.length, 5);
    t.is(consensus.validAfter, Date.UTC(2026, 2, 1, 0, 0, 20));
    for (const other of others) t.is(consensusOf(other, flavor).text, consensus.text);
    t.deepEqual(first!.node!.cache.missingMicrodescs(consensusOf(first!, 'microdesc')), []);
  }
  const flags = new Map(consensusOf(first!).routers.map((router) => [router.nickname, router.flags]));
  t.true(flags.get('exit')!.has('Exit'));
  t.true(flags.get('auth0')!.has('Authority'));
  t.false(flags.get('middle')!.has('Exit'));
  const steps = first!.events.filter((event) => event.type === 'voting').map((event) => event.step);
  t.deepEqual(steps, ['vote', 'votes-fetched', 'computed', 'signed', 'published']);
  await network.stop();
});

test('authorities tell of the relays they have reached, and vote at other times once they are told to', async (t) => {
  const hold = ['TestingV3AuthInitialVotingInterval 30 minutes', 'V3AuthVotingInterval 30 minutes'];
  const network = await started('told when', ...hold);
  for (const { events, node } of network.authorities) {
    t.deepEqual(events.filter(({ type }) => type === 'relays').at(-1), {
      type: 'relays',
      known: 5,
      running: 5,
    });
    t.deepEqual(
      events.filter(({ type }) => type === 'voting'),
      [],
    );
    t.is(node!.status().nextConsensus, Date.UTC(2026, 2, 1, 0, 30, 0));
  }
  // 23 s after midnight.
  for (const site of network.authorities) {
    const taken = network.reloadAuthority(
      site,
      'TestingV3AuthInitialVotingInterval 5 seconds',
      'TestingV3AuthInitialVoteDelay 2 seconds',
      'TestingV3AuthInitialDistDelay 2 seconds',
      'TestingV3AuthVotingStartOffset 1 second',
      'V3AuthVotingInterval 20 seconds',
    );
    t.true(taken.includes('TestingV3AuthVotingStartOffset'));
    t.is(site.node!.status().nextConsensus, Date.UTC(2026, 2, 1, 0, 0, 26));
  }
  await network.world.advance(3 * SECOND);
  const first = consensusOf(network.authorities[0]!);
  t.is(first.validAfter, Date.UTC(2026, 2, 1, 0, 0, 26));
  t.is(first.routers.length, 5);
  t.is(first.signatures.length, 3);
  // The interval of the consensus sets the pace from here on.
  await network.world.advance(INTERVAL);
  t.is(consensusOf(network.authorities[0]!).validAfter, Date.UTC(2026, 2, 1, 0, 0, 41));
  await network.stop();
});

test('delays are voted in whole seconds, as C tor reads them', async (t) => {
  const network = await started('fractions', 'V3AuthVoteDelay 4.5 seconds', 'V3AuthDistDelay 0.05 minutes');
  t.deepEqual(consensusOf(network.authorities[0]!).votingDelay, { vote: 4, dist: 3 });
  await network.stop();
});

test('approved-routers is read again with the configuration: a bad relay goes without a restart', async (t) => {
  const network = await started('approved');
  const { fingerprint } = network.relays[1]!.node!;
  const listed = () => consensusOf(network.authorities[0]!).routers.some(({ id }) => id === fingerprint);
  const rule = async (text: string) => {
    for (const site of network.authorities) {
      site.store.files.set('approved-routers', bytesOf(text));
      network.reloadAuthority(site);
    }
    await network.world.advance(INTERVAL);
  };
  t.true(listed());
  await rule(`!reject ${fingerprint}\nnonsense\n`);
  t.false(listed());
  t.true(network.authorities[0]!.log.has('warn', 'ignoring a line that names no relay: nonsense'));
  await rule('');
  t.true(listed());
  await network.stop();
});

/** A clock that is a millisecond behind when it is first asked, as after a timer of Node's that came early, and right then. */
function early(clock: Clock): Clock {
  let asked = 0;
  return {
    now() {
      const now = clock.now();
      if (asked === now) return now;
      asked = now;
      return now - 1;
    },
    monotonic: () => clock.monotonic(),
    setTimer: (delay, wake) => clock.setTimer(delay, wake),
    keepAlive: () => clock.keepAlive(),
    defer: (run) => clock.defer(run),
    hold: (work) => clock.hold(work),
  };
}

test('a vote tells what was measured until then, if its timer comes early, too', async (t) => {
  const network = new Network('early', START, ...PACE, 'V3BandwidthsFile bandwidths');
  await network.makeAuthorities(3);
  for (const site of network.authorities) {
    site.host = { ...site.host, clock: early(site.host.clock) };
    await network.startAuthority(site);
  }
  await network.startRelay('middle');
  await network.world.advance(INTERVAL);
  const [site] = network.authorities;
  const middle = () => consensusOf(site!).routers.find(({ nickname }) => nickname === 'middle')!;
  t.true(middle().unmeasured);
  const text = `${START / SECOND}\nversion=1.4.0\n=====\nbw=5000 node_id=$${middle().id}\n`;
  for (const { store } of network.authorities) store.files.set('bandwidths', bytesOf(text));
  await network.world.advance(INTERVAL);
  t.is(consensusOf(site!).validAfter, Date.UTC(2026, 2, 1, 0, 0, 40));
  t.like(middle(), { bandwidth: 5000, unmeasured: false });
  await network.stop();
});

test('flags go by what was measured while the bandwidth file is away, votes do not', async (t) => {
  const lines = ['V3BandwidthsFile bandwidths', 'MinMeasuredBWsForAuthToIgnoreAdvertised 0'];
  const network = await started('file away', ...lines);
  const { fingerprint } = network.relays[1]!.node!;
  const [site] = network.authorities;
  const fast = () =>
    consensusOf(site!).routers.flatMap(({ nickname, flags }) => (flags.has('Fast') ? [nickname] : []));
  const middle = () => consensusOf(site!).routers.find(({ id }) => id === fingerprint)!;
  t.true(fast().length > 1);
  const text = `${START / SECOND}\nbw=5000 node_id=$${fingerprint}\n`;
  for (const { store } of network.authorities) store.files.set('bandwidths', bytesOf(text));
  await network.world.advance(INTERVAL);
  t.deepEqual([fast(), middle().unmeasured], [['middle'], false]);
  for (const { store } of network.authorities) store.files.delete('bandwidths');
  await network.world.advance(INTERVAL);
  t.deepEqual([fast(), middle().unmeasured], [['middle'], true]);
  await network.stop();
});

test('with one of three dead the round still closes', async (t) => {
  const network = await started('one dead');
  network.authorities[2]!.host.crash();
  network.authorities[2]!.node = undefined;
  await network.world.advance(INTERVAL);
  const [a, b] = network.authorities;
  const consensus = consensusOf(a!);
  t.is(consensus.validAfter, Date.UTC(2026, 2, 1, 0, 0, 40));
  t.is(consensus.signatures.length, 2);
  t.is(consensus.authorities.length, 2);
  t.is(consensusOf(b!).text, consensus.text);
  t.true(a!.log.has('notice', 'Votes of 1 authorities are missing (auth2)'));
  await network.stop();
});

test('with two of three dead the last consensus serves until it expires, and the log says so', async (t) => {
  const network = await started('two dead');
  const [alive, ...dead] = network.authorities;
  for (const site of dead) {
    site.host.crash();
    site.node = undefined;
  }
  const before = consensusOf(alive!);
  await network.world.advance(INTERVAL);
  t.is(consensusOf(alive!).text, before.text);
  t.true(alive!.log.has('warn', 'Not enough votes for a consensus: 1 of 3'));
  t.true(alive!.log.has('warn', 'the last one is served until 2026-03-01T00:01:20'));
  await network.world.advance(4 * INTERVAL);
  t.true(alive!.log.has('warn', 'no consensus that is still valid'));
  await network.stop();
});

test('an authority votes on in the next round, whatever a step threw', async (t) => {
  const network = await started('thrown');
  const [site] = network.authorities;
  let thrown = 0;
  network.heard = (name, event) => {
    if (name !== site!.name || event.type !== 'voting' || event.step !== 'signed') return;
    thrown++;
    if (thrown === 1) throw new Error('no room to tell this');
  };
  await network.world.advance(INTERVAL);
  t.is(thrown, 1);
  t.true(site!.log.has('err', 'A step of the vote failed'));
  t.is(site!.node!.status().nextConsensus, Date.UTC(2026, 2, 1, 0, 1, 0));
  await network.world.advance(INTERVAL);
  t.is(thrown, 2);
  t.is(consensusOf(site!).validAfter, Date.UTC(2026, 2, 1, 0, 1, 0));
  t.is(consensusOf(site!).signatures.length, 3);
  await network.stop();
});

test('an authority that was killed comes back with what it was and knew', async (t) => {
  const network = await started('restart');
  const site = network.authorities[1]!;
  const { v3ident, relay } = site.node!;
  const held = consensusOf(site).text;
  // Long enough for what changed to be saved.
  await network.world.advance(2 * SECOND);
  site.host.crash();
  network.revive(site);
  await network.startAuthority(site);
  t.is(site.node!.v3ident, v3ident);
  t.is(site.node!.relay.fingerprint, relay.fingerprint);
  t.is(consensusOf(site).text, held);
  t.is(site.node!.status().relays, 5);
  await network.world.advance(2 * INTERVAL);
  t.is(consensusOf(network.authorities[0]!).signatures.length, 3);
  t.is(consensusOf(site).text, consensusOf(network.authorities[0]!).text);
  t.is(consensusOf(site).routers.length, 5);
  await network.stop();
});

test('a damaged state file is set aside, and the authority goes on', async (t) => {
  const network = await started('damaged');
  const site = network.authorities[1]!;
  await network.world.advance(2 * SECOND);
  site.host.crash();
  for (const name of [
    'cepa-state/consensus',
    'cepa-state/documents',
    'cepa-state/shared-random',
    'cepa-state/router-history',
  ])
    site.store.files.set(name, new Uint8Array([1, 2, 3]));
  site.store.files.set('key-pinning-journal', Buffer.from('nonsense\n'));
  network.revive(site);
  await network.startAuthority(site);
  t.is([...site.store.files.keys()].filter((name) => name.includes('.damaged-')).length, 4);
  t.true(site.log.has('warn', 'key-pinning-journal has 1 lines that cannot be read'));
  // It learns the consensus and the descriptors from the others.
  await network.world.advance(2 * INTERVAL);
  t.is(consensusOf(site).routers.length, 5);
  t.is(consensusOf(site).signatures.length, 3);
  t.is(site.node!.status().relays, 5);
  await network.stop();
});

test('a descriptor that reached one authority reaches the others', async (t) => {
  const network = new Network('fetched', START, ...PACE);
  await network.makeAuthorities(3);
  for (const site of network.authorities) await network.startAuthority(site);
  const { world, authorities } = network;
  const relay = network.siteOfRelay('far');
  for (const site of authorities.slice(1)) world.cut(relay.address, site.address);
  await network.startRelayAt(relay);
  await world.advance(INTERVAL);
  for (const site of authorities) t.is(site.node!.status().relays, 4, site.log.text());
  await network.stop();
});

test('votes and documents are served, and nonsense is refused', async (t) => {
  const network = await started('served');
  const [site, other] = network.authorities;
  const at = { host: site!.address, port: 9030 };
  const { clock, transport } = network.world.host('127.9.0.1');
  const ask = async (method: 'GET' | 'POST', path: string, body?: string) => {
    const request = { method, path, ...(body !== undefined && { body: Buffer.from(body) }) };
    const answer = fetchOverConn(transport, at, request, { clock, timeout: 5000 });
    await network.world.advance(SECOND);
    return answer;
  };
  const textOf = async (path: string) => Buffer.from((await ask('GET', path)).body).toString();
  const vote = parseVote(await textOf('/tor/status-vote/current/authority.z'));
  t.is(vote.authority.nickname, 'auth0');
  t.is(
    parseVote(await textOf(`/tor/status-vote/current/${other!.node!.v3ident}`)).authority.nickname,
    'auth1',
  );
  t.is(await textOf(`/tor/status-vote/current/d/${vote.digest}`), vote.text);
  t.true((await textOf('/tor/keys/authority')).includes(`fingerprint ${site!.node!.v3ident}`));
  t.is((await textOf('/tor/keys/all')).match(/^dir-key-certificate-version/gm)!.length, 3);
  t.is((await ask('GET', '/tor/status-vote/next/consensus')).status, 404);
  t.is((await ask('GET', '/tor/status-vote/next/bandwidth')).status, 404);

  t.like(await ask('POST', '/tor/post/vote', 'nonsense'), { status: 400, reason: 'Unable to parse vote' });
  t.like(await ask('POST', '/tor/post/vote', vote.text), { status: 400 });
  t.like(await ask('POST', '/tor/post/vote', vote.text.replace('known-flags', 'known-flag')), {
    status: 400,
  });
  t.like(await ask('POST', '/tor/post/elsewhere', 'x'), { status: 404 });
  t.like(await ask('POST', '/tor/', 'nonsense'), {
    status: 400,
    reason: 'No descriptors found in your POST.',
  });
  const { descriptor } = network.relays[0]!.node!.descriptor()!;
  const again = await ask('POST', '/tor/', descriptor);
  t.is(again.status, 200);
  t.is(again.headers['x-descriptor-not-new'], 'Yes');
  t.is((await ask('POST', '/tor/', descriptor.replace('127.100', '127.101'))).status, 400);
  await network.stop();
});

test('an authority that no line names, or another relay bears its name, does not start', async (t) => {
  const network = new Network('unnamed', START, ...PACE);
  await network.makeAuthorities(2);
  const [site, other] = network.authorities;
  network.forget(site!);
  await t.throwsAsync(network.startAuthority(site!), {
    instanceOf: AuthorityKeyError,
    message: /No DirAuthority line/,
  });
  for (const name of [...other!.store.files.keys()])
    if (!name.startsWith('keys/authority')) other!.store.files.delete(name);
  await t.throwsAsync(network.startAuthority(other!), {
    instanceOf: AuthorityKeyError,
    message: /this relay's is/,
  });
});

test('shared randomness runs through commit and reveal', async (t) => {
  const network = await started('shared');
  // A run of 24 rounds, and the rest of the one the network began in.
  await network.world.advance(25 * INTERVAL);
  const consensus = consensusOf(network.authorities[0]!);
  t.is(consensus.signatures.length, 3);
  t.is(consensus.sharedRandCurrent!.reveals, 3);
  await network.stop();
});

test('an authority that missed a new shared random value votes for it with the others in the next round', async (t) => {
  const network = await started('missed value');
  const [site, other] = network.authorities;
  const newRun = Date.UTC(2026, 2, 1, 0, 8, 0);
  network.heard = (name, event) => {
    if (name === site!.name && event.type === 'voting' && event.step === 'signed')
      if (event.validAfter === newRun) throw new Error('not published');
  };
  await network.world.advance(newRun + 5 * SECOND - network.world.now);
  const { validAfter, sharedRandCurrent, sharedRandPrevious } = consensusOf(other!);
  t.is(validAfter, newRun);
  t.is(consensusOf(site!).text, consensusOf(other!).text);
  t.truthy(sharedRandCurrent);
  const kept = await loadSharedRandom(site!.store, site!.log);
  const plain = (value: SharedRandomValue | undefined) => value && [value.reveals, toHex(value.value)];
  t.deepEqual(plain(kept!.current), plain(sharedRandCurrent));
  t.deepEqual(plain(kept!.previous), plain(sharedRandPrevious));
  await network.stop();
});
