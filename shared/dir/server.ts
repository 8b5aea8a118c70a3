/**
 * The directory server: one fastify application that answers on the DirPort and on BEGIN_DIR streams alike. What it
 * answers with comes from a DirSource; this module does HTTP: routes, limits, compression, not-modified, errors.
 *
 * fastify never listens by itself: what comes to a DirPort comes by way of the transport, which limits and counts it as
 * it does links. One request a connection, as HTTP/1.0 has it and C tor does.
 *
 * @module
 */
import { deflateSync, gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify';
import { EndReason } from '../cell/commands.js';
import type { Log } from '../log/types.js';
import type { Stream } from '../onion/types.js';
import type { Clock, Conn, Listener, NetAddress, Transport } from '../runtime/types.js';
import { AnswerWriter } from './answer-writer.js';
import { encodeResponse, inCapitals, MAX_HEAD, RequestParser } from './http.js';
import type { DirPeer, DirRequest } from './types.js';

/** What a source says to a request. */
export interface Answer {
  readonly status: number;
  /** The reason phrase; C tor reads why an upload was refused there. */
  readonly reason?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The same Uint8Array object again for the same document lets its compressed form be kept. */
  readonly body?: Uint8Array | string;
  /** Time of the document, milliseconds, for If-Modified-Since. */
  readonly modified?: number;
  /** Seconds for which the answer may be kept. */
  readonly lifetime?: number;
}

/** Where answers come from. */
export interface DirSource {
  /** `path` has no `.z` and no query. */
  get(path: string, headers: Readonly<Record<string, string>>, peer: DirPeer): Answer | Promise<Answer>;
  post(
    path: string,
    body: Uint8Array,
    peer: DirPeer,
    headers: Readonly<Record<string, string>>,
  ): Answer | Promise<Answer>;
}

/** The server. */
export interface DirServer {
  /** Serves the one request of an accepted BEGIN_DIR stream. */
  serveStream(stream: Stream, peer: DirPeer): void;
  /** Serves the one request of a connection. */
  serveConn(conn: Conn): void;
  /** Listens as a DirPort. */
  listen(transport: Transport, at: NetAddress): Promise<Listener>;
  close(): Promise<void>;
}

/** Bytes of an upload: a vote of a large network is some 6 MB. */
const MAX_UPLOAD = 16 * 1024 * 1024;
/** Milliseconds for a request to arrive whole. */
const REQUEST_TIMEOUT = 60_000;
/** Exchanges at once over streams and connections; past it, 503. */
const MAX_EXCHANGES = 2_000;
/** Connections at once, of which some only take their answer; past it they are closed. */
const MAX_CONNS = 2 * MAX_EXCHANGES;

/** Bytes of answers, all together, that connections have yet to take; past it what is larger than a few KB is refused. */
const MAX_WAITING = 1024 ** 3;
/** The share of it that one address may have in more than one answer: one host alone keeps nobody out. */
const ADDRESS_SHARE = 1 / 32;
const SMALL_ANSWER = 16 * 1024;

const NOT_FOUND: Answer = { status: 404, reason: 'Not found' };

/** Compressed forms, kept as long as the document itself is. */
const deflated = new WeakMap<Uint8Array, Buffer>();
const gzipped = new WeakMap<Uint8Array, Buffer>();

function compressed(encoding: 'deflate' | 'gzip', body: Uint8Array): Buffer {
  const known = encoding === 'deflate' ? deflated : gzipped;
  let bytes = known.get(body);
  if (!bytes) {
    bytes = encoding === 'deflate' ? deflateSync(body) : gzipSync(body);
    known.set(body, bytes);
  }
  return bytes;
}

/** `.z` means deflate; otherwise the first of what the client takes that we make (dir-spec 6.1). */
function chooseEncoding(zlibSuffix: boolean, accept: string | undefined): 'deflate' | 'gzip' | 'identity' {
  if (accept !== undefined) {
    const offered = accept.split(',').map((item) => item.split(';')[0]!.trim().toLowerCase());
    if (offered.includes('deflate')) return 'deflate';
    if (offered.includes('gzip')) return 'gzip';
  }
  return zlibSuffix ? 'deflate' : 'identity';
}

/** A request handed in by `inject` carries who asks in the place of the remote address. */
const markOf = (peer: DirPeer) => `${peer.via} ${peer.address ?? '-'}`;

function peerOf(mark: string | undefined): DirPeer {
  const [via = '', address] = (mark ?? '').split(' ');
  return { via: via as DirPeer['via'], address: address === '-' ? undefined : address };
}

/**
 * Sets a header under its customary capitals, `Content-Encoding`: C tor compares names by case and would take the body
 * for uncompressed. (fastify itself writes names in lower case.)
 */
function setHeader(reply: FastifyReply, name: string, value: string): void {
  reply.raw.setHeader(inCapitals(name), value);
}

async function respond(
  source: DirSource,
  clock: Clock,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const headers = request.headers as Record<string, string>;
  const peer = peerOf(request.socket.remoteAddress);
  const path = request.url.replace(/\?.*$/s, '');
  const zlibSuffix = path.endsWith('.z');
  const plain = zlibSuffix ? path.slice(0, -2) : path;
  const answer =
    request.method === 'POST'
      ? await source.post(plain, (request.body as Uint8Array | undefined) ?? new Uint8Array(0), peer, headers)
      : await source.get(plain, headers, peer);
  setHeader(reply, 'date', new Date(clock.now()).toUTCString());
  setHeader(reply, 'content-type', 'text/plain');
  if (peer.address !== undefined) setHeader(reply, 'x-your-address-is', peer.address);
  for (const [name, value] of Object.entries(answer.headers ?? {})) setHeader(reply, name, value);
  if (answer.lifetime !== undefined)
    setHeader(reply, 'expires', new Date(clock.now() + answer.lifetime * 1000).toUTCString());
  if (answer.modified !== undefined) {
    setHeader(reply, 'last-modified', new Date(answer.modified).toUTCString());
    const since = Date.parse(headers['if-modified-since'] ?? '');
    if (answer.status === 200 && since >= Math.floor(answer.modified / 1000) * 1000)
      return reply.code(304).send();
  }
  reply.code(answer.status);
  reply.raw.statusMessage = answer.reason?.replace(/[^\x20-\x7e]/g, ' ') ?? '';
  if (answer.body === undefined) return reply.send();
  const body = typeof answer.body === 'string' ? Buffer.from(answer.body, 'utf8') : answer.body;
  const encoding = chooseEncoding(zlibSuffix, headers['accept-encoding']);
  setHeader(reply, 'content-encoding', encoding);
  if (encoding === 'identity') return reply.send(Buffer.from(body.buffer, body.byteOffset, body.byteLength));
  return reply.send(compressed(encoding, body));
}

/** JSON schemas have no place here, and fastify's compilers for them take as long to load as fastify itself. */
const noSchemas = {
  buildValidator: () => () => () => true,
  buildSerializer: () => () => (body: unknown) => String(body),
} as unknown as Required<FastifyServerOptions>['schemaController']['compilersFactory'];

async function makeApplication(
  source: DirSource,
  clock: Clock,
  log: Log,
  maxUpload: number,
): Promise<FastifyInstance> {
  // Loaded when first asked: a relay that starts publishes before anybody asks it for documents.
  const { fastify } = await import('fastify');
  const app = fastify({
    schemaController: { compilersFactory: noSchemas },
    bodyLimit: maxUpload,
    exposeHeadRoutes: false,
    // Digest lists are longer than fastify's usual bound on one parameter.
    routerOptions: { maxParamLength: MAX_HEAD },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: maxUpload }, (_request, body, done) =>
    done(null, body),
  );
  const handle = (request: FastifyRequest, reply: FastifyReply) => respond(source, clock, request, reply);
  app.get('/*', handle);
  app.post('/*', handle);
  app.setNotFoundHandler((_request, reply) => reply.code(NOT_FOUND.status).send());
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) log.warn('directory request failed', { path: request.url.slice(0, 200), error });
    reply.raw.statusMessage = error.message.replace(/[^\x20-\x7e]/g, ' ').slice(0, 200);
    return reply.code(status).send();
  });
  await app.ready();
  return app;
}

/** Makes a server over a source. */
export function createDirServer(
  source: DirSource,
  options: { log: Log; clock: Clock; maxUpload?: number; maxWaiting?: number },
): DirServer {
  const { clock, log } = options;
  const { maxUpload = MAX_UPLOAD, maxWaiting = MAX_WAITING } = options;
  let made: Promise<FastifyInstance> | undefined;
  const application = (): Promise<FastifyInstance> => {
    made ??= makeApplication(source, clock, log, maxUpload);
    return made;
  };
  let exchanges = 0;

  const answer = async (request: DirRequest, peer: DirPeer): Promise<Uint8Array> => {
    const app = await application();
    const result = await app.inject({
      method: request.method,
      url: request.path,
      headers: request.headers as Record<string, string>,
      payload: request.body as Buffer | undefined,
      remoteAddress: markOf(peer),
    });
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(result.headers)) {
      if (name !== 'content-length' && name !== 'connection' && name !== 'transfer-encoding')
        headers[name] = String(value);
    }
    return encodeResponse({
      status: result.statusCode,
      reason: result.statusMessage,
      headers,
      body: result.rawPayload,
    });
  };

  const refusal = (status: number) =>
    encodeResponse({ status, reason: '', headers: {}, body: new Uint8Array(0) });

  /** Reads one request from a pipe, writes the answer, ends it. */
  const serve = (peer: DirPeer, pipe: { send(bytes: Uint8Array): void; abort(): void }) => {
    const parser = new RequestParser(maxUpload);
    let asked = false;
    let over = false;
    const release = () => {
      if (over) return;
      over = true;
      exchanges--;
      timer.cancel();
    };
    const reply = (bytes: Uint8Array) => {
      if (over) return;
      pipe.send(bytes);
      release();
    };
    exchanges++;
    const timer = clock.setTimer(REQUEST_TIMEOUT, () => {
      release();
      pipe.abort();
    });
    return {
      data(chunk: Uint8Array) {
        if (asked || over) return;
        try {
          const request = parser.push(chunk);
          if (!request) return;
          asked = true;
          if (exchanges > MAX_EXCHANGES) {
            reply(refusal(503));
            return;
          }
          clock.hold(answer(request, peer)).then(reply, (error: unknown) => {
            log.warn('directory request failed', { error });
            reply(refusal(500));
          });
        } catch (error) {
          asked = true;
          log.info('bad directory request', { error });
          reply(refusal(400));
        }
      },
      /** The asking side is done; an answer under way is still sent. */
      ended() {
        if (asked) return;
        release();
        pipe.abort();
      },
      gone: release,
    };
  };

  const conns = new Map<Conn, AnswerWriter>();

  /** Each connection holds a copy of its own of what it was asked for, however slowly that is taken. */
  const isFull = (host: string, more: number): boolean => {
    if (more <= SMALL_ANSWER) return false;
    let all = more;
    let theirs = more;
    for (const [{ remote }, { kept }] of conns) {
      all += kept;
      if (remote.host === host) theirs += kept;
    }
    return all > maxWaiting || (theirs > more && theirs > maxWaiting * ADDRESS_SHARE);
  };

  const serveConn = (conn: Conn) => {
    if (conns.size >= MAX_CONNS) {
      conn.destroy();
      return;
    }
    const writer = new AnswerWriter(conn, clock);
    conns.set(conn, writer);
    const exchange = serve(
      { via: 'dirport', address: conn.remote.host },
      {
        send: (bytes) => writer.send(isFull(conn.remote.host, bytes.length) ? refusal(503) : bytes),
        abort: () => conn.destroy(),
      },
    );
    conn.start({
      data: exchange.data,
      end: exchange.ended,
      drain: () => writer.drain(),
      close() {
        conns.delete(conn);
        writer.stop();
        exchange.gone();
      },
    });
  };

  return {
    serveConn,
    serveStream(stream, peer) {
      const exchange = serve(peer, {
        send(bytes) {
          stream.write(bytes);
          stream.end(EndReason.DONE);
        },
        abort: () => stream.abort(EndReason.MISC),
      });
      stream.handlers = {
        data: exchange.data,
        drain() {},
        end: (reason, local) => (reason === EndReason.DONE && !local ? exchange.ended() : exchange.gone()),
      };
    },
    listen: (transport, at) => transport.listenTcp(at, serveConn),
    async close() {
      for (const conn of conns.keys()) conn.destroy();
      await (await made)?.close();
    },
  };
}
