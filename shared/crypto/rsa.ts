/**
 * RSA as Tor has it: PKCS1 keys with exponent 65537, named by the SHA-1 of their DER, and signatures over a bare digest
 * (PKCS1 type-1 padding without DigestInfo, tor-spec 0.3).
 *
 * @module
 */
import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  privateEncrypt,
  publicDecrypt,
} from 'node:crypto';
import { promisify } from 'node:util';
import { CepaError, DecodeError } from '../bytes/errors.js';
import { toBase64 } from '../bytes/text.js';
import { sha1, sha256 } from './digest.js';
import { constantTimeEqual } from './equal.js';

/** Bits of a relay's identity and onion keys; C tor takes no other [tor_tls_cert_is_valid]. */
export const RELAY_RSA_BITS = 1024;
/** The exponent of every key Tor makes. */
export const RSA_EXPONENT = 65537n;
/** Longest DER that is looked at: a 8192-bit key takes 1040 bytes. */
const MAX_PUBLIC_DER = 1100;
const PADDING_OVERHEAD = 11;

/** A private key. */
export interface RsaKey {
  /** PKCS1 RSAPublicKey, DER. */
  readonly publicDer: Uint8Array;
  /** SHA-1 of `publicDer`, 20 bytes: the fingerprint. */
  readonly id: Uint8Array;
  readonly bits: number;
  /** Signature of `bits / 8` bytes over a digest, with PKCS1 type-1 padding and no DigestInfo. */
  signRaw(digest: Uint8Array): Uint8Array;
  /** PKCS1 PEM (`BEGIN RSA PRIVATE KEY`), as in `secret_id_key`. */
  toPem(): string;
  /** The key for node:crypto, for what needs DigestInfo (X.509). */
  readonly keyObject: KeyObject;
}

/** A public key. */
export interface RsaPublicKey {
  readonly der: Uint8Array;
  readonly bits: number;
  readonly exponent: bigint;
  /** SHA-1 of the DER, 20 bytes. */
  readonly id: Uint8Array;
  /** SHA-256 of the DER, 32 bytes, as in AUTHENTICATE. */
  readonly sha256Id: Uint8Array;
  /**
   * Whether the signature, its padding taken off, is exactly `expectedDigest`. (C tor lets more bytes follow a
   * digest in votes and consensuses; nothing makes such signatures and they are refused here.)
   */
  verifyRaw(signature: Uint8Array, expectedDigest: Uint8Array): boolean;
}

const generate = promisify(generateKeyPair);

/** A new key with exponent 65537, made off the event loop: 6 ms for 1024 bits, 300 ms for 3072. */
export async function generateRsa(bits: number): Promise<RsaKey> {
  const { privateKey } = await generate('rsa', {
    modulusLength: bits,
    publicExponent: Number(RSA_EXPONENT),
  });
  return rsaFromKeyObject(privateKey);
}

/**
 * A private key from PEM, PKCS1 or PKCS8. Throws DecodeError; `field` names the file. A wrong bit in one of its numbers
 * leaves a key that can be read, of another name or whose signatures nobody takes [crypto_pk_is_valid_private_key].
 */
export function rsaFromPem(pem: string, field = 'RSA private key'): RsaKey {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem' });
  } catch (cause) {
    throw new DecodeError(field, 'not a readable PEM private key', { cause });
  }
  if (key.asymmetricKeyType !== 'rsa') throw new DecodeError(field, `not RSA but ${key.asymmetricKeyType}`);
  if (key.asymmetricKeyDetails?.publicExponent !== RSA_EXPONENT)
    throw new DecodeError(field, 'the public exponent is not 65537');
  const made = rsaFromKeyObject(key);
  if (!holdsTogether(made)) throw new DecodeError(field, 'the numbers do not belong together');
  return made;
}

function holdsTogether(key: RsaKey): boolean {
  try {
    return rsaPublic(key.publicDer).verifyRaw(key.signRaw(key.id), key.id);
  } catch {
    return false;
  }
}

/** Bytes of the AlgorithmIdentifier of RSA: OID 1.2.840.113549.1.1.1, NULL. */
const RSA_ALGORITHM = 15;

/** Bytes before the value of the DER item at a place. */
const headAt = (der: Uint8Array, at: number): number => {
  const length = der[at + 1]!;
  return length < 0x80 ? 2 : 2 + (length & 0x7f);
};

/**
 * PKCS1 DER of a public RSA key: what SubjectPublicKeyInfo wraps. Node 24 cannot export it by itself of a key that it
 * read from PKCS1 ("Failed to encode public key").
 */
export function pkcs1Of(key: KeyObject): Uint8Array {
  const spki = key.export({ format: 'der', type: 'spki' });
  const bits = headAt(spki, 0) + RSA_ALGORITHM;
  // A BIT STRING begins with how many bits of its last byte are unused: none.
  return Uint8Array.from(spki.subarray(bits + headAt(spki, bits) + 1));
}

/** A private key from what node:crypto made or read. */
export function rsaFromKeyObject(keyObject: KeyObject): RsaKey {
  const publicDer = pkcs1Of(createPublicKey(keyObject));
  const bits = keyObject.asymmetricKeyDetails!.modulusLength!;
  return {
    keyObject,
    publicDer,
    bits,
    id: sha1(publicDer),
    signRaw(digest) {
      if (digest.length > bits / 8 - PADDING_OVERHEAD)
        throw new CepaError('rsa-digest-size', `a ${bits}-bit RSA key cannot sign ${digest.length} bytes`);
      return new Uint8Array(privateEncrypt({ key: keyObject, padding: constants.RSA_PKCS1_PADDING }, digest));
    },
    toPem: () => keyObject.export({ format: 'pem', type: 'pkcs1' }) as string,
  };
}

/** A public key from PKCS1 DER. Throws DecodeError naming `field`. The caller judges size and exponent. */
export function rsaPublic(der: Uint8Array, field = 'RSA public key'): RsaPublicKey {
  if (der.length > MAX_PUBLIC_DER) throw new DecodeError(field, `${der.length} bytes are too many`);
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'pkcs1' });
  } catch (cause) {
    throw new DecodeError(field, 'not a PKCS1 RSA public key', { cause });
  }
  const bits = key.asymmetricKeyDetails!.modulusLength!;
  const own = pkcs1Of(key);
  // The fingerprint is over the DER: two encodings of one key would have two names.
  if (!constantTimeEqual(own, der)) throw new DecodeError(field, 'not in DER');
  return {
    der: own,
    bits,
    exponent: key.asymmetricKeyDetails!.publicExponent!,
    id: sha1(own),
    sha256Id: sha256(own),
    verifyRaw(signature, expectedDigest) {
      if (signature.length !== Math.ceil(bits / 8)) return false;
      try {
        const found = publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature);
        return constantTimeEqual(found, expectedDigest);
      } catch {
        return false;
      }
    },
  };
}

/** `-----BEGIN RSA PUBLIC KEY-----`, base64 in lines of 64, as documents carry a key; ends with a newline. */
export function pemOfPublic(der: Uint8Array): string {
  const lines = toBase64(der).match(/.{1,64}/g) ?? [];
  return `-----BEGIN RSA PUBLIC KEY-----\n${lines.join('\n')}\n-----END RSA PUBLIC KEY-----\n`;
}
