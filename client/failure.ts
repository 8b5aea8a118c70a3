/**
 * Why a request of an application failed, in one vocabulary that SOCKS replies, HTTP status lines and the embedding
 * API are made from.
 *
 * @module
 */
import { CepaError } from '../shared/bytes/errors.js';
import { EndReason } from '../shared/cell/commands.js';

/** What went wrong. The onion-service causes are those of proposal 304 and of C tor's ExtendedErrors. */
export type FailureKind =
  /** Something without a better name: an internal error, a circuit that died. */
  | 'general'
  /** The exit's policy, or our own, refuses the destination. */
  | 'not-allowed'
  /** No way to the network: no consensus, no circuit. */
  | 'network-unreachable'
  /** The name does not resolve, or the exit has no route to it. */
  | 'host-unreachable'
  /** The destination refused or reset the connection. */
  | 'connection-refused'
  /** Nothing answered, or no circuit stood, in time. */
  | 'timeout'
  | 'command-unsupported'
  | 'address-unsupported'
  | 'onion-not-found'
  | 'onion-invalid'
  | 'onion-intro-failed'
  | 'onion-rendezvous-failed'
  | 'onion-auth-missing'
  | 'onion-auth-wrong'
  | 'onion-bad-address'
  | 'onion-intro-timeout';

/** A stream that could not be opened, or a name that could not be resolved. `code` is `client/<kind>`. */
export class StreamError extends CepaError {
  readonly kind: FailureKind;
  /** The END reason the exit gave, when it was the exit that refused. */
  readonly endReason: number | undefined;
  constructor(kind: FailureKind, message: string, options?: { cause?: unknown; endReason?: number }) {
    super(`client/${kind}`, message, options);
    this.kind = kind;
    this.endReason = options?.endReason;
  }
}

/** The failure an END before CONNECTED means (C tor: `stream_end_reason_to_socks5_response`). */
export function failureOfEnd(reason: number): FailureKind {
  switch (reason) {
    case EndReason.RESOLVEFAILED:
    case EndReason.NOROUTE:
      return 'host-unreachable';
    case EndReason.EXITPOLICY:
      return 'not-allowed';
    // DONE before CONNECTED: the far side closed before telling us that it had opened.
    case EndReason.CONNECTREFUSED:
    case EndReason.CONNRESET:
    case EndReason.DONE:
      return 'connection-refused';
    case EndReason.TIMEOUT:
      return 'timeout';
    default:
      return 'general';
  }
}

/** Reply byte of SOCKS5 (RFC 1928 6; 0xF0 and up by proposal 304 and C tor's `socks5_status.h`). */
export const SOCKS5_CODE: Readonly<Record<FailureKind, number>> = {
  general: 0x01,
  'not-allowed': 0x02,
  'network-unreachable': 0x03,
  'host-unreachable': 0x04,
  'connection-refused': 0x05,
  timeout: 0x06,
  'command-unsupported': 0x07,
  'address-unsupported': 0x08,
  'onion-not-found': 0xf0,
  'onion-invalid': 0xf1,
  'onion-intro-failed': 0xf2,
  'onion-rendezvous-failed': 0xf3,
  'onion-auth-missing': 0xf4,
  'onion-auth-wrong': 0xf5,
  'onion-bad-address': 0xf6,
  'onion-intro-timeout': 0xf7,
};

/** Status of a refused HTTP CONNECT (C tor: `end_reason_to_http_connect_response_line`). */
export const HTTP_STATUS: Readonly<Record<FailureKind, string>> = {
  general: '502 Bad Gateway',
  'not-allowed': '403 Forbidden (exit policy)',
  'network-unreachable': '503 Service Unavailable (no circuit)',
  'host-unreachable': '503 Service Unavailable (resolve failed or no route)',
  'connection-refused': '403 Forbidden (connection refused)',
  timeout: '504 Gateway Timeout',
  'command-unsupported': '405 Method Not Allowed',
  'address-unsupported': '400 Bad Request',
  'onion-not-found': '503 Service Unavailable (onion service descriptor not found)',
  'onion-invalid': '502 Bad Gateway (onion service descriptor invalid)',
  'onion-intro-failed': '502 Bad Gateway (onion service introduction failed)',
  'onion-rendezvous-failed': '502 Bad Gateway (onion service rendezvous failed)',
  'onion-auth-missing': '403 Forbidden (onion service client authorization missing)',
  'onion-auth-wrong': '403 Forbidden (onion service client authorization wrong)',
  'onion-bad-address': '400 Bad Request (invalid onion address)',
  'onion-intro-timeout': '504 Gateway Timeout (onion service introduction)',
};
