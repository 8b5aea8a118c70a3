/**
 * Bodies of relay messages (tor-spec 5.1.2, 6.2 - 6.4, 7; prop324; prop329; padding-spec 3).
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { Reader } from '../bytes/reader.js';
import { Writer } from '../bytes/writer.js';
import { bytesToHost, hostToBytes, isIpv6 } from './addresses.js';
import { CREATED2, create2Fields } from './channel-cells.js';
import { type Codec, counted, fixed, list, only, struct, u8, u16, u32, u64 } from './codec.js';
import { EndReason } from './commands.js';
import { linkSpecifier } from './link-specifiers.js';

const NUL = 0;
const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');

/** Names travel as they are, one byte a character: they are DNS names, but nothing in the protocol says ASCII. */
function nameBytes(name: string, field: string): Uint8Array {
  for (let i = 0; i < name.length; i++)
    if (name.charCodeAt(i) > 0xff) throw new DecodeError(field, 'not a string of bytes');
  return Buffer.from(name, 'latin1');
}

/** Flags of BEGIN (tor-spec 6.2): IPv6 is all right; IPv4 is not; IPv6 is preferred. */
export const BeginFlag = { IPV6_OK: 1, IPV4_NOT_OK: 2, IPV6_PREFERRED: 4 } as const;

/** Where a stream is to go. */
export interface BeginBody {
  /** A name or an IP literal (no brackets); empty for an onion service. */
  readonly host: string;
  /** 1 - 65535. */
  readonly port: number;
  /** BeginFlag bits. */
  readonly flags: number;
}

/** Splits `host:port`, the host in brackets when it is IPv6. */
function splitTarget(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(text);
  if (!match) throw new DecodeError('BEGIN.address', 'not host:port');
  const port = Number(match[3]);
  if (port < 1 || port > 65535) throw new DecodeError('BEGIN.port', `${port} is no port`);
  if (match[1] !== undefined) hostToBytes(match[1], 'BEGIN.address');
  return { host: match[1] ?? match[2]!, port };
}

/** BEGIN: `host:port`, NUL, flags (4). Flags that are cut short or absent are 0, as C tor reads them. */
export const BEGIN: Codec<BeginBody> = {
  name: 'BEGIN',
  encode({ host, port, flags }) {
    const writer = new Writer()
      .bytes(nameBytes(`${isIpv6(host) ? `[${host}]` : host}:${port}`, 'BEGIN.address'))
      .u8(NUL);
    // C tor leaves the flags out when there are none, so that older exits see the older form.
    if (flags !== 0) u32.write(writer, flags, 'BEGIN.flags');
    return writer.finish();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    const target = splitTarget(latin1(reader.until(NUL, 'BEGIN.address')));
    return { ...target, flags: reader.left >= 4 ? reader.u32('BEGIN.flags') : 0 };
  },
};

/** What CONNECTED tells: the address the exit chose; nothing for a directory or an onion service. */
export interface ConnectedBody {
  readonly address: string | undefined;
  /** Seconds; undefined when not told. */
  readonly ttl: number | undefined;
}

const MAX_TTL = 0x7fff_ffff;
const ttlOf = (ttl: number): number | undefined => (ttl <= MAX_TTL ? ttl : undefined);

/** CONNECTED: nothing; or IPv4 (4), ttl (4); or zeros (4), 6 (1), IPv6 (16), ttl (4). */
export const CONNECTED: Codec<ConnectedBody> = {
  name: 'CONNECTED',
  encode({ address, ttl = 0xffff_ffff }) {
    const writer = new Writer(25);
    if (address === undefined) return writer.finish();
    const bytes = hostToBytes(address, 'CONNECTED.address');
    if (bytes.length === 16) writer.zeros(4).u8(6);
    return writer.bytes(bytes).u32(ttl).finish();
  },
  decode(bytes) {
    if (bytes.length === 0) return { address: undefined, ttl: undefined };
    const reader = new Reader(bytes);
    const first = reader.slice(4, 'CONNECTED.address');
    if (first.some((byte) => byte !== 0)) {
      const ttl = reader.left >= 4 ? ttlOf(reader.u32('CONNECTED.ttl')) : undefined;
      return { address: bytesToHost(first), ttl };
    }
    const type = reader.u8('CONNECTED.type');
    if (type !== 6) throw new DecodeError('CONNECTED.type', `unknown type ${type}`);
    const address = bytesToHost(reader.slice(16, 'CONNECTED.address'));
    return { address, ttl: ttlOf(reader.u32('CONNECTED.ttl')) };
  },
};

/** Why a stream ended. */
export interface EndBody {
  /** From EndReason; values this software does not know come through as they are. */
  readonly reason: number;
  /** With EXITPOLICY: the address that the exit refused, and for how long (seconds) the answer holds. */
  readonly address?: string | undefined;
  readonly ttl?: number | undefined;
}

/** END: reason (1); with EXITPOLICY an address (4 or 16) and a ttl (4) may follow. An empty body is MISC. */
export const END: Codec<EndBody> = {
  name: 'END',
  encode({ reason, address, ttl = 0 }) {
    const writer = new Writer(21);
    u8.write(writer, reason, 'END.reason');
    if (reason === EndReason.EXITPOLICY && address !== undefined)
      writer.bytes(hostToBytes(address, 'END.address')).u32(ttl);
    return writer.finish();
  },
  decode(bytes) {
    if (bytes.length === 0) return { reason: EndReason.MISC };
    const reader = new Reader(bytes);
    const reason = reader.u8('END.reason');
    if (reason !== EndReason.EXITPOLICY || reader.left < 4) return { reason };
    const size = reader.left >= 20 ? 16 : 4;
    const address = bytesToHost(reader.slice(size, 'END.address'));
    return { reason, address, ttl: reader.left >= 4 ? ttlOf(reader.u32('END.ttl')) : undefined };
  },
};

/** RESOLVE: a name (or `….in-addr.arpa` / `….ip6.arpa`), NUL-terminated. */
export const RESOLVE: Codec<{ name: string }> = {
  name: 'RESOLVE',
  encode: ({ name }) => new Writer().bytes(nameBytes(name, 'RESOLVE.name')).u8(NUL).finish(),
  decode: (bytes) => ({ name: latin1(new Reader(bytes).until(NUL, 'RESOLVE.name')) }),
};

/** One answer of RESOLVED; ttl in seconds. */
export type ResolvedAnswer =
  | { readonly type: 'address'; readonly address: string; readonly ttl: number }
  | { readonly type: 'name'; readonly name: string; readonly ttl: number }
  /** `transient`: trying again may help. */
  | { readonly type: 'error'; readonly transient: boolean; readonly ttl: number };

const ResolvedType = { NAME: 0, IPV4: 4, IPV6: 6, ERROR_TRANSIENT: 0xf0, ERROR: 0xf1 } as const;

function answerOf(type: number, value: Uint8Array, ttl: number): ResolvedAnswer | undefined {
  switch (type) {
    case ResolvedType.NAME:
      if (value.length === 0) throw new DecodeError('RESOLVED.name', 'empty');
      return { type: 'name', name: latin1(value), ttl };
    case ResolvedType.IPV4:
    case ResolvedType.IPV6:
      if (value.length !== (type === ResolvedType.IPV4 ? 4 : 16))
        throw new DecodeError('RESOLVED.address', `type ${type} with ${value.length} bytes`);
      return { type: 'address', address: bytesToHost(value), ttl };
    case ResolvedType.ERROR_TRANSIENT:
    case ResolvedType.ERROR:
      return { type: 'error', transient: type === ResolvedType.ERROR_TRANSIENT, ttl };
    default:
      return undefined;
  }
}

function answerBytes(answer: ResolvedAnswer): { type: number; value: Uint8Array } {
  switch (answer.type) {
    case 'name':
      return { type: ResolvedType.NAME, value: nameBytes(answer.name, 'RESOLVED.name') };
    case 'error':
      return {
        type: answer.transient ? ResolvedType.ERROR_TRANSIENT : ResolvedType.ERROR,
        value: new Uint8Array(0),
      };
    case 'address': {
      const value = hostToBytes(answer.address, 'RESOLVED.address');
      return { type: value.length === 4 ? ResolvedType.IPV4 : ResolvedType.IPV6, value };
    }
  }
}

/** RESOLVED (tor-spec 6.4): to the end, type (1), length (1), value, ttl (4). Answers of unknown types are left out. */
export const RESOLVED: Codec<{ answers: ResolvedAnswer[] }> = {
  name: 'RESOLVED',
  encode({ answers }) {
    const writer = new Writer();
    for (const answer of answers) {
      const { type, value } = answerBytes(answer);
      counted(u8).write(writer.u8(type), value, 'RESOLVED.value');
      u32.write(writer, answer.ttl, 'RESOLVED.ttl');
    }
    return writer.finish();
  },
  decode(bytes) {
    const reader = new Reader(bytes);
    const answers: ResolvedAnswer[] = [];
    while (reader.left > 0) {
      const type = reader.u8('RESOLVED.type');
      const value = counted(u8).read(reader, 'RESOLVED.value');
      const answer = answerOf(type, value, reader.u32('RESOLVED.ttl'));
      if (answer) answers.push(answer);
    }
    return { answers };
  },
};

/** A SENDME: version 0 has no tag. */
export type SendmeBody =
  | { readonly version: 0 }
  | { readonly version: 1 /** 20 bytes for tor1, 16 for CGO. */; readonly tag: Uint8Array };

/** SENDME (tor-spec 7.4, prop289): nothing (version 0); or version (1), length (2), tag. */
export const SENDME: Codec<SendmeBody> = {
  name: 'SENDME',
  encode(body) {
    const writer = new Writer(23);
    if (body.version === 0) return writer.finish();
    counted(u16).write(writer.u8(1), body.tag, 'SENDME.tag');
    return writer.finish();
  },
  decode(bytes) {
    if (bytes.length === 0) return { version: 0 };
    const reader = new Reader(bytes);
    const version = reader.u8('SENDME.version');
    if (version === 0) return { version };
    if (version !== 1) throw new DecodeError('SENDME.version', `unknown version ${version}`);
    const tag = counted(u16).read(reader, 'SENDME.tag');
    if (tag.length !== 20 && tag.length !== 16)
      throw new DecodeError('SENDME.tag', `${tag.length} bytes; 20 or 16 are right`);
    return { version, tag };
  },
};

/** EXTEND2 (tor-spec 5.1.2): specifier count (1), specifiers, then type (2), length (2), data as in CREATE2. */
export const EXTEND2 = struct('EXTEND2', { specifiers: list(u8, linkSpecifier), ...create2Fields });

/** EXTENDED2 (tor-spec 5.1.2): length (2), data, as in CREATED2. */
export const EXTENDED2: Codec<{ data: Uint8Array }> = { ...CREATED2, name: 'EXTENDED2' };

/** TRUNCATED (tor-spec 5.4): the reason (1), from DestroyReason. */
export const TRUNCATED = struct('TRUNCATED', { reason: u8 });

/** XOFF (prop324 4.2): version (1), 0. */
export const XOFF = struct('XOFF', { version: only(u8, 0) });

/** XON (prop324 4.2): version (1), 0; the rate at which the sender drains (4, kilobytes a second, 0 = unlimited). */
export const XON = struct('XON', { version: only(u8, 0), kbps: u32 });

/** Relay PADDING_NEGOTIATE (padding-spec 3.2). `command` from PaddingCommand. */
export const PADDING_NEGOTIATE = struct('PADDING_NEGOTIATE', {
  version: only(u8, 0),
  command: u8,
  machine: u8,
  echo: u8,
  counter: u32,
});

/** Relay PADDING_NEGOTIATED (padding-spec 3.2); response 1 is "ok", 2 an error. */
export const PADDING_NEGOTIATED = struct('PADDING_NEGOTIATED', {
  version: only(u8, 0),
  command: u8,
  response: u8,
  machine: u8,
  counter: u32,
});

/** CONFLUX_LINK and CONFLUX_LINKED (prop329 3.2): version 1, nonce (32), last sequence numbers (8 each), wanted (1). */
export const CONFLUX_LINK = struct('CONFLUX_LINK', {
  version: only(u8, 1),
  nonce: fixed(32),
  lastSent: u64,
  lastReceived: u64,
  desiredUx: u8,
});

/** CONFLUX_SWITCH (prop329 3.2): by how much the sequence number of this leg goes ahead (4). */
export const CONFLUX_SWITCH = struct('CONFLUX_SWITCH', { sequence: u32 });
