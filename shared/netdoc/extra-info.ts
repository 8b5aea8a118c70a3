/**
 * Extra-info documents (dir-spec 2.1.2): statistics that clients have no need of, signed like server descriptors.
 * The statistics items are carried as lines; which there are and what they mean is the business of who measures.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { bytesOf, sameBytes, toHex } from '../bytes/text.js';
import { sha256 } from '../crypto/digest.js';
import type { Ed25519Signer } from '../crypto/ed25519.js';
import type { RsaKey } from '../crypto/rsa.js';
import { ed25519Cert } from './descriptor-table.js';
import {
  checkEd25519Signature,
  checkRsaSignature,
  checkSigningCert,
  routerDigest,
  signRouterDocument,
  withoutSignatures,
} from './router-signatures.js';
import { type ItemCodec, one, schema } from './schema.js';
import { ROUTER_DOCUMENTS } from './server-descriptor.js';
import { checkSize, type ParsedDocuments, parseEach, splitDocuments } from './split.js';
import { Tokenizer } from './tokenizer.js';
import type { ExtraInfo, RelayId, ServerDescriptor } from './types.js';
import { base64Bytes, hexIdArg, lineOf, nicknameArg, rsaSignature, time } from './values.js';

const DOCUMENT = 'extra-info';
/** Largest extra-info document in bytes, as in C tor's MAX_EXTRAINFO_UPLOAD_SIZE. */
export const MAX_EXTRA_INFO_SIZE = 50_000;

interface ExtraInfoLine {
  readonly nickname: string;
  readonly id: RelayId;
}

const extraInfoLine: ItemCodec<ExtraInfoLine> = lineOf(
  (item) => {
    const [nickname, id] = item.args(2);
    return { nickname: nicknameArg(item, nickname), id: hexIdArg(item, id) };
  },
  ({ nickname, id }) => `${nickname} ${id}`,
);

const TABLE = schema(DOCUMENT, {
  router: one('extra-info', extraInfoLine, { place: 0 }),
  signingCert: one('identity-ed25519', ed25519Cert(), { place: 1 }),
  published: one('published', time),
  ed25519Signature: one('router-sig-ed25519', base64Bytes(64), { place: -2 }),
  rsaSignature: one('router-signature', rsaSignature(), { place: -1 }),
});

/**
 * Reads one document and checks its ed25519 chain. Its RSA signature needs a key that only the server descriptor
 * has: see `checkExtraInfo`.
 *
 * @throws DecodeError naming the item.
 */
export function parseExtraInfo(text: string): ExtraInfo {
  checkSize(text, MAX_EXTRA_INFO_SIZE, DOCUMENT);
  const fields = TABLE.read(new Tokenizer(DOCUMENT, text));
  const cert = checkSigningCert(fields.signingCert, DOCUMENT);
  checkEd25519Signature(text, DOCUMENT, cert.key, fields.ed25519Signature);
  return {
    ...fields.router,
    published: fields.published,
    ed25519Id: cert.signedWith,
    sha1: routerDigest(text, DOCUMENT),
    sha256: sha256(bytesOf(text)),
    rsaSignature: fields.rsaSignature,
    text,
  };
}

/**
 * Checks that a document belongs to a server descriptor: its identities, its RSA signature, and the digests the
 * descriptor names.
 *
 * @throws DecodeError naming the item.
 */
export function checkExtraInfo(extraInfo: ExtraInfo, descriptor: ServerDescriptor): void {
  const fail = (keyword: string, message: string) => new DecodeError(`${DOCUMENT}.${keyword}`, message);
  if (extraInfo.id !== descriptor.id || extraInfo.nickname !== descriptor.nickname)
    throw fail('extra-info', `is of another relay than ${descriptor.nickname} ${descriptor.id}`);
  if (!sameBytes(extraInfo.ed25519Id, descriptor.ed25519Id))
    throw fail('identity-ed25519', 'not the identity of the descriptor');
  checkRsaSignature(extraInfo.sha1, DOCUMENT, descriptor.signingKey, extraInfo.rsaSignature);
  const digest = descriptor.extraInfoDigest;
  if (digest === undefined || !sameBytes(digest.sha1, extraInfo.sha1))
    throw fail('extra-info', 'not the one the descriptor names');
  if (digest.sha256 !== undefined && !sameBytes(digest.sha256, extraInfo.sha256))
    throw fail('extra-info', 'not the one the descriptor names (SHA-256)');
}

/** Reads the extra-info documents in a text; annotations and server descriptors are skipped. */
export const parseExtraInfos = (text: string): ParsedDocuments<ExtraInfo> =>
  parseEach(splitDocuments(text, ROUTER_DOCUMENTS, 'extra-info'), parseExtraInfo);

/** What a relay reports. */
export interface ExtraInfoInput {
  readonly nickname: string;
  /** Milliseconds since 1970; that of the server descriptor. */
  readonly published: number;
  /** Statistics items, a line each, without newline. */
  readonly lines?: readonly string[];
}

/** The keys that sign; `RelayKeys` fits. */
export interface ExtraInfoKeys {
  readonly rsa: RsaKey;
  readonly signing: { readonly signer: Ed25519Signer; readonly cert: Uint8Array };
}

/** A new document and the digests that the server descriptor names it by. */
export interface BuiltExtraInfo {
  readonly text: string;
  readonly sha1: Uint8Array;
  readonly sha256: Uint8Array;
}

/** Makes and signs an extra-info document. */
export function buildExtraInfo(input: ExtraInfoInput, keys: ExtraInfoKeys): BuiltExtraInfo {
  const lines = input.lines ?? [];
  if (lines.some((line) => line.includes('\n')))
    throw new DecodeError(DOCUMENT, 'a line break in a statistics line');
  const head = TABLE.write({
    router: { nickname: input.nickname, id: toHex(keys.rsa.id) },
    signingCert: keys.signing.cert,
    published: input.published,
    ed25519Signature: new Uint8Array(64),
    rsaSignature: new Uint8Array(0),
  });
  const unsigned = `${withoutSignatures(head)}${lines.map((line) => `${line}\n`).join('')}`;
  const text = signRouterDocument(unsigned, keys);
  return { text, sha1: routerDigest(text, DOCUMENT), sha256: sha256(bytesOf(text)) };
}
