/**
 * What stands for applications in tests: SOCKS5 downloads with their digest, names resolved by the exit.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { NetAddress } from '../../shared/runtime/types.js';
import { FetchError } from '../socks-fetch.js';

const CONNECT = 1;
/** C tor's extension (socks-extensions): resolves a name, opens no stream. */
const RESOLVE = 0xf0;

/** What a download came to. */
export interface Download {
  readonly size: number;
  /** SHA-256, hex. */
  readonly sha256: string;
  readonly seconds: number;
}

/** One SOCKS5 exchange with a user name, which isolates it; the socket behind the reply, and the reply's address. */
async function ask(
  proxy: NetAddress,
  command: number,
  host: string,
  port: number,
  user: string,
  timeout: number,
): Promise<{ socket: Socket; address: string; rest: Buffer }> {
  const socket = connect(proxy.port, proxy.host);
  socket.setTimeout(timeout, () => socket.destroy(new FetchError(`no answer within ${timeout / 1000} s`)));
  const reader = new SocketReader(socket);
  const [name, who] = [Buffer.from(host, 'latin1'), Buffer.from(user, 'latin1')];
  try {
    socket.write(Buffer.from([5, 1, 2]));
    await reader.exactly(2);
    socket.write(Buffer.concat([Buffer.from([1, who.length]), who, Buffer.from([1, 0x78])]));
    await reader.exactly(2);
    socket.write(
      Buffer.concat([
        Buffer.from([5, command, 0, 3, name.length]),
        name,
        Buffer.from([port >> 8, port & 255]),
      ]),
    );
    const head = await reader.exactly(4);
    if (head[1] !== 0) throw new FetchError(`${host}:${port}: the proxy answered ${head[1]}`);
    const length = head[3] === 1 ? 4 : head[3] === 4 ? 16 : (await reader.exactly(1))[0]!;
    const address = await reader.exactly(length);
    await reader.exactly(2);
    return { socket, address: [...address].join('.'), rest: reader.release() };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

class SocketReader {
  private readonly socket: Socket;
  private held = Buffer.alloc(0);
  private failure: Error | undefined;
  private wake: () => void = () => {};
  private readonly heard = (chunk: Buffer) => {
    this.held = Buffer.concat([this.held, chunk]);
    this.wake();
  };

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', this.heard);
    socket.on('error', (error) => {
      this.failure = error;
      this.wake();
    });
    socket.on('close', () => {
      this.failure ??= new FetchError('the proxy closed the connection');
      this.wake();
    });
  }

  async exactly(length: number): Promise<Buffer> {
    while (this.held.length < length) {
      if (this.failure) throw this.failure;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    const taken = this.held.subarray(0, length);
    this.held = this.held.subarray(length);
    return taken;
  }

  release(): Buffer {
    this.socket.off('data', this.heard);
    this.socket.pause();
    return this.held;
  }
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
  const { socket, rest } = await ask(proxy, CONNECT, host, port, user, timeout);
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
    take(rest);
    socket.resume();
    socket.write(`GET ${path} HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
  }).finally(() => socket.destroy());
  return { size, sha256: hash.digest('hex'), seconds: (performance.now() - started) / 1000 };
}

/** The address a name has, as an exit resolves it. */
export async function resolveName(proxy: NetAddress, name: string, user = 'resolve'): Promise<string> {
  const { socket, address } = await ask(proxy, RESOLVE, name, 0, user, 120_000);
  socket.destroy();
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
