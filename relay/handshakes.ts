/**
 * Answers to CREATE2 and CREATE_FAST: key exchange and what is agreed with it (tor-spec 5.1, prop332, prop324 10.3).
 *
 * @module
 */
import { ProtocolError } from '../shared/bytes/errors.js';
import { CREATE_FAST, CREATE2, CREATED2 } from '../shared/cell/channel-cells.js';
import { Command, HandshakeType } from '../shared/cell/commands.js';
import { decodeClientParams, encodeServerParams } from '../shared/crypto/circuitExtensions.js';
import { answerFast, answerNtor, answerNtorV3, type OnionKeys } from '../shared/crypto/handshake.js';
import type { RelayKeys } from '../shared/crypto/relay-keys.js';
import type { CongestionStats } from '../shared/onion/congestion-stats.js';
import { type ConsensusParam, type FlowControl, windowFlow } from '../shared/onion/flow.js';
import type { HopKeys } from '../shared/onion/types.js';
import { vegasFlow } from '../shared/onion/vegas.js';
import type { Clock, Random } from '../shared/runtime/types.js';

/** A handshake done: the layer's keys and the flow control that was agreed. */
export interface Answered {
  readonly keys: HopKeys;
  readonly flow: FlowControl;
}

/** The cell that answers, and what it agrees to. */
export interface Answer extends Answered {
  readonly command: number;
  readonly body: Uint8Array;
}

/** What the answers need. */
export interface HandshakeEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly keys: RelayKeys;
  readonly param: ConsensusParam;
  /** Where the congestion control of all circuits is summed up. */
  readonly congestion?: CongestionStats;
}

/** Whether a create cell's handshake waits in the queue (public-key work) or is answered at once. */
export const isCheap = (command: number): boolean => command === Command.CREATE_FAST;

/** Who answers CREATE2, and what is granted. */
export interface Answerer {
  readonly rsaId: Uint8Array;
  readonly ed25519Id: Uint8Array;
  readonly onionKeys: OnionKeys;
  readonly random: Random;
  /** Cells between SENDMEs where congestion control is granted; undefined grants none. */
  readonly sendmeInc: number | undefined;
}

/** What public-key work gives. */
export interface Exchanged {
  /** HDATA of CREATED2. */
  readonly reply: Uint8Array;
  readonly keys: HopKeys;
  /** Congestion control was agreed on, with so many cells between SENDMEs. */
  readonly sendmeInc: number | undefined;
}

/** CREATE2 handshake types this relay speaks. */
const exchanges: Record<number, (data: Uint8Array, answerer: Answerer) => Exchanged> = {
  [HandshakeType.NTOR]: exchangePlain,
  [HandshakeType.NTOR_V3]: exchangeWithMessage,
};

/** Who answers now. */
export const answererOf = ({ keys, random, param }: HandshakeEnv): Answerer => ({
  rsaId: keys.rsaId,
  ed25519Id: keys.ed25519Id,
  onionKeys: keys.ntor.onionKeys,
  random,
  sendmeInc: param('cc_alg', 2, 0, 2) === 2 ? param('cc_sendme_inc', 31, 1, 254) : undefined,
});

/** The public-key work of a CREATE2 cell. Throws ProtocolError or DecodeError when it is refused. */
export function exchangeKeys(body: Uint8Array, answerer: Answerer): Exchanged {
  const { type, data } = CREATE2.decode(body);
  const exchange = exchanges[type];
  if (!exchange) throw new ProtocolError(`CREATE2 with handshake type ${type}`);
  return exchange(data, answerer);
}

/** What CREATED2 says, and what it agrees to. */
export function answerExchanged({ reply, keys, sendmeInc }: Exchanged, env: HandshakeEnv): Answer {
  const { congestion, param, clock } = env;
  const flow =
    sendmeInc === undefined
      ? windows(env)
      : vegasFlow({ sendmeInc, param, path: 'exit', ...(congestion && { stats: congestion }) }, clock);
  return { command: Command.CREATED2, body: CREATED2.encode({ data: reply }), keys, flow };
}

/**
 * Answers a create cell. Throws ProtocolError or DecodeError when it is refused: CREATE (TAP) is dead, and a bad
 * handshake ends the circuit with reason PROTOCOL (C tor: `create_cell_parse`).
 */
export function answerCreate(command: number, body: Uint8Array, env: HandshakeEnv): Answer {
  if (command === Command.CREATE_FAST) {
    const { reply, keys } = answerFast(CREATE_FAST.decode(body).x, env.random);
    return { command: Command.CREATED_FAST, body: reply, keys, flow: windows(env, true) };
  }
  if (command !== Command.CREATE2) throw new ProtocolError(`create cell with command ${command}`);
  return answerExchanged(exchangeKeys(body, answererOf(env)), env);
}

/** The fixed windows, by the consensus. */
const windows = ({ param }: HandshakeEnv, fast = false): FlowControl =>
  windowFlow({
    fast,
    window: param('circwindow', 1000, 100, 1000),
    acceptVersion: param('sendme_accept_min_version', 0, 0, 255),
  });

function exchangePlain(data: Uint8Array, { rsaId, onionKeys, random }: Answerer): Exchanged {
  return { ...answerNtor(data, { rsaId, keys: onionKeys }, random), sendmeInc: undefined };
}

function exchangeWithMessage(data: Uint8Array, answerer: Answerer): Exchanged {
  const { ed25519Id, onionKeys, random } = answerer;
  let sendmeInc: number | undefined;
  const respond = (message: Uint8Array) => {
    sendmeInc = agree(message, answerer);
    return encodeServerParams(sendmeInc === undefined ? {} : { sendmeInc });
  };
  const { reply, keys } = answerNtorV3(data, { ed25519Id, keys: onionKeys }, respond, random);
  return { reply, keys, sendmeInc };
}

/** Reads the client's requests and grants what there is. What cannot be granted must fail (prop346). */
function agree(message: Uint8Array, { sendmeInc }: Answerer): number | undefined {
  const wanted = decodeClientParams(message);
  if (wanted.subprotocols.length > 0)
    throw new ProtocolError('ntor-v3 asks for a subprotocol this relay does not speak');
  return wanted.congestionControl ? sendmeInc : undefined;
}
