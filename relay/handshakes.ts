/**
 * Answers to CREATE2 and CREATE_FAST: key exchange and what is agreed with it (tor-spec 5.1, prop332, prop324 10.3).
 *
 * @module
 */
import { ProtocolError } from '../shared/bytes/errors.js';
import { CREATE_FAST, CREATE2, CREATED2 } from '../shared/cell/channel-cells.js';
import { Command, HandshakeType } from '../shared/cell/commands.js';
import { decodeClientParams, encodeServerParams } from '../shared/crypto/circuitExtensions.js';
import { answerFast, answerNtor, answerNtorV3 } from '../shared/crypto/handshake.js';
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

/** CREATE2 handshake types this relay speaks. */
const answerers: Record<number, (data: Uint8Array, env: HandshakeEnv) => Answer> = {
  [HandshakeType.NTOR]: answerPlain,
  [HandshakeType.NTOR_V3]: answerWithMessage,
};

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
  const { type, data } = CREATE2.decode(body);
  const answerer = answerers[type];
  if (!answerer) throw new ProtocolError(`CREATE2 with handshake type ${type}`);
  return answerer(data, env);
}

const created2 = (data: Uint8Array) => ({ command: Command.CREATED2, body: CREATED2.encode({ data }) });

/** The fixed windows, by the consensus. */
const windows = ({ param }: HandshakeEnv, fast = false): FlowControl =>
  windowFlow({
    fast,
    window: param('circwindow', 1000, 100, 1000),
    acceptVersion: param('sendme_accept_min_version', 0, 0, 255),
  });

function answerPlain(data: Uint8Array, env: HandshakeEnv): Answer {
  const identity = { rsaId: env.keys.rsaId, keys: env.keys.ntor.onionKeys };
  const { reply, keys } = answerNtor(data, identity, env.random);
  return { ...created2(reply), keys, flow: windows(env) };
}

function answerWithMessage(data: Uint8Array, env: HandshakeEnv): Answer {
  const identity = { ed25519Id: env.keys.ed25519Id, keys: env.keys.ntor.onionKeys };
  let flow: FlowControl | undefined;
  const respond = (message: Uint8Array) => {
    const agreed = agree(message, env);
    flow = agreed.flow;
    return agreed.message;
  };
  const { reply, keys } = answerNtorV3(data, identity, respond, env.random);
  return { ...created2(reply), keys, flow: flow ?? windows(env) };
}

/** Reads the client's requests and grants what there is. What cannot be granted must fail (prop346). */
function agree(message: Uint8Array, env: HandshakeEnv): { message: Uint8Array; flow: FlowControl } {
  const wanted = decodeClientParams(message);
  if (wanted.subprotocols.length > 0)
    throw new ProtocolError('ntor-v3 asks for a subprotocol this relay does not speak');
  const enabled = env.param('cc_alg', 2, 0, 2) === 2;
  if (!wanted.congestionControl || !enabled) return { message: encodeServerParams({}), flow: windows(env) };
  const sendmeInc = env.param('cc_sendme_inc', 31, 1, 254);
  return {
    message: encodeServerParams({ sendmeInc }),
    flow: vegasFlow(
      { sendmeInc, param: env.param, path: 'exit', ...(env.congestion && { stats: env.congestion }) },
      env.clock,
    ),
  };
}
