/**
 * ESTABLISH_INTRO: how a service proves to an introduction point that the authentication key is its own, and meant
 * for this very circuit (rend-spec-v3 3.1.1).
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import { bytesOf, concat } from '../bytes/text.js';
import {
  dosExtension,
  ESTABLISH_INTRO,
  ESTABLISH_INTRO_HEAD,
  type EstablishIntro,
  type IntroDosParams,
} from '../cell/hs-cells.js';
import { type Ed25519Signer, ed25519Verify } from '../crypto/ed25519.js';
import { constantTimeEqual } from '../crypto/equal.js';
import { hsMac } from '../crypto/hs-ntor.js';

const SIGNATURE_PREFIX = bytesOf('Tor establish-intro cell v1');

const signedBytes = (head: Uint8Array, mac: Uint8Array): Uint8Array => concat(SIGNATURE_PREFIX, head, mac);

/** The body of ESTABLISH_INTRO; `kh` is the circuit's, of the introduction point's hop. */
export function makeEstablishIntro(
  authKey: Ed25519Signer,
  kh: Uint8Array,
  dos: IntroDosParams | undefined,
): Uint8Array {
  const value = { authKey: authKey.publicKey, extensions: dos ? [dosExtension(dos)] : [] };
  const head = ESTABLISH_INTRO_HEAD.encode(value);
  const mac = hsMac(kh, head);
  return ESTABLISH_INTRO.encode({ ...value, mac, signature: authKey.sign(signedBytes(head, mac)) });
}

/** Reads and checks an ESTABLISH_INTRO. Throws DecodeError or ProtocolError. */
export function checkEstablishIntro(body: Uint8Array, kh: Uint8Array): EstablishIntro {
  const value = ESTABLISH_INTRO.decode(body);
  // The head has one form only, so that what was read is what was sent.
  const head = ESTABLISH_INTRO_HEAD.encode(value);
  if (!ed25519Verify(value.authKey, signedBytes(head, value.mac), value.signature))
    throw new ProtocolError('ESTABLISH_INTRO: bad signature');
  if (!constantTimeEqual(value.mac, hsMac(kh, head))) throw new ProtocolError('ESTABLISH_INTRO: bad MAC');
  return value;
}
