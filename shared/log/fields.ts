/**
 * The values of a log line's fields as they are written: plain, short, and scrubbed.
 *
 * @module
 */
import { toHex } from '../bytes/text.js';
import { SCRUBBED, Sensitive } from './sensitive.js';
import type { LogFields } from './types.js';

/** Longest text of one value; a peer may have chosen it. */
const MAX_VALUE = 1000;

/** Control characters could forge lines, or talk to the operator's terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** A text that stays on its line. */
export const oneLine = (text: string): string =>
  text.replace(CONTROL, (char) =>
    char === '\n' ? '\\n' : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );

const bounded = (text: string) => (text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text);

/** One value: bytes as hex, an error as its message and those of its causes. */
function plain(value: unknown, safe: boolean): unknown {
  if (value instanceof Sensitive) return safe ? SCRUBBED : plain(value.value, safe);
  if (value instanceof Uint8Array) return bounded(toHex(value));
  if (value instanceof Error) return bounded(errorText(value));
  if (typeof value === 'string') return bounded(value);
  if (typeof value === 'bigint') return value.toString();
  return value;
}

function errorText(error: Error): string {
  const texts = [error.message || error.name];
  let cause = error.cause;
  // A chain of causes may be circular.
  for (let depth = 0; depth < 4 && cause instanceof Error; depth++, cause = cause.cause) {
    if (cause.message && !texts[texts.length - 1]?.includes(cause.message)) texts.push(cause.message);
  }
  return texts.join(': ');
}

/** The fields, each ready to be written. */
export function plainFields(fields: LogFields, safe: boolean): LogFields {
  const out: LogFields = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) out[name] = plain(value, safe);
  }
  return out;
}

/** `name=value` pairs for a line of text; values with spaces or quotes are quoted. */
export function fieldsText(fields: LogFields): string {
  let text = '';
  for (const [name, value] of Object.entries(fields)) {
    const written = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
    text += ` ${name}=${/^[^\s"=]+$/.test(written) ? oneLine(written) : JSON.stringify(oneLine(written))}`;
  }
  return text;
}
