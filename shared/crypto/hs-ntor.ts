/**
 * The handshake of onion services (rend-spec-v3 3.3.2, 4.2.1): ntor with the service's introduction keys, whose first
 * half encrypts INTRODUCE1 and whose second half makes the keys of the rendezvous circuit.
 *
 * Client: X(32) in INTRODUCE1. Service: Y(32) | MAC(32) in RENDEZVOUS1.
 *
 * Names: `authKey` is the introduction point's authentication key (ed25519), B its encryption key (X25519).
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import { bytesOf, concat } from '../bytes/text.js';
import { sha3_256, shake256 } from './digest.js';
import { constantTimeEqual } from './equal.js';
import { agreeAll, X25519_SIZE, type X25519KeyPair } from './x25519.js';

const PROTOCOL_ID = 'tor-hs-ntor-curve25519-sha3-256-1';
const PROTOID = bytesOf(PROTOCOL_ID);
const T_HSENC = bytesOf(`${PROTOCOL_ID}:hs_key_extract`);
const T_HSVERIFY = bytesOf(`${PROTOCOL_ID}:hs_verify`);
const T_HSMAC = bytesOf(`${PROTOCOL_ID}:hs_mac`);
const M_HSEXPAND = bytesOf(`${PROTOCOL_ID}:hs_key_expand`);
const SERVER = bytesOf('Server');
const KEY_SIZE = 32;

/** Bytes of the handshake in RENDEZVOUS1 and RENDEZVOUS2. */
export const HS_NTOR_REPLY_SIZE = X25519_SIZE + KEY_SIZE;
/** Key material of a rendezvous circuit: Df 32, Db 32, Kf 32, Kb 32 (see onion/tor1-hs.ts). */
export const HS_KEY_BYTES = 128;

/** H(k, t) of rend-spec-v3 0.3: SHA3-256 over the key's length (8 bytes), the key and the message. */
export function hsMac(key: Uint8Array, message: Uint8Array): Uint8Array {
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(key.length));
  return sha3_256(length, key, message);
}

/** An introduction point as a client knows it from the descriptor. */
export interface HsIntroTarget {
  readonly authKey: Uint8Array;
  /** B. */
  readonly encKey: Uint8Array;
}

/** An introduction point as its service knows it. */
export interface HsIntroKeys {
  readonly authKey: Uint8Array;
  /** b, B. */
  readonly encKey: X25519KeyPair;
}

/** Keys of INTRODUCE1's encrypted part. */
export interface IntroduceKeys {
  /** AES-256-CTR, IV 0. */
  readonly encKey: Uint8Array;
  /** For hsMac over the whole message up to the MAC. */
  readonly macKey: Uint8Array;
}

function introduceKeys(
  bx: Uint8Array,
  authKey: Uint8Array,
  X: Uint8Array,
  B: Uint8Array,
  subcredential: Uint8Array,
): IntroduceKeys {
  const secretInput = concat(bx, authKey, X, B, PROTOID);
  const keys = shake256(2 * KEY_SIZE, secretInput, T_HSENC, M_HSEXPAND, subcredential);
  return { encKey: keys.subarray(0, KEY_SIZE), macKey: keys.subarray(KEY_SIZE) };
}

/** The client's keys for INTRODUCE1. Throws ProtocolError when B is of low order. */
export const hsIntroduceKeys = (
  target: HsIntroTarget,
  x: X25519KeyPair,
  subcredential: Uint8Array,
): IntroduceKeys =>
  introduceKeys(x.agree(target.encKey), target.authKey, x.publicKey, target.encKey, subcredential);

/**
 * The service's keys for an INTRODUCE2 with the client's X, one set for each subcredential it may have used: around a
 * change of time period both are tried. Throws ProtocolError when X is of low order.
 */
export function hsServiceIntroduceKeys(
  keys: HsIntroKeys,
  X: Uint8Array,
  subcredentials: readonly Uint8Array[],
): IntroduceKeys[] {
  const bx = keys.encKey.agree(X);
  const B = keys.encKey.publicKey;
  return subcredentials.map((it) => introduceKeys(bx, keys.authKey, X, B, it));
}

interface Rendezvous {
  readonly xy: Uint8Array;
  readonly xb: Uint8Array;
  readonly authKey: Uint8Array;
  readonly B: Uint8Array;
  readonly X: Uint8Array;
  readonly Y: Uint8Array;
}

function rendezvousKeys({ xy, xb, authKey, B, X, Y }: Rendezvous) {
  const secretInput = concat(xy, xb, authKey, B, X, Y, PROTOID);
  const seed = hsMac(secretInput, T_HSENC);
  const verify = hsMac(secretInput, T_HSVERIFY);
  const authInput = concat(verify, authKey, B, Y, X, PROTOID, SERVER);
  return { mac: hsMac(authInput, T_HSMAC), keys: shake256(HS_KEY_BYTES, seed, M_HSEXPAND) };
}

/** The service's half: what goes into RENDEZVOUS1 and the circuit's keys. `y` is fresh. Throws ProtocolError. */
export function hsNtorAnswer(
  { authKey, encKey }: HsIntroKeys,
  X: Uint8Array,
  y: X25519KeyPair,
): { reply: Uint8Array; keys: Uint8Array } {
  const [xy, xb] = agreeAll([y, encKey], X) as [Uint8Array, Uint8Array];
  const Y = y.publicKey;
  const { mac, keys } = rendezvousKeys({ xy, xb, authKey, B: encKey.publicKey, X, Y });
  return { reply: concat(Y, mac), keys };
}

/**
 * The client's half: the circuit's keys from what RENDEZVOUS2 brought, whose later bytes are padding.
 * Throws ProtocolError.
 */
export function hsNtorFinish(target: HsIntroTarget, x: X25519KeyPair, reply: Uint8Array): Uint8Array {
  if (reply.length < HS_NTOR_REPLY_SIZE)
    throw new ProtocolError(
      `RENDEZVOUS2: the handshake has ${reply.length} bytes, not ${HS_NTOR_REPLY_SIZE}`,
    );
  const { authKey, encKey: B } = target;
  const Y = reply.subarray(0, X25519_SIZE);
  const { mac, keys } = rendezvousKeys({
    xy: x.agree(Y),
    xb: x.agree(B),
    authKey,
    B,
    X: x.publicKey,
    Y,
  });
  if (!constantTimeEqual(mac, reply.subarray(X25519_SIZE, HS_NTOR_REPLY_SIZE)))
    throw new ProtocolError('RENDEZVOUS2: the service does not have the key it was asked for');
  return keys;
}
