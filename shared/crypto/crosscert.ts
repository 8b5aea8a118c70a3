/**
 * Cross-certificates: one key of a relay vouching for another.
 *
 * - RSA identity signs the ed25519 master identity (CERTS type 7, cert-spec 2.3):
 *   ed key(32) | expiry(4), hours since 1970 | length(1) | PKCS1 signature over the bare
 *   SHA256("Tor TLS RSA/Ed25519 cross-certificate" | the first 36 bytes).
 * - The ntor onion key, turned into an ed25519 key, signs the master identity (certificate type 10,
 *   `ntor-onion-key-crosscert`, dir-spec 2.1.1).
 * - The TAP onion key signs both identities (`onion-key-crosscert`): PKCS1 signature over the bare
 *   SHA1 RSA id(20) | ed25519 id(32).
 *
 * All checks throw ProtocolError for what is well-formed but does not hold, DecodeError for what is not well-formed.
 *
 * @module
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { ProtocolError } from '../bytes/errors.js';
import { Reader } from '../bytes/reader.js';
import { bytesOf, concat, sameBytes } from '../bytes/text.js';
import { Writer } from '../bytes/writer.js';
import { CertType, checkEd25519Cert, makeEd25519Cert, parseEd25519Cert } from './certs.js';
import { sha256, sha512 } from './digest.js';
import { ED25519_SIZE, type Ed25519Signer, ed25519FromExpanded } from './ed25519.js';
import { type RsaKey, rsaPublic } from './rsa.js';
import { X25519_SIZE, type X25519KeyPair } from './x25519.js';

const HOUR = 3_600_000;
const RSA_ED_PREFIX = bytesOf('Tor TLS RSA/Ed25519 cross-certificate');

/** RSA identity certifies an ed25519 identity; `expires` in milliseconds, rounded up to the hour. */
export function makeRsaEdCrossCert(rsa: RsaKey, ed25519Id: Uint8Array, expires: number): Uint8Array {
  const signed = new Writer(168).bytes(ed25519Id).u32(Math.ceil(expires / HOUR));
  const signature = rsa.signRaw(sha256(RSA_ED_PREFIX, signed.finish()));
  return signed.u8(signature.length).bytes(signature).finish();
}

/** Checks such a certificate against both keys and the time. */
export function checkRsaEdCrossCert(
  bytes: Uint8Array,
  rsaPublicDer: Uint8Array,
  ed25519Id: Uint8Array,
  now: number,
): void {
  const reader = new Reader(bytes);
  const key = reader.slice(ED25519_SIZE, 'RSA/ed25519 crosscert.key');
  const expires = reader.u32('RSA/ed25519 crosscert.expiration') * HOUR;
  const signed = bytes.subarray(0, reader.offset);
  const length = reader.u8('RSA/ed25519 crosscert.signature length');
  const signature = reader.slice(length, 'RSA/ed25519 crosscert.signature');
  reader.end('RSA/ed25519 crosscert');
  if (!sameBytes(key, ed25519Id))
    throw new ProtocolError('RSA/ed25519 crosscert: is for another ed25519 key');
  if (now > expires)
    throw new ProtocolError(`RSA/ed25519 crosscert: expired at ${new Date(expires).toISOString()}`);
  if (!rsaPublic(rsaPublicDer).verifyRaw(signature, sha256(RSA_ED_PREFIX, signed)))
    throw new ProtocolError('RSA/ed25519 crosscert: bad signature');
}

/** C tor hashes the string with its final NUL [ed25519_keypair_from_curve25519_keypair]. */
const DERIVE_PREFIX = bytesOf('Derive high part of ed25519 key from curve25519 key\0');

/** An onion key as an ed25519 key: the same scalar, a derived prefix; `signBit` is that of the public key's x. */
export function ed25519FromX25519(pair: X25519KeyPair): { signer: Ed25519Signer; signBit: 0 | 1 } {
  const prefix = sha512(pair.secret, DERIVE_PREFIX).subarray(0, 32);
  const signer = ed25519FromExpanded(concat(pair.secret, prefix));
  return { signer, signBit: signer.publicKey[31]! >> 7 === 1 ? 1 : 0 };
}

const { Fp } = ed25519.Point;

/** The ed25519 public key of an X25519 one: y = (u - 1) / (u + 1). Throws ProtocolError for u = -1 or a wrong size. */
export function ed25519KeyOfX25519(publicKey: Uint8Array, signBit: 0 | 1): Uint8Array {
  if (publicKey.length !== X25519_SIZE)
    throw new ProtocolError(`X25519 public key: wanted ${X25519_SIZE} bytes, got ${publicKey.length}`);
  const bigEndian = Buffer.from(publicKey).reverse();
  bigEndian[0]! &= 127;
  const u = Fp.create(BigInt(`0x${bigEndian.toString('hex')}`));
  const divisor = Fp.add(u, 1n);
  if (Fp.is0(divisor)) throw new ProtocolError('X25519 key has no ed25519 form');
  const y = Fp.div(Fp.sub(u, 1n), divisor);
  const out = Buffer.from(y.toString(16).padStart(64, '0'), 'hex').reverse();
  out[31]! |= signBit << 7;
  return new Uint8Array(out);
}

/** The onion key certifies the master identity; the sign bit goes into the item's argument. */
export function makeNtorCrossCert(
  pair: X25519KeyPair,
  ed25519Id: Uint8Array,
  expires: number,
): { cert: Uint8Array; signBit: 0 | 1 } {
  const { signer, signBit } = ed25519FromX25519(pair);
  const type = CertType.NTOR_CROSS;
  const cert = makeEd25519Cert({ type, key: ed25519Id, expires, signer, includeSigner: false });
  return { cert, signBit };
}

/** Checks such a certificate; returns when it expires. */
export function checkNtorCrossCert(
  bytes: Uint8Array,
  ntorKey: Uint8Array,
  signBit: 0 | 1,
  ed25519Id: Uint8Array,
  now: number,
): number {
  const cert = parseEd25519Cert(bytes);
  const signedBy = ed25519KeyOfX25519(ntorKey, signBit);
  checkEd25519Cert(cert, { type: CertType.NTOR_CROSS, signedBy, now });
  if (!sameBytes(cert.key, ed25519Id)) throw new ProtocolError('ntor crosscert: is for another ed25519 key');
  return cert.expires;
}

/** The TAP onion key certifies both identities: `bits / 8` bytes. */
export const makeTapCrossCert = (tap: RsaKey, rsaId: Uint8Array, ed25519Id: Uint8Array): Uint8Array =>
  tap.signRaw(concat(rsaId, ed25519Id));

/** Checks such a signature. */
export function checkTapCrossCert(
  signature: Uint8Array,
  tapPublicDer: Uint8Array,
  rsaId: Uint8Array,
  ed25519Id: Uint8Array,
): void {
  if (!rsaPublic(tapPublicDer).verifyRaw(signature, concat(rsaId, ed25519Id)))
    throw new ProtocolError('TAP onion key crosscert: bad signature');
}
