/**
 * What an authority answers over HTTP: its votes, the consensus in the making, uploads (dir-spec 3.2, 3.6, 3.10, 4.1;
 * C tor `dirvote_dirreq_get_status_vote`, `directory_handle_command_post`), and all that a directory cache answers.
 *
 * @module
 */
import type { DirCache } from '../shared/dir/cache.js';
import type { FrontPage } from '../shared/dir/front-page.js';
import { cacheAnswer } from '../shared/dir/routes.js';
import type { Answer, DirSource } from '../shared/dir/server.js';
import type { RelayId } from '../shared/netdoc/types.js';
import type { Clock } from '../shared/runtime/types.js';
import type { Exchange } from './exchange.js';
import type { UploadResult } from './roster.js';

/** What answering needs. */
export interface SourceConfig {
  readonly cache: DirCache;
  readonly page: FrontPage;
  readonly clock: Clock;
  /** Fingerprint of this relay, and v3ident. */
  readonly relay: RelayId;
  readonly v3ident: RelayId;
  exchange(): Exchange;
  /** The bandwidth file as it was used for the last vote. */
  bandwidthFile(): Uint8Array | undefined;
  upload(text: string): UploadResult;
}

/** Names in one request at most. */
const MAX_NAMES = 64;
/** Seconds for which votes and pending documents may be kept. */
const PENDING_LIFETIME = 0;

const notFound: Answer = { status: 404, reason: 'Not found' };
const textOf = (body: Uint8Array): string =>
  Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8');

/** 200 with the texts that were found, or 404. */
function texts(found: readonly (string | undefined)[]): Answer {
  const body = found.filter((text) => text !== undefined).join('');
  if (body === '') return notFound;
  return { status: 200, body: Buffer.from(body, 'utf8'), lifetime: PENDING_LIFETIME };
}

const hexNames = (list: string): string[] =>
  list
    .split('+')
    .slice(0, MAX_NAMES)
    .map((name) => name.toUpperCase())
    .filter((name) => /^[0-9A-F]{40}$/.test(name));

/** Who sent something, for logs that name authorities; a client never gets that far. */
const senderOf = (address: string | undefined): string => address ?? 'a circuit';

/** Makes the source. */
export function authoritySource(config: SourceConfig): DirSource {
  const { cache, page, clock, relay, v3ident } = config;

  const voteAnswer = (when: 'current' | 'next', what: string, rest: readonly string[]): Answer => {
    const exchange = config.exchange();
    if (what === 'authority') return texts([exchange.voteOf(undefined, when)?.text]);
    if (what === 'd') {
      const names = hexNames(rest[0] ?? '');
      return texts(names.map((digest) => exchange.voteByDigest(digest)?.text));
    }
    return texts(hexNames(what).map((authority) => exchange.voteOf(authority, when)?.text));
  };

  const nextAnswer = (what: string, rest: readonly string[]): Answer => {
    const exchange = config.exchange();
    switch (what) {
      case 'consensus':
      case 'consensus-ns':
        return texts([exchange.pendingConsensus('ns')]);
      case 'consensus-microdesc':
        return texts([exchange.pendingConsensus('microdesc')]);
      case 'consensus-signatures':
        return texts([exchange.pendingSignatures()]);
      case 'bandwidth': {
        const body = config.bandwidthFile();
        return body ? { status: 200, body, lifetime: PENDING_LIFETIME } : notFound;
      }
      default:
        return voteAnswer('next', what, rest);
    }
  };

  return {
    get(path, headers) {
      const answer = page.answer(path) ?? cacheAnswer(cache, path, headers, clock.now(), { relay, v3ident });
      if (answer) return answer;
      const [, root, kind, when, what = '', ...rest] = path.split('/');
      if (root !== 'tor' || kind !== 'status-vote') return notFound;
      if (when === 'next') return nextAnswer(what, rest);
      return when === 'current' ? voteAnswer('current', what, rest) : notFound;
    },

    post(path, body, peer) {
      const from = senderOf(peer.address);
      switch (path) {
        case '/tor/':
          return uploadAnswer(config.upload(textOf(body)));
        case '/tor/post/vote':
          return config.exchange().addVotes(textOf(body), 'posted', from, clock.now());
        case '/tor/post/consensus-signature':
          return config.exchange().addSignatures(textOf(body), from);
        default:
          return notFound;
      }
    },
  };
}

function uploadAnswer({ verdict, reason }: UploadResult): Answer {
  switch (verdict) {
    case 'accepted':
      return { status: 200, reason };
    case 'known':
      return { status: 200, reason, headers: { 'x-descriptor-not-new': 'Yes' } };
    case 'rejected':
      return { status: 400, reason };
    default:
      return verdict satisfies never;
  }
}
