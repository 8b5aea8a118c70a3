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
  /** A name for the exit to look up, or an onion address. */
  readonly site: NetAddress;
  /** SOCKS user: streams of different ones go over different circuits. */
  readonly user?: string;
  /** It may take so long in all, in milliseconds; two minutes when absent. */
  readonly limit?: number;
}

const LIMIT = 120_000;
const BLOCK = Buffer.alloc(64 * 1024, 0x5a);

interface Step {
  readonly send: Buffer;
  /** Bytes of the proxy's answer. */
  readonly answer: number;
}

/**
 * The SOCKS5 messages up to the request, and how long the answers are when all goes well and the bound address is IPv4.
 * Without a user all goes at once. With one each waits for its answer: C tor looks at what was sent behind a password
 * only when more comes (connection_ap_handshake_process_socks).
 */
function steps({ site, user }: Way): Step[] {
  const name = Buffer.from(site.host, 'latin1');
  const request = Buffer.concat([
    Uint8Array.of(5, 1, 0, 3, name.length),
    name,
    Uint8Array.of(site.port >> 8, site.port & 255),
  ]);
  if (user === undefined)
    return [{ send: Buffer.concat([Uint8Array.of(5, 1, 0), request]), answer: METHOD_SIZE + REPLY_SIZE }];
  const auth = Buffer.from(user, 'latin1');
  const login = Buffer.concat([Uint8Array.of(1, auth.length), auth, Uint8Array.of(1, 0x78)]);
  return [
    { send: Buffer.of(5, 1, 2), answer: METHOD_SIZE },
    { send: login, answer: METHOD_SIZE },
    { send: request, answer: REPLY_SIZE },
  ];
}

const METHOD_SIZE = 2;
const REPLY_SIZE = 10;
/** Where the reply's code is, from its end. */
const CODE_FROM_END = 9;

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
      clearTimeout(timer);
      socket.destroy();
      if (error) reject(error);
      else resolve();
    };
    const { limit = LIMIT } = way;
    const timer = setTimeout(() => finish(new Error(`a stream took more than ${limit / 1000} s`)), limit);
    const left = steps(way);
    let head = Buffer.alloc(0);
    socket.on('connect', () => socket.write(left[0]!.send));
    const answered = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const { answer } = left[0]!;
      if (head.length < answer) return;
      left.shift();
      if (left.length > 0) {
        head = head.subarray(answer);
        socket.write(left[0]!.send);
        return;
      }
      const code = head[answer - CODE_FROM_END];
      if (code !== 0) {
        finish(new Error(`the proxy refused ${way.site.host}: ${code}`));
        return;
      }
      socket.write(first);
      connected(socket);
      if (head.length > answer) hear(head.length - answer, finish, socket);
    };
    socket.on('data', (chunk: Buffer) => {
      if (left.length > 0) answered(chunk);
      else hear(chunk.length, finish, socket);
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
