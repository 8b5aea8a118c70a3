/**
 * Why a link could not be made or was closed.
 *
 * @module
 */
import { CepaError } from '../bytes/errors.js';

/**
 * `connect`: no connection; `timeout`: connected, but the handshake took too long; `identity`: the peer is somebody
 * else; `protocol`: the peer broke a rule of the handshake; `limit`: a bound of ours; `closed`: the link is gone.
 */
export type LinkFailure = 'connect' | 'timeout' | 'identity' | 'protocol' | 'limit' | 'closed';

/** A link failed; `code` is a LinkFailure. */
export class LinkError extends CepaError {
  declare readonly code: LinkFailure;
}

/** Makes one; the types keep the code to those that are known. */
export const linkError = (code: LinkFailure, message: string, cause?: unknown): LinkError =>
  new LinkError(code, message, cause === undefined ? undefined : { cause });

/** What an error says, for a log line. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
