/**
 * The one table of channel commands and of relay commands (tor-spec 3, 6.1), and the reasons of DESTROY and END.
 *
 * @module
 */

/** Link-protocol 4 and 5: circuit id (4), command (1), body (509). */
export const CELL_SIZE = 514;
/** Bytes of a fixed-length cell's body. */
export const BODY_SIZE = 509;
/** Bytes before the body: circuit id and command. */
export const CELL_HEADER_SIZE = 5;
/** Data bytes of a v0 relay cell: 509 - 11. */
export const RELAY_DATA_SIZE = 498;
/** Bytes before the data of a v0 relay cell: command, recognized (2), stream (2), digest (4), length (2). */
export const RELAY_HEADER_SIZE = 11;

/** Channel (cell) commands. */
export const Command = {
  PADDING: 0,
  CREATE: 1,
  CREATED: 2,
  RELAY: 3,
  DESTROY: 4,
  CREATE_FAST: 5,
  CREATED_FAST: 6,
  VERSIONS: 7,
  NETINFO: 8,
  RELAY_EARLY: 9,
  CREATE2: 10,
  CREATED2: 11,
  PADDING_NEGOTIATE: 12,
  VPADDING: 128,
  CERTS: 129,
  AUTH_CHALLENGE: 130,
  AUTHENTICATE: 131,
  AUTHORIZE: 132,
} as const;

/** Relay-cell commands. */
export const RelayCommand = {
  BEGIN: 1,
  DATA: 2,
  END: 3,
  CONNECTED: 4,
  SENDME: 5,
  EXTEND: 6,
  EXTENDED: 7,
  TRUNCATE: 8,
  TRUNCATED: 9,
  DROP: 10,
  RESOLVE: 11,
  RESOLVED: 12,
  BEGIN_DIR: 13,
  EXTEND2: 14,
  EXTENDED2: 15,
  CONFLUX_LINK: 19,
  CONFLUX_LINKED: 20,
  CONFLUX_LINKED_ACK: 21,
  CONFLUX_SWITCH: 22,
  ESTABLISH_INTRO: 32,
  ESTABLISH_RENDEZVOUS: 33,
  INTRODUCE1: 34,
  INTRODUCE2: 35,
  RENDEZVOUS1: 36,
  RENDEZVOUS2: 37,
  INTRO_ESTABLISHED: 38,
  RENDEZVOUS_ESTABLISHED: 39,
  INTRODUCE_ACK: 40,
  PADDING_NEGOTIATE: 41,
  PADDING_NEGOTIATED: 42,
  XOFF: 43,
  XON: 44,
} as const;

/** Why a circuit was destroyed or truncated (tor-spec 5.4). */
export const DestroyReason = {
  NONE: 0,
  PROTOCOL: 1,
  INTERNAL: 2,
  REQUESTED: 3,
  HIBERNATING: 4,
  RESOURCELIMIT: 5,
  CONNECTFAILED: 6,
  OR_IDENTITY: 7,
  CHANNEL_CLOSED: 8,
  FINISHED: 9,
  TIMEOUT: 10,
  DESTROYED: 11,
  NOSUCHSERVICE: 12,
} as const;

/** Why a stream was ended (tor-spec 6.3). */
export const EndReason = {
  MISC: 1,
  RESOLVEFAILED: 2,
  CONNECTREFUSED: 3,
  EXITPOLICY: 4,
  DESTROY: 5,
  DONE: 6,
  TIMEOUT: 7,
  NOROUTE: 8,
  HIBERNATING: 9,
  INTERNAL: 10,
  RESOURCELIMIT: 11,
  CONNRESET: 12,
  TORPROTOCOL: 13,
  NOTDIRECTORY: 14,
} as const;

/** Circuit handshake types of CREATE2 and EXTEND2 (tor-spec 5.1). */
export const HandshakeType = { TAP: 0, FAST: 1, NTOR: 2, NTOR_V3: 3 } as const;

/** A number out of one of these tables. */
export type CodeOf<T extends Record<string, number>> = T[keyof T];

const namesOf = (table: Record<string, number>) =>
  new Map(Object.entries(table).map(([name, code]) => [code, name]));
const tables = new Map<Record<string, number>, Map<number, string>>();

/** The name of a code in one of the tables, for logs and metrics; `#n` when it has none. */
export function nameOf(table: Record<string, number>, code: number): string {
  let names = tables.get(table);
  if (!names) {
    names = namesOf(table);
    tables.set(table, names);
  }
  return names.get(code) ?? `#${code}`;
}

/** Whether a command's cells have a length field: VERSIONS and all from 128 on (tor-spec 3). */
export const isVariable = (command: number): boolean => command === Command.VERSIONS || command >= 128;
