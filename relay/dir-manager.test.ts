import test from 'ava';
import { toHex } from '../shared/bytes/text.js';
import { DirCache } from '../shared/dir/cache.js';
import { cacheAnswer } from '../shared/dir/routes.js';
import { createDirServer } from '../shared/dir/server.js';
import { memoryLog } from '../shared/log/memory.js';
import { parseAuthorityCertificates } from '../shared/netdoc/authority-cert.js';
import { parseConsensus } from '../shared/netdoc/consensus.js';
import { parseExtraInfos } from '../shared/netdoc/extra-info.js';
import { parseMicrodescriptors } from '../shared/netdoc/microdesc.js';
import { parseServerDescriptors } from '../shared/netdoc/server-descriptor.js';
import type { Consensus } from '../shared/netdoc/types.js';
import { SimWorld } from '../shared/runtime/sim/world.js';
import { StoreError } from '../shared/store/errors.js';
import { type MemoryStore, memoryStore } from '../shared/store/memory.js';
import { vectorText } from '../shared/testing/vectors.js';
import type { DirAuthorityOption } from '../shared/torrc/options.js';
import { Authorities } from './authorities.js';
import { DirManager, TESTING_DIR_TIMES } from './dir-manager.js';

const NOW = Date.UTC(2026, 10, 21, 11, 9, 10);
const AUTHORITY = '127.1.0.1';
const RELAY = '127.2.0.1';
const certificates = parseAuthorityCertificates(vectorText('real-tor/authority-certs.txt')).documents;

/** What the authority holds: the documents of a real network. */
function realDocuments(): DirCache {
  const cache = new DirCache();
  for (const certificate of certificates) cache.certificates.add(certificate);
  cache.setConsensus(parseConsensus(vectorText('real-tor/consensus-ns.txt')));
  cache.setConsensus(parseConsensus(vectorText('real-tor/consensus-microdesc.txt')));
  for (const descriptor of parseServerDescriptors(vectorText('real-tor/server-descriptors.txt')).documents)
    cache.addDescriptor(descriptor);
  for (const extra of parseExtraInfos(vectorText('real-tor/extra-info.txt')).documents)
    cache.addExtraInfo(extra);
  for (const micro of parseMicrodescriptors(vectorText('real-tor/microdescriptors.txt')).documents)
    cache.addMicrodesc(micro, NOW);
  return cache;
}

const authorities = certificates.map(
  ({ identity }, n): DirAuthorityOption => ({
    nickname: `auth${n}`,
    address: n === 0 ? 'auth.example' : AUTHORITY,
    dirPort: 7000,
    orPort: 9001,
    v3Ident: identity,
    fingerprint: `${n}`.repeat(40),
    ipv6: undefined,
  }),
);

async function relay(answers: Partial<Record<string, string>> = {}, store: MemoryStore = memoryStore()) {
  const world = new SimWorld('dir manager', NOW);
  world.names.set('auth.example', [AUTHORITY]);
  const held = realDocuments();
  const asked: string[] = [];
  const host = world.host(AUTHORITY);
  const server = createDirServer(
    {
      get: (path, headers) => {
        asked.push(path);
        const body = answers[path];
        if (body !== undefined) return { status: 200, body };
        return cacheAnswer(held, path, headers, host.clock.now()) ?? { status: 404 };
      },
      post: () => ({ status: 404 }),
    },
    { log: memoryLog(), clock: host.clock },
  );
  const listener = await server.listen(host.transport, { host: AUTHORITY, port: 7000 });
  const own = world.host(RELAY);
  const cache = new DirCache();
  const log = memoryLog();
  const changes: Consensus[] = [];
  const seen: string[] = [];
  const manager = new DirManager({
    ...own,
    log,
    store,
    cache,
    authorities: new Authorities(authorities, {
      ...own,
      localHost: RELAY,
      timeout: 5_000,
      addressSeen: (address) => void seen.push(address),
    }),
    self: 'F'.repeat(40),
    times: TESTING_DIR_TIMES,
    isCache: true,
    consensusChanged: (consensus) => void changes.push(consensus),
  });
  return { world, own, manager, cache, log, store, changes, seen, asked, listener, held };
}

const complete = (cache: DirCache): boolean => {
  const micro = cache.consensus('microdesc');
  const ns = cache.consensus('ns');
  return (
    micro !== undefined &&
    ns !== undefined &&
    cache.missingMicrodescs(micro).length === 0 &&
    cache.missingDescriptors(ns).length === 0
  );
};

test('fetches both flavours, their certificates, and all they name', async (t) => {
  const { world, manager, cache, changes, seen, log } = await relay();
  manager.start();
  await world.advance(10_000);
  manager.stop();
  t.true(complete(cache), log.text());
  t.is([...cache.certificates.all()].length, certificates.length);
  t.deepEqual(changes.map(({ flavor }) => flavor).sort(), ['microdesc', 'ns']);
  t.true([...cache.extraInfos()].length > 0);
  t.true(seen.length > 0 && seen.every((address) => address === RELAY));
});

test('a consensus whose text was changed is refused, and said so', async (t) => {
  const altered = vectorText('real-tor/consensus-microdesc.txt').replace('Bandwidth=', 'Bandwidth=9');
  const { world, manager, cache, log } = await relay({
    '/tor/status-vote/current/consensus-microdesc': altered,
  });
  manager.start();
  await world.advance(5_000);
  manager.stop();
  t.is(cache.consensus('microdesc'), undefined);
  t.truthy(cache.consensus('ns'));
  t.true(log.has('warn', 'not to be believed'));
});

test('nonsense from an authority is tried again elsewhere, later', async (t) => {
  const answers: Partial<Record<string, string>> = {
    '/tor/status-vote/current/consensus-microdesc': 'nonsense\n',
  };
  const { world, manager, cache } = await relay(answers);
  manager.start();
  await world.advance(5_000);
  t.is(cache.consensus('microdesc'), undefined);
  delete answers['/tor/status-vote/current/consensus-microdesc'];
  await world.advance(5_000);
  manager.stop();
  t.true(complete(cache));
});

test('keeps trying while nobody answers', async (t) => {
  const { world, manager, cache, listener } = await relay();
  await listener.close();
  manager.start();
  await world.advance(20_000);
  t.is(cache.consensus('ns'), undefined);
  manager.stop();
});

test('begins with what was saved, and does not ask for what it has', async (t) => {
  const first = await relay();
  first.manager.start();
  await first.world.advance(10_000);
  first.manager.stop();
  const again = await relay({}, first.store);
  await again.manager.load();
  t.true(complete(again.cache));
  again.manager.start();
  await again.world.advance(1_000);
  again.manager.stop();
  t.false(again.asked.some((path) => path.startsWith('/tor/micro') || path.startsWith('/tor/server')));
});

test('what came is saved, though a relay names a document that nobody has', async (t) => {
  const first = await relay();
  const [extra] = [...first.held.extraInfos()];
  const nowhere = toHex(extra!.sha1);
  const find = first.held.extraInfo.bind(first.held);
  first.held.extraInfo = (digest) => (digest === nowhere ? undefined : find(digest));
  first.manager.start();
  await first.world.advance(10_000);
  first.manager.stop();
  t.is(first.cache.extraInfo(nowhere), undefined);
  const again = await relay({}, first.store);
  await again.manager.load();
  t.true(complete(again.cache));
});

test('a consensus that cannot be saved is not asked for again before its time', async (t) => {
  const store = memoryStore();
  store.write = async (name) => {
    throw new StoreError(name, 'could not be written: the disk is full; make room there');
  };
  const { world, own, manager, cache, asked, log } = await relay({}, store);
  own.skew = -10 * 3_600_000;
  manager.start();
  await world.advance(120_000);
  manager.stop();
  t.true(complete(cache));
  t.is(asked.filter((path) => path.includes('/consensus')).length, 2);
  t.true(
    log.has('warn', 'Cannot save the consensus: cepa-state/consensus: could not be written'),
    log.text(),
  );
});

test('when the clock is set the next consensus is asked for by the new time', async (t) => {
  const { world, own, manager, asked } = await relay();
  const consensuses = () => asked.filter((path) => path.includes('/consensus')).length;
  const behind = 10 * 3_600_000;
  own.skew = -behind;
  manager.start();
  await world.advance(120_000);
  t.is(consensuses(), 2);
  own.skew = 0;
  await world.advance(60_000);
  t.true(consensuses() > 2);
  manager.stop();
});

test('an extra-info is taken for the descriptor that names it, though the relay has made a newer one', async (t) => {
  const { world, manager, cache, held } = await relay();
  const [extra] = [...held.extraInfos()];
  const listed = held.descriptorOf(extra!.id)!;
  // As of this relay itself: what it has just made is in its cache, and not yet in the consensus.
  const digest = Buffer.alloc(20, 1);
  const extraInfoDigest = { sha1: Buffer.alloc(20, 2), sha256: Buffer.alloc(32, 2) };
  cache.addDescriptor({ ...listed, published: listed.published + 1_000, digest, extraInfoDigest });
  manager.start();
  await world.advance(10_000);
  manager.stop();
  t.truthy(cache.extraInfo(toHex(extra!.sha1)));
});
