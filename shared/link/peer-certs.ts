/**
 * What a peer's CERTS cell proves (tor-spec 4.2), checked as C tor checks it (or_handshake_certs_ed25519_ok): the
 * ed25519 chain is demanded, and so are the RSA identity and its signature over the ed25519 identity.
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import { sameBytes } from '../bytes/text.js';
import { CERTS } from '../cell/channel-cells.js';
import { CertKeyType, CertType, checkEd25519Cert, parseEd25519Cert } from '../crypto/certs.js';
import { checkRsaEdCrossCert } from '../crypto/crosscert.js';
import { sha256 } from '../crypto/digest.js';
import { checkRsaIdCert } from '../crypto/link-cert.js';

/** Identities that certificates prove, once the key they end in proves to be the peer's. */
export interface ProvenIdentity {
  /** SHA-1 of the RSA identity key. */
  readonly rsaId: Uint8Array;
  /** SHA-256 of the RSA identity key's DER, as AUTHENTICATE has it. */
  readonly rsaDigest: Uint8Array;
  readonly ed25519Id: Uint8Array;
  /** The key that AUTHENTICATE is signed with; undefined in a responder's certificates. */
  readonly authKey: Uint8Array | undefined;
}

/** Types C tor looks at; two of one type are an error, types it does not know are passed over. */
const MAX_TYPE = CertType.RSA_CROSS;

function byType(body: Uint8Array): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (const cert of CERTS.decode(body).certs) {
    if (cert.type < CertType.X509_LINK || cert.type > MAX_TYPE) continue;
    if (found.has(cert.type)) throw new ProtocolError(`CERTS: two certificates of type ${cert.type}`);
    found.set(cert.type, cert.body);
  }
  return found;
}

function wanted(certs: Map<number, Uint8Array>, type: number, what: string): Uint8Array {
  const cert = certs.get(type);
  if (!cert) throw new ProtocolError(`CERTS: no ${what} (type ${type})`);
  return cert;
}

/**
 * Checks the certificates of a responder, which must end in the certificate that TLS showed, or those of an initiator,
 * which end in the key of its AUTHENTICATE (`tlsCertificate` undefined). `now` in milliseconds. Throws ProtocolError or
 * DecodeError.
 */
export function checkPeerCerts(
  body: Uint8Array,
  tlsCertificate: Uint8Array | undefined,
  now: number,
): ProvenIdentity {
  const certs = byType(body);
  const signing = parseEd25519Cert(wanted(certs, CertType.SIGNING, 'ed25519 signing key'));
  checkEd25519Cert(signing, { type: CertType.SIGNING, now });
  const ed25519Id = signing.signedWith!;
  const authKey = tlsCertificate
    ? checkLink(certs, signing.key, tlsCertificate, now)
    : checkAuth(certs, signing.key, now);
  const rsa = checkRsaIdCert(wanted(certs, CertType.X509_RSA_ID, 'RSA identity'), now);
  const cross = wanted(certs, CertType.RSA_CROSS, 'RSA signature over the ed25519 identity');
  checkRsaEdCrossCert(cross, rsa.der, ed25519Id, now);
  return { rsaId: rsa.id, rsaDigest: sha256(rsa.der), ed25519Id, authKey };
}

function checkLink(
  certs: Map<number, Uint8Array>,
  signedBy: Uint8Array,
  tlsCertificate: Uint8Array,
  now: number,
): undefined {
  const link = parseEd25519Cert(wanted(certs, CertType.LINK, 'ed25519 link certificate'));
  checkEd25519Cert(link, { type: CertType.LINK, signedBy, keyType: CertKeyType.X509_SHA256, now });
  if (!sameBytes(link.key, sha256(tlsCertificate)))
    throw new ProtocolError('CERTS: the link certificate is not for the TLS certificate');
}

function checkAuth(certs: Map<number, Uint8Array>, signedBy: Uint8Array, now: number): Uint8Array {
  const auth = parseEd25519Cert(wanted(certs, CertType.AUTH, 'ed25519 authentication key'));
  checkEd25519Cert(auth, { type: CertType.AUTH, signedBy, now });
  return auth.key;
}
