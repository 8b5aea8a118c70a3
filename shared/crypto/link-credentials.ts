/**
 * What a relay shows in the link handshake: the TLS certificate and the CERTS cells (tor-spec 4.2).
 *
 * @module
 */
import { concat } from '../bytes/text.js';
import { Writer } from '../bytes/writer.js';
import type { Clock, Random, TlsIdentity } from '../runtime/types.js';
import { CertKeyType, CertType, makeEd25519Cert } from './certs.js';
import { makeRsaEdCrossCert } from './crosscert.js';
import { sha256 } from './digest.js';
import { type Ed25519Signer, generateEd25519 } from './ed25519.js';
import { makeRsaIdCert, makeTlsIdentity } from './link-cert.js';
import { generateRsa, type RsaKey } from './rsa.js';

const HOUR = 3_600_000;
/** How long the link and authentication certificates last (C tor: TestingLinkCertLifetime, 2 days). */
const LINK_CERT_LIFETIME = 48 * HOUR;
/** How long RSA vouches for ed25519, as in C tor [load_ed_keys]. */
const CROSS_CERT_LIFETIME = 180 * 24 * HOUR;
/** How often a relay changes its link keys (C tor: MAX_SSL_KEY_LIFETIME_INTERNAL). */
export const LINK_KEY_LIFETIME = 2 * HOUR;

/** One set of link keys and the proofs that they are ours. */
export interface LinkCredentials {
  /** For `Transport.listenTls`. */
  readonly tls: TlsIdentity;
  /** SHA-1 of the RSA identity key, 20 bytes. */
  readonly rsaId: Uint8Array;
  /** SHA-256 of the RSA identity key's DER, 32 bytes: CID or SID of AUTHENTICATE. */
  readonly rsaIdSha256: Uint8Array;
  /** Ed25519 master identity, 32 bytes: CID_ED or SID_ED. */
  readonly ed25519Id: Uint8Array;
  /** X.509 of the RSA identity, DER. */
  readonly rsaIdCertDer: Uint8Array;
  /** Body of the CERTS cell a responder sends: types 2, 4, 5, 7. */
  readonly certs: Uint8Array;
  /** Body of the CERTS cell an initiator sends: types 2, 4, 6, 7. */
  readonly initiatorCerts: Uint8Array;
  /** Signs AUTHENTICATE; certified by type 6. */
  readonly linkAuthSigner: Ed25519Signer;
  /** When it was made, milliseconds since 1970. */
  readonly made: number;
}

/** Whose links they are. */
export interface LinkOwner {
  readonly rsa: RsaKey;
  readonly ed25519Id: Uint8Array;
  /** The medium-term signing key and its certificate by the master identity (type 4). */
  readonly signing: { readonly signer: Ed25519Signer; readonly cert: Uint8Array };
}

/** Makes fresh link keys; `makeRsa` is asked for the key of the TLS certificate, which has `bits` bits. */
export async function makeLinkCredentials(
  owner: LinkOwner,
  env: { random: Random; clock: Clock },
  makeRsa: (bits: number) => Promise<RsaKey> = generateRsa,
  bits?: number,
): Promise<LinkCredentials> {
  const { rsa, ed25519Id, signing } = owner;
  const now = env.clock.now();
  const tls = await makeTlsIdentity(env.random, env.clock, makeRsa, bits);
  const rsaIdCertDer = await makeRsaIdCert(rsa, env.random, env.clock);
  const auth = generateEd25519(env.random);
  const certified = { expires: now + LINK_CERT_LIFETIME, signer: signing.signer, includeSigner: false };
  const link = makeEd25519Cert({
    ...certified,
    type: CertType.LINK,
    keyType: CertKeyType.X509_SHA256,
    key: sha256(tls.certDer),
  });
  const authCert = makeEd25519Cert({ ...certified, type: CertType.AUTH, key: auth.publicKey });
  const cross = makeRsaEdCrossCert(rsa, ed25519Id, now + CROSS_CERT_LIFETIME);
  const body = (third: readonly [number, Uint8Array]) =>
    encodeCerts([
      [CertType.X509_RSA_ID, rsaIdCertDer],
      [CertType.SIGNING, signing.cert],
      third,
      [CertType.RSA_CROSS, cross],
    ]);
  return {
    tls,
    rsaId: rsa.id,
    rsaIdSha256: sha256(rsa.publicDer),
    ed25519Id,
    rsaIdCertDer,
    certs: body([CertType.LINK, link]),
    initiatorCerts: body([CertType.AUTH, authCert]),
    linkAuthSigner: { publicKey: auth.publicKey, sign: auth.sign },
    made: now,
  };
}

/** CERTS: count(1), then type(1) length(2) certificate. */
function encodeCerts(certs: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  const entries = certs.map(([type, cert]) =>
    new Writer(cert.length + 3).u8(type).u16(cert.length).bytes(cert).finish(),
  );
  return concat(Uint8Array.of(certs.length), ...entries);
}
