/**
 * The messages inside an ntor-v3 handshake: a list of extensions (tor-spec create-created-cells, proposals 324, 346).
 *
 * n_ext(1), then each: type(1) len(1) body. Types in ascending order, each at most once.
 * 1 congestion control request (empty), 2 congestion control response (sendme_inc, 1 byte), 3 subprotocol request
 * (pairs of protocol id and capability, ascending).
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { Reader } from '../bytes/reader.js';
import { Writer } from '../bytes/writer.js';

/** Extension types. */
export const CircuitExtension = {
  CC_REQUEST: 1,
  CC_RESPONSE: 2,
  SUBPROTOCOLS: 3,
} as const;

/** Protocol ids of subprotocol requests [prop346, protover.h]. */
export const SubprotocolId = { LINK: 0, LINKAUTH: 1, RELAY: 2 } as const;

/** A capability asked for: `{protocol: 2, capability: 6}` is Relay=6 (CGO). */
export interface SubprotocolRequest {
  readonly protocol: number;
  readonly capability: number;
}

/** What the client asks for. */
export interface ClientCircuitParams {
  /** Wants congestion control (FlowCtrl=2). */
  readonly congestionControl: boolean;
  /** Capabilities that must be switched on; empty when none. */
  readonly subprotocols: readonly SubprotocolRequest[];
}

/** What the server grants. */
export interface ServerCircuitParams {
  /** Cells for each SENDME (`cc_sendme_inc`); absent when congestion control was not granted. */
  readonly sendmeInc?: number;
}

interface RawExtension {
  readonly type: number;
  readonly body: Uint8Array;
}

function encodeExtensions(extensions: readonly RawExtension[]): Uint8Array {
  const out = new Writer(16).u8(extensions.length);
  for (const { type, body } of extensions) out.u8(type).u8(body.length).bytes(body);
  return out.finish();
}

/** Known types appear once; unknown ones are skipped. */
function decodeExtensions(message: Uint8Array): Map<number, Uint8Array> {
  const reader = new Reader(message);
  const count = reader.u8('circuit extensions.count');
  const found = new Map<number, Uint8Array>();
  for (let i = 0; i < count; i++) {
    const type = reader.u8('circuit extension.type');
    const body = reader.slice(reader.u8('circuit extension.length'), 'circuit extension.body');
    if (found.has(type)) throw new DecodeError('circuit extension.type', `type ${type} appears twice`);
    found.set(type, body);
  }
  return found;
}

/** The client's message. */
export function encodeClientParams(params: ClientCircuitParams): Uint8Array {
  const extensions: RawExtension[] = [];
  if (params.congestionControl)
    extensions.push({ type: CircuitExtension.CC_REQUEST, body: new Uint8Array(0) });
  if (params.subprotocols.length > 0) {
    const sorted = [...params.subprotocols].sort(comparePairs);
    const body = Uint8Array.from(sorted.flatMap((pair) => [pair.protocol, pair.capability]));
    extensions.push({ type: CircuitExtension.SUBPROTOCOLS, body });
  }
  return encodeExtensions(extensions);
}

const comparePairs = (a: SubprotocolRequest, b: SubprotocolRequest): number =>
  a.protocol - b.protocol || a.capability - b.capability;

/** Reads the client's message. Throws DecodeError. */
export function decodeClientParams(message: Uint8Array): ClientCircuitParams {
  const found = decodeExtensions(message);
  const body = found.get(CircuitExtension.SUBPROTOCOLS);
  return {
    congestionControl: found.has(CircuitExtension.CC_REQUEST),
    subprotocols: body === undefined ? [] : decodePairs(body),
  };
}

function decodePairs(body: Uint8Array): SubprotocolRequest[] {
  const field = 'subprotocol request';
  if (body.length % 2 !== 0) throw new DecodeError(field, `${body.length} bytes are not pairs`);
  const pairs: SubprotocolRequest[] = [];
  for (let i = 0; i < body.length; i += 2) {
    const pair = { protocol: body[i]!, capability: body[i + 1]! };
    const before = pairs.at(-1);
    if (before !== undefined && comparePairs(before, pair) >= 0)
      throw new DecodeError(field, 'pairs are not in ascending order');
    pairs.push(pair);
  }
  return pairs;
}

/** The server's message. */
export function encodeServerParams(params: ServerCircuitParams): Uint8Array {
  if (params.sendmeInc === undefined) return encodeExtensions([]);
  return encodeExtensions([{ type: CircuitExtension.CC_RESPONSE, body: Uint8Array.of(params.sendmeInc) }]);
}

/** Reads the server's message. Throws DecodeError; whether the increment is sane is for flow control to say. */
export function decodeServerParams(message: Uint8Array): ServerCircuitParams {
  const body = decodeExtensions(message).get(CircuitExtension.CC_RESPONSE);
  if (body === undefined) return {};
  const reader = new Reader(body);
  const sendmeInc = reader.u8('congestion control response.sendme_inc');
  reader.end('congestion control response');
  if (sendmeInc === 0) throw new DecodeError('congestion control response.sendme_inc', 'is zero');
  return { sendmeInc };
}
