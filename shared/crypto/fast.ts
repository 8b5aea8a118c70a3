/**
 * The CREATE_FAST handshake (tor-spec 5.1.5): no public-key work, safe only inside the TLS link to the first hop.
 *
 * Client: X(20). Server: Y(20) | KH(20) with KH the first 20 bytes of KDF-TOR(X | Y).
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import { concat } from '../bytes/text.js';
import type { HopKeys } from '../onion/types.js';
import { constantTimeEqual } from './equal.js';
import { kdfTor } from './kdf.js';

/** Bytes of X and of Y. */
export const FAST_KEY_SIZE = 20;
/** Bytes of the server's reply. */
export const FAST_REPLY_SIZE = 2 * FAST_KEY_SIZE;

/** KDF-TOR: KH(20) Df(20) Db(20) Kf(16) Kb(16). KH also keys the ESTABLISH_INTRO MAC, as KH of ntor does. */
function fastKeys(x: Uint8Array, y: Uint8Array): HopKeys {
  const k = kdfTor(concat(x, y), 92);
  return {
    kh: k.subarray(0, 20),
    df: k.subarray(20, 40),
    db: k.subarray(40, 60),
    kf: k.subarray(60, 76),
    kb: k.subarray(76, 92),
  };
}

/** The server's reply with its own random `y`. Bytes after the first 20 of a request are the cell's padding. */
export function fastAnswer(request: Uint8Array, y: Uint8Array): { reply: Uint8Array; keys: HopKeys } {
  if (request.length < FAST_KEY_SIZE)
    throw new ProtocolError(`CREATE_FAST: the request has ${request.length} bytes, not ${FAST_KEY_SIZE}`);
  const keys = fastKeys(request.subarray(0, FAST_KEY_SIZE), y);
  return { reply: concat(y, keys.kh), keys };
}

/** Checks the server's reply to `x`. Throws ProtocolError. */
export function fastFinish(x: Uint8Array, reply: Uint8Array): HopKeys {
  if (reply.length < FAST_REPLY_SIZE)
    throw new ProtocolError(`CREATED_FAST: the reply has ${reply.length} bytes, not ${FAST_REPLY_SIZE}`);
  const keys = fastKeys(x, reply.subarray(0, FAST_KEY_SIZE));
  if (!constantTimeEqual(keys.kh, reply.subarray(FAST_KEY_SIZE, FAST_REPLY_SIZE)))
    throw new ProtocolError('CREATED_FAST: the key check does not fit');
  return keys;
}
