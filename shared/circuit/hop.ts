/**
 * One hop of a circuit as its client sees it before it stands: who it is, which handshake to start with it, what the
 * handshake's end agrees to.
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import { type LinkSpecifier, specifiersOf } from '../cell/link-specifiers.js';
import { EXTEND2 } from '../cell/relay-cells.js';
import { decodeServerParams, encodeClientParams } from '../crypto/circuitExtensions.js';
import {
  type ClientHandshake,
  type HandshakeResult,
  startFast,
  startNtor,
  startNtorV3,
} from '../crypto/handshake.js';
import type { ProtocolSet } from '../netdoc/protover.js';
import { type ConsensusParam, type FlowControl, windowFlow } from '../onion/flow.js';
import type { HopKeys } from '../onion/types.js';
import { checkSendmeInc, type VegasPath, vegasFlow } from '../onion/vegas.js';
import type { Clock, NetAddress, Random } from '../runtime/types.js';

/** A relay to extend to. */
export interface HopTarget {
  /** In the order they are to be tried. */
  readonly addresses: readonly NetAddress[];
  /** 20 bytes. */
  readonly rsaId: Uint8Array;
  /** 32 bytes; when given, the relay must prove it. */
  readonly ed25519Id?: Uint8Array | undefined;
  /** 32 bytes. Without it only a circuit of one hop can be made, by CREATE_FAST. */
  readonly ntorKey?: Uint8Array | undefined;
  readonly protocols: ProtocolSet;
}

/** What handshakes need from around them. */
export interface HandshakeContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly param: ConsensusParam;
  /** How long the whole path is, for congestion control's parameters. */
  readonly path: VegasPath;
}

/** A handshake under way with a hop. */
export interface HopHandshake {
  readonly start: ClientHandshake;
  /** Checks the answer; throws ProtocolError or DecodeError. */
  finish(reply: Uint8Array): { keys: HopKeys; flow: FlowControl };
}

/** A consensus parameter that is always what the specification says. */
export const defaultParam: ConsensusParam = (_name, fallback) => fallback;

/** Whether a relay can do congestion control, and the consensus has it on. */
const canControl = (hop: HopTarget, param: ConsensusParam): boolean =>
  hop.ed25519Id !== undefined &&
  hop.protocols.has('Relay', 4) &&
  hop.protocols.has('FlowCtrl', 2) &&
  param('cc_alg', 2, 0, 3) === 2;

const windows = ({ param }: HandshakeContext, fast: boolean): FlowControl =>
  windowFlow({
    window: param('circwindow', 1000, 100, 1000),
    acceptVersion: param('sendme_accept_min_version', 0, 0, 255),
    fast,
  });

/**
 * Starts the handshake C tor would choose: CREATE_FAST where no onion key is known, ntor-v3 with a request for
 * congestion control where data will flow (`carries`) and the relay can (C tor: `circuit_pick_create_handshake`),
 * else ntor.
 */
export function startHandshake(hop: HopTarget, carries: boolean, context: HandshakeContext): HopHandshake {
  const { random, param } = context;
  if (!hop.ntorKey) {
    const start = startFast(random);
    return { start, finish: (reply) => ({ keys: start.finish(reply).keys, flow: windows(context, true) }) };
  }
  if (!carries || !hop.ed25519Id || !canControl(hop, param)) {
    const start = startNtor({ rsaId: hop.rsaId, ntorKey: hop.ntorKey }, random);
    return { start, finish: (reply) => ({ keys: start.finish(reply).keys, flow: windows(context, false) }) };
  }
  const request = encodeClientParams({ congestionControl: true, subprotocols: [] });
  const start = startNtorV3({ ed25519Id: hop.ed25519Id, ntorKey: hop.ntorKey }, request, random);
  return {
    start,
    finish(reply) {
      const result = start.finish(reply);
      return { keys: result.keys, flow: agreedFlow(result, context) };
    },
  };
}

function agreedFlow({ message }: HandshakeResult, context: HandshakeContext): FlowControl {
  if (!message) throw new ProtocolError('ntor-v3: no message from the relay');
  const { sendmeInc } = decodeServerParams(message);
  if (sendmeInc === undefined) return windows(context, false);
  checkSendmeInc(sendmeInc, context.param);
  return vegasFlow({ sendmeInc, param: context.param, path: context.path }, context.clock);
}

/** How a hop is named to other relays, in C tor's order. */
export function hopSpecifiers(hop: HopTarget): LinkSpecifier[] {
  const find = (v6: boolean) => hop.addresses.find((address) => address.host.includes(':') === v6);
  const [ipv4, ipv6] = [find(false), find(true)];
  return specifiersOf({
    rsaId: hop.rsaId,
    ...(ipv4 && { ipv4 }),
    ...(ipv6 && { ipv6 }),
    ...(hop.ed25519Id && { ed25519Id: hop.ed25519Id }),
  });
}

/** The body of EXTEND2 to a hop. */
export const extendBody = (hop: HopTarget, start: ClientHandshake): Uint8Array =>
  EXTEND2.encode({ specifiers: hopSpecifiers(hop), type: start.type, data: start.data });
