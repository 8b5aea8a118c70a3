/**
 * The web site that belongs to a testnet, so that there is something to fetch.
 *
 * ```
 * GET  /           a page
 * GET  /bytes/N    N bytes, always the same for one N
 * POST /upload     answers with the size and SHA-256 of what came
 * ```
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** In every page: how a fetch is known to have reached this site. */
export const DEMO_GREETING = 'You reached this page through three hops of a Cepa network.';

/** Most bytes of one download, 10 GB. */
const MAX_BYTES = 10 ** 10;

const PATTERN = 64 * 1024;

/** Bytes that do not compress and do not repeat within a cell's reach. */
function patternBlock(): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i < PATTERN / 64; i++) parts.push(createHash('sha512').update(`cepa demo ${i}`).digest());
  return Buffer.concat(parts);
}

let pattern: Buffer | undefined;

/** The bytes of `/bytes/N` from `from` on, at most one block. */
export function demoBytes(from: number, length: number): Buffer {
  pattern ??= patternBlock();
  const at = from % PATTERN;
  return pattern.subarray(at, Math.min(PATTERN, at + length));
}

/** SHA-256 of `/bytes/N`, hex: what a download has to come to. */
export function demoDigest(size: number): string {
  const hash = createHash('sha256');
  for (let sent = 0; sent < size; ) {
    const part = demoBytes(sent, size - sent);
    hash.update(part);
    sent += part.length;
  }
  return hash.digest('hex');
}

function page(request: IncomingMessage): string {
  const from = request.socket.remoteAddress?.replace('::ffff:', '') ?? 'nowhere';
  return `<!doctype html>
<title>Cepa demo</title>
<h1>It works</h1>
<p>${DEMO_GREETING}</p>
<p>To this site you come from ${from}, the exit's address.</p>
`;
}

function sendBytes(size: number, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
  let sent = 0;
  const more = () => {
    while (sent < size) {
      const part = demoBytes(sent, size - sent);
      sent += part.length;
      if (!response.write(part)) {
        response.once('drain', more);
        return;
      }
    }
    response.end();
  };
  more();
}

function takeUpload(request: IncomingMessage, response: ServerResponse): void {
  const hash = createHash('sha256');
  let size = 0;
  request.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    size += chunk.length;
  });
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`${JSON.stringify({ size, sha256: hash.digest('hex') })}\n`);
  });
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? '/';
  const wanted = /^\/bytes\/(\d{1,11})$/.exec(path);
  if (request.method === 'POST' && path === '/upload') takeUpload(request, response);
  else if (request.method !== 'GET') response.writeHead(405).end();
  else if (wanted && Number(wanted[1]) <= MAX_BYTES) sendBytes(Number(wanted[1]), response);
  else if (path === '/')
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page(request));
  else response.writeHead(404).end('No such page\n');
}

/** Something with an end. */
export interface Closable {
  close(): Promise<void>;
}

/** Opens the site; `visited` hears each visitor's address. */
export async function startDemoSite(
  host: string,
  port: number,
  visited: (address: string) => void,
): Promise<Closable & { port: number }> {
  const server: Server = createServer((request, response) => {
    visited(request.socket.remoteAddress ?? '');
    answer(request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as { port: number }).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
