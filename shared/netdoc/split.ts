/**
 * Documents that come one after the other in one text, and the extents that signatures cover.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { bytesOf } from '../bytes/text.js';

/** A document that could not be used. */
export interface FailedDocument {
  readonly error: DecodeError;
  readonly text: string;
}

/** What a concatenation of documents held. */
export interface ParsedDocuments<T> {
  readonly documents: readonly T[];
  readonly errors: readonly FailedDocument[];
}

const startsItem = (text: string, at: number, keyword: string): boolean => {
  if (!text.startsWith(keyword, at)) return false;
  const next = text.charCodeAt(at + keyword.length);
  return next === 10 || next === 32;
};

/**
 * Cuts a text before each line whose keyword is one of `starts`, and gives the documents that start with `wanted`.
 * Annotations (`@` lines) before a document and empty lines after it are dropped, as is all before the first.
 */
export function splitDocuments(text: string, starts: readonly string[], wanted: string): string[] {
  const documents: string[] = [];
  let from = -1;
  const close = (to: number) => {
    if (from >= 0 && startsItem(text, from, wanted)) documents.push(`${text.slice(from, to).trimEnd()}\n`);
  };
  for (let at = 0; at < text.length; ) {
    const annotation = text.charCodeAt(at) === 64;
    if (annotation || starts.some((keyword) => startsItem(text, at, keyword))) {
      close(at);
      from = annotation ? -1 : at;
    }
    const end = text.indexOf('\n', at);
    at = end < 0 ? text.length : end + 1;
  }
  close(text.length);
  return documents;
}

/** Parses each text; those that fail are kept with what was wrong. */
export function parseEach<T>(texts: readonly string[], parse: (text: string) => T): ParsedDocuments<T> {
  const documents: T[] = [];
  const errors: FailedDocument[] = [];
  for (const text of texts) {
    try {
      documents.push(parse(text));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      errors.push({ error, text });
    }
  }
  return { documents, errors };
}

/**
 * The bytes of a text from its start through the first `marker` at the start of a line, which is what a signature
 * covers.
 *
 * @throws DecodeError naming `field` when the marker is not there.
 */
export function signedPart(text: string, marker: string, field: string): Uint8Array {
  const at = text.indexOf(`\n${marker}`);
  if (at < 0) throw new DecodeError(field, 'missing');
  return bytesOf(text.slice(0, at + 1 + marker.length));
}

/** Refuses a text of more than `most` bytes. */
export function checkSize(text: string, most: number, document: string): void {
  const size = text.length > most ? text.length : Buffer.byteLength(text);
  if (size > most) throw new DecodeError(document, `${size} bytes, at most ${most} are allowed`);
}
