/**
 * Key files in C tor's formats.
 *
 * Tagged files [crypto_write_tagged_contents_to_file]: a header of 32 bytes, `== TYPE: TAG ==` padded with NULs, then
 * the content:
 *
 * | type             | content                                   |
 * |------------------|-------------------------------------------|
 * | ed25519v1-secret | expanded secret key, 64 bytes             |
 * | ed25519v1-public | public key, 32 bytes                      |
 * | ed25519v1-cert   | certificate (see certs.ts)                |
 * | c25519v1         | X25519 secret (32) and public (32) key    |
 *
 * RSA keys are PEM, PKCS1.
 *
 * @module
 */
import { CepaError } from '../bytes/errors.js';
import { bytesOf, concat, sameBytes } from '../bytes/text.js';
import { type Ed25519Cert, parseEd25519Cert } from './certs.js';
import {
  ED25519_EXPANDED_SIZE,
  ED25519_SIZE,
  type Ed25519ExpandedKey,
  ed25519FromExpanded,
} from './ed25519.js';
import { type RsaKey, rsaFromPem } from './rsa.js';
import { X25519_SIZE, type X25519KeyPair, x25519FromSecret } from './x25519.js';

const HEADER_SIZE = 32;
/** Longest certificate file that is read, as in C tor. */
const MAX_CERT_SIZE = 256;

/** A key file that is damaged, of another kind, or does not fit the others. Nothing was changed on disk. */
export class KeyFileError extends CepaError {
  /** Its name in the data directory. */
  readonly file: string;
  constructor(file: string, message: string, options?: { cause?: unknown }) {
    super('key-file', `${file}: ${message}`, options);
    this.file = file;
  }
}

const ADVICE =
  'Restore it from a backup. Cepa never replaces a key it cannot read; to start over with a new one, move the file away.';

function damaged(file: string, why: string, cause?: unknown): KeyFileError {
  return new KeyFileError(file, `${why}. ${ADVICE}`, { cause });
}

/** Tags of ed25519 files: what the key is for. */
export const KeyTag = {
  MASTER: 'type0',
  SIGNING: 'type4',
  ONION: 'onion',
  FAMILY: 'fmly-id',
  ONION_SERVICE: 'type0',
} as const;

/** Header and content. */
export function encodeTagged(type: string, tag: string, content: Uint8Array): Uint8Array {
  const header = new Uint8Array(HEADER_SIZE);
  const text = bytesOf(`== ${type}: ${tag} ==`);
  // C tor needs the NUL that ends the string.
  if (text.length >= HEADER_SIZE) throw new RangeError(`key file header ${type}: ${tag} is too long`);
  header.set(text);
  return concat(header, content);
}

/** The content of a file that must have this type, tag and size. Throws KeyFileError. */
export function decodeTagged(
  bytes: Uint8Array,
  type: string,
  tag: string,
  file: string,
  size?: number,
): Uint8Array {
  if (bytes.length < HEADER_SIZE) throw damaged(file, `is damaged: ${bytes.length} bytes are not a key file`);
  const expected = encodeTagged(type, tag, new Uint8Array(0));
  if (!sameBytes(bytes.subarray(0, HEADER_SIZE), expected))
    throw damaged(
      file,
      `is damaged or not what it should be: it does not begin with "== ${type}: ${tag} =="`,
    );
  // A copy even of a Buffer.
  const content = Uint8Array.from(bytes.subarray(HEADER_SIZE));
  if (size !== undefined && content.length !== size)
    throw damaged(file, `is damaged: ${content.length} bytes of content, not ${size}`);
  return content;
}

/** An ed25519 secret key file. */
export const encodeEd25519Secret = (key: Ed25519ExpandedKey, tag: string): Uint8Array =>
  encodeTagged('ed25519v1-secret', tag, key.expanded);

/**
 * Reads an ed25519 secret key file. Throws KeyFileError. The scalar must be clamped (RFC 8032 5.1.5), which most
 * damage would show, unless `scalar` says that it need not.
 */
export function decodeEd25519Secret(
  bytes: Uint8Array,
  tag: string,
  file: string,
  scalar: 'clamped' | 'any scalar' = 'clamped',
): Ed25519ExpandedKey {
  const expanded = decodeTagged(bytes, 'ed25519v1-secret', tag, file, ED25519_EXPANDED_SIZE);
  if (scalar === 'clamped' && ((expanded[0]! & 7) !== 0 || (expanded[31]! & 0xc0) !== 0x40))
    throw damaged(file, 'is damaged: not an expanded ed25519 key');
  try {
    return ed25519FromExpanded(expanded);
  } catch (cause) {
    throw damaged(file, 'is damaged: the key is zero', cause);
  }
}

/** An ed25519 public key file. */
export const encodeEd25519Public = (publicKey: Uint8Array, tag: string): Uint8Array =>
  encodeTagged('ed25519v1-public', tag, publicKey);

/** Reads an ed25519 public key file. Throws KeyFileError. */
export const decodeEd25519Public = (bytes: Uint8Array, tag: string, file: string): Uint8Array =>
  decodeTagged(bytes, 'ed25519v1-public', tag, file, ED25519_SIZE);

/** An ed25519 certificate file. */
export const encodeCertFile = (cert: Uint8Array, tag: string): Uint8Array =>
  encodeTagged('ed25519v1-cert', tag, cert);

/** Reads an ed25519 certificate file, without checking the signature. Throws KeyFileError. */
export function decodeCertFile(bytes: Uint8Array, tag: string, file: string): Ed25519Cert {
  const content = decodeTagged(bytes, 'ed25519v1-cert', tag, file);
  if (content.length > MAX_CERT_SIZE) throw damaged(file, 'is damaged: too long for a certificate');
  try {
    return parseEd25519Cert(content);
  } catch (cause) {
    throw damaged(file, `is damaged: ${(cause as Error).message}`, cause);
  }
}

/** An X25519 key pair file. */
export const encodeX25519File = (pair: X25519KeyPair, tag: string): Uint8Array =>
  encodeTagged('c25519v1', tag, concat(pair.secret, pair.publicKey));

/** Reads an X25519 key pair file; its two halves must belong together. Throws KeyFileError. */
export function decodeX25519File(bytes: Uint8Array, tag: string, file: string): X25519KeyPair {
  const content = decodeTagged(bytes, 'c25519v1', tag, file, 2 * X25519_SIZE);
  const pair = x25519FromSecret(content.subarray(0, X25519_SIZE));
  if (!sameBytes(pair.publicKey, content.subarray(X25519_SIZE)))
    throw damaged(file, 'is damaged: its public key does not belong to its secret key');
  return pair;
}

/** An RSA key file. */
export const encodeRsaFile = (key: RsaKey): Uint8Array => bytesOf(key.toPem());

/** Reads an RSA key file that must have so many bits. Throws KeyFileError. */
export function decodeRsaFile(bytes: Uint8Array, bits: number, file: string): RsaKey {
  let key: RsaKey;
  try {
    key = rsaFromPem(Buffer.from(bytes).toString('latin1'), file);
  } catch (cause) {
    throw damaged(
      file,
      'is damaged: not a PEM RSA key with exponent 65537 whose numbers belong together',
      cause,
    );
  }
  if (key.bits !== bits) throw damaged(file, `has ${key.bits} bits, not ${bits}`);
  return key;
}
