/**
 * What stands for applications in the tests of whole networks: every proxy language, and streams that are read and
 * ended as the test wants.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { CepaError } from '../../shared/bytes/errors.js';
import type { NetAddress } from '../../shared/runtime/types.js';

/** The proxy said no. */
export class RefusedError extends CepaError {
  /** Reply byte of SOCKS, or status of HTTP. */
  readonly reply: number;
  constructor(reply: number) {
    super('refused', `the proxy answered ${reply}`);
    this.reply = reply;
  }
}

/** How a proxy is asked. */
export type Language = 'socks5' | 'socks5-ipv4' | 'socks4' | 'socks4a' | 'http';

/** Where to, and how. */
export interface Destination {
  readonly proxy: NetAddress;
  readonly language?: Language;
  readonly host: string;
  readonly port: number;
  /** SOCKS user name (SOCKS5 and 4), which isolates. */
  readonly user?: string;
}

const SILENCE = 60_000;
const CONNECT = 1;
/** Tor's extensions. */
const RESOLVE = 0xf0;
const RESOLVE_PTR = 0xf1;

const port16 = (port: number) => Buffer.from([port >> 8, port & 255]);
const ipv4 = (host: string) => Buffer.from(host.split('.').map(Number));
const text = (value: string) => Buffer.from(value, 'latin1');

/** Takes so many bytes out of a socket and leaves the rest in it. */
async function take(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const chunk = socket.read(length) as Buffer | null;
    if (chunk?.length === length) return chunk;
    await new Promise<void>((resolve, reject) => {
      const settle = (act: () => void) => () => {
        socket.off('readable', readable);
        socket.off('close', closed);
        act();
      };
      const readable = settle(resolve);
      const closed = settle(() => reject(new CepaError('closed', 'the proxy closed the connection')));
      socket.on('readable', readable);
      socket.on('close', closed);
    });
  }
}

async function socks5(socket: Socket, command: number, to: Destination): Promise<string> {
  const user = text(to.user ?? '');
  socket.write(Buffer.from([5, 1, to.user === undefined ? 0 : 2]));
  await take(socket, 2);
  if (to.user !== undefined) {
    socket.write(Buffer.concat([Buffer.from([1, user.length]), user, Buffer.from([1, 0x78])]));
    await take(socket, 2);
  }
  const name = text(to.host);
  const address =
    to.language === 'socks5-ipv4' || command === RESOLVE_PTR
      ? Buffer.concat([Buffer.from([1]), ipv4(to.host)])
      : Buffer.concat([Buffer.from([3, name.length]), name]);
  socket.write(Buffer.concat([Buffer.from([5, command, 0]), address, port16(to.port)]));
  const head = await take(socket, 4);
  const type = head[3];
  const length = type === 1 ? 4 : type === 4 ? 16 : (await take(socket, 1))[0]!;
  const answer = await take(socket, length);
  await take(socket, 2);
  if (head[1] !== 0) throw new RefusedError(head[1]!);
  return type === 3 ? answer.toString('latin1') : [...answer].join('.');
}

async function socks4(socket: Socket, to: Destination): Promise<void> {
  const named = to.language === 'socks4a';
  const address = named ? Buffer.from([0, 0, 0, 1]) : ipv4(to.host);
  const parts = [Buffer.from([4, CONNECT]), port16(to.port), address, text(`${to.user ?? ''}\0`)];
  socket.write(Buffer.concat(named ? [...parts, text(`${to.host}\0`)] : parts));
  const reply = await take(socket, 8);
  if (reply[1] !== 90) throw new RefusedError(reply[1]!);
}

async function http(socket: Socket, to: Destination): Promise<void> {
  socket.write(`CONNECT ${to.host}:${to.port} HTTP/1.1\r\nHost: ${to.host}:${to.port}\r\n\r\n`);
  let head = '';
  while (!head.endsWith('\r\n\r\n')) head += (await take(socket, 1)).toString('latin1');
  const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(head)?.[1]);
  if (status !== 200) throw new RefusedError(status);
}

function dial(proxy: NetAddress): Socket {
  const socket = connect({ host: proxy.host, port: proxy.port, allowHalfOpen: true });
  socket.setTimeout(SILENCE, () => socket.destroy(new CepaError('silence', `nothing for ${SILENCE} ms`)));
  // Whoever reads the socket sees its end; without a listener an error would end the process.
  socket.on('error', () => {});
  return socket;
}

/** Opens a stream; the socket is that of the stream, half-open when the far end has sent FIN. Rejects with a RefusedError. */
export async function open(to: Destination): Promise<Socket> {
  const socket = dial(to.proxy);
  try {
    if (to.language === 'http') await http(socket, to);
    else if (to.language === 'socks4' || to.language === 'socks4a') await socks4(socket, to);
    else await socks5(socket, CONNECT, to);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function lookUp(command: number, to: Destination): Promise<string> {
  const socket = dial(to.proxy);
  try {
    return await socks5(socket, command, to);
  } finally {
    socket.destroy();
  }
}

/** RESOLVE: the address of a name. */
export const resolveName = (proxy: NetAddress, host: string) => lookUp(RESOLVE, { proxy, host, port: 0 });

/** RESOLVE_PTR: the name of an IPv4 address. */
export const resolveAddress = (proxy: NetAddress, host: string) =>
  lookUp(RESOLVE_PTR, { proxy, host, port: 0 });

/** Everything until FIN; rejects when the connection breaks first. */
export async function readAll(socket: Socket, heard: (chunk: Buffer) => void = () => {}): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      heard(chunk);
    });
    socket.once('end', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new CepaError('closed', 'closed without FIN')));
  });
  return Buffer.concat(chunks);
}

/** What a download came to. */
export interface Download {
  readonly size: number;
  /** SHA-256, hex. */
  readonly sha256: string;
}

/** The body of an HTTP answer as it comes, without it being held. `heard` gets the count of bytes so far. */
export async function download(
  to: Destination,
  path: string,
  heard: (size: number) => void = () => {},
): Promise<Download> {
  const socket = await open(to);
  const hash = createHash('sha256');
  let size = 0;
  let head = '';
  let inBody = false;
  const ended = new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      let body = chunk;
      if (!inBody) {
        head += chunk.toString('latin1');
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        inBody = true;
        body = Buffer.from(head.slice(end + 4), 'latin1');
      }
      hash.update(body);
      size += body.length;
      heard(size);
    });
    socket.once('end', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new CepaError('closed', `closed after ${size} bytes`)));
  });
  socket.write(`GET ${path} HTTP/1.0\r\nHost: ${to.host}\r\n\r\n`);
  await ended;
  socket.destroy();
  const wanted = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1] ?? size);
  if (size !== wanted) throw new CepaError('short', `${size} bytes of ${wanted}`);
  return { size, sha256: hash.digest('hex') };
}

/** POSTs so many bytes; the text of the answer's body. */
export async function upload(
  to: Destination,
  path: string,
  bytes: Iterable<Uint8Array>,
  size: number,
): Promise<string> {
  const socket = await open(to);
  const answer = readAll(socket);
  answer.catch(() => {});
  socket.write(`POST ${path} HTTP/1.0\r\nHost: ${to.host}\r\nContent-Length: ${size}\r\n\r\n`);
  for (const part of bytes) {
    if (!socket.write(part))
      await Promise.race([new Promise<void>((resolve) => socket.once('drain', resolve)), answer]);
  }
  const reply = (await answer).toString('latin1');
  socket.destroy();
  return reply.slice(reply.indexOf('\r\n\r\n') + 4);
}
