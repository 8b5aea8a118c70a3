/**
 * Bodies of the cells that belong to a link or set up a circuit. Fixed-length bodies are zero-padded to 509 bytes on
 * the wire, so every decoder ignores what follows its message.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { Reader } from '../bytes/reader.js';
import { Writer } from '../bytes/writer.js';
import { bytesToHost, hostToBytes } from './addresses.js';
import { type Codec, counted, type Field, fixed, group, list, struct, u8, u16, u32 } from './codec.js';
import { BODY_SIZE } from './commands.js';

/** Most bytes of handshake data in CREATE2: 509 less type (2) and length (2). */
export const MAX_CREATE2_DATA = BODY_SIZE - 4;
/** Most bytes of handshake data in CREATED2, so that it also fits into EXTENDED2: 498 less length (2). */
export const MAX_CREATED2_DATA = 496;

const bounded = (field: Field<Uint8Array>, limit: number): Field<Uint8Array> => ({
  read(from, name) {
    const value = field.read(from, name);
    if (value.length > limit) throw new DecodeError(name, `${value.length} bytes, at most ${limit} allowed`);
    return value;
  },
  write(to, value, name) {
    if (value.length > limit)
      throw new RangeError(`${name}: ${value.length} bytes, at most ${limit} allowed`);
    field.write(to, value, name);
  },
});

const toTheEnd: Field<number[]> = {
  read(from, name) {
    const numbers: number[] = [];
    if (from.left % 2 !== 0) throw new DecodeError(name, `odd length ${from.left}`);
    while (from.left > 0) numbers.push(from.u16(name));
    return numbers;
  },
  write(to, numbers, name) {
    for (const number of numbers) u16.write(to, number, name);
  },
};

/** VERSIONS (tor-spec 4.1): link protocol numbers of 2 bytes each, to the end of the body. */
export const VERSIONS = struct('VERSIONS', { versions: toTheEnd });

/** CERTS (tor-spec 4.2): count (1), then type (1), length (2), certificate. Types are in crypto/certs. */
export const CERTS = struct('CERTS', {
  certs: list(u8, group({ type: u8, body: counted(u16) })),
});

/** AUTH_CHALLENGE (tor-spec 4.3): challenge (32), count (2), methods (2 each). */
export const AUTH_CHALLENGE = struct('AUTH_CHALLENGE', { challenge: fixed(32), methods: list(u16, u16) });

/** AUTHENTICATE (tor-spec 4.4): type (2), length (2), authenticator. */
export const AUTHENTICATE = struct('AUTHENTICATE', { type: u16, authenticator: counted(u16) });

/** What a NETINFO cell says. */
export interface NetInfoBody {
  /** Seconds since 1970; 0 when the sender (a client) does not tell. */
  readonly timestamp: number;
  /** Our address as the sender sees it; undefined when it says 0.0.0.0 or ::, or is of an unknown type. */
  readonly peer: string | undefined;
  /** The sender's own addresses; those of an unknown type are left out. */
  readonly own: readonly string[];
}

const taggedAddress = group({ type: u8, value: counted(u8) });

function hostOf({ type, value }: { type: number; value: Uint8Array }): string | undefined {
  if (!(type === 4 && value.length === 4) && !(type === 6 && value.length === 16)) return undefined;
  return value.some((byte) => byte !== 0) ? bytesToHost(value) : undefined;
}

function tagged(host: string | undefined): { type: number; value: Uint8Array } {
  const value = hostToBytes(host ?? '0.0.0.0', 'NETINFO');
  return { type: value.length === 4 ? 4 : 6, value };
}

/** NETINFO (tor-spec 4.5): time (4), other's address (type, length, bytes), count (1), own addresses. */
export const NETINFO: Codec<NetInfoBody> = {
  name: 'NETINFO',
  encode({ timestamp, peer, own }) {
    const writer = new Writer();
    u32.write(writer, timestamp, 'NETINFO.timestamp');
    taggedAddress.write(writer, tagged(peer), 'NETINFO.peer');
    list(u8, taggedAddress).write(writer, own.map(tagged), 'NETINFO.own');
    return writer.finish();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    const timestamp = reader.u32('NETINFO.timestamp');
    const peer = hostOf(taggedAddress.read(reader, 'NETINFO.peer'));
    const own = list(u8, taggedAddress).read(reader, 'NETINFO.own').map(hostOf);
    return { timestamp, peer, own: own.filter((host) => host !== undefined) };
  },
};

/** The handshake part of CREATE2 and EXTEND2: type (2), length (2), data. */
export const create2Fields = { type: u16, data: bounded(counted(u16), MAX_CREATE2_DATA) };

/** CREATE2 (tor-spec 5.1). */
export const CREATE2 = struct('CREATE2', create2Fields);

/** CREATED2 (tor-spec 5.1): length (2), data. */
export const CREATED2 = struct('CREATED2', { data: bounded(counted(u16), MAX_CREATED2_DATA) });

/** CREATE_FAST (tor-spec 5.1.4): X (20). */
export const CREATE_FAST = struct('CREATE_FAST', { x: fixed(20) });

/** CREATED_FAST (tor-spec 5.1.4): Y (20), derivative key data (20). */
export const CREATED_FAST = struct('CREATED_FAST', { y: fixed(20), kh: fixed(20) });

/** DESTROY (tor-spec 5.4): the reason (1). */
export const DESTROY = struct('DESTROY', { reason: u8 });

/** Commands of a PADDING_NEGOTIATE cell and of the relay message of that name. */
export const PaddingCommand = { STOP: 1, START: 2 } as const;

/**
 * PADDING_NEGOTIATE (padding-spec 2.2): version (1, 0), command (1), lowest and highest idle time before padding
 * (2 each, milliseconds).
 */
export const PADDING_NEGOTIATE = struct('PADDING_NEGOTIATE', {
  version: u8,
  command: u8,
  low: u16,
  high: u16,
});
