/**
 * X25519 key agreement (RFC 7748) over node:crypto.
 *
 * Keys are imported as JWK where that works without knowing the public half: on Node 20 a private key imports in 50 us
 * as JWK and in ten times that as PKCS8, and relays make one key per circuit. The import works the public half out, so it
 * is read off rather than computed again. Keys made by `generateKeyPairSync` must never be exported as JWK: on Node 20
 * the job that made one holds the same lock, and may be collected meanwhile; no such keys are made here.
 *
 * @module
 */
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { ProtocolError } from '../bytes/errors.js';
import type { Random } from '../runtime/types.js';
import { isAllZero } from './equal.js';

/** Bytes of a public key, of a secret key and of a shared secret. */
export const X25519_SIZE = 32;

/** A key pair. */
export interface X25519KeyPair {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 32 bytes, clamped as RFC 7748 and C tor's key files have it. */
  readonly secret: Uint8Array;
  /**
   * The shared secret with a peer's public key, 32 bytes. Throws ProtocolError when it comes out all zero (the peer
   * sent a point of low order) or the key is not 32 bytes.
   */
  agree(peerPublic: Uint8Array | X25519Peer): Uint8Array;
}

/** A peer's public key, imported: as dear as an agreement with it, so done once where it is used twice. */
export interface X25519Peer {
  readonly imported: KeyObject;
}

/** RFC 8410 PKCS8 before the 32 bytes of an X25519 secret. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');
const ZERO_PUBLIC = Buffer.alloc(X25519_SIZE).toString('base64url');

const base64url = (b: Uint8Array) => Buffer.from(b.buffer, b.byteOffset, b.byteLength).toString('base64url');

function importPublic(publicKey: Uint8Array): KeyObject {
  const key = { kty: 'OKP', crv: 'X25519', x: base64url(publicKey) };
  return createPublicKey({ key, format: 'jwk' });
}

const publicOf = (key: KeyObject): Uint8Array =>
  Uint8Array.from(Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url'));

const importFromPkcs8 = (secret: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, secret]), format: 'der', type: 'pkcs8' });

function importFromJwk(secret: Uint8Array): KeyObject {
  const key = { kty: 'OKP', crv: 'X25519', d: base64url(secret), x: ZERO_PUBLIC };
  return createPrivateKey({ key, format: 'jwk' });
}

/** Node 20 to 24 do not look at `x` of a private JWK; from 26 on a wrong one throws. */
function jwkNeedsNoPublic(): boolean {
  try {
    importFromJwk(new Uint8Array(X25519_SIZE).fill(64));
    return true;
  } catch {
    return false;
  }
}

const importPrivate = jwkNeedsNoPublic() ? importFromJwk : importFromPkcs8;

/** Sets and clears the bits of RFC 7748 5 in place. */
export function clampX25519(secret: Uint8Array): Uint8Array {
  secret[0]! &= 248;
  secret[31]! &= 127;
  secret[31]! |= 64;
  return secret;
}

class NodeX25519KeyPair implements X25519KeyPair {
  readonly publicKey: Uint8Array;
  readonly secret: Uint8Array;
  private readonly key: KeyObject;

  constructor(secret: Uint8Array) {
    if (secret.length !== X25519_SIZE)
      throw new RangeError(`X25519 secret key: wanted ${X25519_SIZE} bytes, got ${secret.length}`);
    this.secret = clampX25519(Uint8Array.from(secret));
    this.key = importPrivate(this.secret);
    this.publicKey = publicOf(this.key);
  }

  agree(peerPublic: Uint8Array | X25519Peer): Uint8Array {
    const { imported } = 'imported' in peerPublic ? peerPublic : x25519Peer(peerPublic);
    let shared: Uint8Array;
    try {
      shared = new Uint8Array(diffieHellman({ privateKey: this.key, publicKey: imported }));
    } catch (cause) {
      // OpenSSL refuses an all-zero result by itself.
      throw new ProtocolError('X25519: the peer sent a key of low order', { cause });
    }
    if (isAllZero(shared)) throw new ProtocolError('X25519: the peer sent a key of low order');
    return shared;
  }
}

/** Imports a peer's public key. Throws ProtocolError when it is not 32 bytes. */
export function x25519Peer(publicKey: Uint8Array): X25519Peer {
  if (publicKey.length !== X25519_SIZE)
    throw new ProtocolError(`X25519 public key: wanted ${X25519_SIZE} bytes, got ${publicKey.length}`);
  return { imported: importPublic(publicKey) };
}

const known = new WeakMap<Uint8Array, X25519Peer>();

/** The same, remembered as long as the bytes last, which must not change: for the onion keys of relays. */
export function knownX25519Peer(publicKey: Uint8Array): X25519Peer {
  const before = known.get(publicKey);
  if (before) return before;
  const peer = x25519Peer(publicKey);
  known.set(publicKey, peer);
  return peer;
}

/** A new key pair. */
export const generateX25519 = (random: Random): X25519KeyPair =>
  new NodeX25519KeyPair(random.bytes(X25519_SIZE));

/** The key pair of 32 secret bytes, which are clamped first. */
export const x25519FromSecret = (secret: Uint8Array): X25519KeyPair => new NodeX25519KeyPair(secret);

/**
 * Shared secrets of several of our keys with one peer key, which is imported once; throws as `agree` does, but only
 * after all have been computed, so that the time does not tell which failed.
 */
export function agreeAll(pairs: readonly X25519KeyPair[], peerPublic: Uint8Array): Uint8Array[] {
  const peer = x25519Peer(peerPublic);
  let failure: unknown;
  const shared = pairs.map((pair) => {
    try {
      return pair.agree(peer);
    } catch (error) {
      failure ??= error;
      return new Uint8Array(X25519_SIZE);
    }
  });
  if (failure !== undefined) throw failure;
  return shared;
}
