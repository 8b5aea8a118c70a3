/**
 * The near end of every measured stream: an application that goes through a SOCKS port.
 *
 * @module
 */
import { connect, type Socket } from 'node:net';
import type { NetAddress } from '../shared/runtime/types.js';

/** Through which proxy, to which address. */
export interface Way {
  readonly proxy: NetAddress;
  readonly site: NetAddress | { readonly host: string; readonly port: number };
  /** SOCKS user: streams of different ones go over different circuits. */
  readonly user?: string;
}

/** A run may take so long in all, in milliseconds. */
const LIMIT = 300_000;
const BLOCK = Buffer.alloc(64 * 1024, 0x5a);

/** The SOCKS5 messages up to the request, sent at once: both C tor and Cepa take them so. */
function opening({ site, user }: Way): Buffer {
  const name = Buffer.from(site.host, 'latin1');
  const auth = Buffer.from(user ?? '', 'latin1');
  return Buffer.concat([
    Uint8Array.of(5, 1, user === undefined ? 0 : 2),
    ...(user === undefined ? [] : [Uint8Array.of(1, auth.length), auth, Uint8Array.of(1, 0x78)]),
    Uint8Array.of(5, 1, 0, 3, name.length),
    name,
    Uint8Array.of(site.port >> 8, site.port & 255),
  ]);
}

/** Bytes of the proxy's answers when all goes well and the bound address is IPv4. */
const answerSize = ({ user }: Way): number => 2 + (user === undefined ? 0 : 2) + 10;

/** Opens a stream, sends `first` behind the request, and hands over all that comes behind the proxy's answer. */
function open(
  way: Way,
  first: Uint8Array,
  hear: (bytes: number, done: () => void, socket: Socket) => void,
  connected: (socket: Socket) => void = () => {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...way.proxy, noDelay: true });
    let over = false;
    const finish = (error?: Error) => {
      if (over) return;
      over = true;
      clearTimeout(limit);
      socket.destroy();
      if (error) reject(error);
      else resolve();
    };
    const limit = setTimeout(() => finish(new Error('a stream took too long')), LIMIT);
    const skip = answerSize(way);
    let head = Buffer.alloc(0);
    let open = false;
    socket.on('connect', () => socket.write(opening(way)));
    socket.on('data', (chunk: Buffer) => {
      if (open) {
        hear(chunk.length, finish, socket);
        return;
      }
      head = Buffer.concat([head, chunk]);
      if (head.length < skip) return;
      if (head[skip - 9] !== 0) {
        finish(new Error(`the proxy refused: ${head[skip - 9]}`));
        return;
      }
      open = true;
      socket.write(first);
      connected(socket);
      if (head.length > skip) hear(head.length - skip, finish, socket);
    });
    socket.on('error', finish);
    socket.on('close', () => finish(new Error('the proxy closed the connection')));
  });
}

/** Fetches so many bytes. */
export function download(way: Way, bytes: number): Promise<void> {
  let got = 0;
  return open(way, Buffer.from(`get ${bytes}\n`), (n, done) => {
    got += n;
    if (got >= bytes) done();
  });
}

/** Sends so many bytes and waits until the site has them. */
export function upload(way: Way, bytes: number): Promise<void> {
  let left = bytes;
  const more = (socket: Socket): void => {
    while (left > 0) {
      const part = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left);
      left -= part.length;
      if (!socket.write(part)) {
        socket.once('drain', () => more(socket));
        return;
      }
    }
  };
  return open(way, Buffer.from(`put ${bytes}\n`), (_, done) => done(), more);
}

/** Milliseconds from the connection to the proxy to the first byte of the site's answer. */
export async function firstByte(way: Way): Promise<number> {
  const start = performance.now();
  await download(way, 1);
  return performance.now() - start;
}
