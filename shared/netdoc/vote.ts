/**
 * Votes (dir-spec 3.4.1): what one authority thinks of every relay, with the authority's key certificate inside.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { toHex } from '../bytes/text.js';
import type { RsaKey } from '../crypto/rsa.js';
import { parseAuthorityCertificate } from './authority-cert.js';
import {
  checkTimes,
  contact,
  dirSource,
  encodeSignatures,
  footerTable,
  HEAD,
  signDirectoryText,
  signedDigests,
  statusLine,
  verifyDirectorySignature,
} from './network-status.js';
import { parseUnsigned } from './numbers.js';
import { ENTRY_END, encodeRouter, readRouters } from './router-status.js';
import { any, type Fields, type ItemCodec, maybe, one, schema } from './schema.js';
import { checkSize } from './split.js';
import { type Item, Tokenizer } from './tokenizer.js';
import type { AuthorityCertificate, RouterStatus, SharedRandomCommit, Vote } from './types.js';
import { flag, hexIdArg, line, lineOf, textPairs, time } from './values.js';

const DOCUMENT = 'vote';
/** Largest vote in bytes; those of the public network have some 10 MB. */
export const MAX_VOTE_SIZE = 64 * 1024 * 1024;
/** C tor keeps flags in 64 bits. */
const MAX_KNOWN_FLAGS = 64;
const MAX_METHODS = 512;
/** More commitments than there are authorities anywhere. */
const MAX_COMMITS = 256;

const versionLine: ItemCodec<3> = lineOf(
  (item) => (item.args(1)[0] === '3' ? 3 : item.fail('version is not 3')),
  String,
);

/** Consensus methods; what is no number is none that anybody could compute. */
const methods: ItemCodec<readonly number[]> = lineOf(
  (item) => {
    const list = item.args(1);
    if (list.length > MAX_METHODS) item.fail(`more than ${MAX_METHODS}`);
    return list.map((text) => parseUnsigned(text, 2 ** 31 - 1)).filter((method) => method >= 0);
  },
  (list) => list.join(' '),
);

/** What is only told: C tor does not read it. */
const thresholds: ItemCodec<ReadonlyMap<string, string>> = {
  read: (item) => new Map(item.args(0).flatMap((word) => (word.indexOf('=') > 0 ? [splitPair(word)] : []))),
  write: textPairs.write,
};

const splitPair = (word: string): [string, string] => {
  const equals = word.indexOf('=');
  return [word.slice(0, equals), word.slice(equals + 1)];
};

/**
 * `shared-rand-commit version algorithm identity commit [reveal]`, as it is written: what another version of the
 * protocol makes of it spoils that commitment only, not the vote.
 */
const commitLine: ItemCodec<SharedRandomCommit> = lineOf(
  (item) => {
    const [version = '', algorithm = '', identity = '', commit = '', reveal] = item.args(3);
    return {
      version: Math.max(0, parseUnsigned(version, 2 ** 32 - 1)),
      algorithm,
      identity: identity.toUpperCase(),
      commit,
      reveal,
    };
  },
  (value) => {
    const reveal = value.reveal === undefined ? '' : ` ${value.reveal}`;
    return `${value.version} ${value.algorithm} ${value.identity} ${value.commit}${reveal}`;
  },
);

const HEADER = schema(DOCUMENT, {
  version: one('network-status-version', versionLine, { place: 0 }),
  status: one('vote-status', statusLine('vote')),
  consensusMethods: one('consensus-methods', methods),
  published: one('published', time),
  validAfter: HEAD.validAfter,
  freshUntil: HEAD.freshUntil,
  validUntil: HEAD.validUntil,
  votingDelay: HEAD.votingDelay,
  clientVersions: HEAD.clientVersions,
  serverVersions: HEAD.serverVersions,
  recommendedRelayProtocols: HEAD.recommendedRelayProtocols,
  recommendedClientProtocols: HEAD.recommendedClientProtocols,
  requiredRelayProtocols: HEAD.requiredRelayProtocols,
  requiredClientProtocols: HEAD.requiredClientProtocols,
  knownFlags: HEAD.knownFlags,
  flagThresholds: maybe('flag-thresholds', thresholds),
  params: HEAD.params,
  bandwidthFileHeaders: maybe('bandwidth-file-headers', line),
  bandwidthFileDigest: maybe('bandwidth-file-digest', line),
  source: one('dir-source', dirSource),
  contact: one('contact', contact),
  sharedRandParticipate: maybe('shared-rand-participate', flag),
  sharedRandCommits: any('shared-rand-commit', commitLine),
  sharedRandPrevious: HEAD.sharedRandPrevious,
  sharedRandCurrent: HEAD.sharedRandCurrent,
  legacyDirKey: maybe(
    'legacy-dir-key',
    lineOf(
      (item: Item) => hexIdArg(item, item.args(1)[0]),
      (id) => id,
    ),
  ),
});

const FOOTER = footerTable(DOCUMENT);
const CERTIFICATE_START = 'dir-key-certificate-version';
const HEADER_END: ReadonlySet<string> = new Set([CERTIFICATE_START, ...ENTRY_END]);

function fail(keyword: string, message: string): never {
  throw new DecodeError(`${DOCUMENT}.${keyword}`, message);
}

function checkHeader(head: Fields<typeof HEADER>): void {
  checkTimes(DOCUMENT, head);
  if (head.knownFlags.length > MAX_KNOWN_FLAGS) fail('known-flags', `more than ${MAX_KNOWN_FLAGS}`);
  if (head.sharedRandCommits.length > MAX_COMMITS) fail('shared-rand-commit', `more than ${MAX_COMMITS}`);
}

function readCertificate(tokens: Tokenizer, text: string, identity: string): AuthorityCertificate {
  if (tokens.peek() !== CERTIFICATE_START) fail(CERTIFICATE_START, 'missing');
  const from = tokens.offset;
  for (let keyword = tokens.peek(); keyword !== undefined && !ENTRY_END.has(keyword); keyword = tokens.peek())
    tokens.next();
  const certificate = parseAuthorityCertificate(text.slice(from, tokens.offset));
  if (certificate.identity !== identity) fail('dir-source', 'not the identity of the certificate');
  return certificate;
}

/** Flags must be announced; an ed25519 identity belongs to one relay. */
function checkRouters(routers: readonly RouterStatus[], knownFlags: readonly string[]): void {
  const known = new Set(knownFlags);
  const checked = new Set<ReadonlySet<string>>();
  const identities = new Set<string>();
  for (const { flags, ed25519Id, nickname } of routers) {
    if (!checked.has(flags))
      for (const each of flags)
        if (!known.has(each)) fail('s', `${each} of ${nickname} is not in known-flags`);
    checked.add(flags);
    if (ed25519Id === undefined || ed25519Id === 'none') continue;
    const id = toHex(ed25519Id);
    if (identities.has(id)) fail('id', `${id} comes twice`);
    identities.add(id);
  }
}

/**
 * Reads a vote; its certificate is checked, its own signature only by `verifyVote`.
 *
 * @throws DecodeError naming the item, of the vote or of the certificate.
 */
export function parseVote(text: string): Vote {
  checkSize(text, MAX_VOTE_SIZE, DOCUMENT);
  const tokens = new Tokenizer(DOCUMENT, text);
  const header = HEADER.read(tokens, HEADER_END);
  checkHeader(header);
  const { status: _, version: _version, source, contact: reach, ...head } = header;
  const certificate = readCertificate(tokens, text, source.identity);
  const routers = readRouters(tokens, 'vote');
  checkRouters(routers, head.knownFlags);
  const { signatures } = FOOTER.read(tokens);
  const [signature] = signatures;
  if (
    signatures.length !== 1 ||
    signature === undefined ||
    signature === null ||
    signature.algorithm !== 'sha1'
  )
    return fail('directory-signature', 'not one signature over SHA-1');
  if (signature.identity !== source.identity) fail('directory-signature', 'not of the authority');
  return {
    ...head,
    clientVersions: head.clientVersions ?? [],
    serverVersions: head.serverVersions ?? [],
    params: head.params ?? new Map(),
    flagThresholds: head.flagThresholds ?? new Map(),
    authority: { ...source, contact: reach, voteDigest: undefined },
    certificate,
    sharedRandParticipate: head.sharedRandParticipate === true,
    sharedRandCommits: head.sharedRandParticipate === true ? head.sharedRandCommits : [],
    routers,
    signature,
    digest: toHex(signedDigests(text, DOCUMENT).sha1),
    text,
  };
}

/**
 * Checks a vote's signature with the key of its certificate. Whether the certificate is of an authority that is
 * known, and not expired, is the caller's question.
 *
 * @throws DecodeError naming `vote.directory-signature`.
 */
export function verifyVote(vote: Vote): void {
  const digests = signedDigests(vote.text, DOCUMENT);
  if (!verifyDirectorySignature(vote.signature, digests, vote.certificate.signingKey))
    fail('directory-signature', 'bad signature');
}

/** What a vote says before it is signed. */
export type VoteBody = Omit<Vote, 'signature' | 'digest' | 'text'>;

const listed = (list: readonly string[]): readonly string[] | undefined =>
  list.length === 0 ? undefined : list;

/** The text of a vote up to its signature [format_networkstatus_vote]. */
export function encodeVoteBody(vote: VoteBody): string {
  const head = HEADER.write({
    ...vote,
    version: 3,
    status: 'vote',
    clientVersions: listed(vote.clientVersions),
    serverVersions: listed(vote.serverVersions),
    source: vote.authority,
    contact: vote.authority.contact,
    sharedRandParticipate: vote.sharedRandParticipate ? true : undefined,
  });
  const routers = vote.routers.map((router) => encodeRouter(router, 'vote'));
  const footer = FOOTER.write({ footer: true, bandwidthWeights: undefined, signatures: [] });
  return [head, vote.certificate.text, ...routers, footer].join('');
}

/** Makes and signs a vote; the key must be the one its certificate certifies. */
export function encodeVote(vote: VoteBody, signingKey: RsaKey): string {
  const body = encodeVoteBody(vote);
  const signature = signDirectoryText(body, 'sha1', vote.certificate.identity, signingKey);
  return `${body}${encodeSignatures([signature])}`;
}
