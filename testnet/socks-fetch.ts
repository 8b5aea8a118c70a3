/**
 * The least of a SOCKS5 client (RFC 1928) that can fetch a page by name: how a testnet finds out that it works.
 *
 * @module
 */
import { connect } from 'node:net';
import { CepaError } from '../shared/bytes/errors.js';

/** A fetch that did not come to its end. */
export class FetchError extends CepaError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('fetch', message, options);
  }
}

/** Most bytes of an answer. */
const MAX_ANSWER = 1 << 20;

/** RFC 1928, 6. */
const REPLIES = [
  'succeeded',
  'general failure',
  'not allowed',
  'network unreachable',
  'host unreachable',
  'connection refused',
  'TTL expired',
  'command not supported',
  'address type not supported',
];

/** What to fetch, and through what. */
export interface FetchRequest {
  readonly proxy: { readonly host: string; readonly port: number };
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Milliseconds of silence after which it failed. */
  readonly timeout: number;
}

function greeting(): Buffer {
  return Buffer.from([5, 1, 0]);
}

function connectRequest(host: string, port: number): Buffer {
  const name = Buffer.from(host, 'latin1');
  const tail = Buffer.from([port >> 8, port & 255]);
  return Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), name, tail]);
}

/** Length of a SOCKS5 reply that starts the buffer; 0 while it is not all there. */
function replyLength(bytes: Buffer): number {
  if (bytes.length < 5) return 0;
  const address = bytes[3] === 1 ? 4 : bytes[3] === 4 ? 16 : 1 + (bytes[4] as number);
  return bytes.length < 6 + address ? 0 : 6 + address;
}

/** GETs a page by SOCKS5 with remote resolution; the body. Rejects with a FetchError. */
export function fetchBySocks(request: FetchRequest): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(request.proxy.port, request.proxy.host);
    const fail = (message: string, cause?: unknown) => {
      socket.destroy();
      reject(new FetchError(message, { cause }));
    };
    let step: 'greeting' | 'reply' | 'answer' = 'greeting';
    let held = Buffer.alloc(0);

    const advance = () => {
      if (step === 'greeting' && held.length >= 2) {
        if (held[0] !== 5 || held[1] !== 0) return fail('the proxy does not speak SOCKS5 without a password');
        held = held.subarray(2);
        step = 'reply';
        socket.write(connectRequest(request.host, request.port));
      }
      const length = step === 'reply' ? replyLength(held) : 0;
      if (length > 0) {
        const code = held[1] as number;
        if (code !== 0) return fail(`the proxy refused: ${REPLIES[code] ?? `code ${code}`}`);
        held = held.subarray(length);
        step = 'answer';
        socket.write(`GET ${request.path} HTTP/1.0\r\nHost: ${request.host}\r\n\r\n`);
      }
      if (held.length > MAX_ANSWER) fail(`an answer of more than ${MAX_ANSWER} bytes`);
      return undefined;
    };

    socket.setTimeout(request.timeout, () => fail(`no answer within ${request.timeout / 1000} s`));
    socket.on('connect', () => socket.write(greeting()));
    socket.on('data', (chunk) => {
      held = Buffer.concat([held, chunk]);
      advance();
    });
    socket.on('error', (error) => fail(`cannot reach the proxy: ${error.message}`, error));
    socket.on('close', () => {
      const text = held.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (step !== 'answer' || end < 0) return fail('the connection closed early');
      if (!/^HTTP\/1\.[01] 200 /.test(text)) return fail(`the site answered ${text.split('\r\n', 1)[0]}`);
      return resolve(text.slice(end + 4));
    });
  });
}
