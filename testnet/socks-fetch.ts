/**
 * The least of a SOCKS5 client (RFC 1928) that can fetch a page by name: how a testnet finds out that it works.
 *
 * @module
 */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { connect, type Socket } from 'node:net';
import { CepaError } from '../shared/bytes/errors.js';

/** A fetch that did not come to its end. */
export class FetchError extends CepaError {
  /** The reply byte of the proxy, when it refused. */
  readonly reply: number | undefined;
  constructor(message: string, options?: { cause?: unknown; reply?: number }) {
    super('fetch', message, options);
    this.reply = options?.reply;
  }
}

/** Most bytes of a page. */
const MAX_PAGE = 1 << 20;

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

/** Where to connect, and through what. */
export interface SocksTarget {
  readonly proxy: { readonly host: string; readonly port: number };
  /** Resolved by the other end of the proxy. */
  readonly host: string;
  readonly port: number;
  /** Milliseconds of silence after which it failed. */
  readonly timeout: number;
}

const GREETING = Uint8Array.of(5, 1, 0);

function connectRequest(host: string, port: number): Buffer {
  const name = Buffer.from(host, 'latin1');
  return Buffer.concat([Uint8Array.of(5, 1, 0, 3, name.length), name, Uint8Array.of(port >> 8, port & 255)]);
}

/** Length of the SOCKS5 reply that starts the buffer; 0 while it is not all there. */
function replyLength(bytes: Buffer): number {
  if (bytes.length < 5) return 0;
  const address = bytes[3] === 1 ? 4 : bytes[3] === 4 ? 16 : 1 + (bytes[4] as number);
  return bytes.length < 6 + address ? 0 : 6 + address;
}

/** Opens a connection by SOCKS5; it is paused. Rejects with a FetchError. */
export function connectBySocks(target: SocksTarget): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(target.proxy.port, target.proxy.host);
    const fail = (message: string, options?: { cause?: unknown; reply?: number }) => {
      socket.destroy();
      reject(new FetchError(message, options));
    };
    let greeted = false;
    let held = Buffer.alloc(0);
    const hear = (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      if (!greeted && held.length >= 2) {
        if (held[0] !== 5 || held[1] !== 0) return fail('the proxy does not speak SOCKS5 without a password');
        greeted = true;
        held = held.subarray(2);
        socket.write(connectRequest(target.host, target.port));
      }
      const length = greeted ? replyLength(held) : 0;
      if (length === 0) return undefined;
      const reply = held[1] as number;
      if (reply !== 0) return fail(`the proxy refused: ${REPLIES[reply] ?? `code ${reply}`}`, { reply });
      socket.off('data', hear);
      socket.pause();
      if (held.length > length) socket.unshift(held.subarray(length));
      return resolve(socket);
    };
    socket.setTimeout(target.timeout, () => fail(`no answer within ${target.timeout / 1000} s`));
    socket.on('connect', () => socket.write(GREETING));
    socket.on('data', hear);
    socket.on('error', (cause) => fail(`cannot reach the proxy: ${cause.message}`, { cause }));
    socket.on('close', () => fail('the proxy closed the connection'));
  });
}

/** Sends an HTTP request by SOCKS5; the answer, to be read. */
export async function requestBySocks(
  target: SocksTarget,
  options: Pick<RequestOptions, 'path' | 'method' | 'headers'>,
  body?: Iterable<Uint8Array>,
): Promise<IncomingMessage> {
  const socket = await connectBySocks(target);
  return new Promise((resolve, reject) => {
    const request = httpRequest({ ...options, host: target.host, createConnection: () => socket });
    // It was paused to lose nothing; http would wait for what never flows.
    request.once('socket', () => socket.resume());
    request.once('response', resolve);
    request.once('error', (cause) => reject(new FetchError(`no answer: ${cause.message}`, { cause })));
    if (!body) {
      request.end();
      return;
    }
    const parts = body[Symbol.iterator]();
    const send = (): void => {
      for (let part = parts.next(); ; part = parts.next()) {
        if (part.done) {
          request.end();
          return;
        }
        if (!request.write(part.value)) {
          request.once('drain', send);
          return;
        }
      }
    };
    send();
  });
}

/** GETs a page by SOCKS5 with remote resolution; the body. Rejects with a FetchError. */
export async function fetchBySocks(target: SocksTarget & { readonly path: string }): Promise<string> {
  const answer = await requestBySocks(target, { path: target.path });
  let page = '';
  try {
    for await (const chunk of answer) {
      page += (chunk as Buffer).toString('latin1');
      if (page.length > MAX_PAGE) throw new FetchError(`a page of more than ${MAX_PAGE} bytes`);
    }
  } catch (cause) {
    throw cause instanceof FetchError ? cause : new FetchError('the connection closed early', { cause });
  }
  if (answer.statusCode !== 200) throw new FetchError(`the site answered ${answer.statusCode}`);
  return page;
}
