/**
 * What passes through onion services in tests: a server behind them that counts and hashes, and requests through SOCKS
 * that keep the proxy's answer.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { createServer, request, type Server } from 'node:http';
import { CepaError } from '../../shared/bytes/errors.js';
import type { NetAddress } from '../../shared/runtime/types.js';
import { askSocks, SOCKS_CONNECT, type SocksReply } from './socks.js';

/** Milliseconds of silence after which a request failed: longer than either program's own patience. */
const SILENCE = 150_000;
const DOWN_SEED = 7;
const UP_SEED = 11;

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Bytes by a rule, so that both ends can make them. */
export const pattern = (size: number, seed: number): Buffer => {
  const bytes = Buffer.alloc(size);
  let state = seed >>> 0 || 1;
  for (let i = 0; i + 4 <= size; i += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state | 0, i);
  }
  return bytes;
};

/** The server behind the services: GET /bytes/N gives N bytes of the pattern; POST answers the SHA-256 of its body. */
export function startOnionSite(): Promise<Server> {
  const server = createServer((req, res) => {
    if (req.method === 'GET') {
      res.end(pattern(Number(req.url!.split('/').at(-1)), DOWN_SEED));
      return;
    }
    const hash = createHash('sha256');
    req.on('data', (chunk) => hash.update(chunk));
    req.on('end', () => res.end(hash.digest('hex')));
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

/** A stream that is asked of a SOCKS5 proxy; `user` keeps its circuits from those of others. */
export interface Ask {
  readonly proxy: NetAddress;
  readonly host: string;
  readonly user?: string;
}

/** The proxy's answer: a socket to port 80 of the host where the code is 0. */
export const socksConnect = (ask: Ask): Promise<SocksReply> =>
  askSocks({ ...ask, command: SOCKS_CONNECT, port: 80, timeout: SILENCE });

async function exchangeHttp(ask: Ask, method: 'GET' | 'POST', path: string, body?: Buffer): Promise<Buffer> {
  const { socket, code } = await socksConnect(ask);
  if (code !== 0) {
    socket.destroy();
    throw new CepaError('interop', `${ask.host}: the proxy answered 0x${code.toString(16)}`);
  }
  return new Promise((resolve, reject) => {
    const req = request({
      method,
      path,
      host: ask.host,
      createConnection: () => socket,
      headers: { connection: 'close' },
    });
    req.on('error', reject);
    // It was paused before anybody listened, and stays so until told.
    req.on('socket', () => socket.resume());
    req.on('response', (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('end', () => resolve(Buffer.concat(chunks)));
      res.on('error', reject);
    });
    req.end(body);
  });
}

/** Downloads so many bytes and uploads as many; rejects when a digest is not what it should be. */
export async function transfer(ask: Ask, size: number): Promise<void> {
  const got = await exchangeHttp(ask, 'GET', `/bytes/${size}`);
  if (sha256(got) !== sha256(pattern(size, DOWN_SEED)))
    throw new CepaError('interop', `${ask.host}: the download (${got.length} bytes) was changed on its way`);
  const body = pattern(size, UP_SEED);
  const answer = (await exchangeHttp(ask, 'POST', '/', body)).toString();
  if (answer !== sha256(body))
    throw new CepaError('interop', `${ask.host}: the upload was changed on its way`);
}
