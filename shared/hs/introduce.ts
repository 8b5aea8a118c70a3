/**
 * INTRODUCE1 and INTRODUCE2: what a client tells a service through an introduction point that cannot read it
 * (rend-spec-v3 3.2, 3.3), and the keys both have afterwards (4.1).
 *
 * @module
 */
import { createCipheriv } from 'node:crypto';
import { ProtocolError } from '../bytes/errors.js';
import {
  HS_MAC_SIZE,
  HsExtensionType,
  INTRODUCE_SECRETS,
  INTRODUCE1_MAX_SIZE,
  INTRODUCE1_MIN_SIZE,
  INTRODUCE2,
  REND_COOKIE_SIZE,
  RENDEZVOUS1,
  RENDEZVOUS1_SIZE,
} from '../cell/hs-cells.js';
import type { LinkSpecifier } from '../cell/link-specifiers.js';
import { constantTimeEqual } from '../crypto/equal.js';
import {
  type HsIntroKeys,
  type HsIntroTarget,
  hsIntroduceKeys,
  hsMac,
  hsNtorAnswer,
  hsNtorFinish,
  hsServiceIntroduceKeys,
  type IntroduceKeys,
} from '../crypto/hs-ntor.js';
import { generateX25519, type X25519KeyPair } from '../crypto/x25519.js';
import type { Random } from '../runtime/types.js';

/** AES-256 in counter mode from zero. */
const crypt = (key: Uint8Array, data: Uint8Array): Uint8Array =>
  new Uint8Array(createCipheriv('aes-256-ctr', key, new Uint8Array(16)).update(data));

/** Where the two are to meet. */
export interface RendezvousPoint {
  readonly specifiers: readonly LinkSpecifier[];
  /** Its ntor key. */
  readonly onionKey: Uint8Array;
}

/** What a client says. */
export interface IntroductionInput {
  readonly target: HsIntroTarget;
  readonly subcredential: Uint8Array;
  readonly cookie: Uint8Array;
  readonly point: RendezvousPoint;
  /** Whether the service said that it takes part in congestion control. */
  readonly congestionControl: boolean;
}

/** A client's half of an introduction. */
export interface Introduction {
  /** The body of INTRODUCE1. */
  readonly introduce1: Uint8Array;
  /** The keys of the rendezvous circuit (tor1-hs), from RENDEZVOUS2. Throws ProtocolError. */
  finish(rendezvous2: Uint8Array): Uint8Array;
}

/** Introduces a client to a service. `x` is fresh. Throws ProtocolError when the service's key is of low order. */
export function introduceWithKey(input: IntroductionInput, x: X25519KeyPair): Introduction {
  const { target, cookie, point } = input;
  const plain = INTRODUCE_SECRETS.encode({
    cookie,
    extensions: input.congestionControl
      ? [{ type: HsExtensionType.INTRODUCE_CONGESTION_CONTROL, body: new Uint8Array(0) }]
      : [],
    onionKey: point.onionKey,
    specifiers: [...point.specifiers],
  });
  const keys = hsIntroduceKeys(target, x, input.subcredential);
  const introduce1 = sealed(target.authKey, x.publicKey, plain, keys);
  if (introduce1.length > INTRODUCE1_MAX_SIZE)
    throw new RangeError(`INTRODUCE1: ${introduce1.length} bytes are too many`);
  return { introduce1, finish: (reply) => hsNtorFinish(target, x, reply) };
}

/** The same with a fresh key. */
export const introduce = (input: IntroductionInput, random: Random): Introduction =>
  introduceWithKey(input, generateX25519(random));

function sealed(authKey: Uint8Array, X: Uint8Array, plain: Uint8Array, keys: IntroduceKeys): Uint8Array {
  const noMac = new Uint8Array(HS_MAC_SIZE);
  const frame = (ciphertext: Uint8Array, mac: Uint8Array) =>
    INTRODUCE2.encode({ authKey, extensions: [], clientKey: X, ciphertext, mac });
  const padded = new Uint8Array(
    Math.max(plain.length, INTRODUCE1_MIN_SIZE - frame(new Uint8Array(0), noMac).length),
  );
  padded.set(plain);
  const ciphertext = crypt(keys.encKey, padded);
  const unsealed = frame(ciphertext, noMac);
  return frame(ciphertext, hsMac(keys.macKey, unsealed.subarray(0, -HS_MAC_SIZE)));
}

/** What a service learns of an INTRODUCE2 that is for it. */
export interface Introduced {
  readonly cookie: Uint8Array;
  readonly point: RendezvousPoint;
  /** Whether the client asked for congestion control. */
  readonly congestionControl: boolean;
  /** X. */
  readonly clientKey: Uint8Array;
}

/** The part of an INTRODUCE2 by which a replay is known. Throws DecodeError. */
export function introduceIdentity(body: Uint8Array): Uint8Array {
  const { clientKey, mac } = INTRODUCE2.decode(body);
  return new Uint8Array([...clientKey, ...mac]);
}

/**
 * Opens an INTRODUCE2. `subcredentials`: of the descriptors in which the introduction point is. Throws DecodeError, or
 * ProtocolError when it was not made for these keys.
 */
export function openIntroduce2(
  body: Uint8Array,
  keys: HsIntroKeys,
  subcredentials: readonly Uint8Array[],
): Introduced {
  const { authKey, clientKey, ciphertext, mac } = INTRODUCE2.decode(body);
  if (!constantTimeEqual(authKey, keys.authKey))
    throw new ProtocolError('INTRODUCE2: for the key of another introduction point');
  const covered = body.subarray(0, -HS_MAC_SIZE);
  const fits = hsServiceIntroduceKeys(keys, clientKey, subcredentials).find(({ macKey }) =>
    constantTimeEqual(mac, hsMac(macKey, covered)),
  );
  if (!fits) throw new ProtocolError('INTRODUCE2: bad MAC');
  const secrets = INTRODUCE_SECRETS.decode(crypt(fits.encKey, ciphertext));
  return {
    cookie: secrets.cookie,
    point: { specifiers: secrets.specifiers, onionKey: secrets.onionKey },
    congestionControl: secrets.extensions.some(
      ({ type }) => type === HsExtensionType.INTRODUCE_CONGESTION_CONTROL,
    ),
    clientKey: Uint8Array.from(clientKey),
  };
}

/** A service's half of a rendezvous. */
export interface RendezvousAnswer {
  /** The body of RENDEZVOUS1. */
  readonly rendezvous1: Uint8Array;
  /** The keys of the rendezvous circuit (tor1-hs). */
  readonly keys: Uint8Array;
}

/** Answers an introduction. Throws ProtocolError when the client's key is of low order. */
export function answerIntroduction(
  introduced: Pick<Introduced, 'cookie' | 'clientKey'>,
  introKeys: HsIntroKeys,
  random: Random,
): RendezvousAnswer {
  const { reply, keys } = hsNtorAnswer(introKeys, introduced.clientKey, generateX25519(random));
  const handshake = random.bytes(RENDEZVOUS1_SIZE - REND_COOKIE_SIZE);
  handshake.set(reply);
  return { rendezvous1: RENDEZVOUS1.encode({ cookie: introduced.cookie, handshake }), keys };
}
