/**
 * Fetches the documents that a consensus names and the cache lacks, in batches (dir-spec 4.4, 4.5).
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import { toHex } from '../shared/bytes/text.js';
import type { DirCache } from '../shared/dir/cache.js';
import type { Log } from '../shared/log/types.js';
import { checkExtraInfo, parseExtraInfos } from '../shared/netdoc/extra-info.js';
import { parseMicrodescriptors } from '../shared/netdoc/microdesc.js';
import { parseServerDescriptors } from '../shared/netdoc/server-descriptor.js';
import type { FailedDocument } from '../shared/netdoc/split.js';
import type { ExtraInfo, RelayId, ServerDescriptor } from '../shared/netdoc/types.js';
import type { Clock } from '../shared/runtime/types.js';
import type { Authorities } from './authorities.js';

/** Documents asked for in one request: digests of 40 digits stay well under any limit on a request line. */
const BATCH = 90;
/** Decompressed bytes of one answer. */
const MAX_BODY = 8 * 1024 * 1024;

/** What fetching needs. */
export interface DocumentsEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly cache: DirCache;
  readonly authorities: Authorities;
  readonly self: RelayId;
  readonly isCache: boolean;
}

/** One kind of document. */
interface Kind {
  readonly name: string;
  /** Digests that are wanted. */
  missing(): string[];
  path(digests: readonly string[]): string;
  /** Puts what came into the cache; gives what was wrong. */
  take(text: string): readonly FailedDocument[];
}

function kindsOf({ cache, clock, isCache }: DocumentsEnv): Kind[] {
  const micro = cache.consensus('microdesc');
  const ns = cache.consensus('ns');
  const microdescs: Kind = {
    name: 'microdescriptors',
    missing: () => (micro ? cache.missingMicrodescs(micro) : []),
    path: (digests) => `/tor/micro/d/${digests.join('-')}.z`,
    take(text) {
      const { documents, errors } = parseMicrodescriptors(text);
      for (const document of documents) cache.addMicrodesc(document, clock.now());
      return errors;
    },
  };
  const descriptors: Kind = {
    name: 'server descriptors',
    missing: () => (ns ? cache.missingDescriptors(ns) : []),
    path: (digests) => `/tor/server/d/${digests.join('+')}.z`,
    take(text) {
      const { documents, errors } = parseServerDescriptors(text);
      for (const document of documents) cache.addDescriptor(document);
      return errors;
    },
  };
  let named = new Map<string, ServerDescriptor>();
  const extraInfos: Kind = {
    name: 'extra-info documents',
    missing() {
      named = missingExtraInfos(cache);
      return [...named.keys()];
    },
    path: (digests) => `/tor/extra/d/${digests.join('+')}.z`,
    take(text) {
      const { documents, errors } = parseExtraInfos(text);
      return [...errors, ...documents.flatMap((document) => takeExtraInfo(document, named, cache))];
    },
  };
  return isCache ? [microdescs, descriptors, extraInfos] : [microdescs];
}

/** Only what a listed descriptor names is kept; it need not be the relay's newest. */
function takeExtraInfo(
  document: ExtraInfo,
  named: ReadonlyMap<string, ServerDescriptor>,
  cache: DirCache,
): FailedDocument[] {
  try {
    const descriptor = named.get(toHex(document.sha1));
    if (!descriptor) return [];
    checkExtraInfo(document, descriptor);
    cache.addExtraInfo(document);
    return [];
  } catch (error) {
    if (error instanceof DecodeError) return [{ error, text: document.text }];
    throw error;
  }
}

/** Digests of the extra-infos that are missing, and the descriptors that name them, of those the ns consensus lists. */
function missingExtraInfos(cache: DirCache): Map<string, ServerDescriptor> {
  const missing = new Map<string, ServerDescriptor>();
  for (const { digest } of cache.consensus('ns')?.routers ?? []) {
    const descriptor = digest && cache.descriptor(toHex(digest));
    const name = descriptor?.extraInfoDigest && toHex(descriptor.extraInfoDigest.sha1);
    if (name && !cache.extraInfo(name)) missing.set(name, descriptor);
  }
  return missing;
}

/** Fetches what is missing of every kind, and tells when some came. True when nothing is missing any more. */
export async function fetchDocuments(env: DocumentsEnv, took = () => {}): Promise<boolean> {
  let complete = true;
  for (const kind of kindsOf(env)) {
    const wanted = kind.missing();
    try {
      await fetchKind(kind, wanted, env);
    } finally {
      const left = kind.missing().length;
      if (left < wanted.length) took();
      if (left > 0) complete = false;
    }
  }
  return complete;
}

async function fetchKind(kind: Kind, wanted: readonly string[], env: DocumentsEnv): Promise<void> {
  for (let from = 0; from < wanted.length; from += BATCH) {
    const authority = env.authorities.pick(env.self);
    if (!authority) return;
    const path = kind.path(wanted.slice(from, from + BATCH));
    const response = await env.authorities.ask(authority, { method: 'GET', path }, MAX_BODY);
    // 404: this authority has none of them; another may.
    if (response.status !== 200) continue;
    for (const { error } of kind.take(Buffer.from(response.body).toString('utf8')))
      env.log.info(`a bad document among ${kind.name}`, { error: error.message });
  }
}
