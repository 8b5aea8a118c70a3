/**
 * Values that a log must not hold unless SafeLogging is off: a client's address, a destination, a key.
 *
 * @module
 */

/** What stands in a log in place of a sensitive value, as in C tor. */
export const SCRUBBED = '[scrubbed]';

/** A wrapped value. Only a log with SafeLogging off looks inside; everything else sees `[scrubbed]`. */
export class Sensitive {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
  toString(): string {
    return SCRUBBED;
  }
  toJSON(): string {
    return SCRUBBED;
  }
}

/** Marks a field of a log line as sensitive: `log.info('Connected', { peer: sensitive(address) })`. */
export const sensitive = (value: unknown): Sensitive => new Sensitive(value);
