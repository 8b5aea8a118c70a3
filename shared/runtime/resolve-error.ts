/**
 * Why a name could not be resolved.
 *
 * @module
 */
import { CepaError } from '../bytes/errors.js';

/** `notfound`: the name does not exist, for good; `busy`: too many queries are under way; the others may pass. */
export type ResolveFailure = 'notfound' | 'timeout' | 'failed' | 'busy';

/** A Resolver's rejection. */
export class ResolveError extends CepaError {
  readonly kind: ResolveFailure;
  constructor(kind: ResolveFailure, message: string, options?: { cause?: unknown }) {
    super(`resolve-${kind}`, message, options);
    this.kind = kind;
  }
}
