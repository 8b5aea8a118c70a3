/**
 * Structured logs. Levels are Tor's. Fields never hold a client's address, a destination or a key unless SafeLogging
 * is off: wrap such values in `sensitive()` (`log/log.ts`).
 *
 * @module
 */

/** Extra values of a log line. */
export type LogFields = Record<string, unknown>;

/** A logger; `child` adds a domain and fields to every line. */
export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  notice(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  child(domain: string, fields?: LogFields): Log;
}
