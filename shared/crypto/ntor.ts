/**
 * The ntor handshake (tor-spec 5.1.4; handshake type 2).
 *
 * Client: ID(20) | KEYID B(32) | CLIENT_PK X(32), 84 bytes. Server: SERVER_PK Y(32) | AUTH(32), 64 bytes.
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import { bytesOf, concat } from '../bytes/text.js';
import { hmacSha256 } from './digest.js';
import { constantTimeEqual } from './equal.js';
import { hkdfSha256, TOR1_KEY_BYTES } from './kdf.js';
import { agreeAll, knownX25519Peer, X25519_SIZE, type X25519KeyPair } from './x25519.js';

const PROTOCOL_ID = 'ntor-curve25519-sha256-1';
const PROTOID = bytesOf(PROTOCOL_ID);
const T_MAC = bytesOf(`${PROTOCOL_ID}:mac`);
const T_KEY = bytesOf(`${PROTOCOL_ID}:key_extract`);
const T_VERIFY = bytesOf(`${PROTOCOL_ID}:verify`);
const M_EXPAND = bytesOf(`${PROTOCOL_ID}:key_expand`);
const SERVER = bytesOf('Server');

const ID_SIZE = 20;
const AUTH_SIZE = 32;
/** Bytes of the client's message. */
export const NTOR_REQUEST_SIZE = ID_SIZE + 2 * X25519_SIZE;
/** Bytes of the server's reply. */
export const NTOR_REPLY_SIZE = X25519_SIZE + AUTH_SIZE;

/** The relay a client makes a handshake with. */
export interface NtorTarget {
  /** SHA-1 of its RSA identity key, 20 bytes. */
  readonly rsaId: Uint8Array;
  /** Its onion key B, 32 bytes. */
  readonly ntorKey: Uint8Array;
}

/**
 * A relay's onion keys by their public half: the current one, and the one before it while clients may still have an
 * old descriptor.
 */
export interface OnionKeys {
  find(publicKey: Uint8Array): X25519KeyPair | undefined;
  /** What an unknown key is answered with, so that an answer does not tell which keys there are. */
  readonly junk: X25519KeyPair;
}

/** The client's message. */
export const ntorRequest = (target: NtorTarget, x: X25519KeyPair): Uint8Array =>
  concat(target.rsaId, target.ntorKey, x.publicKey);

interface Transcript {
  readonly id: Uint8Array;
  /** EXP(X,y) and EXP(X,b), or as the client has them EXP(Y,x) and EXP(B,x). */
  readonly shared: readonly [Uint8Array, Uint8Array];
  readonly B: Uint8Array;
  readonly X: Uint8Array;
  readonly Y: Uint8Array;
}

function authAndKeys({ id, shared, B, X, Y }: Transcript, keyBytes: number) {
  const secretInput = concat(shared[0], shared[1], id, B, X, Y, PROTOID);
  const verify = hmacSha256(T_VERIFY, secretInput);
  const auth = hmacSha256(T_MAC, verify, id, B, Y, X, PROTOID, SERVER);
  return { auth, keys: () => hkdfSha256(secretInput, T_KEY, M_EXPAND, keyBytes) };
}

/**
 * The server's reply, and `keyBytes` of key material when it is asked for, which the reply need not wait for. Throws
 * ProtocolError. `y` is fresh for each call.
 */
export function ntorAnswer(
  request: Uint8Array,
  rsaId: Uint8Array,
  onionKeys: OnionKeys,
  y: X25519KeyPair,
  keyBytes = TOR1_KEY_BYTES,
): { reply: Uint8Array; keys: () => Uint8Array } {
  // Like C tor, allow bytes after the message [onion_skin_server_handshake].
  if (request.length < NTOR_REQUEST_SIZE)
    throw new ProtocolError(`ntor: the request has ${request.length} bytes, not ${NTOR_REQUEST_SIZE}`);
  const id = request.subarray(0, ID_SIZE);
  if (!constantTimeEqual(id, rsaId)) throw new ProtocolError('ntor: meant for another relay');
  const b = onionKeys.find(request.subarray(ID_SIZE, ID_SIZE + X25519_SIZE)) ?? onionKeys.junk;
  const X = request.subarray(ID_SIZE + X25519_SIZE, NTOR_REQUEST_SIZE);
  const [xy, xb] = agreeAll([y, b], X) as [Uint8Array, Uint8Array];
  const Y = y.publicKey;
  const { auth, keys } = authAndKeys({ id, shared: [xy, xb], B: b.publicKey, X, Y }, keyBytes);
  return { reply: concat(Y, auth), keys };
}

/**
 * Checks the server's reply: `keyBytes` of key material. Throws ProtocolError. `xb` is EXP(B,x), for whoever has worked
 * it out already.
 */
export function ntorFinish(
  target: NtorTarget,
  x: X25519KeyPair,
  reply: Uint8Array,
  keyBytes = TOR1_KEY_BYTES,
  xb?: Uint8Array,
): Uint8Array {
  if (reply.length < NTOR_REPLY_SIZE)
    throw new ProtocolError(`ntor: the reply has ${reply.length} bytes, not ${NTOR_REPLY_SIZE}`);
  const Y = reply.subarray(0, X25519_SIZE);
  const shared = [x.agree(Y), xb ?? x.agree(knownX25519Peer(target.ntorKey))] as const;
  const transcript = { id: target.rsaId, shared, B: target.ntorKey, X: x.publicKey, Y };
  const { auth, keys } = authAndKeys(transcript, keyBytes);
  if (!constantTimeEqual(auth, reply.subarray(X25519_SIZE, NTOR_REPLY_SIZE)))
    throw new ProtocolError('ntor: the relay does not have the onion key it was asked for');
  return keys();
}
