/**
 * Authority key certificates (dir-spec 3.1): the long-term identity key, kept offline, certifies a signing key.
 *
 * `dir-key-certification` is the identity key's signature over the SHA-1 of the text through
 * "dir-key-certification\n"; `dir-key-crosscert` is the signing key's over the SHA-1 of the identity key's DER.
 * Both without DigestInfo.
 *
 * @module
 */

import { DecodeError } from '../bytes/errors.js';
import { bytesOf, fromHex, toHex } from '../bytes/text.js';
import { sha1 } from '../crypto/digest.js';
import { type RsaKey, rsaPublic } from '../crypto/rsa.js';
import { formatAddressPort, isIpv6Text, parseAddressPort } from './address.js';
import { type Fields, type ItemCodec, maybe, one, schema } from './schema.js';
import { checkSize, type ParsedDocuments, parseEach, signedPart, splitDocuments } from './split.js';
import { type Item, Tokenizer } from './tokenizer.js';
import type { AuthorityCertificate, OrAddress } from './types.js';
import { lineOf, objectOf, rsaKey, rsaSignature, time } from './values.js';

const DOCUMENT = 'key-certificate';
/** Largest certificate in bytes [authority_cert_parse_from_string]. */
const MAX_SIZE = 128 * 1024;

const versionLine: ItemCodec<3> = lineOf(
  (item) => (item.args(1)[0] === '3' ? 3 : item.fail('version is not 3')),
  String,
);

function readAddress(item: Item): OrAddress {
  const address = parseAddressPort(item.args(1)[0] ?? '');
  if (address === undefined || isIpv6Text(address.host)) return item.fail('not an IPv4 address and port');
  return address;
}

const fingerprint: ItemCodec<Uint8Array> = lineOf(
  (item) => fromHex(item.rest.replaceAll(' ', ''), item.field, 20),
  toHex,
);

/** Its signature may go by either label. */
const crosscert: ItemCodec<Uint8Array> = {
  object: 'required',
  read: (item) => objectOf(item, item.object?.label === 'SIGNATURE' ? 'SIGNATURE' : 'ID SIGNATURE', 128, 512),
  write: (bytes) => ({ object: { label: 'ID SIGNATURE', bytes } }),
};

const TABLE = schema(DOCUMENT, {
  version: one('dir-key-certificate-version', versionLine, { place: 0 }),
  address: maybe('dir-address', lineOf(readAddress, formatAddressPort)),
  fingerprint: one('fingerprint', fingerprint),
  published: one('dir-key-published', time),
  expires: one('dir-key-expires', time),
  identityKey: one('dir-identity-key', rsaKey()),
  signingKey: one('dir-signing-key', rsaKey()),
  crosscert: one('dir-key-crosscert', crosscert),
  certification: one('dir-key-certification', rsaSignature(), { place: -1 }),
});

const CERTIFICATION = 'dir-key-certification\n';

function fail(keyword: string, message: string): never {
  throw new DecodeError(`${DOCUMENT}.${keyword}`, message);
}

function verify(text: string, fields: Fields<typeof TABLE>): void {
  const identity = rsaPublic(fields.identityKey);
  if (toHex(identity.id) !== toHex(fields.fingerprint)) fail('fingerprint', 'not that of the identity key');
  const digest = sha1(signedPart(text, CERTIFICATION, `${DOCUMENT}.dir-key-certification`));
  if (!identity.verifyRaw(fields.certification, digest)) fail('dir-key-certification', 'bad signature');
  if (!rsaPublic(fields.signingKey).verifyRaw(fields.crosscert, identity.id))
    fail('dir-key-crosscert', 'bad signature');
}

/**
 * Reads one certificate and checks both signatures. Whether it has expired is the caller's question.
 *
 * @throws DecodeError naming the item.
 */
export function parseAuthorityCertificate(text: string): AuthorityCertificate {
  checkSize(text, MAX_SIZE, DOCUMENT);
  const fields = TABLE.read(new Tokenizer(DOCUMENT, text));
  verify(text, fields);
  return {
    identity: toHex(fields.fingerprint),
    signingKeyDigest: toHex(rsaPublic(fields.signingKey).id),
    identityKey: fields.identityKey,
    signingKey: fields.signingKey,
    published: fields.published,
    expires: fields.expires,
    address: fields.address,
    text,
  };
}

/** Reads certificates that follow each other. */
export const parseAuthorityCertificates = (text: string): ParsedDocuments<AuthorityCertificate> =>
  parseEach(
    splitDocuments(text, ['dir-key-certificate-version'], 'dir-key-certificate-version'),
    parseAuthorityCertificate,
  );

/** What a new certificate says. */
export interface AuthorityCertificateInput {
  readonly identityKey: RsaKey;
  readonly signingKey: RsaKey;
  readonly published: number;
  readonly expires: number;
  readonly address?: OrAddress;
}

/** Makes a certificate. */
export function buildAuthorityCertificate(input: AuthorityCertificateInput): string {
  const { identityKey, signingKey } = input;
  const fields = {
    version: 3 as const,
    address: input.address,
    fingerprint: identityKey.id,
    published: input.published,
    expires: input.expires,
    identityKey: identityKey.publicDer,
    signingKey: signingKey.publicDer,
    crosscert: signingKey.signRaw(identityKey.id),
    certification: new Uint8Array(0),
  };
  const unsigned = TABLE.write(fields);
  const signed = bytesOf(unsigned.slice(0, unsigned.indexOf(CERTIFICATION) + CERTIFICATION.length));
  return TABLE.write({ ...fields, certification: identityKey.signRaw(sha1(signed)) });
}
