/**
 * Flow control of one end of a circuit: how many DATA cells may be sent, and the SENDMEs that acknowledge them
 * (tor-spec 7.3, 7.4; prop289). Here the fixed windows; `vegas.ts` has congestion control.
 *
 * Every so many DATA cells (100, or `sendme_inc`) the receiver sends a SENDME that carries the digest of the cell that
 * made it due. The sender remembers the digests of just those cells, in order: a SENDME it does not expect, or with
 * another digest, is a ProtocolError, which ends the circuit.
 *
 * @module
 */
import { ProtocolError } from '../bytes/errors.js';
import { sameBytes } from '../bytes/text.js';
import { SENDME } from '../cell/relay-cells.js';
import type { CongestionStats } from './congestion-stats.js';

/** Circuit window in DATA cells, and the cells one SENDME stands for. */
export const CIRCUIT_WINDOW = 1000;
export const CIRCUIT_INCREMENT = 100;
/** Stream window in DATA cells, and the cells one stream SENDME stands for. */
export const STREAM_WINDOW = 500;
export const STREAM_INCREMENT = 50;
/** DATA bytes a paused stream takes in under congestion control before XOFF: `cc_xoff_client` and `cc_xoff_exit`. */
export const XOFF_BYTES = 500 * 498;

/** A consensus parameter: its value clamped to [min, max], or the fallback when there is none. */
export type ConsensusParam = (name: string, fallback: number, min: number, max: number) => number;

/** The flow control of one end of a circuit towards the other. */
export interface FlowControl {
  /** Whether streams have windows of their own (and SENDMEs); otherwise they have XON and XOFF. */
  readonly streamWindows: boolean;
  /** DATA cells that may be sent now. */
  readonly room: number;
  /** Bytes a paused stream takes in before XOFF is sent. */
  readonly xoffBytes: number;
  /** Counts one DATA cell sent. True when the peer answers it with a SENDME: `remember` its tag. */
  sent(): boolean;
  /** Keeps the tag of the cell `sent` said true for. */
  remember(tag: Uint8Array): void;
  /**
   * Counts one DATA cell received. True when a SENDME with its tag is due: it is sent at once, whatever the streams
   * do with the data, so that one slow stream does not hold up the others (their own windows bound them).
   */
  received(): boolean;
  /**
   * A circuit SENDME came. `blocked` tells whether the circuit's queue on our channel is full, a sign of congestion.
   * Throws ProtocolError or DecodeError.
   */
  acknowledged(body: Uint8Array, blocked: boolean): void;
  /** Where congestion control sums up its numbers. */
  readonly stats?: CongestionStats;
  /** The circuit is gone. */
  closed?(): void;
}

/** Which SENDMEs are taken. */
export interface SendmeRules {
  /** `sendme_accept_min_version` of the consensus; 0 when it has none. */
  readonly acceptVersion?: number;
  /** The circuit was made with CREATE_FAST: version 0 is taken in any case (C tor: `sendme_is_valid`). */
  readonly fast?: boolean;
}

/** The tags of cells whose SENDME has not come, oldest first. */
export class SendmeTags {
  private readonly tags: Uint8Array[] = [];
  private readonly acceptVersion: number;

  constructor(rules: SendmeRules) {
    this.acceptVersion = rules.fast ? 0 : (rules.acceptVersion ?? 0);
  }

  push(tag: Uint8Array): void {
    this.tags.push(tag);
  }

  /** Takes the oldest tag off; throws unless this SENDME is right for it. */
  check(body: Uint8Array): void {
    const sendme = SENDME.decode(body);
    if (sendme.version < this.acceptVersion)
      throw new ProtocolError(
        `SENDME of version ${sendme.version}, ${this.acceptVersion} is the lowest taken`,
      );
    const expected = this.tags.shift();
    if (!expected) throw new ProtocolError('SENDME for cells that were not sent');
    if (sendme.version === 1 && !sameBytes(sendme.tag, expected))
      throw new ProtocolError('SENDME with a digest other than that of its cell');
  }
}

/** Options of the fixed windows. */
export interface WindowOptions extends SendmeRules {
  /** `circwindow` of the consensus, 100 to 1000: where our package window starts. */
  readonly window?: number;
}

class WindowFlow implements FlowControl {
  readonly streamWindows = true;
  readonly xoffBytes = Number.POSITIVE_INFINITY;
  room: number;
  private unacknowledged = 0;
  private unanswered = 0;
  private readonly tags: SendmeTags;

  constructor(options: WindowOptions) {
    this.room = options.window ?? CIRCUIT_WINDOW;
    this.tags = new SendmeTags(options);
  }

  sent(): boolean {
    this.room--;
    if (++this.unacknowledged < CIRCUIT_INCREMENT) return false;
    this.unacknowledged = 0;
    return true;
  }

  remember(tag: Uint8Array): void {
    this.tags.push(tag);
  }

  received(): boolean {
    if (++this.unanswered < CIRCUIT_INCREMENT) return false;
    this.unanswered = 0;
    return true;
  }

  acknowledged(body: Uint8Array): void {
    this.tags.check(body);
    if (this.room + CIRCUIT_INCREMENT > CIRCUIT_WINDOW)
      throw new ProtocolError('SENDME past the circuit window');
    this.room += CIRCUIT_INCREMENT;
  }
}

/** The fixed windows: 1000 cells a circuit, a SENDME each 100; 500 and 50 a stream. */
export const windowFlow = (options: WindowOptions = {}): FlowControl => new WindowFlow(options);
