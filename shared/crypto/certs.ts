/**
 * Tor's Ed25519 certificates (cert-spec 2.1).
 *
 * version(1) = 1 | type(1) | expiry(4), hours since 1970 | key type(1) | key(32) | n_ext(1)
 * | n_ext times: length(2), type(1), flags(1), data(length) | signature(64) over all before.
 *
 * @module
 */
import { DecodeError, ProtocolError } from '../bytes/errors.js';
import { Reader } from '../bytes/reader.js';
import { sameBytes } from '../bytes/text.js';
import { Writer } from '../bytes/writer.js';
import { ED25519_SIGNATURE_SIZE, ED25519_SIZE, type Ed25519Signer, ed25519Verify } from './ed25519.js';

/** What a certificate is for. */
export const CertType = {
  /** CERTS cell: the TLS link certificate, X.509. */
  X509_LINK: 1,
  /** CERTS cell: the RSA identity, X.509, self-signed. */
  X509_RSA_ID: 2,
  /** CERTS cell: RSA link authentication, X.509. */
  X509_RSA_AUTH: 3,
  /** Master identity signs the medium-term signing key. */
  SIGNING: 4,
  /** Signing key signs the SHA-256 of the TLS certificate. */
  LINK: 5,
  /** Signing key signs the AUTHENTICATE key. */
  AUTH: 6,
  /** CERTS cell: RSA identity signs the ed25519 master identity (see crosscert.ts). */
  RSA_CROSS: 7,
  /** Onion service: blinded key signs the descriptor signing key. */
  HS_DESCRIPTOR: 8,
  /** Onion service: descriptor signing key signs an introduction point's authentication key. */
  HS_INTRO_AUTH: 9,
  /** Onion key, as ed25519, signs the master identity. */
  NTOR_CROSS: 10,
  /** Onion service: descriptor signing key signs an introduction point's encryption key, as ed25519. */
  HS_INTRO_ENC: 11,
  /** Family key signs the master identity (proposal 321). */
  FAMILY: 12,
} as const;

/** What the certified 32 bytes are. */
export const CertKeyType = { ED25519: 1, RSA_SHA256: 2, X509_SHA256: 3 } as const;

const EXTENSION_SIGNED_WITH = 4;
const FLAG_AFFECTS_VALIDATION = 1;
const HOUR = 3_600_000;

/** A parsed certificate; its signature is not checked yet. */
export interface Ed25519Cert {
  readonly version: 1;
  /** From CertType. */
  readonly type: number;
  /** Milliseconds since 1970: a whole hour. */
  readonly expires: number;
  /** From CertKeyType. */
  readonly keyType: number;
  /** The certified key or digest, 32 bytes. */
  readonly key: Uint8Array;
  /** The key that signed, when the certificate tells. */
  readonly signedWith: Uint8Array | undefined;
  /** 64 bytes. */
  readonly signature: Uint8Array;
  /** The whole certificate, a copy. */
  readonly encoded: Uint8Array;
}

/** What a new certificate says. */
export interface Ed25519CertInput {
  readonly type: number;
  /** ED25519 when not given. */
  readonly keyType?: number;
  readonly key: Uint8Array;
  /** Milliseconds since 1970; rounded up to the hour. */
  readonly expires: number;
  readonly signer: Ed25519Signer;
  /** Whether to put the signer's key in. */
  readonly includeSigner: boolean;
}

/** Makes and signs a certificate. */
export function makeEd25519Cert(input: Ed25519CertInput): Uint8Array {
  const { type, keyType = CertKeyType.ED25519, key, expires, signer, includeSigner } = input;
  if (key.length !== ED25519_SIZE)
    throw new RangeError(`certificate: a key of ${key.length} bytes cannot be certified`);
  const out = new Writer(160)
    .u8(1)
    .u8(type)
    .u32(Math.ceil(expires / HOUR))
    .u8(keyType)
    .bytes(key);
  if (includeSigner) out.u8(1).u16(ED25519_SIZE).u8(EXTENSION_SIGNED_WITH).u8(0).bytes(signer.publicKey);
  else out.u8(0);
  return out.bytes(signer.sign(out.finish())).finish();
}

/** Reads a certificate, which must end where the bytes do. Throws DecodeError. */
export function parseEd25519Cert(bytes: Uint8Array): Ed25519Cert {
  const encoded = Uint8Array.from(bytes);
  const reader = new Reader(encoded);
  const version = reader.u8('certificate.version');
  if (version !== 1) throw new DecodeError('certificate.version', `${version} is not known`);
  const type = reader.u8('certificate.type');
  const expires = reader.u32('certificate.expiration') * HOUR;
  const keyType = reader.u8('certificate.key_type');
  const key = reader.slice(ED25519_SIZE, 'certificate.key');
  const signedWith = readExtensions(reader);
  const signature = reader.slice(ED25519_SIGNATURE_SIZE, 'certificate.signature');
  reader.end('certificate');
  return { version, type, expires, keyType, key, signedWith, signature, encoded };
}

function readExtensions(reader: Reader): Uint8Array | undefined {
  const count = reader.u8('certificate.n_extensions');
  let signedWith: Uint8Array | undefined;
  for (let i = 0; i < count; i++) {
    const length = reader.u16('certificate.extension.length');
    const type = reader.u8('certificate.extension.type');
    const flags = reader.u8('certificate.extension.flags');
    const data = reader.slice(length, 'certificate.extension.data');
    if (type === EXTENSION_SIGNED_WITH) {
      if (length !== ED25519_SIZE)
        throw new DecodeError('certificate.extension.length', `a key has 32 bytes, not ${length}`);
      if (signedWith !== undefined) throw new DecodeError('certificate.extension.type', 'two signing keys');
      signedWith = data;
    } else if ((flags & FLAG_AFFECTS_VALIDATION) !== 0) {
      throw new DecodeError('certificate.extension.type', `${type} is unknown and must not be ignored`);
    }
  }
  return signedWith;
}

/** What a certificate must be. */
export interface Ed25519CertRules {
  readonly type: number;
  /** Whose signature it must bear; when absent, the key inside the certificate, which must then be there. */
  readonly signedBy?: Uint8Array;
  /** ED25519 when not given. */
  readonly keyType?: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/**
 * Checks type, key type, expiry and signature. Throws ProtocolError.
 *
 * A certificate is good up to and including its last second [tor_cert_checksig].
 */
export function checkEd25519Cert(cert: Ed25519Cert, rules: Ed25519CertRules): void {
  const { type, signedBy = cert.signedWith, keyType = CertKeyType.ED25519, now } = rules;
  const fail = (why: string) => new ProtocolError(`certificate of type ${cert.type}: ${why}`);
  if (cert.type !== type) throw fail(`wanted type ${type}`);
  if (cert.keyType !== keyType) throw fail(`certifies a key of type ${cert.keyType}, not ${keyType}`);
  if (signedBy === undefined) throw fail('does not say which key signed it');
  if (cert.signedWith !== undefined && !sameBytes(cert.signedWith, signedBy))
    throw fail('is signed with another key than expected');
  if (now > cert.expires) throw fail(`expired at ${new Date(cert.expires).toISOString()}`);
  const signed = cert.encoded.subarray(0, -ED25519_SIGNATURE_SIZE);
  if (!ed25519Verify(signedBy, signed, cert.signature)) throw fail('has a bad signature');
}
