/**
 * The GET routes of a directory cache (dir-spec 4.5, 5.1, 6, appendix B), answered from a DirCache.
 *
 * @module
 */
import type { AuthorityCertificate, RelayId } from '../netdoc/types.js';
import type { DirCache, Flavor, HeldConsensus } from './cache.js';
import { makeConsensusDiff } from './consensus-diff.js';
import type { Answer } from './server.js';

/** Documents one request may name [MAX_DESCRIPTORS per request is bounded by the length of the request line]. */
const MAX_NAMED = 1000;
/** Seconds for which answers may be kept [dircache.c]. */
const DESCRIPTOR_LIFETIME = 48 * 3600;
const CERTIFICATE_LIFETIME = 18 * 3600;

const notFound = (reason = 'Not found'): Answer => ({ status: 404, reason });

/** Joined texts of documents, or 404 when none was found. */
function documents(found: Iterable<{ readonly text: string } | undefined>, lifetime: number): Answer {
  let body = '';
  for (const document of found) if (document) body += document.text;
  return body === '' ? notFound('Servers unavailable') : { status: 200, body, lifetime };
}

const namesOf = (list: string, separator: string): string[] => {
  const names = list.split(separator);
  return names.length > MAX_NAMED ? names.slice(0, MAX_NAMED) : names;
};

/** Hex names, upper case, each once [DSR_SORT_UNIQ]; what is not hex of that size names nothing. */
const hexNames = (list: string): string[] => [
  ...new Set(namesOf(list.toUpperCase(), '+').filter((name) => /^[0-9A-F]{40}$/.test(name))),
];

function certificates(cache: DirCache, rest: readonly string[], own: RelayId | undefined): Answer {
  const [kind, list = ''] = rest;
  const all = () => [...cache.certificates.all()];
  const pick = (wanted: (certificate: AuthorityCertificate) => boolean) =>
    documents(all().filter(wanted), CERTIFICATE_LIFETIME);
  switch (kind) {
    case 'all':
      return pick(() => true);
    case 'authority':
      return documents(own ? [cache.certificates.newest(own)] : [], CERTIFICATE_LIFETIME);
    case 'fp':
      return documents(
        hexNames(list).map((identity) => cache.certificates.newest(identity)),
        CERTIFICATE_LIFETIME,
      );
    case 'sk': {
      const names = new Set(hexNames(list));
      return pick((certificate) => names.has(certificate.signingKeyDigest));
    }
    case 'fp-sk': {
      const names = new Set(namesOf(list.toUpperCase(), '+'));
      return pick((certificate) => names.has(`${certificate.identity}-${certificate.signingKeyDigest}`));
    }
    default:
      return notFound();
  }
}

function servers(cache: DirCache, rest: readonly string[], own: RelayId | undefined): Answer {
  const [kind, list = ''] = rest;
  if (kind === 'all') return documents(cache.descriptors(), DESCRIPTOR_LIFETIME);
  if (kind === 'authority') return documents(own ? [cache.descriptorOf(own)] : [], DESCRIPTOR_LIFETIME);
  if (kind === 'fp')
    return documents(
      hexNames(list).map((id) => cache.descriptorOf(id)),
      DESCRIPTOR_LIFETIME,
    );
  if (kind === 'd')
    return documents(
      hexNames(list).map((digest) => cache.descriptor(digest)),
      DESCRIPTOR_LIFETIME,
    );
  return notFound();
}

function extras(cache: DirCache, rest: readonly string[], own: RelayId | undefined): Answer {
  const [kind, list = ''] = rest;
  if (kind === 'all') return documents(cache.extraInfos(), DESCRIPTOR_LIFETIME);
  if (kind === 'authority') return documents(own ? [cache.extraInfoOf(own)] : [], DESCRIPTOR_LIFETIME);
  if (kind === 'fp')
    return documents(
      hexNames(list).map((id) => cache.extraInfoOf(id)),
      DESCRIPTOR_LIFETIME,
    );
  if (kind === 'd')
    return documents(
      hexNames(list).map((digest) => cache.extraInfo(digest)),
      DESCRIPTOR_LIFETIME,
    );
  return notFound();
}

/** `F+F…`: at least half of the listed authorities, by prefix, must have signed (dir-spec 5.1). */
function signedByEnough({ document }: HeldConsensus, list: string): boolean {
  const prefixes = namesOf(list.toUpperCase(), '+').filter((prefix) => /^[0-9A-F]{6,40}$/.test(prefix));
  const signers = new Set(document.signatures.map((signature) => signature.identity));
  const found = prefixes.filter((prefix) => [...signers].some((signer) => signer.startsWith(prefix)));
  return found.length * 2 > prefixes.length;
}

const diffs = new WeakMap<HeldConsensus, Map<string, Uint8Array>>();

/** A diff from one of the bases a client says it has; made once per pair. */
function diffFor(
  cache: DirCache,
  flavor: Flavor,
  held: HeldConsensus,
  header: string,
): Uint8Array | undefined {
  for (const written of namesOf(header.toUpperCase(), ',').slice(0, 16)) {
    // What is kept goes by the name alone: there is no end of ways to put white space around it.
    const name = written.trim();
    const base = cache.base(flavor, name);
    if (!base) continue;
    const made = diffs.get(held) ?? new Map<string, Uint8Array>();
    diffs.set(held, made);
    let diff = made.get(name);
    if (!diff) {
      diff = Buffer.from(makeConsensusDiff(base.document.text, held.document.text), 'utf8');
      made.set(name, diff);
    }
    return diff;
  }
  return undefined;
}

function consensus(
  cache: DirCache,
  flavor: Flavor,
  signers: string | undefined,
  headers: Readonly<Record<string, string>>,
  now: number,
): Answer {
  const held = cache.held(flavor);
  if (!held) return notFound('Consensus is missing');
  if (signers !== undefined && !signedByEnough(held, signers))
    return notFound('Consensus not signed by sufficient number of requested authorities');
  const { validAfter, freshUntil } = held.document;
  const base = headers['x-or-diff-from-consensus'];
  const diff = base === undefined ? undefined : diffFor(cache, flavor, held, base);
  return {
    status: 200,
    body: diff ?? held.bytes,
    modified: validAfter,
    lifetime: Math.max(0, Math.round((freshUntil - now) / 1000)),
    headers: { vary: 'X-Or-Diff-From-Consensus' },
  };
}

const FLAVORS: Readonly<Record<string, Flavor>> = {
  consensus: 'ns',
  'consensus-ns': 'ns',
  'consensus-microdesc': 'microdesc',
};

/** Who answers: an authority also answers for itself. */
export interface CacheIdentity {
  /** RSA fingerprint of this relay, for `…/authority`. */
  readonly relay?: RelayId;
  /** v3ident, for `/tor/keys/authority`. */
  readonly v3ident?: RelayId;
}

/** The answer to a GET from what the cache holds; undefined for a path that is not a cache's. */
export function cacheAnswer(
  cache: DirCache,
  path: string,
  headers: Readonly<Record<string, string>>,
  now: number,
  self: CacheIdentity = {},
): Answer | undefined {
  const [empty, root, kind, ...rest] = path.split('/');
  if (empty !== '' || root !== 'tor') return undefined;
  switch (kind) {
    case 'keys':
      return certificates(cache, rest, self.v3ident);
    case 'server':
      return servers(cache, rest, self.relay);
    case 'extra':
      return extras(cache, rest, self.relay);
    case 'micro': {
      // Base64 digests may hold a "/", so the list is all that follows.
      if (rest[0] !== 'd') return notFound();
      const names = new Set(namesOf(rest.slice(1).join('/'), '-'));
      return documents(
        [...names].map((digest) => cache.microdesc(digest)),
        DESCRIPTOR_LIFETIME,
      );
    }
    case 'status-vote': {
      const [when, what = '', signers] = rest;
      const flavor = Object.hasOwn(FLAVORS, what) ? FLAVORS[what] : undefined;
      return when === 'current' && flavor ? consensus(cache, flavor, signers, headers, now) : undefined;
    }
    default:
      return undefined;
  }
}
