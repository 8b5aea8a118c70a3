/**
 * What votes and consensuses have in common (dir-spec 3.4.1): items of the header, authority entries, the footer
 * with its signatures.
 *
 * A signature is over the digest of the text through the first "directory-signature " (with the blank), SHA-1 for
 * votes and the ns flavour, SHA-256 for the microdesc flavour, without DigestInfo.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { bytesOf, fromBase64, toBase64, toHex } from '../bytes/text.js';
import { sha1, sha3_256, sha256 } from '../crypto/digest.js';
import { type RsaKey, rsaPublic } from '../crypto/rsa.js';
import { ipv4Number } from './address.js';
import { parseUnsigned } from './numbers.js';
import { type ItemCodec, maybe, one, schema, some } from './schema.js';
import { signedPart } from './split.js';
import type { Item } from './tokenizer.js';
import type { AuthorityEntry, DirectorySignature, RelayId, SharedRandomValue } from './types.js';
import {
  flag,
  hexIdArg,
  int32Pairs,
  line,
  lineOf,
  objectOf,
  protocols,
  time,
  unsignedArg,
  words,
} from './values.js';

/** The keyword of signatures, with the blank that is signed too. */
export const SIGNATURE_ITEM = 'directory-signature ';
const PORT_MAX = 65535;
const INT32_MAX = 2 ** 31 - 1;

/** `vote-status`: which kind of document. */
export const statusLine = <T extends string>(kind: T): ItemCodec<T> =>
  lineOf(
    (item) => (item.args(1)[0] === kind ? kind : item.fail(`not ${kind}`)),
    (text) => text,
  );

/** `voting-delay`: seconds. */
const votingDelay: ItemCodec<{ readonly vote: number; readonly dist: number }> = lineOf(
  (item) => {
    const [vote, dist] = item.args(2);
    return { vote: unsignedArg(item, vote, INT32_MAX), dist: unsignedArg(item, dist, INT32_MAX) };
  },
  ({ vote, dist }) => `${vote} ${dist}`,
);

/** Versions with commas between; may be empty. */
const versionList: ItemCodec<readonly string[]> = lineOf(
  (item) => (item.rest === '' ? [] : item.rest.split(',')),
  (list) => list.join(','),
);

/** Refuses names that are not sorted bytewise, or come twice. */
function checkSorted(item: Item, names: readonly string[]): void {
  for (let i = 1; i < names.length; i++)
    if ((names[i - 1] ?? '') >= (names[i] ?? '')) item.fail(`${names[i]} is out of order`);
}

const sortedWords: ItemCodec<readonly string[]> = {
  read(item) {
    const list = words.read(item);
    checkSorted(item, list);
    return list;
  },
  write: words.write,
};

const params: ItemCodec<ReadonlyMap<string, number>> = {
  read(item) {
    const values = int32Pairs.read(item);
    checkSorted(item, words.read(item));
    return values;
  },
  write: int32Pairs.write,
};

/** A shared random value; one that cannot be read counts as none (C tor `extract_shared_random_srvs`). */
const sharedRandom: ItemCodec<SharedRandomValue | undefined> = lineOf(
  (item) => {
    const [count = '', value = ''] = item.args(2);
    const reveals = parseUnsigned(count, Number.MAX_SAFE_INTEGER);
    if (reveals < 0 || !/^[A-Za-z0-9+/]{43}=$/.test(value)) return undefined;
    return { reveals, value: fromBase64(value, item.field, 32) };
  },
  (value) => (value === undefined ? '' : `${value.reveals} ${toBase64(value.value)}`),
);

/** Header items by field name, for the tables of both kinds to put in their own order. */
export const HEAD = {
  validAfter: one('valid-after', time),
  freshUntil: one('fresh-until', time),
  validUntil: one('valid-until', time),
  votingDelay: one('voting-delay', votingDelay),
  clientVersions: maybe('client-versions', versionList),
  serverVersions: maybe('server-versions', versionList),
  knownFlags: one('known-flags', sortedWords),
  recommendedClientProtocols: maybe('recommended-client-protocols', protocols),
  recommendedRelayProtocols: maybe('recommended-relay-protocols', protocols),
  requiredClientProtocols: maybe('required-client-protocols', protocols),
  requiredRelayProtocols: maybe('required-relay-protocols', protocols),
  params: maybe('params', params),
  sharedRandPrevious: maybe('shared-rand-previous-value', sharedRandom),
  sharedRandCurrent: maybe('shared-rand-current-value', sharedRandom),
} as const;

/** Refuses times that do not follow each other. */
export function checkTimes(
  document: string,
  times: { readonly validAfter: number; readonly freshUntil: number; readonly validUntil: number },
): void {
  if (times.freshUntil <= times.validAfter)
    throw new DecodeError(`${document}.fresh-until`, 'not after valid-after');
  if (times.validUntil <= times.freshUntil)
    throw new DecodeError(`${document}.valid-until`, 'not after fresh-until');
}

/** `dir-source`: an authority without its contact line. */
export type DirSource = Omit<AuthorityEntry, 'contact' | 'voteDigest'>;

/**
 * `dir-source nickname identity hostname address DirPort ORPort`. The nickname is any word: it is copied from the vote
 * into the consensus, and the entry of an identity key used before has `-legacy` behind it.
 */
export const dirSource: ItemCodec<DirSource> = lineOf(
  (item) => {
    const [nickname = '', identity, hostname = '', address = '', dirPort, orPort] = item.args(6);
    if (ipv4Number(address) < 0) item.fail(`not an IPv4 address: ${JSON.stringify(address.slice(0, 40))}`);
    return {
      nickname,
      identity: hexIdArg(item, identity),
      hostname,
      address,
      dirPort: unsignedArg(item, dirPort, PORT_MAX),
      orPort: unsignedArg(item, orPort, PORT_MAX),
    };
  },
  (value) =>
    `${value.nickname} ${value.identity} ${value.hostname} ${value.address} ${value.dirPort} ${value.orPort}`,
);

/** The contact line of an authority. */
export const contact: ItemCodec<string> = line;

/** Two identities and an RSA signature. */
export function readSignature(
  item: Item,
  algorithm: DirectorySignature['algorithm'],
  identity: string | undefined,
  signingKey: string | undefined,
): DirectorySignature {
  return {
    algorithm,
    identity: hexIdArg(item, identity),
    signingKeyDigest: hexIdArg(item, signingKey),
    signature: objectOf(item, 'SIGNATURE', 128, 512),
  };
}

/** `directory-signature [algorithm] identity signing-key`; null when the algorithm is not known. */
const signatureLine: ItemCodec<DirectorySignature | null> = {
  object: 'required',
  read(item) {
    const args = item.args(2);
    if (args.length === 2) return readSignature(item, 'sha1', args[0], args[1]);
    const [algorithm, identity, signingKey] = args;
    if (algorithm !== 'sha1' && algorithm !== 'sha256') return null;
    return readSignature(item, algorithm, identity, signingKey);
  },
  write(value) {
    if (value === null) return {};
    const algorithm = value.algorithm === 'sha1' ? '' : `${value.algorithm} `;
    return {
      rest: `${algorithm}${value.identity} ${value.signingKeyDigest}`,
      object: { label: 'SIGNATURE', bytes: value.signature },
    };
  },
};

/** The end of a vote or consensus. */
export const footerTable = (document: string) =>
  schema(document, {
    footer: one('directory-footer', flag, { place: 0 }),
    bandwidthWeights: maybe('bandwidth-weights', int32Pairs),
    signatures: some('directory-signature', signatureLine),
  });

/** The signatures whose algorithm is known; the first of each authority and algorithm. */
export function usableSignatures(signatures: readonly (DirectorySignature | null)[]): DirectorySignature[] {
  const usable = new Map<string, DirectorySignature>();
  for (const signature of signatures) {
    if (signature === null) continue;
    const key = `${signature.algorithm} ${signature.identity}`;
    if (!usable.has(key)) usable.set(key, signature);
  }
  return [...usable.values()];
}

/** Digests of the signed part of a vote or consensus, by algorithm. */
export interface SignedDigests {
  readonly sha1: Uint8Array;
  readonly sha256: Uint8Array;
}

const signedBytes = (text: string, document: string): Uint8Array =>
  signedPart(text, SIGNATURE_ITEM, `${document}.directory-signature`);

/** Computes them from the text of a document that has its signatures. */
export function signedDigests(text: string, document: string): SignedDigests {
  const part = signedBytes(text, document);
  return { sha1: sha1(part), sha256: sha256(part) };
}

/** SHA3-256 of the signed part, upper-case hex: what consensus diffs name their base by. */
export const sha3AsSigned = (text: string, document: string): string =>
  toHex(sha3_256(signedBytes(text, document)));

/** Whether a signature over a digest was made with this key (DER). The digest must fit the algorithm. */
export function verifyDirectorySignature(
  signature: DirectorySignature,
  digests: SignedDigests,
  signingKey: Uint8Array,
): boolean {
  const key = rsaPublic(signingKey);
  if (toHex(key.id) !== signature.signingKeyDigest) return false;
  return key.verifyRaw(signature.signature, digests[signature.algorithm]);
}

/** Signs a text that ends before its signatures. */
export function signDirectoryText(
  unsigned: string,
  algorithm: DirectorySignature['algorithm'],
  identity: RelayId,
  signingKey: RsaKey,
): DirectorySignature {
  const signed = bytesOf(`${unsigned}${SIGNATURE_ITEM}`);
  const digest = algorithm === 'sha1' ? sha1(signed) : sha256(signed);
  return {
    algorithm,
    identity,
    signingKeyDigest: toHex(signingKey.id),
    signature: signingKey.signRaw(digest),
  };
}

/** Writes signatures as they stand at the end of a document. */
export const encodeSignatures = (signatures: readonly DirectorySignature[]): string =>
  SIGNATURES.write({ signatures });

const SIGNATURES = schema('consensus', { signatures: some('directory-signature', signatureLine) });
