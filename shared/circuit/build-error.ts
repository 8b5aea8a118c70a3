/**
 * Why a circuit could not be made.
 *
 * @module
 */
import { CepaError } from '../bytes/errors.js';
import { DestroyReason } from '../cell/commands.js';

/**
 * `channel`: no link to the first hop; `handshake`: the hop's answer was wrong, or it is not who we wanted;
 * `destroyed`: DESTROY or TRUNCATED came, `reason` says why; `protocol`: somebody on the circuit broke a rule;
 * `aborted`: we gave up; `unable`: it cannot be asked for (no key, no RELAY_EARLY left).
 */
export type BuildFailure = 'channel' | 'handshake' | 'destroyed' | 'protocol' | 'aborted' | 'unable';

/** A circuit failed while hop number `hop` (1 is the first) was being made. */
export class CircuitBuildError extends CepaError {
  readonly kind: BuildFailure;
  readonly hop: number;
  /** DestroyReason, when there is one. */
  readonly reason: number | undefined;

  constructor(
    kind: BuildFailure,
    hop: number,
    message: string,
    more: { reason?: number; cause?: unknown } = {},
  ) {
    super(
      'circuit-build',
      `hop ${hop}: ${message}`,
      more.cause === undefined ? undefined : { cause: more.cause },
    );
    this.kind = kind;
    this.hop = hop;
    this.reason = more.reason;
  }
}

/**
 * Whether the first hop was there and said no. That is not held against a guard, which may only be busy (C tor:
 * `received_destroy` in `circuit_build_failed`); a channel that closed is.
 */
export const isFirstHopRefusal = (error: unknown): boolean =>
  error instanceof CircuitBuildError &&
  error.hop === 1 &&
  error.kind === 'destroyed' &&
  error.reason !== DestroyReason.CHANNEL_CLOSED;
