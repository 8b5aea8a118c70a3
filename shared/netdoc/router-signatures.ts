/**
 * The two signatures at the end of server descriptors and extra-info documents (dir-spec 2.1.1, 2.1.2): the ed25519
 * signing key over SHA-256("Tor router descriptor signature v1" | text through "router-sig-ed25519 "), then the RSA
 * identity over the bare SHA-1 of the text through "router-signature\n", which is also the document's digest.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { bytesOf, toBase64Bare } from '../bytes/text.js';
import { CertType, checkEd25519Cert, type Ed25519Cert, parseEd25519Cert } from '../crypto/certs.js';
import { sha1, sha256 } from '../crypto/digest.js';
import { type Ed25519Signer, ed25519Verify } from '../crypto/ed25519.js';
import { type RsaKey, rsaPublic } from '../crypto/rsa.js';
import { within } from './descriptor-table.js';
import { signedPart } from './split.js';
import { formatObject } from './tokenizer.js';

const PREFIX = bytesOf('Tor router descriptor signature v1');
const ED25519_ITEM = 'router-sig-ed25519 ';
const RSA_ITEM = 'router-signature\n';

/** SHA-1 of the signed part of a document: its digest. */
export const routerDigest = (text: string, document: string): Uint8Array =>
  sha1(signedPart(text, RSA_ITEM, `${document}.router-signature`));

/** Reads `identity-ed25519` and checks all but its expiry; the master key is in it. */
export function checkSigningCert(
  bytes: Uint8Array,
  document: string,
): Ed25519Cert & { signedWith: Uint8Array } {
  const field = `${document}.identity-ed25519`;
  return within({ field }, () => {
    const cert = parseEd25519Cert(bytes);
    checkEd25519Cert(cert, { type: CertType.SIGNING, now: 0 });
    if (cert.signedWith === undefined) throw new DecodeError(field, 'without its key');
    return { ...cert, signedWith: cert.signedWith };
  });
}

/** Checks the ed25519 signature of a document. */
export function checkEd25519Signature(
  text: string,
  document: string,
  signingKey: Uint8Array,
  signature: Uint8Array,
): void {
  const field = `${document}.router-sig-ed25519`;
  const digest = sha256(PREFIX, signedPart(text, ED25519_ITEM, field));
  if (!ed25519Verify(signingKey, digest, signature)) throw new DecodeError(field, 'bad signature');
}

/** Checks the RSA signature of a document over its digest. */
export function checkRsaSignature(
  digest: Uint8Array,
  document: string,
  rsaKeyDer: Uint8Array,
  signature: Uint8Array,
): void {
  if (!rsaPublic(rsaKeyDer).verifyRaw(signature, digest))
    throw new DecodeError(`${document}.router-signature`, 'bad signature');
}

/** Who signs. */
export interface RouterSigners {
  readonly rsa: RsaKey;
  readonly signing: { readonly signer: Ed25519Signer };
}

/** Signs a text that ends before both signatures. */
export function signRouterDocument(unsigned: string, { rsa, signing }: RouterSigners): string {
  const ed25519Part = `${unsigned}${ED25519_ITEM}`;
  const ed25519 = signing.signer.sign(sha256(PREFIX, bytesOf(ed25519Part)));
  const rsaPart = `${ed25519Part}${toBase64Bare(ed25519)}\n${RSA_ITEM}`;
  return `${rsaPart}${formatObject({ label: 'SIGNATURE', bytes: rsa.signRaw(sha1(bytesOf(rsaPart))) })}`;
}

/** What stands before the signatures in a text written with empty ones. */
export const withoutSignatures = (text: string): string =>
  text.slice(0, text.indexOf(`\n${ED25519_ITEM}`) + 1);
