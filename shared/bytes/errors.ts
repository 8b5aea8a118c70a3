/**
 * Errors that name what was wrong with bytes or text a peer, a file or an operator gave us.
 *
 * @module
 */

/** Base of every error Cepa throws on purpose. `code` is stable and meant for programs. */
export class CepaError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Bytes or text that do not follow their format. `field` names the place, e.g. `CERTS.count`. */
export class DecodeError extends CepaError {
  readonly field: string;
  constructor(field: string, message: string, options?: { cause?: unknown }) {
    super('decode', `${field}: ${message}`, options);
    this.field = field;
  }
}

/** More bytes were needed than there are. */
export class TruncatedError extends DecodeError {
  constructor(field: string, wanted: number, left: number) {
    super(field, `wanted ${wanted} bytes, ${left} left`);
  }
}

/** A peer broke a protocol rule. `reason` says which, for the log; the peer only sees the reason byte. */
export class ProtocolError extends CepaError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('protocol', message, options);
  }
}
