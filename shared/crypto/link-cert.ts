/**
 * The X.509 certificates of links: the one TLS shows, and the one that carries the RSA identity in CERTS (type 2).
 *
 * Neither is checked by way of X.509 names or chains: what a link proves is in the ed25519 certificates. They are made
 * to look like any small site's, as C tor makes its own [tor_tls_context_init_certificates].
 *
 * @module
 */
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { DecodeError, ProtocolError } from '../bytes/errors.js';
import { toBase32 } from '../bytes/text.js';
import type { Clock, Random, TlsIdentity } from '../runtime/types.js';
import { generateRsa, pkcs1Of, RELAY_RSA_BITS, type RsaKey, type RsaPublicKey, rsaPublic } from './rsa.js';

const DAY = 86_400_000;
/** How long the RSA identity certificate lasts, as C tor's. */
const ID_CERT_LIFETIME = 365 * DAY;
/** How far a peer's clock may be off when the validity of its identity certificate is looked at [x509.h]. */
const PAST_SLOP = 2 * DAY;
const FUTURE_SLOP = 30 * DAY;
/** Longest X.509 that is looked at; C tor's own have some 600 bytes. */
const MAX_X509 = 4096;

/** `www.`, 8 to 20 letters and digits, a top-level domain. */
function hostName(random: Random, domain: string): string {
  const length = 8 + random.below(13);
  return `www.${toBase32(random.bytes(13)).slice(0, length)}.${domain}`;
}

/** A positive serial number of 8 bytes. DER forbids leading zero bytes, and OpenSSL refuses such a certificate. */
function serialNumber(random: Random): Uint8Array {
  const serial = random.bytes(8);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial;
}

/** Valid from a midnight some days ago, so that the start does not tell when the relay was started. */
function validity(random: Random, now: number, lifetime: number) {
  const age = DAY + random.below(lifetime - 3 * DAY);
  const notBefore = Math.floor((now - age) / DAY) * DAY;
  return { notBefore, notAfter: notBefore + lifetime - 1000 };
}

/** Bits of the key TLS shows, as C tor's (RSA_LINK_KEY_BITS). */
export const LINK_RSA_BITS = 2048;
/**
 * And in a testing network, whose secrets are worth nothing: the longer key is a quarter of what starting a relay costs.
 * The least that C tor's TLS takes [SSL_CTX_set_security_level].
 */
export const TESTING_LINK_RSA_BITS = 1024;

/**
 * A fresh RSA key and a certificate for it, for TLS servers. Valid for at least a day from now. Any other kind of key
 * would do for a link, but C tor looks for an RSA key in what TLS shows, and warns of OpenSSL errors when there is none
 * [tor_x509_cert_new, check_no_tls_errors].
 */
export async function makeTlsIdentity(
  random: Random,
  clock: Clock,
  makeRsa: (bits: number) => Promise<RsaKey> = generateRsa,
  bits = LINK_RSA_BITS,
): Promise<TlsIdentity> {
  const key = await makeRsa(bits);
  const { makeX509 } = await import('./x509.js');
  const lifetime = (60 + random.below(305)) * DAY;
  const certDer = makeX509({
    subject: hostName(random, 'net'),
    issuer: hostName(random, 'com'),
    serial: serialNumber(random),
    ...validity(random, clock.now(), lifetime),
    publicKey: publicKeyOf(key),
    signer: key.keyObject,
  });
  return {
    certDer,
    certPem: pemOf('CERTIFICATE', certDer),
    keyPem: key.keyObject.export({ format: 'pem', type: 'pkcs8' }) as string,
  };
}

const publicKeyOf = ({ publicDer }: RsaKey): KeyObject =>
  createPublicKey({ key: Buffer.from(publicDer), format: 'der', type: 'pkcs1' });

function pemOf(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** The self-signed certificate of an RSA identity, DER: CERTS type 2. */
export async function makeRsaIdCert(rsa: RsaKey, random: Random, clock: Clock): Promise<Uint8Array> {
  const { makeX509 } = await import('./x509.js');
  const name = hostName(random, 'com');
  return makeX509({
    subject: name,
    issuer: name,
    serial: serialNumber(random),
    ...validity(random, clock.now(), ID_CERT_LIFETIME),
    publicKey: publicKeyOf(rsa),
    signer: rsa.keyObject,
  });
}

function readX509(der: Uint8Array, field: string): X509Certificate {
  if (der.length > MAX_X509) throw new DecodeError(field, `${der.length} bytes are too many`);
  let cert: X509Certificate;
  try {
    cert = new X509Certificate(Buffer.from(der));
  } catch (cause) {
    throw new DecodeError(field, 'not an X.509 certificate', { cause });
  }
  if (cert.raw.length !== der.length) throw new DecodeError(field, 'bytes after the certificate');
  return cert;
}

function rsaKeyOf(cert: X509Certificate, field: string): Uint8Array {
  try {
    const key = cert.publicKey;
    if (key.asymmetricKeyType === 'rsa') return pkcs1Of(key);
  } catch (cause) {
    throw new DecodeError(field, 'the key is not readable', { cause });
  }
  throw new DecodeError(field, 'the key is not RSA');
}

/** The RSA key (PKCS1 DER) that an X.509 certificate carries. Throws DecodeError. */
export const rsaKeyOfX509 = (der: Uint8Array, field = 'X.509 certificate'): Uint8Array =>
  rsaKeyOf(readX509(der, field), field);

/**
 * Checks a peer's RSA identity certificate (CERTS type 2) as C tor does [tor_tls_cert_is_valid]: signed by its own key,
 * RSA with 1024 bits, within its dates give or take two days before and thirty after. Returns the key.
 * Throws DecodeError or ProtocolError.
 */
export function checkRsaIdCert(der: Uint8Array, now: number): RsaPublicKey {
  const field = 'CERTS.rsa_id';
  const cert = readX509(der, field);
  const key = rsaPublic(rsaKeyOf(cert, field), field);
  if (key.bits !== RELAY_RSA_BITS)
    throw new ProtocolError(`${field}: the key has ${key.bits} bits, not ${RELAY_RSA_BITS}`);
  if (!verifies(cert)) throw new ProtocolError(`${field}: not signed by its own key`);
  const [from, to] = [Date.parse(cert.validFrom), Date.parse(cert.validTo)];
  if (!(from - FUTURE_SLOP <= now)) throw new ProtocolError(`${field}: not valid before ${cert.validFrom}`);
  if (!(now <= to + PAST_SLOP)) throw new ProtocolError(`${field}: expired at ${cert.validTo}`);
  return key;
}

function verifies(cert: X509Certificate): boolean {
  try {
    return cert.verify(cert.publicKey);
  } catch {
    return false;
  }
}
