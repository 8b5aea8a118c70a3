/**
 * Consensuses of both flavours (dir-spec 3.4.1, 3.9.2): header, authority entries, router entries, footer.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import type { RsaKey } from '../crypto/rsa.js';
import {
  checkTimes,
  contact,
  dirSource,
  encodeSignatures,
  footerTable,
  HEAD,
  sha3AsSigned,
  signDirectoryText,
  signedDigests,
  statusLine,
  usableSignatures,
} from './network-status.js';
import { ENTRY_END, encodeRouter, readRouters } from './router-status.js';
import { type Fields, type ItemCodec, maybe, one, schema } from './schema.js';
import { type Item, Tokenizer } from './tokenizer.js';
import type { AuthorityEntry, Consensus, DirectorySignature, RelayId } from './types.js';
import { hexIdArg, lineOf, unsigned } from './values.js';

const DOCUMENT = 'consensus';
/** More authorities than there will be, and few enough to be harmless. */
const MAX_AUTHORITIES = 256;

type Flavor = Consensus['flavor'];

const versionLine: ItemCodec<Flavor> = lineOf(
  (item) => {
    const [version, flavor = 'ns'] = item.args(1);
    if (version !== '3') item.fail('version is not 3');
    return flavor === 'ns' || flavor === 'microdesc' ? flavor : item.fail('unknown flavor');
  },
  (flavor) => (flavor === 'ns' ? '3' : '3 microdesc'),
);

const HEADER = schema(DOCUMENT, {
  flavor: one('network-status-version', versionLine, { place: 0 }),
  status: one('vote-status', statusLine('consensus')),
  consensusMethod: maybe('consensus-method', unsigned(2 ** 31 - 1)),
  validAfter: HEAD.validAfter,
  freshUntil: HEAD.freshUntil,
  validUntil: HEAD.validUntil,
  votingDelay: HEAD.votingDelay,
  clientVersions: HEAD.clientVersions,
  serverVersions: HEAD.serverVersions,
  knownFlags: HEAD.knownFlags,
  recommendedClientProtocols: HEAD.recommendedClientProtocols,
  recommendedRelayProtocols: HEAD.recommendedRelayProtocols,
  requiredClientProtocols: HEAD.requiredClientProtocols,
  requiredRelayProtocols: HEAD.requiredRelayProtocols,
  params: HEAD.params,
  sharedRandPrevious: HEAD.sharedRandPrevious,
  sharedRandCurrent: HEAD.sharedRandCurrent,
});

const AUTHORITY = schema(DOCUMENT, {
  source: one('dir-source', dirSource, { place: 0 }),
  contact: maybe('contact', contact),
  voteDigest: maybe(
    'vote-digest',
    lineOf(
      (item: Item) => hexIdArg(item, item.args(1)[0]),
      (digest) => digest,
    ),
  ),
});

const FOOTER = footerTable(DOCUMENT);
const HEADER_END: ReadonlySet<string> = new Set(['dir-source', ...ENTRY_END]);

function authorityOf({ source, contact: reach, voteDigest }: Fields<typeof AUTHORITY>): AuthorityEntry {
  // Only the entry of a legacy key has neither; a contact without a vote, or the reverse, is a damaged entry.
  if ((reach === undefined) !== (voteDigest === undefined))
    throw new DecodeError(
      `${DOCUMENT}.vote-digest`,
      `contact and vote-digest of ${source.nickname} come together`,
    );
  return { ...source, contact: reach ?? '', voteDigest };
}

function readAuthorities(tokens: Tokenizer): AuthorityEntry[] {
  const authorities: AuthorityEntry[] = [];
  while (tokens.peek() === 'dir-source') {
    authorities.push(authorityOf(AUTHORITY.read(tokens, HEADER_END)));
    if (authorities.length > MAX_AUTHORITIES)
      throw new DecodeError(`${DOCUMENT}.dir-source`, `more than ${MAX_AUTHORITIES}`);
  }
  if (authorities.length === 0) throw new DecodeError(`${DOCUMENT}.dir-source`, 'missing');
  return authorities;
}

/** A signature must be of an authority that the document lists. */
function checkSigners(
  signatures: readonly DirectorySignature[],
  authorities: readonly AuthorityEntry[],
): void {
  const known = new Set(authorities.map(({ identity }) => identity));
  const stranger = signatures.find(({ identity }) => !known.has(identity));
  if (stranger !== undefined)
    throw new DecodeError(`${DOCUMENT}.directory-signature`, `${stranger.identity} is not listed`);
  if (signatures.length === 0)
    throw new DecodeError(`${DOCUMENT}.directory-signature`, 'none that can be used');
}

/**
 * Reads a consensus. Its signatures are not checked here (dir/verify.ts does that, with certificates).
 *
 * @throws DecodeError naming the item.
 */
export function parseConsensus(text: string): Consensus {
  const tokens = new Tokenizer(DOCUMENT, text);
  const { status: _, ...head } = HEADER.read(tokens, HEADER_END);
  checkTimes(DOCUMENT, head);
  const authorities = readAuthorities(tokens);
  const routers = readRouters(tokens, head.flavor);
  const footer = FOOTER.read(tokens);
  const signatures = usableSignatures(footer.signatures);
  checkSigners(signatures, authorities);
  let sha3: string | undefined;
  return {
    ...head,
    published: undefined,
    consensusMethod: head.consensusMethod ?? 1,
    clientVersions: head.clientVersions ?? [],
    serverVersions: head.serverVersions ?? [],
    params: head.params ?? new Map(),
    authorities,
    routers,
    bandwidthWeights: footer.bandwidthWeights ?? new Map(),
    signatures,
    signedDigests: signedDigests(text, DOCUMENT),
    // Only wanted for diffs, and as costly as a tenth of the parsing.
    get sha3AsSigned() {
      sha3 ??= sha3AsSigned(text, DOCUMENT);
      return sha3;
    },
    text,
  };
}

/** What the text of a consensus without its signatures says. */
export type ConsensusBody = Omit<
  Consensus,
  'published' | 'signatures' | 'signedDigests' | 'sha3AsSigned' | 'text'
>;

function encodeAuthority(entry: AuthorityEntry): string {
  const legacy = entry.voteDigest === undefined;
  return AUTHORITY.write({
    source: entry,
    contact: legacy ? undefined : entry.contact,
    voteDigest: entry.voteDigest,
  });
}

const unlessEmpty = <K, V>(map: ReadonlyMap<K, V>): ReadonlyMap<K, V> | undefined =>
  map.size === 0 ? undefined : map;

/**
 * The text of a consensus up to its signatures, byte for byte what C tor makes of the same values. Both version
 * lines are always there; `params` and `bandwidth-weights` only when not empty.
 */
export function encodeConsensusBody(body: ConsensusBody): string {
  const head = HEADER.write({ ...body, status: 'consensus', params: unlessEmpty(body.params) });
  const footer = FOOTER.write({
    footer: true,
    bandwidthWeights: unlessEmpty(body.bandwidthWeights),
    signatures: [],
  });
  const routers = body.routers.map((router) => encodeRouter(router, body.flavor));
  return [head, ...body.authorities.map(encodeAuthority), ...routers, footer].join('');
}

/** The digest a flavour is signed by. */
export const signatureAlgorithm = (flavor: Flavor): DirectorySignature['algorithm'] =>
  flavor === 'ns' ? 'sha1' : 'sha256';

/** Signs what `encodeConsensusBody` gave. */
export const signConsensus = (
  body: string,
  flavor: Flavor,
  identity: RelayId,
  signingKey: RsaKey,
): DirectorySignature => signDirectoryText(body, signatureAlgorithm(flavor), identity, signingKey);

/** The whole document: a body and signatures, in the order given (C tor: sorted by identity). */
export const appendSignatures = (body: string, signatures: readonly DirectorySignature[]): string =>
  `${body}${encodeSignatures(signatures)}`;
