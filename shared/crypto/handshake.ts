/**
 * The circuit handshakes in one shape, for whoever sends or answers CREATE2, CREATE_FAST and EXTEND2 (tor-spec 5.1).
 *
 * A client starts one, sends `data` under `type`, and finishes with the reply. A server answers. All of them throw
 * ProtocolError for a peer's fault; the circuit then ends with DESTROY (PROTOCOL).
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import type { HopKeys } from '../onion/types.js';
import type { Random } from '../runtime/types.js';
import { FAST_KEY_SIZE, fastAnswer, fastFinish } from './fast.js';
import { splitTor1Keys, TOR1_KEY_BYTES, tor1KeysLater } from './kdf.js';
import { ephemeralX25519 } from './key-pool.js';
import { type NtorTarget, ntorAnswer, ntorFinish, ntorRequest, type OnionKeys } from './ntor.js';
import { type NtorV3Target, ntorV3Open, ntorV3Start } from './ntor-v3.js';
import { knownX25519Peer, type X25519KeyPair } from './x25519.js';

export type { NtorTarget, OnionKeys } from './ntor.js';
export type { NtorV3Target } from './ntor-v3.js';

/** As in `cell/commands.ts`, of which this room knows nothing. */
const HandshakeType = { FAST: 1, NTOR: 2, NTOR_V3: 3 } as const;

/** Longest handshake data a CREATED2 or EXTENDED2 can bring: 498 - 2. */
export const MAX_HANDSHAKE_REPLY = 496;

/** What a finished handshake gives. */
export interface HandshakeResult {
  readonly keys: HopKeys;
  /** ntor-v3: the server's message (see circuitExtensions.ts). */
  readonly message?: Uint8Array;
}

/** A client's handshake under way. */
export interface ClientHandshake {
  /** Handshake type of CREATE2 and EXTEND2: 1 FAST, 2 ntor, 3 ntor-v3. */
  readonly type: number;
  /** HDATA to send. */
  readonly data: Uint8Array;
  /** Does that part of `finish` which needs no answer; for the time until one comes. May be left out. */
  ahead?(): void;
  /** Checks the server's HDATA. Throws ProtocolError. */
  finish(reply: Uint8Array): HandshakeResult;
}

/** A server's answer. */
export interface HandshakeAnswer {
  /** HDATA to send back. */
  readonly reply: Uint8Array;
  readonly keys: HopKeys;
}

/** Starts an ntor handshake. */
export const startNtor = (target: NtorTarget, random: Random): ClientHandshake =>
  startNtorWithKeys(target, ephemeralX25519(random));

/** `startNtor` with the ephemeral key given, for vectors. */
export function startNtorWithKeys(target: NtorTarget, x: X25519KeyPair): ClientHandshake {
  let xb: Uint8Array | undefined;
  return {
    type: HandshakeType.NTOR,
    data: ntorRequest(target, x),
    ahead() {
      try {
        xb ??= x.agree(knownX25519Peer(target.ntorKey));
      } catch {
        // An onion key of low order: `finish` finds that too, and says so.
      }
    },
    finish: (reply) => ({ keys: splitTor1Keys(ntorFinish(target, x, reply, TOR1_KEY_BYTES, xb)) }),
  };
}

/** Starts an ntor-v3 handshake that carries `message` (see circuitExtensions.ts). */
export const startNtorV3 = (target: NtorV3Target, message: Uint8Array, random: Random): ClientHandshake =>
  startNtorV3WithKeys(target, message, ephemeralX25519(random));

/** `startNtorV3` with the ephemeral key given, for vectors. */
export function startNtorV3WithKeys(
  target: NtorV3Target,
  message: Uint8Array,
  x: X25519KeyPair,
): ClientHandshake {
  const client = ntorV3Start(target, x, message);
  return {
    type: HandshakeType.NTOR_V3,
    data: client.request,
    finish(reply) {
      const result = client.finish(reply);
      return { keys: splitTor1Keys(result.keys), message: result.message };
    },
  };
}

/** Starts CREATE_FAST; `data` is the body of the cell. */
export const startFast = (random: Random): ClientHandshake => startFastWithKeys(random.bytes(FAST_KEY_SIZE));

/** `startFast` with X given, for vectors. */
export const startFastWithKeys = (x: Uint8Array): ClientHandshake => ({
  type: HandshakeType.FAST,
  data: x,
  finish: (reply) => ({ keys: fastFinish(x, reply) }),
});

/** Who answers ntor. */
export interface NtorIdentity {
  /** 20 bytes. */
  readonly rsaId: Uint8Array;
  readonly keys: OnionKeys;
}

/** Who answers ntor-v3. */
export interface NtorV3Identity {
  /** 32 bytes. */
  readonly ed25519Id: Uint8Array;
  readonly keys: OnionKeys;
}

/** Answers an ntor handshake; some 150 us. */
export const answerNtor = (data: Uint8Array, identity: NtorIdentity, random: Random): HandshakeAnswer =>
  answerNtorWithKeys(data, identity, ephemeralX25519(random));

/** `answerNtor` with the ephemeral key given, for vectors. */
export function answerNtorWithKeys(
  data: Uint8Array,
  identity: NtorIdentity,
  y: X25519KeyPair,
): HandshakeAnswer {
  const { reply, keys } = ntorAnswer(data, identity.rsaId, identity.keys, y);
  return { reply, keys: tor1KeysLater(keys) };
}

/** Answers an ntor-v3 handshake; `respond` gets the client's message and gives ours, or throws to refuse. */
export const answerNtorV3 = (
  data: Uint8Array,
  identity: NtorV3Identity,
  respond: (clientMessage: Uint8Array) => Uint8Array,
  random: Random,
): HandshakeAnswer => answerNtorV3WithKeys(data, identity, respond, ephemeralX25519(random));

/** `answerNtorV3` with the ephemeral key given, for vectors. */
export function answerNtorV3WithKeys(
  data: Uint8Array,
  identity: NtorV3Identity,
  respond: (clientMessage: Uint8Array) => Uint8Array,
  y: X25519KeyPair,
): HandshakeAnswer {
  const server = ntorV3Open(data, identity.ed25519Id, identity.keys);
  const { reply, keys } = server.answer(respond(server.message), y);
  if (reply.length > MAX_HANDSHAKE_REPLY)
    throw new ProtocolError(`ntor-v3: a reply of ${reply.length} bytes does not fit into EXTENDED2`);
  return { reply, keys: splitTor1Keys(keys) };
}

/** Answers CREATE_FAST; `data` is the body of the cell, padding and all. */
export const answerFast = (data: Uint8Array, random: Random): HandshakeAnswer =>
  fastAnswer(data, random.bytes(FAST_KEY_SIZE));
