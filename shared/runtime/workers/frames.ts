/**
 * What the main thread and a link thread say to each other. `id` is a connection's, of a listener where it says so.
 *
 * | kind | way | body |
 * | --- | --- | --- |
 * | `LISTEN`, `UNLISTEN` (id of a listener) | to the thread | address; nothing |
 * | `LISTENING`, `REFUSED` (id of a listener) | to main | address; failure |
 * | `ASK` | to main: somebody connects | the listener, and the other side's address |
 * | `ADMIT`, `REJECT` | to the thread, the answer | which identity, with it where it is new; nothing |
 * | `DIAL` | to the thread | address and options |
 * | `OPENED`, `FAILED` | to main: TLS stands; the dial failed | what is known of the other side; failure |
 * | `START`, `PAUSE`, `RESUME` | to the thread: reading may begin, stop, go on | |
 * | `DATA`, `END` | both | bytes; nothing |
 * | `TAKEN` | to the thread: so much was used up | bytes, 32-bit number |
 * | `SENT` | to main: so much was handed to the system | bytes, 32-bit number |
 * | `DESTROY` | to the thread | |
 * | `CLOSED` | to main, the last one of a connection | failure, or nothing |
 * | `STOP` | to the thread: end every connection, then yourself | |
 *
 * Bodies are MessagePack where they are neither bytes nor one number.
 *
 * @module
 */
import { pack, unpack } from 'msgpackr';
import type { DialOptions, NetAddress, TlsIdentity } from '../types.js';

export const Frame = {
  LISTEN: 1,
  UNLISTEN: 2,
  LISTENING: 3,
  REFUSED: 4,
  ASK: 5,
  ADMIT: 6,
  REJECT: 7,
  DIAL: 8,
  OPENED: 9,
  FAILED: 10,
  START: 11,
  DATA: 12,
  END: 13,
  TAKEN: 14,
  SENT: 15,
  DESTROY: 16,
  CLOSED: 17,
  STOP: 18,
  PAUSE: 19,
  RESUME: 20,
} as const;

/** An error on its way to the other thread. */
export interface Failure {
  readonly code: string | undefined;
  readonly message: string;
}

/** `ASK`. */
export interface Asked {
  readonly listener: number;
  readonly host: string;
}

/** `ADMIT`: identities have numbers, so that each crosses once. */
export interface Admitted {
  readonly version: number;
  readonly identity: TlsIdentity | undefined;
}

/** `DIAL`. */
export interface Dialled {
  readonly to: NetAddress;
  readonly options: DialOptions | undefined;
}

/** `OPENED`. */
export interface Opened {
  /** Who accepted it; undefined for a dial. */
  readonly listener: number | undefined;
  readonly remote: NetAddress;
  readonly local: NetAddress;
  readonly peerCertificate: Uint8Array | undefined;
  readonly ownCertificate: Uint8Array | undefined;
}

export const NOTHING = new Uint8Array(0);

export const encode = <T>(message: T): Uint8Array => pack(message);
export const decode = <T>(body: Buffer): T => unpack(Buffer.from(body)) as T;

export const failureOf = (error: Error): Failure => ({
  code: (error as NodeJS.ErrnoException).code,
  message: error.message,
});

export const errorOf = ({ code, message }: Failure): Error =>
  Object.assign(new Error(message), code === undefined ? {} : { code });

const number = Buffer.alloc(4);

/** A 32-bit number; used up by the next one. */
export function encodeNumber(value: number): Buffer {
  number.writeUInt32LE(value);
  return number;
}

export const decodeNumber = (body: Buffer): number => body.readUInt32LE(0);
