/**
 * CREATE2 handshakes as work for another thread: plain data there and back.
 *
 * A job carries the onion keys as they are now, since they are few and change; a thread imports them anew only when they
 * did. An answer is a string that says why the handshake is refused, or bytes: key material (92), then HDATA of CREATED2.
 *
 * @module
 */
import { CepaError, ProtocolError } from '../shared/bytes/errors.js';
import { concat } from '../shared/bytes/text.js';
import { splitTor1Keys, TOR1_KEY_BYTES } from '../shared/crypto/kdf.js';
import { onionKeys } from '../shared/crypto/onion-keys.js';
import { x25519FromSecret } from '../shared/crypto/x25519.js';
import type { Random } from '../shared/runtime/types.js';
import { type Answerer, answererOf, type Exchanged, exchangeKeys, type HandshakeEnv } from './handshakes.js';

/** Some handshakes to do. */
export interface HandshakeJob {
  readonly rsaId: Uint8Array;
  readonly ed25519Id: Uint8Array;
  /** Secret onion keys: the current one, the junk key, and the one before where there is one. */
  readonly secrets: readonly [Uint8Array, Uint8Array, Uint8Array?];
  readonly sendmeInc: number | undefined;
  /** Bodies of CREATE2 cells. */
  readonly bodies: readonly Uint8Array[];
}

interface Done {
  readonly bytes: Uint8Array;
  readonly sendmeInc: number | undefined;
}

/** Answers in the order of the bodies. */
export type HandshakeAnswers = readonly (Done | string)[];

// Bytes of their own: what is a view of something larger crosses whole.
const alone = (bytes: Uint8Array) => new Uint8Array(bytes);

/** The job of answering these bodies now. */
export function handshakeJob(bodies: readonly Uint8Array[], env: HandshakeEnv): HandshakeJob {
  const { rsaId, ed25519Id, sendmeInc } = answererOf(env);
  const { current, previous, onionKeys: known } = env.keys.ntor;
  const [own, junk] = [alone(current.secret), alone(known.junk.secret)];
  return {
    rsaId: alone(rsaId),
    ed25519Id: alone(ed25519Id),
    secrets: previous ? [own, junk, alone(previous.secret)] : [own, junk],
    sendmeInc,
    bodies,
  };
}

/** Does jobs, one after the other. */
export function handshakeWorker(random: Random): (job: HandshakeJob) => HandshakeAnswers {
  let known = '';
  let keys: Answerer['onionKeys'] | undefined;
  const imported = ([own, junk, before]: HandshakeJob['secrets']) => {
    const name = Buffer.concat([own, junk, ...(before ? [before] : [])]).toString('latin1');
    if (!keys || name !== known) {
      const previous = before && x25519FromSecret(before);
      keys = onionKeys(x25519FromSecret(own), previous, x25519FromSecret(junk));
      known = name;
    }
    return keys;
  };
  return ({ rsaId, ed25519Id, secrets, sendmeInc, bodies }) => {
    const answerer = { rsaId, ed25519Id, onionKeys: imported(secrets), random, sendmeInc };
    return bodies.map((body) => oneAnswer(body, answerer));
  };
}

function oneAnswer(body: Uint8Array, answerer: Answerer): Done | string {
  try {
    const { reply, keys, sendmeInc } = exchangeKeys(body, answerer);
    const { df, db, kf, kb, kh } = keys;
    return { bytes: alone(concat(df, db, kf, kb, kh, reply)), sendmeInc };
  } catch (error) {
    if (!(error instanceof CepaError)) throw error;
    return error.message;
  }
}

/** What came back of one handshake. Throws ProtocolError when it was refused. */
export function exchangedOf(answer: HandshakeAnswers[number]): Exchanged {
  if (typeof answer === 'string') throw new ProtocolError(answer);
  const { bytes, sendmeInc } = answer;
  const keys = splitTor1Keys(bytes.subarray(0, TOR1_KEY_BYTES));
  return { keys, reply: bytes.subarray(TOR1_KEY_BYTES), sendmeInc };
}
