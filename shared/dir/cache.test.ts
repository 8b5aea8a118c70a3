import test from 'ava';
import { toHex } from '../bytes/text.js';
import { memoryLog } from '../log/memory.js';
import { parseAuthorityCertificates } from '../netdoc/authority-cert.js';
import { parseConsensus } from '../netdoc/consensus.js';
import { parseExtraInfos } from '../netdoc/extra-info.js';
import { parseMicrodescriptors } from '../netdoc/microdesc.js';
import { parseServerDescriptors } from '../netdoc/server-descriptor.js';
import type { AuthorityCertificate, Consensus } from '../netdoc/types.js';
import { memoryStore } from '../store/memory.js';
import { vectors, vectorText } from '../testing/vectors.js';
import { DirCache } from './cache.js';
import { applyConsensusDiff, sha3AsSigned } from './consensus-diff.js';
import { cacheAnswer } from './routes.js';
import { isLive, isReasonablyLive, verifyConsensus } from './verify.js';

const NOW = Date.UTC(2026, 10, 21, 11, 9, 10);
const certificates = parseAuthorityCertificates(vectorText('real-tor/authority-certs.txt')).documents;
const consensus = {
  ns: parseConsensus(vectorText('real-tor/consensus-ns.txt')),
  microdesc: parseConsensus(vectorText('real-tor/consensus-microdesc.txt')),
};
const identities = certificates.map((certificate) => certificate.identity);

const trusting = (known: readonly AuthorityCertificate[], names = identities) => ({
  identities: names,
  certificate: (identity: string, key: string) =>
    known.find((held) => held.identity === identity && held.signingKeyDigest === key),
});

function filled(): DirCache {
  const cache = new DirCache();
  for (const certificate of certificates) cache.certificates.add(certificate);
  cache.setConsensus(consensus.ns);
  cache.setConsensus(consensus.microdesc);
  for (const descriptor of parseServerDescriptors(vectorText('real-tor/server-descriptors.txt')).documents)
    cache.addDescriptor(descriptor);
  for (const extra of parseExtraInfos(vectorText('real-tor/extra-info.txt')).documents)
    cache.addExtraInfo(extra);
  for (const micro of parseMicrodescriptors(vectorText('real-tor/microdescriptors.txt')).documents)
    cache.addMicrodesc(micro, NOW);
  return cache;
}

const ask = (cache: DirCache, path: string, headers: Record<string, string> = {}) =>
  cacheAnswer(cache, path, headers, NOW, { relay: consensus.ns.routers[0]!.id, v3ident: identities[0]! });

const text = (body: Uint8Array | string | undefined) =>
  typeof body === 'string' ? body : Buffer.from(body ?? []).toString('latin1');

for (const flavor of ['ns', 'microdesc'] as const) {
  test(`${flavor}: C tor's consensus is believed, by more than half of the authorities`, (t) => {
    const document = consensus[flavor];
    t.true(verifyConsensus(document, trusting(certificates), NOW).ok);
    // Three of four certificates are more than half; two are not.
    t.true(verifyConsensus(document, trusting(certificates.slice(1)), NOW).ok);
    const half = verifyConsensus(document, trusting(certificates.slice(2)), NOW);
    t.false(half.ok);
    t.is(half.missing.length, 2);
  });

  test(`${flavor}: no signature counts that should not`, (t) => {
    const document = consensus[flavor];
    const refused = (changed: Consensus, trusted = trusting(certificates), now = NOW) =>
      t.false(verifyConsensus(changed, trusted, now).ok);
    refused({ ...document, signatures: [] });
    refused({ ...document, signatures: Array.from({ length: 4 }, () => document.signatures[0]!) });
    refused(document, trusting(certificates, ['0'.repeat(40), '1'.repeat(40)]));
    refused(
      document,
      trusting(certificates, [...identities, ...['2', '3', '4', '5'].map((digit) => digit.repeat(40))]),
    );
    refused(document, trusting(certificates), NOW + 10 * 365 * 24 * 3_600_000);
    const altered = parseConsensus(document.text.replace('Bandwidth=', 'Bandwidth=9'));
    refused(altered);
  });
}

test('age: live within its hours, reasonably live a day around them', (t) => {
  const document = consensus.microdesc;
  t.true(isLive(document, NOW));
  t.false(isLive(document, document.validUntil + 1));
  t.false(isLive(document, document.validAfter - 1));
  t.true(isReasonablyLive(document, document.validUntil + 23 * 3_600_000));
  t.false(isReasonablyLive(document, document.validUntil + 25 * 3_600_000));
  t.false(isReasonablyLive(document, document.validAfter - 25 * 3_600_000));
});

test('every kind of document is found by every name it has', (t) => {
  const cache = filled();
  const descriptor = [...cache.descriptors()][0]!;
  const extra = [...cache.extraInfos()][0]!;
  const micro = consensus.microdesc.routers[0]!.microdescDigest!;
  const certificate = certificates[0]!;
  const cases: [string, string][] = [
    [`/tor/server/d/${toHex(descriptor.digest)}`, descriptor.text],
    [`/tor/server/d/${toHex(descriptor.digest).toLowerCase()}+${'0'.repeat(40)}`, descriptor.text],
    [`/tor/server/fp/${descriptor.id}`, descriptor.text],
    [`/tor/extra/d/${toHex(extra.sha1)}`, extra.text],
    [`/tor/extra/fp/${extra.id}`, extra.text],
    [`/tor/micro/d/${micro}`, cache.microdesc(micro)!.text],
    [`/tor/keys/fp/${certificate.identity}`, certificate.text],
    [`/tor/keys/sk/${certificate.signingKeyDigest}`, certificate.text],
    [`/tor/keys/fp-sk/${certificate.identity}-${certificate.signingKeyDigest}`, certificate.text],
    ['/tor/keys/authority', certificates[0]!.text],
    ['/tor/server/authority', cache.descriptorOf(consensus.ns.routers[0]!.id)!.text],
    ['/tor/status-vote/current/consensus', consensus.ns.text],
    ['/tor/status-vote/current/consensus-microdesc', consensus.microdesc.text],
  ];
  for (const [path, wanted] of cases) t.is(text(ask(cache, path)?.body), wanted, path);
  t.is(
    text(ask(cache, '/tor/keys/all')?.body).length,
    certificates.reduce((n, one) => n + one.text.length, 0),
  );
  const all = [...cache.descriptors()];
  t.is(
    text(ask(cache, '/tor/server/all')?.body).length,
    all.reduce((n, one) => n + one.text.length, 0),
  );
  t.deepEqual(cache.missingMicrodescs(consensus.microdesc), []);
  t.deepEqual(cache.missingDescriptors(consensus.ns), []);
});

test('of an authority the newest certificate is given, the older ones by their keys alone', (t) => {
  const cache = new DirCache();
  const [certificate] = certificates as [AuthorityCertificate];
  const older = {
    ...certificate,
    published: certificate.published - 1000,
    signingKeyDigest: 'A'.repeat(40),
    text: 'older\n',
  };
  for (const each of [certificate, older]) t.true(cache.certificates.add(each));
  t.is(text(ask(cache, `/tor/keys/fp/${certificate.identity}`)?.body), certificate.text);
  t.is(text(ask(cache, '/tor/keys/authority')?.body), certificate.text);
  t.is(text(ask(cache, `/tor/keys/sk/${older.signingKeyDigest}`)?.body), older.text);
  t.is(text(ask(cache, '/tor/keys/all')?.body).length, certificate.text.length + older.text.length);
});

test('a document that is named again and again is given once', (t) => {
  const cache = filled();
  const descriptor = [...cache.descriptors()][0]!;
  const extra = [...cache.extraInfos()][0]!;
  const micro = consensus.microdesc.routers[0]!.microdescDigest!;
  const often = (name: string, separator: string) =>
    [...Array.from({ length: 500 }, () => name), name.toLowerCase()].join(separator);
  const cases: [string, string][] = [
    [`/tor/server/d/${often(toHex(descriptor.digest), '+')}`, descriptor.text],
    [`/tor/server/fp/${often(descriptor.id, '+')}`, descriptor.text],
    [`/tor/extra/d/${often(toHex(extra.sha1), '+')}`, extra.text],
    [`/tor/extra/fp/${often(extra.id, '+')}`, extra.text],
    [`/tor/micro/d/${often(micro, '-')}`, cache.microdesc(micro)!.text],
  ];
  for (const [path, wanted] of cases) t.is(text(ask(cache, path)?.body), wanted, path.slice(0, 20));
});

test("what is not there is 404, what is not a cache's is left to others", (t) => {
  const cache = filled();
  for (const path of [
    `/tor/server/d/${'0'.repeat(40)}`,
    '/tor/server/d/nonsense',
    '/tor/server/other',
    '/tor/micro/x',
    '/tor/micro/d/AAAA',
    '/tor/keys/fp/XYZ',
    '/tor/keys/toString',
  ])
    t.is(ask(cache, path)?.status, 404, path);
  for (const path of [
    '/',
    '/tor/',
    '/tor/status-vote/next/authority',
    '/tor/status-vote/current/constructor',
    '/x/y',
  ])
    t.is(ask(cache, path), undefined, path);
  t.is(ask(new DirCache(), '/tor/status-vote/current/consensus')?.status, 404);
});

test('a consensus is only given to who knows enough of its signers', (t) => {
  const cache = filled();
  const prefixes = identities.map((identity) => identity.slice(0, 6));
  const path = (names: readonly string[]) => `/tor/status-vote/current/consensus/${names.join('+')}`;
  t.is(ask(cache, path(prefixes))?.status, 200);
  t.is(ask(cache, path([...prefixes.slice(0, 2), 'AAAAAA']))?.status, 200);
  t.is(ask(cache, path([prefixes[0]!, 'AAAAAA']))?.status, 404);
  t.is(
    ask(cache, path(['AAAAAA', 'BBBBBB', 'CCCCCC']))?.reason,
    'Consensus not signed by sufficient number of requested authorities',
  );
});

interface DiffVector {
  flavour: 'ns' | 'microdesc';
  base: string;
  target: string;
}

test('who has an older consensus gets a diff from it', (t) => {
  for (const { flavour, base, target } of vectors<{ vectors: DiffVector[] }>('consensus-diff.json').vectors) {
    const cache = new DirCache();
    cache.setConsensus(parseConsensus(base));
    cache.setConsensus(parseConsensus(target));
    const path =
      flavour === 'ns'
        ? '/tor/status-vote/current/consensus'
        : '/tor/status-vote/current/consensus-microdesc';
    const header = { 'x-or-diff-from-consensus': `${'0'.repeat(64)}, ${sha3AsSigned(base).toLowerCase()}` };
    t.is(applyConsensusDiff(base, text(ask(cache, path, header)?.body)), target);
    t.is(text(ask(cache, path, { 'x-or-diff-from-consensus': '0'.repeat(64) })?.body), target);
    t.false(cache.setConsensus(parseConsensus(base)), 'an older one does not replace it');
  }
});

test('a diff is made once, however its base is written', (t) => {
  const [{ flavour, base, target }] = vectors<{ vectors: [DiffVector] }>('consensus-diff.json').vectors;
  const cache = new DirCache();
  cache.setConsensus(parseConsensus(base));
  cache.setConsensus(parseConsensus(target));
  const name = sha3AsSigned(base);
  const path = `/tor/status-vote/current/consensus${flavour === 'ns' ? '' : '-microdesc'}`;
  const diff = (header: string) => ask(cache, path, { 'x-or-diff-from-consensus': header })?.body;
  const first = diff(name);
  t.is(applyConsensusDiff(base, text(first)), target);
  // The same bytes: what a request makes anew is kept as long as the consensus, and may be asked for without end.
  for (const written of [name.toLowerCase(), `x, ${name}`, `x,\t  ${name} ,y`])
    t.is(diff(written), first, written);
});

test('a restart finds everything again; what is damaged is left out with a warning', async (t) => {
  const store = memoryStore();
  const cache = filled();
  await cache.saveConsensus(store);
  await cache.saveDocuments(store);
  const again = new DirCache();
  const log = memoryLog();
  await again.load(store, log, () => true);
  t.is(again.consensus('ns')?.text, consensus.ns.text);
  t.is(again.consensus('microdesc')?.text, consensus.microdesc.text);
  t.is([...again.certificates.all()].length, certificates.length);
  t.is(again.microdescCount, cache.microdescCount);
  t.is([...again.descriptors()].length, [...cache.descriptors()].length);
  t.is(
    again.extraInfoOf(consensus.ns.routers[0]!.id)?.text,
    cache.extraInfoOf(consensus.ns.routers[0]!.id)?.text,
  );
  t.is(log.lines.length, 0);

  const refused = new DirCache();
  await refused.load(store, log, () => false);
  t.is(refused.consensus('ns'), undefined);

  await store.write('cepa-state/documents', Buffer.from('garbage'));
  const damaged = new DirCache();
  await damaged.load(store, log, () => true);
  t.is([...damaged.descriptors()].length, 0);
  t.true(log.lines.some((line) => line.level === 'warn'));
});

test('pruning forgets what is old and keeps what a consensus lists', (t) => {
  const cache = filled();
  const count = [...cache.descriptors()].length;
  cache.prune(NOW + 3600_000);
  t.is([...cache.descriptors()].length, count);
  cache.prune(NOW + 49 * 3600_000);
  const listed = consensus.ns.routers.length;
  t.is([...cache.descriptors()].length, listed);
  cache.prune(NOW + 8 * 24 * 3600_000);
  t.is(cache.microdescCount, 0);
});

for (const isListed of [true, false]) {
  const which = isListed ? 'listed in the consensus' : 'not listed';
  test(`a relay that sends ever newer descriptors does not fill the memory: ${which}`, (t) => {
    const { id } = consensus.ns.routers[0]!;
    const first = filled().descriptorOf(id)!;
    const extra = filled().extraInfoOf(id)!;
    const cache = isListed ? filled() : new DirCache();
    const digestOf = (n: number) => first.digest.map((byte, i) => (i < 2 ? n >> (8 * i) : byte));
    const all = Array.from({ length: 300 }, (_, i) => i + 1);
    for (const n of all) {
      // One a second; the fifth is the newest for a minute.
      const published = first.published + (n + (n > 5 ? 60 : 0)) * 1000;
      const sha1 = digestOf(n);
      const extraInfoDigest = { ...first.extraInfoDigest!, sha1 };
      t.true(cache.addDescriptor({ ...first, published, digest: sha1, extraInfoDigest }));
      cache.addExtraInfo({ ...extra, sha1, published });
    }
    const held = isListed ? [299, 300] : [5, 299, 300];
    t.deepEqual(
      all.filter((n) => cache.descriptor(toHex(digestOf(n)))),
      held,
    );
    t.deepEqual(
      all.filter((n) => cache.extraInfo(toHex(digestOf(n)))),
      held,
    );
    t.is(toHex(cache.descriptorOf(id)!.digest), toHex(digestOf(300)));
    t.is([...cache.descriptors()].filter((each) => each.id === id).length, 1);
    t.is(cache.descriptor(toHex(first.digest)) !== undefined, isListed);
    t.is(cache.extraInfo(toHex(extra.sha1)) !== undefined, isListed);
  });
}

test("a relay that names another one's extra-info does not take it away", (t) => {
  const cache = filled();
  const [own, other] = [...cache.descriptors()];
  const extra = cache.extraInfoOf(other!.id)!;
  for (let n = 1; n <= 9; n++)
    cache.addDescriptor({
      ...own!,
      published: own!.published + n,
      digest: own!.digest.map((byte) => byte ^ n),
      extraInfoDigest: other!.extraInfoDigest,
    });
  t.is(cache.extraInfo(toHex(extra.sha1)), extra);
});
