/**
 * One exchange with a SOCKS5 proxy (RFC 1928, 1929), for tests: it keeps what the proxy answered.
 *
 * @module
 */
import { connect, type Socket } from 'node:net';
import type { NetAddress } from '../../shared/runtime/types.js';

export const SOCKS_CONNECT = 1;
/** C tor's extension (socks-extensions): resolves a name, opens no stream. */
export const SOCKS_RESOLVE = 0xf0;

/** What is asked of a proxy. */
export interface SocksRequest {
  readonly proxy: NetAddress;
  readonly command: number;
  readonly host: string;
  readonly port: number;
  /** Keeps its circuits from those of others. */
  readonly user?: string | undefined;
  /** Milliseconds of silence after which it failed. */
  readonly timeout: number;
}

/** What the proxy answered: a paused socket to the host where the code is 0. */
export interface SocksReply {
  readonly socket: Socket;
  readonly code: number;
  readonly address: string;
}

/** Asks; rejects when no answer comes. */
export async function askSocks(request: SocksRequest): Promise<SocksReply> {
  const { proxy, command, host, port, user, timeout } = request;
  const socket = connect(proxy.port, proxy.host);
  const replies = new Replies(socket);
  const counted = (text: string) => Buffer.from([text.length, ...Buffer.from(text, 'latin1')]);
  try {
    socket.setTimeout(timeout, () => socket.destroy(new Error(`${host}: silence for ${timeout / 1000} s`)));
    socket.write(Buffer.from([5, 1, user === undefined ? 0 : 2]));
    await replies.take(2);
    if (user !== undefined) {
      socket.write(Buffer.concat([Buffer.from([1]), counted(user), counted('x')]));
      await replies.take(2);
    }
    socket.write(
      Buffer.concat([Buffer.from([5, command, 0, 3]), counted(host), Buffer.from([port >> 8, port & 255])]),
    );
    const [, code, , type] = await replies.take(4);
    const length = type === 1 ? 4 : type === 4 ? 16 : (await replies.take(1))[0]!;
    const address = [...(await replies.take(length))].join('.');
    await replies.take(2);
    replies.release();
    return { socket, code: code!, address };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** What a proxy says, taken by the length of each reply. */
class Replies {
  private readonly socket: Socket;
  private held = Buffer.alloc(0);
  private failure: Error | undefined;
  private wake = () => {};
  private readonly heard = (chunk: Buffer) => {
    this.held = Buffer.concat([this.held, chunk]);
    this.wake();
  };
  private readonly failed = (error?: Error | boolean) => {
    this.failure ??= error instanceof Error ? error : new Error('the proxy closed the connection');
    this.wake();
  };

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', this.heard);
    socket.on('error', this.failed);
    socket.on('close', this.failed);
  }

  async take(length: number): Promise<Buffer> {
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

  /** Leaves the socket, and what it brought too early, to somebody else. The error listener stays. */
  release(): void {
    this.socket.pause();
    this.socket.off('data', this.heard);
    if (this.held.length > 0) this.socket.unshift(this.held);
  }
}
