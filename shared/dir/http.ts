/**
 * HTTP/1.0 as the directory protocol uses it (dir-spec 4, 5): one request and one answer per connection or BEGIN_DIR
 * stream, the answer read to its length or to the end. Both directions of both messages, bounded.
 *
 * @module
 */
import { STATUS_CODES } from 'node:http';
import { constants, gunzipSync, inflateSync } from 'node:zlib';
import { DecodeError, TruncatedError } from '../bytes/errors.js';
import type { DirRequest, DirResponse } from './types.js';

/** Bytes of a request line or status line with its headers. Long lists of digests make long request lines. */
export const MAX_HEAD = 64 * 1024;
/** Header lines of one message. */
const MAX_HEADERS = 64;
/** Decompressed bytes, when the caller does not say. */
export const DEFAULT_MAX_BODY = 16 * 1024 * 1024;
/** zlib streams in one body; C tor concatenates documents compressed one by one. */
const MAX_STREAMS = 10_000;

const HEAD_END = Buffer.from('\r\n\r\n');
const bare = /[\r\n\0]/;

/** `content-encoding` to `Content-Encoding`: C tor compares some names by case [parse_http_response]. */
export const inCapitals = (name: string): string =>
  name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());

function headerLines(headers: Readonly<Record<string, string>>): string {
  let text = '';
  for (const [name, value] of Object.entries(headers)) {
    if (bare.test(name) || bare.test(value))
      throw new DecodeError('header', `${name}: line break in a header`);
    text += `${inCapitals(name)}: ${value}\r\n`;
  }
  return text;
}

/** The bytes of a request. */
export function encodeRequest(request: DirRequest): Uint8Array {
  if (/[\s\0]/.test(request.path)) throw new DecodeError('request.path', 'white space in a path');
  const body = request.body ?? new Uint8Array(0);
  const length: Record<string, string> =
    request.method === 'POST' ? { 'content-length': String(body.length) } : {};
  const head = `${request.method} ${request.path} HTTP/1.0\r\n${headerLines({ ...length, ...request.headers })}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}

/** The bytes of an answer; the body goes as it is, so `headers` must already say how it is encoded. */
export function encodeResponse(response: DirResponse): Uint8Array {
  const reason = response.reason || STATUS_CODES[response.status] || 'Unknown';
  const length: Record<string, string> =
    response.status === 304 ? {} : { 'content-length': String(response.body.length) };
  const head = `HTTP/1.0 ${response.status} ${reason.replace(/[^\x20-\x7e]/g, ' ')}\r\n${headerLines({ ...response.headers, ...length })}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), response.body]);
}

interface Head {
  readonly start: readonly string[];
  readonly headers: Record<string, string>;
}

function parseHead(text: string, what: string): Head {
  const [first = '', ...lines] = text.split('\r\n');
  if (lines.length > MAX_HEADERS) throw new DecodeError(`${what}.headers`, `more than ${MAX_HEADERS}`);
  const headers: Record<string, string> = Object.create(null);
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new DecodeError(`${what}.headers`, 'a line without a name');
    headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { start: first.split(' '), headers };
}

function contentLength(headers: Record<string, string>, what: string): number | undefined {
  const text = headers['content-length'];
  if (text === undefined) return undefined;
  if (!/^\d{1,10}$/.test(text)) throw new DecodeError(`${what}.content-length`, 'not a number');
  return Number(text);
}

/** Collects a message: head, then body up to a length or a limit. */
class Collector {
  private readonly what: string;
  private readonly maxBody: number;
  private chunks: Buffer[] = [];
  private size = 0;
  head: Head | undefined;
  length: number | undefined;

  constructor(what: string, maxBody: number) {
    this.what = what;
    this.maxBody = maxBody;
  }

  /** Copies the chunk. */
  push(chunk: Uint8Array): void {
    this.chunks.push(Buffer.from(chunk));
    this.size += chunk.length;
    if (!this.head) this.findHead();
    if (this.head && this.size > this.maxBody)
      throw new DecodeError(`${this.what}.body`, `more than ${this.maxBody} bytes`);
  }

  private findHead(): void {
    const all = this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks);
    const end = all.indexOf(HEAD_END);
    if (end > MAX_HEAD || (end < 0 && all.length > MAX_HEAD))
      throw new DecodeError(`${this.what}.head`, `more than ${MAX_HEAD} bytes`);
    this.chunks = [all];
    if (end < 0) return;
    this.head = parseHead(all.toString('latin1', 0, end), this.what);
    this.length = contentLength(this.head.headers, this.what);
    if (this.length !== undefined && this.length > this.maxBody)
      throw new DecodeError(
        `${this.what}.content-length`,
        `${this.length} is more than ${this.maxBody} bytes`,
      );
    const body = all.subarray(end + HEAD_END.length);
    this.chunks = [body];
    this.size = body.length;
  }

  get complete(): boolean {
    return this.head !== undefined && this.length !== undefined && this.size >= this.length;
  }

  body(): Buffer {
    const all = Buffer.concat(this.chunks);
    if (this.length === undefined) return all;
    if (all.length < this.length) throw new TruncatedError(`${this.what}.body`, this.length, all.length);
    return all.subarray(0, this.length);
  }
}

/** Undoes a Content-Encoding within a limit. Concatenated zlib streams are one body (dir-spec 4). */
export function decodeBody(encoding: string | undefined, body: Uint8Array, maxBody: number): Uint8Array {
  const inflate =
    encoding === 'deflate'
      ? inflateSync
      : encoding === 'gzip' || encoding === 'x-gzip'
        ? gunzipSync
        : undefined;
  if (!inflate) {
    if (encoding !== undefined && encoding !== 'identity')
      throw new DecodeError('response.content-encoding', `cannot decode ${encoding}`);
    return body;
  }
  const parts: Uint8Array[] = [];
  let size = 0;
  for (let rest = body; rest.length > 0; ) {
    let result: { buffer: Buffer; engine: { bytesWritten: number } };
    try {
      result = inflate(rest, {
        info: true,
        maxOutputLength: Math.max(maxBody - size, 1),
        finishFlush: constants.Z_FINISH,
      }) as unknown as typeof result;
    } catch (cause) {
      throw new DecodeError('response.body', 'cannot be decompressed, or is too large', { cause });
    }
    parts.push(result.buffer);
    size += result.buffer.length;
    if (size > maxBody) throw new DecodeError('response.body', `more than ${maxBody} bytes decompressed`);
    if (result.engine.bytesWritten <= 0 || parts.length > MAX_STREAMS)
      throw new DecodeError('response.body', 'too many compressed streams');
    rest = rest.subarray(result.engine.bytesWritten);
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

/** Reads one answer. */
export class ResponseParser {
  private readonly collector: Collector;
  private readonly maxBody: number;

  constructor(maxBody: number = DEFAULT_MAX_BODY) {
    this.maxBody = maxBody;
    this.collector = new Collector('response', maxBody);
  }

  /** True once the whole answer is there, known by its length; else it ends with the connection. */
  push(chunk: Uint8Array): boolean {
    this.collector.push(chunk);
    return this.collector.complete;
  }

  /** The answer; throws DecodeError when it is cut off or makes no sense. */
  finish(): DirResponse {
    const { head } = this.collector;
    if (!head) throw new DecodeError('response.head', 'the connection ended before the headers did');
    const [version = '', status = '', ...reason] = head.start;
    if (!/^HTTP\/1\.[01]$/.test(version) || !/^[1-5]\d\d$/.test(status))
      throw new DecodeError('response.status', 'not an HTTP answer');
    return {
      status: Number(status),
      reason: reason.join(' '),
      headers: head.headers,
      body: decodeBody(head.headers['content-encoding'], this.collector.body(), this.maxBody),
    };
  }
}

/** Reads one request. */
export class RequestParser {
  private readonly collector: Collector;

  constructor(maxBody: number) {
    this.collector = new Collector('request', maxBody);
  }

  /** The request once it is whole; throws DecodeError when it makes no sense or is too large. */
  push(chunk: Uint8Array): DirRequest | undefined {
    this.collector.push(chunk);
    const { head } = this.collector;
    if (!head) return undefined;
    const [method, path = '', version = ''] = head.start;
    if ((method !== 'GET' && method !== 'POST') || !path.startsWith('/') || !/^HTTP\/1\.[01]$/.test(version))
      throw new DecodeError('request.line', 'not a GET or POST request');
    if (method === 'GET') return { method, path, headers: head.headers };
    if (this.collector.length === undefined) throw new DecodeError('request.content-length', 'missing');
    return this.collector.complete
      ? { method, path, headers: head.headers, body: this.collector.body() }
      : undefined;
  }
}
