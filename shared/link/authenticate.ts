/**
 * The AUTHENTICATE cell of type 3, Ed25519-SHA256-RFC5705 (tor-spec 4.4.2): it binds the initiator's identity to this
 * TLS connection and to all that was said on it.
 *
 * "AUTH0003"(8) | CID(32) | SID(32) | CID_ED(32) | SID_ED(32) | SLOG(32) | CLOG(32) | SCERT(32) | TLSSECRETS(32)
 * | RAND(24) | SIG(64): 352 bytes. CID and SID are SHA-256 of the RSA identities' DER, SLOG and CLOG of what the
 * responder and the initiator sent, SCERT of the responder's TLS certificate.
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import { bytesOf, concat, sameBytes } from '../bytes/text.js';
import { AUTHENTICATE } from '../cell/channel-cells.js';
import { ed25519Verify } from '../crypto/ed25519.js';

/** The one authentication type in use. */
export const AUTH_TYPE = 3;
const LABEL = 'EXPORTER FOR TOR TLS CLIENT BINDING AUTH0003';
const MAGIC = bytesOf('AUTH0003');
const RANDOM_SIZE = 24;
const SIGNATURE_SIZE = 64;
const SIZE = 352;

/** What both sides know and the cell repeats. */
export interface AuthFacts {
  /** SHA-256 of the RSA identity keys' DER. */
  readonly initiatorRsa: Uint8Array;
  readonly responderRsa: Uint8Array;
  readonly initiatorEd25519: Uint8Array;
  readonly responderEd25519: Uint8Array;
  /** SHA-256 of what each side sent. */
  readonly responderLog: Uint8Array;
  readonly initiatorLog: Uint8Array;
  /** SHA-256 of the responder's TLS certificate. */
  readonly responderCert: Uint8Array;
  readonly exportKeyingMaterial: (length: number, label: string, context: Uint8Array) => Uint8Array;
}

const fixedPart = (facts: AuthFacts): Uint8Array =>
  concat(
    MAGIC,
    facts.initiatorRsa,
    facts.responderRsa,
    facts.initiatorEd25519,
    facts.responderEd25519,
    facts.responderLog,
    facts.initiatorLog,
    facts.responderCert,
    facts.exportKeyingMaterial(32, LABEL, facts.initiatorRsa),
  );

/** The body of the cell. `random` has 24 bytes. */
export function makeAuthenticate(
  facts: AuthFacts,
  random: Uint8Array,
  sign: (message: Uint8Array) => Uint8Array,
): Uint8Array {
  const signed = concat(fixedPart(facts), random);
  return AUTHENTICATE.encode({ type: AUTH_TYPE, authenticator: concat(signed, sign(signed)) });
}

/** Throws ProtocolError or DecodeError unless the body says what it must and `authKey` signed it. */
export function checkAuthenticate(body: Uint8Array, facts: AuthFacts, authKey: Uint8Array): void {
  const { type, authenticator } = AUTHENTICATE.decode(body);
  if (type !== AUTH_TYPE) throw new ProtocolError(`AUTHENTICATE: type ${type} was not offered`);
  if (authenticator.length !== SIZE)
    throw new ProtocolError(`AUTHENTICATE: ${authenticator.length} bytes, not ${SIZE}`);
  const signed = authenticator.subarray(0, -SIGNATURE_SIZE);
  if (!sameBytes(signed.subarray(0, -RANDOM_SIZE), fixedPart(facts)))
    throw new ProtocolError('AUTHENTICATE: it speaks of another connection');
  if (!ed25519Verify(authKey, signed, authenticator.subarray(-SIGNATURE_SIZE)))
    throw new ProtocolError('AUTHENTICATE: bad signature');
}
