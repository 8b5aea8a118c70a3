/**
 * Directory documents as a sequence of items (dir-spec 1.2, rend-spec-v3 2.4):
 *
 *     item    = keyword [ SP rest ] NL [ object ]
 *     keyword = ( letter | digit ) *( letter | digit | "-" )
 *     object  = "-----BEGIN " label "-----" NL base64 NL "-----END " label "-----" NL
 *
 * A document is a string of its UTF-8 text; digests are of `bytesOf(text)`. Limits: a line or an object has at most
 * 128 KiB, a line at most 512 arguments, as in C tor [get_next_token].
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { fromBase64 } from '../bytes/text.js';

const MAX_LINE = 128 * 1024;
const MAX_OBJECT = 128 * 1024;
const MAX_ARGUMENTS = 512;
const BEGIN = '-----BEGIN ';
const END = '-----END ';
const DASHES = '-----';
const HYPHEN = 45;
const SPACE = 32;
const TAB = 9;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The text of a document that came as bytes.
 *
 * @throws DecodeError naming `document` when it is not UTF-8.
 */
export function documentText(bytes: Uint8Array, document: string): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new DecodeError(document, 'not UTF-8', { cause });
  }
}

/** Bytes between BEGIN and END lines. */
export interface ItemObject {
  readonly label: string;
  readonly bytes: Uint8Array;
}

/** One item of a document. */
export class Item {
  readonly document: string;
  readonly keyword: string;
  /** The line after the keyword and the blanks that follow it. */
  readonly rest: string;
  readonly object: ItemObject | undefined;

  constructor(document: string, keyword: string, rest: string, object: ItemObject | undefined) {
    this.document = document;
    this.keyword = keyword;
    this.rest = rest;
    this.object = object;
  }

  /** How errors call it, e.g. `descriptor.bandwidth`. */
  get field(): string {
    return `${this.document}.${this.keyword}`;
  }

  /** The words of the line. At least `least`; what follows those known is for later versions, and ignored. */
  args(least: number): readonly string[] {
    const words = splitWords(this.rest);
    if (words.length < least) this.fail(`wants ${least} arguments, has ${words.length}`);
    if (words.length > MAX_ARGUMENTS) this.fail(`${words.length} arguments`);
    return words;
  }

  fail(message: string): never {
    throw new DecodeError(this.field, message);
  }
}

/** Words between runs of blanks and tabs. */
function splitWords(rest: string): readonly string[] {
  const words: string[] = [];
  let from = -1;
  for (let at = 0; at < rest.length; at++) {
    const code = rest.charCodeAt(at);
    const blank = code === SPACE || code === TAB;
    if (!blank && from < 0) from = at;
    if (!blank || from < 0) continue;
    words.push(rest.slice(from, at));
    from = -1;
  }
  if (from >= 0) words.push(rest.slice(from));
  return words;
}

const isKeywordCode = (code: number): boolean =>
  (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57) || code === HYPHEN;

/** Walks over the items of text[from, to). */
export class Tokenizer {
  readonly document: string;
  private readonly text: string;
  private readonly to: number;
  private at: number;
  /** The line at `at`, once looked at. */
  private keyword: string | undefined;
  private lineEnd = 0;

  constructor(document: string, text: string, from = 0, to = text.length) {
    this.document = document;
    this.text = text;
    this.at = from;
    this.to = to;
  }

  /** Where the next item starts. */
  get offset(): number {
    return this.at;
  }

  /** The keyword of the next item; undefined at the end. */
  peek(): string | undefined {
    if (this.keyword !== undefined) return this.keyword;
    if (this.at >= this.to) return undefined;
    const end = this.text.indexOf('\n', this.at);
    if (end < 0 || end >= this.to) throw new DecodeError(this.document, 'no newline at the end');
    if (end - this.at > MAX_LINE) throw new DecodeError(this.document, `line of ${end - this.at} characters`);
    this.lineEnd = end;
    this.keyword = this.keywordAt(end);
    return this.keyword;
  }

  private keywordAt(lineEnd: number): string {
    let at = this.at;
    while (at < lineEnd && isKeywordCode(this.text.charCodeAt(at))) at++;
    const next = this.text.charCodeAt(at);
    if (
      at === this.at ||
      this.text.charCodeAt(this.at) === HYPHEN ||
      (at < lineEnd && next !== SPACE && next !== TAB)
    )
      throw new DecodeError(
        this.document,
        `no keyword in ${JSON.stringify(this.text.slice(this.at, this.at + 40))}`,
      );
    return this.text.slice(this.at, at);
  }

  /** The next item; undefined at the end. */
  next(): Item | undefined {
    const keyword = this.peek();
    if (keyword === undefined) return undefined;
    const { lineEnd, text } = this;
    let from = this.at + keyword.length;
    while (from < lineEnd && (text.charCodeAt(from) === SPACE || text.charCodeAt(from) === TAB)) from++;
    const rest = text.slice(from, lineEnd);
    this.at = lineEnd + 1;
    this.keyword = undefined;
    const object = text.startsWith(BEGIN, this.at) ? this.readObject(keyword) : undefined;
    return new Item(this.document, keyword, rest, object);
  }

  private readObject(keyword: string): ItemObject {
    const field = `${this.document}.${keyword}`;
    const { text } = this;
    const beginEnd = text.indexOf('\n', this.at);
    const begin = beginEnd < 0 ? '' : text.slice(this.at, Math.min(beginEnd, this.at + 200));
    const label = begin.slice(BEGIN.length, -DASHES.length);
    if (!begin.endsWith(DASHES) || label === '') throw new DecodeError(field, 'bad BEGIN line');
    const end = text.indexOf(END, beginEnd + 1);
    const endLine = `${END}${label}${DASHES}\n`;
    if (end < 0 || end + endLine.length > this.to || !text.startsWith(endLine, end))
      throw new DecodeError(field, `no END line for ${label}`);
    if (end - beginEnd > MAX_OBJECT) throw new DecodeError(field, `object of ${end - beginEnd} characters`);
    this.at = end + endLine.length;
    return { label, bytes: fromBase64(text.slice(beginEnd + 1, end).replaceAll('\n', ''), field) };
  }
}

/** Base64 in lines of 64 characters between BEGIN and END lines. */
export function formatObject({ label, bytes }: ItemObject): string {
  const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `${BEGIN}${label}${DASHES}\n${lines.map((line) => `${line}\n`).join('')}${END}${label}${DASHES}\n`;
}
