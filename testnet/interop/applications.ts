/**
 * What stands for applications in tests: SOCKS5 downloads with their digest, names resolved by the exit.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { NetAddress } from '../../shared/runtime/types.js';
import { FetchError } from '../socks-fetch.js';
import { askSocks, SOCKS_CONNECT, SOCKS_RESOLVE } from './socks.js';

/** What a download came to. */
export interface Download {
  readonly size: number;
  /** SHA-256, hex. */
  readonly sha256: string;
  readonly seconds: number;
}

/** What a download is of; `user` isolates it from others. */
export interface DownloadRequest {
  readonly proxy: NetAddress;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly user?: string;
  /** Milliseconds of silence after which it failed. */
  readonly timeout?: number;
}

/** GETs by SOCKS5 and HTTP/1.0; rejects when the site's Content-Length does not come. */
export async function download(request: DownloadRequest): Promise<Download> {
  const { proxy, host, port, path, user = 'interop', timeout = 120_000 } = request;
  const started = performance.now();
  const { socket, code } = await askSocks({ proxy, command: SOCKS_CONNECT, host, port, user, timeout });
  if (code !== 0) {
    socket.destroy();
    throw new FetchError(`${host}:${port}: the proxy answered ${code}`, { reply: code });
  }
  const hash = createHash('sha256');
  let size = 0;
  let head: Buffer | undefined = Buffer.alloc(0);
  let wanted = Number.POSITIVE_INFINITY;
  const take = (chunk: Buffer): void => {
    let body = chunk;
    if (head) {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      wanted = Number(/^content-length: (\d+)\r?$/im.exec(head.subarray(0, end + 2).toString('latin1'))?.[1]);
      body = head.subarray(end + 4);
      head = undefined;
    }
    hash.update(body);
    size += body.length;
  };
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      take(chunk);
      if (size >= wanted) resolve();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new FetchError(`closed after ${size} of ${wanted} bytes`)));
    socket.resume();
    socket.write(`GET ${path} HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
  }).finally(() => socket.destroy());
  return { size, sha256: hash.digest('hex'), seconds: (performance.now() - started) / 1000 };
}

/** The address a name has, as an exit resolves it. */
export async function resolveName(proxy: NetAddress, name: string, user = 'resolve'): Promise<string> {
  const command = SOCKS_RESOLVE;
  const { socket, code, address } = await askSocks({
    proxy,
    command,
    host: name,
    port: 0,
    user,
    timeout: 120_000,
  });
  socket.destroy();
  if (code !== 0) throw new FetchError(`${name}: the proxy answered ${code}`, { reply: code });
  return address;
}

/**
 * Waits until a page comes. In a network that has just begun, exits refuse what comes from relays that are not in the
 * consensus they have themselves (refuseunknownexits), and clients avoid an exit that refused until the next consensus.
 */
export async function untilServed(request: DownloadRequest, timeout = 240_000): Promise<void> {
  const until = performance.now() + timeout;
  for (;;) {
    try {
      await download(request);
      return;
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}
