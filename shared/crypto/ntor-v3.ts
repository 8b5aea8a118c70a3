/**
 * The ntor-v3 handshake (proposal 332; handshake type 3): ntor on SHA3, with an encrypted message each way.
 *
 * Client: ed25519 id(32) | B(32) | X(32) | message, AES-256-CTR | MAC(32): 128 bytes and the message.
 * Server: Y(32) | AUTH(32) | message, AES-256-CTR: 64 bytes and the message.
 *
 * The client's message is encrypted to the onion key alone, so it is not forward secret.
 *
 * @module
 */
import { createCipheriv } from 'node:crypto';
import { ProtocolError } from '../bytes/errors.js';
import { bytesOf, concat } from '../bytes/text.js';
import { sha3_256, shake256 } from './digest.js';
import { constantTimeEqual } from './equal.js';
import { TOR1_KEY_BYTES } from './kdf.js';
import type { OnionKeys } from './ntor.js';
import { knownX25519Peer, X25519_SIZE, type X25519KeyPair, x25519Peer } from './x25519.js';

const PROTOCOL_ID = 'ntor3-curve25519-sha3_256-1';
const PROTOID = bytesOf(PROTOCOL_ID);
const SERVER = bytesOf('Server');
/** The verification string of circuit handshakes. */
export const NTOR_V3_VERIFICATION = bytesOf('circuit extend');

const ID_SIZE = 32;
const MAC_SIZE = 32;
const KEY_SIZE = 32;
/** Bytes of the client's message without the encrypted part. */
export const NTOR_V3_REQUEST_OVERHEAD = ID_SIZE + 2 * X25519_SIZE + MAC_SIZE;
/** Bytes of the server's reply without the encrypted part. */
export const NTOR_V3_REPLY_OVERHEAD = X25519_SIZE + MAC_SIZE;

/** ENCAP(s): an 8-byte length before the string. */
function encap(s: Uint8Array): Uint8Array {
  const out = Buffer.alloc(8 + s.length);
  out.writeBigUInt64BE(BigInt(s.length));
  out.set(s, 8);
  return out;
}

const tweak = (name: string) => encap(bytesOf(`${PROTOCOL_ID}:${name}`));
const T_MSGKDF = tweak('kdf_phase1');
const T_MSGMAC = tweak('msg_mac');
const T_KEY_SEED = tweak('key_seed');
const T_VERIFY = tweak('verify');
const T_FINAL = tweak('kdf_final');
const T_AUTH = tweak('auth_final');
const ZERO_IV = new Uint8Array(16);

const crypt = (key: Uint8Array, message: Uint8Array): Uint8Array =>
  createCipheriv('aes-256-ctr', key, ZERO_IV).update(message);

/** The relay a client makes a handshake with. */
export interface NtorV3Target {
  /** Its ed25519 identity, 32 bytes. */
  readonly ed25519Id: Uint8Array;
  /** Its onion key B, 32 bytes. */
  readonly ntorKey: Uint8Array;
}

/** What both sides know after the client's message. */
interface Phase1 {
  readonly id: Uint8Array;
  /** EXP(X,b) = EXP(B,x). */
  readonly xb: Uint8Array;
  readonly B: Uint8Array;
  readonly X: Uint8Array;
  readonly verification: Uint8Array;
}

function phase1Keys({ id, xb, B, X, verification }: Phase1) {
  const keys = shake256(2 * KEY_SIZE, T_MSGKDF, xb, id, X, B, PROTOID, encap(verification));
  return { encKey: keys.subarray(0, KEY_SIZE), macKey: keys.subarray(KEY_SIZE) };
}

const messageMac = ({ id, B, X }: Phase1, macKey: Uint8Array, encrypted: Uint8Array): Uint8Array =>
  sha3_256(T_MSGMAC, encap(macKey), id, B, X, encrypted);

function phase2(p: Phase1, xy: Uint8Array, Y: Uint8Array, keyBytes: number) {
  const secretInput = concat(xy, p.xb, p.id, p.B, p.X, Y, PROTOID, encap(p.verification));
  const keySeed = sha3_256(T_KEY_SEED, secretInput);
  const verify = sha3_256(T_VERIFY, secretInput);
  const keys = shake256(KEY_SIZE + keyBytes, T_FINAL, keySeed);
  const auth = (msgMac: Uint8Array, encrypted: Uint8Array) =>
    sha3_256(T_AUTH, verify, p.id, p.B, Y, p.X, msgMac, encap(encrypted), PROTOID, SERVER);
  return { auth, encKey: keys.subarray(0, KEY_SIZE), keys: keys.subarray(KEY_SIZE) };
}

/** A client's handshake under way. */
export interface NtorV3Client {
  /** What to send. */
  readonly request: Uint8Array;
  /** Checks the reply: the server's message and the key material. Throws ProtocolError. */
  finish(reply: Uint8Array): { message: Uint8Array; keys: Uint8Array };
}

/** Starts a handshake with the ephemeral key `x`. Throws ProtocolError when the onion key is of low order. */
export function ntorV3Start(
  target: NtorV3Target,
  x: X25519KeyPair,
  message: Uint8Array,
  verification: Uint8Array = NTOR_V3_VERIFICATION,
  keyBytes = TOR1_KEY_BYTES,
): NtorV3Client {
  const { ed25519Id: id, ntorKey: B } = target;
  const p: Phase1 = { id, xb: x.agree(knownX25519Peer(B)), B, X: x.publicKey, verification };
  const { encKey, macKey } = phase1Keys(p);
  const encrypted = crypt(encKey, message);
  const msgMac = messageMac(p, macKey, encrypted);
  return {
    request: concat(id, B, p.X, encrypted, msgMac),
    finish(reply) {
      if (reply.length < NTOR_V3_REPLY_OVERHEAD)
        throw new ProtocolError(`ntor-v3: a reply of ${reply.length} bytes is too short`);
      const Y = reply.subarray(0, X25519_SIZE);
      const answer = reply.subarray(NTOR_V3_REPLY_OVERHEAD);
      const { auth, encKey: replyKey, keys } = phase2(p, x.agree(Y), Y, keyBytes);
      if (!constantTimeEqual(auth(msgMac, answer), reply.subarray(X25519_SIZE, NTOR_V3_REPLY_OVERHEAD)))
        throw new ProtocolError('ntor-v3: the relay does not have the onion key it was asked for');
      return { message: crypt(replyKey, answer), keys };
    },
  };
}

/** A server's handshake between the client's message and the reply. */
export interface NtorV3Server {
  /** What the client says, decrypted and authenticated as whole. */
  readonly message: Uint8Array;
  /** The reply, with our own message, and the key material. `y` is fresh for each call. Throws ProtocolError. */
  answer(message: Uint8Array, y: X25519KeyPair): { reply: Uint8Array; keys: Uint8Array };
}

/** Opens a client's message. Throws ProtocolError, after the same work whichever check failed. */
export function ntorV3Open(
  request: Uint8Array,
  ed25519Id: Uint8Array,
  onionKeys: OnionKeys,
  verification: Uint8Array = NTOR_V3_VERIFICATION,
  keyBytes = TOR1_KEY_BYTES,
): NtorV3Server {
  if (request.length < NTOR_V3_REQUEST_OVERHEAD)
    throw new ProtocolError(`ntor-v3: a request of ${request.length} bytes is too short`);
  const b = onionKeys.find(request.subarray(ID_SIZE, ID_SIZE + X25519_SIZE)) ?? onionKeys.junk;
  const macAt = request.length - MAC_SIZE;
  const X = request.subarray(ID_SIZE + X25519_SIZE, ID_SIZE + 2 * X25519_SIZE);
  const encrypted = request.subarray(ID_SIZE + 2 * X25519_SIZE, macAt);
  const msgMac = request.subarray(macAt);

  const client = x25519Peer(X);
  const p: Phase1 = { id: ed25519Id, xb: b.agree(client), B: b.publicKey, X, verification };
  const { encKey, macKey } = phase1Keys(p);
  const macFits = constantTimeEqual(messageMac(p, macKey, encrypted), msgMac);
  if (!constantTimeEqual(request.subarray(0, ID_SIZE), ed25519Id) || !macFits)
    throw new ProtocolError('ntor-v3: meant for another relay or key, or changed on the way');

  return {
    message: crypt(encKey, encrypted),
    answer(message, y) {
      const Y = y.publicKey;
      const { auth, encKey: replyKey, keys } = phase2(p, y.agree(client), Y, keyBytes);
      const answer = crypt(replyKey, message);
      return { reply: concat(Y, auth(msgMac, answer), answer), keys };
    },
  };
}
